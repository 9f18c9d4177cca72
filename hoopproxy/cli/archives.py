"""HTTP exchanges of a session as one HAR. Knows its entries only as things to write."""

import json
from collections.abc import Sequence
from importlib.metadata import version
from typing import Any

from hoopproxy.cli.answers import Negative
from hoopproxy.cli.recorded import Recorded
from hoopproxy.evidence.har import document, entries


def archive(session_id: str, recordings: Sequence[Recorded], connection: str | None) -> dict[str, Any]:
    """The requests of all connections, or of one. @raise Negative: there are none, or a recording was changed."""
    found = [
        entry
        for recorded in recordings
        if connection in (None, recorded.connection_id)
        for entry in entries(recorded.lines(), session_id, recorded.connection_id)
    ]
    if not found:
        raise Negative("Nobody made an HTTP request in this session, so there is no HAR of it.")
    return document(found, version("hoopproxy"))


def written(archive: dict[str, Any]) -> bytes:
    """As it goes into a file or onto a terminal: in ASCII, so that nothing a target sent can move a cursor."""
    return json.dumps(archive, ensure_ascii=True, indent=1).encode() + b"\n"
