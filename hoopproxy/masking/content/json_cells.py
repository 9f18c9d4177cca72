"""Masks within JSON that stays JSON: the strings and numbers of a document, each with the names that lead to it.

What is not masked keeps its bytes. Knows neither entities nor how a text is masked.
"""

import json
import re
from collections.abc import Callable

# A string may lack its end, so that hostile bytes are read in linear time, too.
_TOKEN = re.compile(
    rb'"(?P<string>[^"\\]*(?:\\.[^"\\]*)*)(?:"(?P<colon>\s*:)?|\\?\Z)'
    rb'|(?P<number>-?[0-9][0-9.eE+-]*)|(?P<word>[^\s"{}\[\],:0-9-]+)|[{}\[\]]',
    re.S,
)
_WORDS = (b"true", b"false", b"null")

NAMES_ABOVE_MAX = 2
"""How many names above a value's own may say what it is: `{"ssn": {"value": "…"}}`."""

type Masking = Callable[[bytes, bytes], bytes]
"""From a value, and the names that lead to it, to its masked form."""


def mask_json(cell: bytes, mask: Masking, step: Callable[[], None]) -> bytes:
    """The document with each string and number as `mask` wants it, the names of members among the strings; a number
    that it changes becomes 0. `step` is told of each token, and may raise.

    @raise ValueError: it is no JSON, so nobody knows what is a value in it."""
    parts: list[bytes] = []
    done = 0
    above: list[bytes] = []
    known: dict[bytes, bytes] = {}
    name = b""
    for token in _TOKEN.finditer(cell):
        step()
        kind = token.lastgroup
        if kind is None:
            if token[0] in (b"{", b"["):
                above.append(name)
            else:
                name = above.pop() if above else b""
            continue
        if kind == "word":
            if token[0] not in _WORDS:
                raise ValueError("a word that JSON does not have")
            continue
        names = b" ".join((*above[-NAMES_ABOVE_MAX:], name))
        was = token["number"] or token["string"]
        if kind == "number":
            now = was if mask(was, names) == was else b"0"
        elif kind == "colon":
            name = was
            if name not in known:  # a document has many members of few names
                known[name] = _string(name, b"", mask)
            now = known[name]
        else:
            now = _string(was, names, mask)
        if now != was:
            start, end = token.span("number" if kind == "number" else "string")
            parts += (cell[done:start], now)
            done = end
    return b"".join((*parts, cell[done:]))


def _string(raw: bytes, names: bytes, mask: Masking) -> bytes:
    """The inside of a string, masked; with its escapes read, so that none hides anything."""
    if b"\\" not in raw:
        return mask(raw, names)
    try:
        text = json.loads(b'"%b"' % raw, strict=False).encode("utf-8", "surrogatepass")
    except ValueError:
        return mask(raw, names)
    masked = mask(text, names)
    return raw if masked == text else json.dumps(masked.decode("utf-8", "replace")).encode()[1:-1]
