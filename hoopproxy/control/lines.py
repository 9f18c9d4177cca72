"""What goes over the control socket: one request per connection, one JSON object per line.

    → {"command": "kill", "arguments": {"session": "…"}}
    ← {"ok": true, "answer": {…}}                          or {"ok": false, "error": "One sentence."}
    → {"command": "watch", "arguments": {"id": "…"}}       or any other that streams
    ← {"ok": true, "answer": {}}                           then, for each event, {"event": {…}}, until it ends

Knows no command and no socket.
"""

from typing import Any

import orjson

REQUEST_BYTES_MAX = 65536
"""A request names a command and a few arguments."""

ANSWER_BYTES_MAX = 1 << 26
"""An answer may list every session."""

BROKEN_OFF = "The gateway ended the connection before its answer was whole; its log may say why."


class ControlError(Exception):
    """A command that was not carried out: one sentence for the operator. Commands raise it, and so does the client."""


def line(value: object) -> bytes:
    """What JSON has no word for goes as its text; a `Secret` has none."""
    return orjson.dumps(value, default=str, option=orjson.OPT_APPEND_NEWLINE | orjson.OPT_NON_STR_KEYS)


def granted(reply_line: bytes) -> dict[str, Any]:
    """@raise ControlError: the line says no, or is none."""
    if not reply_line.endswith(b"\n"):
        raise ControlError(BROKEN_OFF)
    reply: dict[str, Any] = orjson.loads(reply_line)
    if "error" in reply:
        raise ControlError(reply["error"])
    return reply
