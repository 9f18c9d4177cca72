"""One request to the portal and the reply to it, as values: what the portal decides about, whoever carries them.

Knows HTTP's words, but no socket, no sign-in and no verb.
"""

import hashlib
from base64 import b64encode
from collections.abc import Mapping
from dataclasses import dataclass, field
from html import escape
from http.cookies import CookieError, SimpleCookie
from typing import Any
from urllib.parse import parse_qsl

import orjson

from hoopproxy.model import Endpoint
from hoopproxy.proofs import Secret

FIELDS_MAX = 20
"""Of a form or a query: SAML brings two, a sign-in three."""

STYLE = (
    "body{font:1rem/1.5 system-ui,sans-serif;max-width:36rem;margin:15vh auto;padding:0 1rem}p{overflow-wrap:anywhere}"
)

_STYLE_SHA256 = b64encode(hashlib.sha256(STYLE.encode()).digest()).decode()

HEADERS: Mapping[str, str] = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": f"default-src 'none'; style-src 'sha256-{_STYLE_SHA256}'; base-uri 'none'; "
    "form-action 'none'; frame-ancestors 'none'",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "Strict-Transport-Security": "max-age=31536000",
    "X-Content-Type-Options": "nosniff",
}
"""Of every reply: nothing of it is kept, framed, guessed about, or runs anything."""


class Wrong(Exception):
    """A request that can't be carried out: the reply's status, and one full sentence for who asked."""

    def __init__(self, status: int, sentence: str) -> None:
        super().__init__(sentence)
        self.status, self.sentence = status, sentence


@dataclass(frozen=True, slots=True)
class Asked:
    """A request. `headers` have names in lower case, each once; `query` and `body` are as they came."""

    method: str
    path: str
    query: str
    headers: Mapping[str, str] = field(repr=False)
    body: bytes = field(repr=False)
    client: Endpoint

    def asked(self) -> Mapping[str, str]:
        """The query. @raise Wrong"""
        return _fields(self.query)

    def form(self) -> Mapping[str, str]:
        """The body of a form (HTML, application/x-www-form-urlencoded). @raise Wrong"""
        self._expect("application/x-www-form-urlencoded")
        try:
            return _fields(self.body.decode("ascii"))
        except UnicodeDecodeError as why:
            raise Wrong(400, "The form is not encoded as forms are.") from why

    def document(self) -> Mapping[str, Any]:
        """The body as a JSON object. Browsers send that type to other sites only if these ask for it. @raise Wrong"""
        self._expect("application/json")
        try:
            document = orjson.loads(self.body)
        except orjson.JSONDecodeError as why:
            raise Wrong(400, "The body is no JSON.") from why
        if not isinstance(document, dict):
            raise Wrong(400, "The body is no JSON object.")
        return document

    def text(self, document: Mapping[str, Any], name: str, characters_max: int = 1024) -> str:
        """One of the document's texts. @raise Wrong"""
        value = document.get(name)
        if not isinstance(value, str) or not 0 < len(value) <= characters_max:
            raise Wrong(400, f'"{name}" is missing or no text of up to {characters_max} characters.')
        return value

    def cookie(self, name: str) -> str:
        """A cookie's value, "" without it."""
        try:
            found = SimpleCookie(self.headers.get("cookie", "")).get(name)
        except CookieError:
            return ""
        return found.value if found else ""

    def bearer(self) -> Secret:
        """The token that came along (RFC 6750 §2.1). @raise Wrong"""
        scheme, _, token = self.headers.get("authorization", "").partition(" ")
        if scheme.lower() != "bearer" or not token.strip():
            raise Wrong(401, "There is no token; sign in with `hoopproxy login` first.")
        return Secret(token.strip())

    def _expect(self, kind: str) -> None:
        if self.headers.get("content-type", "").partition(";")[0].strip().lower() != kind:
            raise Wrong(415, f"The body is not of the type that is wanted here, {kind}.")


@dataclass(frozen=True, slots=True)
class Reply:
    """What is answered. `headers` join `HEADERS`."""

    status: int
    body: bytes = field(default=b"", repr=False)
    kind: str = "text/plain; charset=utf-8"
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)


def json(document: Mapping[str, Any], status: int = 200) -> Reply:
    """A JSON object."""
    return Reply(status, orjson.dumps(document, default=str), "application/json")


def page(title: str, *paragraphs: str, status: int = 200, headers: Mapping[str, str] | None = None) -> Reply:
    """A page of HTML; all texts are shown as they are, whatever stands in them."""
    said = "".join(f"<p>{escape(each)}</p>" for each in paragraphs)
    text = (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{escape(title)}</title><style>{STYLE}</style>'
        f"<h1>{escape(title)}</h1>{said}</html>"
    )
    return Reply(status, text.encode("utf-8", "backslashreplace"), "text/html; charset=utf-8", headers or {})


def redirect(location: str, headers: Mapping[str, str] | None = None) -> Reply:
    """Go there, with GET (RFC 9110 §15.4.4)."""
    return Reply(303, headers={"Location": location, **(headers or {})})


def _fields(text: str) -> Mapping[str, str]:
    try:
        pairs = parse_qsl(text, keep_blank_values=True, max_num_fields=FIELDS_MAX, errors="strict")
    except ValueError as why:
        raise Wrong(400, f"There are more than {FIELDS_MAX} fields, or one is not encoded as fields are.") from why
    fields = dict(pairs)
    if len(fields) < len(pairs):
        raise Wrong(400, "A field is there twice.")
    return fields
