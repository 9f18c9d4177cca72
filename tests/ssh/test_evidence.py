"""What a session over SSH leaves: a transcript, a film, a bundle that verifies; and who may read what of it."""

import hashlib
import json
import sys
import zipfile
from base64 import b64decode
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from hoopproxy.testing.process import environment

from .conftest import SshStand
from .terminal import Terminal
from .ways import run

DATA = bytes(range(256)) * 400


def hoopproxy(stand: SshStand, *words: str | Path) -> str:
    """What our command says."""
    command = Path(sys.executable).with_name("hoopproxy")
    done = run([str(command), *map(str, words)], env=environment() | {"HOOPPROXY_CONFIG": str(stand.config)})
    assert done.code == 0, done
    return done.out.decode()


@dataclass(frozen=True)
class Session:
    """A session that is over."""

    stand: SshStand
    id: str

    def shown(self, *keys: str) -> list[dict[str, Any]]:
        """The lines of its recordings."""
        said = hoopproxy(self.stand, "sessions", "show", self.id, "--zone-key", self.stand.zone_key, *keys, "--json")
        return [line for recording in said.splitlines() for line in json.loads(recording)["lines"]]

    @property
    def sealed(self) -> list[dict[str, Any]]:
        """The same, with the other key, too."""
        return self.shown("--sealed-key", str(self.stand.sealed_key))


@pytest.fixture(scope="module")
def session(stand: SshStand, tmp_path_factory: pytest.TempPathFactory) -> Session:
    """Somebody worked in a terminal, and meanwhile ran a command and copied a file."""
    way, place = stand.way("minted", "franz"), tmp_path_factory.mktemp("files")
    (place / "here.bin").write_bytes(DATA)
    with Terminal(way.command("ssh", "target"), (90, 30)) as here:
        here.type(b"stty -echo\recho $((6 * 7))\r")
        here.reads(rb"[\r\n]42\r\n")
        (found,) = json.loads(hoopproxy(stand, "sessions", "list", "--json"))
        assert way.ssh("cat; echo trouble >&2; exit 3", stdin=b"typed hunter2\n").code == 3
        assert way.run("scp", place / "here.bin", f"target:{place}/there.bin").code == 0
        here.type(b"exit\r")
        here.ends()
    return Session(stand, found["session_id"])


def streams(lines: list[dict[str, Any]], stream: str) -> bytes:
    return b"".join(b64decode(line.get("raw", "")) for line in lines if line.get("stream") == stream)


def test_the_transcript_tells_it_all(session: Session) -> None:
    lines = session.sealed
    asked = {line["text"] for line in lines if line["event"] == "asked"}
    assert {"session", "shell", "pty-req xterm-256color 90x30", "subsystem sftp"} <= asked
    assert "exec cat; echo trouble >&2; exit 3" in asked
    assert {line["tag"] for line in lines if line["event"] == "completed"} == {"exit 0", "exit 3"}
    assert b"typed hunter2\n" in streams(lines, "stdin")
    assert b"\n42\r\n" in streams(lines, "stdout")
    assert streams(lines, "stderr") == b"trouble\n"


def test_files_stand_in_it_with_their_digests(session: Session) -> None:
    (written,) = [line for line in session.sealed if line.get("operation") == "write"]
    assert written["path"].endswith("/there.bin")
    assert (written["bytes"], written["sha256"]) == (len(DATA), hashlib.sha256(DATA).hexdigest())


def test_without_the_second_key_what_was_typed_is_closed(session: Session) -> None:
    lines = session.shown()
    assert b"hunter2" not in streams(lines, "stdin")
    assert {line["outline"] for line in lines if line.get("action") == "run"} == {"shell", "exec", "subsystem sftp"}
    assert not any("exit 3" in line.get("text", "") for line in lines)


def test_the_terminal_is_a_film(session: Session, tmp_path: Path) -> None:
    stand, film = session.stand, tmp_path / "film.cast"
    runs = [line for line in session.shown() if line["event"] in ("opened", "asked")]
    (shell,) = [line for line in runs if line.get("outline") == "shell"]
    keys = ("--zone-key", stand.zone_key)
    command = ("sessions", "cast", session.id, *keys, "--statement", str(shell["statement"]), "--output", film)
    hoopproxy(stand, *command)
    header, *events = [json.loads(line) for line in film.read_text().splitlines() if not line.startswith("#")]
    assert header["version"] == 3
    assert (header["term"]["cols"], header["term"]["rows"]) == (90, 30)
    assert "\n42\r\n" in "".join(text for _, kind, text in events if kind == "o")
    assert events[-1][1:] == ["x", "0"]


def test_its_evidence_is_sound(session: Session, tmp_path: Path) -> None:
    stand, bundle = session.stand, tmp_path / "bundle.zip"
    head = hoopproxy(stand, "evidence", "head").strip()
    hoopproxy(stand, "evidence", "export", "--all", "--output", bundle)
    assert "not sound" not in hoopproxy(stand, "evidence", "verify", bundle, "--head", head)
    with zipfile.ZipFile(bundle) as opened:
        files = {name: opened.read(name) for name in opened.namelist()}
    log = [json.loads(line) for line in files["log.jsonl"].splitlines()]
    assert "parsed, output masked" in {entry.get("treatment") for entry in log}
    for content in files.values():
        assert b"hunter2" not in content
        assert b"PRIVATE KEY" not in content
