"""Films of what was run: which one is meant, and where it goes. Knows asciicasts only as lines to write."""

from collections.abc import Sequence
from pathlib import Path

from hoopproxy.cli.answers import Mistake, Negative, printable
from hoopproxy.cli.new_files import write_new
from hoopproxy.cli.recorded import Recorded
from hoopproxy.evidence.asciicast import cast, runs


def chosen(recordings: Sequence[Recorded], connection: str | None, statement: int | None) -> tuple[Recorded, int, str]:
    """The one thing that was run and is meant: its recording, the statement's number, and what it was.

    @raise Negative: there is none. @raise Mistake: there are several.
    """
    found = [
        (recorded, number, title)
        for recorded in recordings
        if connection in (None, recorded.connection_id)
        for number, title in runs(recorded.lines()).items()
        if statement in (None, number)
    ]
    if not found:
        raise Negative("Nothing like that was run in this session, so there is no film of it.")
    if len(found) > 1:
        choice = "\n".join(
            f"  --connection {recorded.connection_id} --statement {number}  {printable(title)}"
            for recorded, number, title in found
        )
        raise Mistake(f"There are {len(found)} films of this session; say which one you want:\n{choice}")
    return found[0]


def write(recorded: Recorded, statement: int, output: Path, *, raw: bool) -> None:
    """Write the film; nobody else may read it. @raise Negative: it can't be written, or the recording was changed."""
    write_new(output, cast(recorded.lines(), statement, raw=raw))
