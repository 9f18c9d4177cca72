"""A configuration with all its files, a recording, and something that answers on a control socket."""

import json
import os
import shutil
import threading
from base64 import b64encode
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from socketserver import StreamRequestHandler, ThreadingUnixStreamServer
from typing import Any

import pytest
from click.testing import CliRunner, Result

from hoopproxy.cli.main import main
from hoopproxy.disk.keys import make_keys, read_public
from hoopproxy.disk.recordings import RecordingFile
from hoopproxy.events import Action, Asked, Closed, Completed, Record, Statement, Streamed, Terminal, Transferred
from hoopproxy.evidence.recording import Header, Readers, Writer
from hoopproxy.evidence.streams import Keeping
from hoopproxy.evidence.transcript import Lines, Transcript, joined
from hoopproxy.model import Tally
from hoopproxy.testing.certificates import Authority
from hoopproxy.testing.issuer import Issuer
from hoopproxy.testing.three_files import ISSUER_URL, Site, write
from hoopproxy.wire.postgres.messages import data_row

SESSION, CONNECTION = "0123456789abcdef0123", "c0ffee"


@pytest.fixture
def run() -> Callable[..., Result]:
    """Runs the command line with these words."""

    def invoke(*words: object) -> Result:
        return CliRunner().invoke(main, [str(word) for word in words])

    return invoke


@pytest.fixture
def site(tmp_path: Path) -> Site:
    """A configuration whose every file is there; nothing listens."""
    secrets, state = tmp_path / "secrets", tmp_path / "state"
    make_keys(secrets)
    for directory in (secrets / "credentials", state / "recordings", state / "log"):
        directory.mkdir(parents=True)
    (secrets / "pseudonym.key").write_bytes(bytes(32))
    (secrets / "pseudonym.key").chmod(0o600)
    authority = Authority(tmp_path / "ca", "tests")
    leaf = authority.issue("gateway", dns=("localhost",))
    shutil.copyfile(leaf.certificate_file, secrets / "gateway.crt")
    shutil.copy(leaf.key_file, secrets / "gateway.key")
    return Site(
        directory=tmp_path / "conf",
        state=state,
        secrets=secrets,
        port=0,
        addresses=("127.0.0.1", "::1"),
        issuer_url=ISSUER_URL,
        jwks_file=Issuer(tmp_path / "issuer", ISSUER_URL).jwks_file,
        targets={"ledger": ("reader",)},
        database_host="127.0.0.1",
        database_port=5432,
        database_ca=authority.ca_file,
        server_name="localhost",
    )


@pytest.fixture
def config(site: Site) -> Path:
    """Its hoopproxy.toml."""
    return write(site)


@pytest.fixture
def recording(site: Site) -> Path:
    """A recording of one short session."""
    zone, sealed = read_public(site.secrets / "zone.pub"), read_public(site.secrets / "sealed.pub")
    keys = os.urandom(32), os.urandom(32)
    wraps = Readers(zone, sealed).wraps(SESSION, CONNECTION, *keys)
    header = Header(SESSION, CONNECTION, "gw", "EU", "rows", "strict", 1_700_000_000_000, **wraps)
    writer = Writer(header, *keys)
    file = RecordingFile(site.state / "recordings", SESSION, CONNECTION, writer.start)
    outline, text = "SELECT name, card FROM customers WHERE id = $1", "SELECT name, card FROM customers WHERE id = 7"
    rows = data_row([b"Ines\x1b[2J", b"****1111"]) + data_row([b"Jonas", None])
    asked = {"statement": 1, "action": "query", "outline": outline, "parameter_count": 1, "secret": False}
    columns = [{"name": name, "path": "", "type_oid": 25, "format": "text"} for name in ("name", "card")]
    who = {"issuer": "https://id", "subject": "ada", "name": "Ada", "client": "127.0.0.1:5", "target": "ledger"}
    told: list[dict[str, Any]] = [
        {"event": "opened", **who, "account": "reader", "database": "ledger", "grant_id": "g", "peer": "127.0.0.1:1"},
        {"event": "asked", **asked},
        {"event": "columns", "statement": 1, "columns": columns},
        {"event": "rows", "statement": 1, "row_count": 2, "raw": b64encode(rows).decode()},
        {"event": "completed", "statement": 1, "tag": "SELECT 2", "row_count": 2},
        {"event": "rejected", **asked, "statement": 2, "sentence": "That would show a protected column."},
        {"event": "faulted", "statement": 3, "code": "22012", "text": "division by zero"},
        {"event": "closed", "reason": "left", "tally": {"statements": 3, "rows": 2}},
    ]
    masked = b"".join(_line({"seq": seq, "at_ms": 1_700_000_000_000} | line) for seq, line in enumerate(told, 1))
    parameters = [{"value": b64encode(b"7").decode(), "format": "text"}]
    hidden = _line({"seq": 2, "text": text, "parameters": parameters})
    file.append(writer.seal(Lines(masked, hidden), final=True))
    file.close()
    return site.state / "recordings" / file.location


@pytest.fixture
def ssh_recording(site: Site) -> Path:
    """A recording of a shell, two commands and some files."""
    shell = Statement(2, Action.RUN, "shell", "shell")
    command = Statement(3, Action.RUN, "exec cat /home/ada/tax", "exec cat")
    files = Statement(4, Action.RUN, "subsystem sftp", "subsystem sftp")
    tax = "/home/ada/tax"
    told: list[Record] = [
        *(Asked(Statement(1, Action.OPEN, "session", "session")), Asked(shell), Terminal(2, 80, 24, "xterm")),
        *(Streamed(2, "stdout", b"$ "), Streamed(2, "stdin", b"l"), Streamed(2, "stdout", b"l")),
        *(Streamed(2, "stdin", b"s\r"), Streamed(2, "stdout", b"s\r\n\x1b]52;c;eA==\x07tax\r\nGr\xc3")),
        *(Streamed(2, "stdout", b"\xbc\xc3\x9fe\r\n$ "), Asked(command), Streamed(3, "stdout", b"0123456789" * 3)),
        *(Streamed(3, "stderr", b"cat: no\n"), Completed(3, "exit 1", 0), Closed(3), Asked(files)),
        Transferred(4, "read", tax, bytes_count=9, sha256="ab" * 32),
        Transferred(4, "rename", tax, "/home/ada/old", outcome="Permission denied"),
        *(Completed(4, "exit 0", 0), Closed(4), Completed(2, "exit 3", 0), Closed(2)),
    ]
    return record(site, "5511", told, Keeping(stream_bytes_max=25))


def record(site: Site, connection: str, told: Sequence[Record], keeping: Keeping, *first: Lines) -> Path:
    """Keep a recording of these events, an eighth of a second apart."""
    zone, sealed = read_public(site.secrets / "zone.pub"), read_public(site.secrets / "sealed.pub")
    keys = os.urandom(32), os.urandom(32)
    wraps = Readers(zone, sealed).wraps(SESSION, connection, *keys)
    writer = Writer(Header(SESSION, connection, "gw", "EU", "rows", "strict", 1_700_000_000_000, **wraps), *keys)
    transcript = Transcript(keeping)
    lines = [transcript.recorded(1_700_000_000 + at_s / 8, (event,)) for at_s, event in enumerate(told)]
    file = RecordingFile(site.state / "recordings", SESSION, connection, writer.start)
    end = transcript.closed(1_700_000_100, Tally(statements=4), "left")
    file.append(writer.seal(joined([*first, *lines, end]), final=True))
    file.close()
    return site.state / "recordings" / file.location


def _line(item: Mapping[str, Any]) -> bytes:
    return json.dumps(item).encode() + b"\n"


class Answers(ThreadingUnixStreamServer):
    """Answers each command as `given` says, and remembers what was asked."""

    daemon_threads = True

    def __init__(self, path: Path) -> None:
        super().__init__(str(path), _Request)
        self.path = path
        self.given: dict[str, dict[str, Any]] = {}
        self.events: list[dict[str, Any]] = []
        self.asked: list[dict[str, Any]] = []


class _Request(StreamRequestHandler):
    server: Answers

    def handle(self) -> None:
        request = json.loads(self.rfile.readline())
        self.server.asked.append(request)
        given = self.server.given.get(request["command"])
        reply = {"ok": False, "error": "The gateway says no."} if given is None else {"ok": True, "answer": given}
        self.wfile.write(_line(reply))
        if request["command"] in ("follow", "watch"):
            for event in self.server.events:
                self.wfile.write(_line({"event": event}))


@pytest.fixture
def gateway(site: Site) -> Iterator[Answers]:
    """Something that answers where the configuration says that the gateway does."""
    with Answers(site.state / "control.sock") as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.shutdown()
        thread.join()
