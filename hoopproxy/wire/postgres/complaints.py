"""Errors, notices and notifications of a server as a client may see them where values are protected.

Knows nothing of when they come.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from hoopproxy.wire.postgres import messages
from hoopproxy.wire.postgres.framing import Message

_QUOTING = "DWq"
"""Fields that may quote values: detail ("Key (ssn)=(…) already exists"), where, internal query."""


@dataclass(frozen=True, slots=True)
class Complaint:
    """An ErrorResponse: what the client gets, and what a recording keeps. `fatal`: the connection ends with it."""

    shown: bytes
    code: str
    text: str
    fatal: bool


def read_error(message: Message, guarded: bool) -> Complaint:
    """An ErrorResponse. Unguarded, it stays as it is to the byte. @raise ProtocolViolation."""
    fields = messages.read_fields(message.body)
    return Complaint(
        shown=messages.error_response(_harmless(fields)) if guarded else message.raw,
        code=fields.get("C", ""),
        text=readable(fields.get("M", "")),
        fatal=fields.get("V", fields.get("S")) in ("FATAL", "PANIC"),
    )


def harmless_notice(message: Message) -> bytes:
    """A NoticeResponse without what may quote a value. @raise ProtocolViolation."""
    return messages.notice_response(_harmless(messages.read_fields(message.body)))


def _harmless(fields: Mapping[str, str]) -> dict[str, str]:
    return {letter: text for letter, text in fields.items() if letter not in _QUOTING}


def readable(text: str) -> str:
    """A peer's text as a recording may hold it: bytes that are no UTF-8 are spelled out."""
    return text.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
