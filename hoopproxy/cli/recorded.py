"""A session's recordings as lines that people and programs read: opened with private keys, or told of a live session.

Reads the recorder's directory. Knows PostgreSQL's rows, and nothing of how lines are shown.
"""

from base64 import b64decode
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from hoopproxy.cli.answers import Mistake, Negative
from hoopproxy.disk.keys import read_private
from hoopproxy.disk.recordings import SUFFIX, recording_paths
from hoopproxy.evidence.keys import KeyUnfit
from hoopproxy.evidence.recording import RecordingBroken, read
from hoopproxy.model import Side
from hoopproxy.wire.postgres.framing import HEADER_BYTES, Splitter
from hoopproxy.wire.postgres.messages import read_data_row

type Line = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Recorded:
    """One connection's recording."""

    path: Path
    zone: X25519PrivateKey
    sealed: X25519PrivateKey | None

    @property
    def connection_id(self) -> str:
        """Whose it is."""
        return self.path.name.removesuffix(SUFFIX)

    def lines(self) -> Iterator[Line]:
        """Its lines, from the first on. @raise Mistake: a key is another's. @raise Negative: it was changed."""
        try:
            with self.path.open("rb") as file:
                yield from map(readable, read(file, self.zone, self.sealed))
        except KeyUnfit as why:
            raise Mistake(str(why)) from why
        except RecordingBroken as why:
            raise Negative(f"{self.path}: {why}") from why
        except OSError as why:
            raise Negative(f"{self.path} can't be read: {why.strerror}.") from why


def recordings(directory: Path, session_id: str, zone_key: Path, sealed_key: Path | None) -> list[Recorded]:
    """All recordings of a session: one for each connection that it had.

    @raise Mistake: a key can't be used. @raise Negative: there is no recording.
    """
    keys = _key(zone_key), None if sealed_key is None else _key(sealed_key)
    found = [Recorded(path, *keys) for path in recording_paths(directory) if path.parent.name == session_id]
    if not found:
        raise Negative(f"There is no recording of session {session_id} in {directory}.")
    return found


def readable(line: Line) -> Line:
    """The line with cells and bind values as texts (what is none: as `\\x…`). Streams stay Base64, in `raw`."""
    if line["event"] == "rows":
        line["cells"] = [[_text(cell) for cell in row] for row in _rows(b64decode(line.pop("raw")))]
    for parameter in line.get("parameters", ()):
        if "value" in parameter:
            value = parameter["value"]
            parameter["value"] = None if value is None else _text(b64decode(value), parameter["format"])
    return line


def _key(path: Path) -> X25519PrivateKey:
    try:
        return read_private(path)
    except OSError as why:
        raise Mistake(f"{path} can't be read: {why.strerror}.") from why
    except KeyUnfit as why:
        raise Mistake(str(why)) from why


def _rows(raw: bytes) -> Iterator[tuple[bytes | None, ...]]:
    """Cells of complete DataRow messages."""
    splitter = Splitter(Side.SERVER)
    splitter.append(raw)
    while (head := splitter.head()) is not None:
        yield read_data_row(splitter.take(head[1])[HEADER_BYTES:])


def _text(cell: bytes | None, form: str = "text") -> str | None:
    """A cell for people. In binary format, too, what is a text is shown as one."""
    if cell is None:
        return None
    try:
        text = cell.decode()
    except UnicodeDecodeError:
        return f"\\x{cell.hex()}"
    return text if form == "text" or text.isprintable() else f"\\x{cell.hex()}"
