"""Errors, notices and notifications of a server as its client may see them: without what may quote protected values,
and in the words of the statement that the client wrote.

Knows nothing of when they come.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from hoopproxy.events import Edit
from hoopproxy.wire.postgres import messages
from hoopproxy.wire.postgres.framing import Message
from hoopproxy.wire.postgres.positions import written
from hoopproxy.wire.postgres.twins import Twins

_QUOTING = "DWq"
"""Fields that may quote values: detail ("Key (ssn)=(…) already exists"), where, internal query."""

_NAMING = "MHW"
"""Fields in which a generated schema gives way to the one that it stands for. Not in a detail, which quotes rows."""

_POSITION = re.compile("[0-9]{1,10}")


@dataclass(frozen=True, slots=True)
class Complaint:
    """An ErrorResponse: what the client gets, and what a recording keeps. `fatal`: the connection ends with it."""

    shown: bytes
    code: str
    text: str
    fatal: bool


class Complaints:
    """`guarded`: values are protected here. `twins` None: there are none."""

    def __init__(self, guarded: bool, twins: Twins | None) -> None:
        self._guarded, self._twins = guarded, twins

    def error(self, message: Message, edits: Sequence[Edit]) -> Complaint:
        """An ErrorResponse to a statement that was sent with these edits. @raise ProtocolViolation.

        Where there is nothing to change, it stays as it is to the byte.
        """
        fields = messages.read_fields(message.body)
        seen = self._seen(fields, edits)
        return Complaint(
            shown=message.raw if seen == fields else messages.error_response(seen),
            code=fields.get("C", ""),
            text=readable(seen.get("M", "")),
            fatal=fields.get("V", fields.get("S")) in ("FATAL", "PANIC"),
        )

    def notice(self, message: Message, edits: Sequence[Edit]) -> bytes:
        """A NoticeResponse, likewise. @raise ProtocolViolation."""
        if not (self._guarded or self._twins or edits):
            return message.raw
        fields = messages.read_fields(message.body)
        seen = self._seen(fields, edits)
        return message.raw if seen == fields else messages.notice_response(seen)

    def _seen(self, fields: dict[str, str], edits: Sequence[Edit]) -> dict[str, str]:
        seen = {letter: text for letter, text in fields.items() if not (self._guarded and letter in _QUOTING)}
        if edits and _POSITION.fullmatch(seen.get("P", "")):
            seen["P"] = str(written(int(seen["P"]), edits))
        if self._twins is not None:
            seen |= {letter: self._twins.text(seen[letter]) for letter in _NAMING if letter in seen}
            if "s" in seen:
                seen["s"] = self._twins.schema(seen["s"])
        return seen


def readable(text: str) -> str:
    """A peer's text as a recording may hold it: bytes that are no UTF-8 are spelled out."""
    return text.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
