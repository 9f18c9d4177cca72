"""Paths as they are judged and sent, and the templates that they fit.

A path that two servers could read as two paths is refused: what is judged must be what the target reads. Knows no
method, no rule and no target.
"""

import re
from collections.abc import Callable, Sequence
from itertools import pairwise
from string import ascii_letters, digits
from urllib.parse import unquote_to_bytes

_UNRESERVED = frozenset((ascii_letters + digits + "-._~").encode())
"""RFC 3986 §2.3: with or without an escape, it is the same path."""

_ESCAPE = re.compile(r"%([0-9A-Fa-f]{2})?|[^\x21-\x7e]")
_ODD = re.compile(r"[\\#]|%5C|%[01][0-9A-F]|%7F")
"""Nobody needs it in a path, and servers differ in what they make of it."""

_DOTS = re.compile(r"/\.\.?(?=[/;]|\Z)")
"""Clients take them out before they ask (RFC 3986 §5.2.4); a server may do so again, and some behind a ";", too."""

_HIDDEN = re.compile(r"//|%2[3F]|%3[BF]|%25[0-9A-Fa-f]{2}")
"""What some servers read as another path: they merge slashes, or decode twice."""

_PART = re.compile(r"/?(?:\{[^}]*\*\}|\*\*)|\{[^}]*\}|\*|[^{*/]+|/")


class Ambiguous(ValueError):
    """A path that could be read in two ways, or in none. The text is a full sentence for the client."""


def settled(path: str) -> str:
    """The one spelling of `path` that is judged and sent: escapes that change nothing are undone, and characters that
    need one have it (RFC 3986 §6.2.2). `path` begins with "/" or is `*`. @raise Ambiguous."""
    if path == "*":
        return path
    try:
        path.encode("latin-1").decode()
    except UnicodeError:
        raise Ambiguous("The path of this request holds bytes that are no UTF-8: percent-encode them.") from None
    text = _ESCAPE.sub(_settled_escape, path)
    if not text.startswith("/"):
        raise Ambiguous('The path of this request does not begin with "/".')
    if _ODD.search(text):
        raise Ambiguous("The path of this request holds a control character, a backslash or a #, plain or encoded.")
    if _DOTS.search(text):
        raise Ambiguous('The path of this request holds a segment "." or "..": send the path that is meant.')
    return text


def _settled_escape(found: re.Match[str]) -> str:
    if found[1]:
        byte = int(found[1], 16)
    elif found[0] == "%":
        raise Ambiguous('The path of this request holds a "%" without two hexadecimal digits behind it.')
    else:
        byte = ord(found[0])
    return chr(byte) if byte in _UNRESERVED else f"%{byte:02X}"


def plain(path: str, *, takes_parameters: bool = False) -> str:
    """A settled path in which nothing is hidden from who looks at its segments. @raise Ambiguous: something is."""
    if _HIDDEN.search(path) or (";" in path and not takes_parameters):
        raise Ambiguous(
            'The path of this request holds "//", ";" or a slash that is encoded, or one encoded twice; where the '
            "gateway judges paths, such a path is refused, since servers differ in how they read it."
        )
    try:
        unquote_to_bytes(path).decode()
    except UnicodeDecodeError:
        raise Ambiguous("The path of this request holds escapes that are no UTF-8.") from None
    return path


def fits(template: str, *, loosely: bool) -> Callable[[str], object]:
    """Whether a path fits: `{name}` and `*` stand for one segment, `{name*}` and `**` at the end for any rest.

    Loosely, a path fits in each spelling that some server could take for it: in any case, with dots and spaces behind
    segments, with a dot or a space and whatever behind the last (`.json`, by which frameworks are asked for a format),
    with a slash at its end.
    """
    parts = _PART.findall(template)
    if not loosely:
        return re.compile("".join(map(_pattern, parts)), re.ASCII).fullmatch
    pattern = "".join(
        _pattern(part) + (r"(?:\.|%20)*+" if part[0] not in "/{*" and behind.startswith("/") else "")
        for part, behind in pairwise((*parts, ""))
    )
    last = r"(?:(?<=[^/])(?:\.|%20)[^/]*)?/?"
    return re.compile(pattern.removesuffix("/") + last, re.ASCII | re.IGNORECASE).fullmatch


def _pattern(part: str) -> str:
    if part.endswith(("*}", "**")):
        return "(?:/.*)?" if part.startswith("/") else ".*"
    return "[^/]+" if part[0] in "{*" else re.escape(part)


class Endpoints:
    """A target's path templates. A path fits the first that it fits as it is, or else the first that it fits loosely:
    masks hold for each of its spellings."""

    def __init__(self, templates: Sequence[str]) -> None:
        ways = (False, True)
        self._templates = [(each, fits(each, loosely=loosely)) for loosely in ways for each in templates]
        self._take_parameters = any(";" in template for template in templates)

    def settled(self, path: str) -> str:
        """The path that is judged and sent. @raise Ambiguous."""
        path = settled(path)
        return plain(path, takes_parameters=self._take_parameters) if self._templates else path

    def of(self, path: str) -> str:
        """The template that a settled path fits; "" for none."""
        return next((template for template, fits_path in self._templates if fits_path(path)), "")


# Outlines -----------------------------------------------------------------------------------------------------------

_DATA = re.compile(
    r"[^%@]*[%@].*"  # escaped, or an address
    r"|.{33,}"
    r"|[^A-Za-z]*[0-9][^A-Za-z]*"  # a number, a date
    r"|(?:.*[0-9]){4}.*"
    r"|[0-9A-Fa-f]{8,}|[0-9A-Fa-f-]{36}",
)


def outline(method: str, path: str, query: str, endpoint: str) -> str:
    """A request without what looks like data in it: `GET /v1/customers/{id}?full`, `GET /v1/orders/*?from&to`."""
    shown = endpoint or "/".join(map(_without_data, path.split("/")))
    names = {_without_data(each.partition("=")[0]) for each in query.split("&") if each}
    return f"{method} {shown}" + (f"?{'&'.join(sorted(names))}" if names else "")


def _without_data(text: str) -> str:
    return "*" if _DATA.fullmatch(text) else text
