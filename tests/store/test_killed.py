"""A process that is killed while it writes: whatever it had acknowledged is there, and each history is whole."""

import os
import signal
import subprocess
import sys
from pathlib import Path

from hoopproxy.store.database import Database, sqlite
from hoopproxy.store.journal import DatabaseJournal
from hoopproxy.testing.process import environment

from .test_journal import _here, run

WRITER = """
import asyncio, sys
from pathlib import Path
from hoopproxy.store.database import Database, sqlite
from hoopproxy.store.journal import DatabaseJournal
from tests.store.test_journal import _here, asked, row, voted

journal = DatabaseJournal(Database(sqlite(Path(sys.argv[1]))), _here)

async def write(key):
    for number in range(1_000_000):
        entry = asked(key) if number == 0 else voted(key, number)
        await journal.append((entry,), (row(key, number + 1),))
        print(key, number, flush=True)

asyncio.run(write(sys.argv[2]))
"""

ROUNDS = 8


def test_nothing_that_was_acknowledged_is_lost_by_a_kill(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    database = Database(sqlite(path))
    database.upgrade()
    journal = DatabaseJournal(database, _here)
    for number in range(ROUNDS):
        key = f"r{number}"
        writer = subprocess.Popen(
            [sys.executable, "-c", WRITER, str(path), key],
            stdout=subprocess.PIPE,
            text=True,
            env=environment(),
            cwd=Path(__file__).parent.parent.parent,
        )
        assert writer.stdout is not None
        acknowledged = [writer.stdout.readline() for _ in range(5 + 7 * number)]
        os.kill(writer.pid, signal.SIGKILL)
        acknowledged += writer.stdout.readlines()  # what it had said before it died
        writer.wait()
        writer.stdout.close()
        kept = run(journal.history(key))
        assert len(kept) >= len([line for line in acknowledged if line.endswith("\n")])
        assert [entry.number for entry in kept] == list(range(len(kept)))
        (row,) = [each for each in run(journal.rows(False, 100)) if each.key == key]
        assert row.count == len(kept), "the table and the journal are written together"
    database.close()
