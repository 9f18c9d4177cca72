"""What becomes of what was found in a text: a label, asterisks, or the ends that may be seen.

A replacement is never longer than what it replaces, in characters, and holds no quote, backslash, comma or brace: it
fits the column, and it fits the JSON, array or XML around it. Knows no detector and no type.
"""

import re
from enum import Enum

from hoopproxy.masking.content.detector import Found


class Style(Enum):
    """How a rule wants values masked."""

    REDACT = "redact"
    PARTIAL = "partial"
    WHOLE = "whole"


_CHARACTER = re.compile(rb"[0-9A-Za-z]|[\xc2-\xf4][\x80-\xbf]{1,3}|[\x80-\xff]")
_LETTER = re.compile(rb"[0-9A-Za-z]|[\x80-\xff]")


def label(found: Found, value: bytes) -> bytes:
    """`[email]`; where that is longer than the value, as many asterisks as it has characters."""
    text = found.entity.label
    size = len(value) if value.isascii() else len(value.decode("utf-8", "replace"))
    return text if len(text) <= size else b"*" * size


def stars(value: bytes) -> bytes:
    """An asterisk for each letter and digit; what stands between stays."""
    return _CHARACTER.sub(b"*", value)


def stars_by_byte(value: bytes) -> bytes:
    """The same, as long in bytes as it was: for what is read by lengths that stand elsewhere."""
    return _LETTER.sub(b"*", value)


def ends(found: Found, value: bytes, *, by_byte: bool = False) -> bytes:
    """The form of the value, and of its letters and digits those that its entity shows; none of too short a one."""
    hide = stars_by_byte if by_byte else stars
    if found.entity.name == "email" and found.is_whole:
        local, at, domain = value.rpartition(b"@")
        first = int(local[:1].isascii())
        return local[:first] + hide(local[first:]) + at + domain
    first, last = found.entity.shown if found.is_whole else (0, 0)
    places = [each.span() for each in _CHARACTER.finditer(value)]
    if not first + last or len(places) < 2 * (first + last):
        return hide(value)
    begin = places[first - 1][1] if first else 0
    end = places[-last][0] if last else len(value)
    return value[:begin] + hide(value[begin:end]) + value[end:]
