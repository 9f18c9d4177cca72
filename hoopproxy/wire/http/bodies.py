"""Which bodies are masked, and as what: by the media type that the target tells, which must be told where it matters.

Knows no byte of a body. Nothing is shown masked half: what can't be masked as a whole is refused.
"""

import re
from dataclasses import dataclass, replace
from enum import Enum

from hoopproxy.wire.http.codings import is_known
from hoopproxy.wire.http.messages import Headers, ResponseHead
from hoopproxy.wire.http.protection import Protection
from hoopproxy.wire.http.unreadable import Unreadable


class Making(Enum):
    """As what a body is read."""

    DOCUMENT = "a JSON document"
    LINES = "a JSON text on each line"
    EVENTS = "server-sent events"
    TEXT = "lines of text"


@dataclass(frozen=True, slots=True)
class Masked(ResponseHead):
    """The head of a response whose body is masked, as the client sees it."""

    making: Making = Making.TEXT
    codings: tuple[str, ...] = ()


_LINES = frozenset(("application/x-ndjson", "application/ndjson", "application/jsonl", "application/x-jsonlines"))
_JSON = re.compile(r"(application|text)/json|[a-z]+/[^/]+\+json")
_TEXT = re.compile(
    r"(text|multipart)/.*|[a-z]+/([^/]+\+)?(xml|yaml|csv|json5|json-seq)|"
    r"application/([a-z]+-)?(javascript|ecmascript|json|yaml|csv|toml|graphql|x-www-form-urlencoded|sql)"
)
_CHARSETS = re.compile(r"charset\*?[ \t]*=[ \t]*\"?([^\";\s]*)")
"""All that somebody could take for one, as of `xcharset=…`."""

_CHARSET = re.compile(r"utf-?8|(us-)?ascii|iso-8859-[0-9]+|latin-?1|windows-12[0-9]+|koi8-[a-z]+")
"""In these, digits and Latin letters are the bytes that they are in ASCII."""

_OF_OTHER_BYTES = (
    "content-length",
    "content-encoding",
    "content-md5",
    "digest",
    "repr-digest",
    "content-digest",
    "accept-ranges",
)
_PARTS = ("range", "if-range", "want-digest", "want-repr-digest", "want-content-digest", "a-im")


def asked_for(headers: Headers) -> Headers:
    """A request's fields when its answer is to be masked: whole, and uncompressed, since it will not be compressed
    again. Tags that were weakened on their way out are strong again, or no `If-Match` could ever hold."""
    kept = headers.without("accept-encoding", *_PARTS)
    fields = ((name, value.replace('W/"', '"') if name.lower() == "if-match" else value) for name, value in kept.fields)
    return Headers(tuple(fields)).plus("accept-encoding", "identity")


def announced(protection: Protection, response: ResponseHead) -> ResponseHead:
    """The response's head, with what its body is read as; a body that is not masked keeps the head that it had.

    @raise Unreadable: it ought to be masked, and can't be.
    """
    headers = response.headers
    if protection.is_empty or response.status == 101:
        return response
    altered = _altered(headers)
    if response.is_bodyless:
        return replace(response, headers=altered)
    making = _making(protection, headers)
    if making is None:
        return response
    if response.status == 206 or headers.get("content-range") is not None:
        raise Unreadable("it is a part of a document, and only a whole one can be masked")
    codings = headers.tokens("content-encoding")
    if not is_known(codings):
        raise Unreadable(f"it is coded as {', '.join(codings)}, which the gateway does not read")
    return Masked(response.status, response.reason, response.version, altered, False, making, codings)


def _making(protection: Protection, headers: Headers) -> Making | None:
    """@raise Unreadable: the media type is wrong for an endpoint where values are known by their place."""
    types = list(headers.all("content-type"))
    media_type, _, parameters = (types[0] if types else "").partition(";")
    media_type = media_type.strip().lower()
    if len(types) > 1 or "," in media_type:
        raise Unreadable("it has several media types")
    charsets = set(_CHARSETS.findall(parameters.lower()))
    if media_type in _LINES:
        making: Making | None = Making.LINES
    elif media_type == "text/event-stream":
        making = Making.EVENTS
    elif _JSON.fullmatch(media_type):
        making = Making.DOCUMENT
    elif protection.by_path:
        raise Unreadable(f"it is {media_type or 'of no media type'}, and here only JSON can be masked")
    else:
        making = Making.TEXT if not media_type or _TEXT.fullmatch(media_type) else None
    if making and not all(map(_CHARSET.fullmatch, charsets)):
        raise Unreadable("its character set is none in which anything can be found")
    return making


def _altered(headers: Headers) -> Headers:
    """Without what told of the bytes before; a tag says from now on that they mean the same (RFC 9110 §8.8.1)."""
    kept = headers.without(*_OF_OTHER_BYTES)
    return Headers(
        tuple(
            (name, f"W/{value}" if name.lower() == "etag" and value[:1] == '"' else value)
            for name, value in kept.fields
        )
    )
