"""One exchange of JSON with a server, for commands: over TLS or with this very machine, bounded in size and time.

Blocks. Follows no redirect. Knows neither what is asked nor of whom.
"""

import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from http.client import HTTPException
from pathlib import Path
from time import monotonic
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.parse import urlencode, urlsplit
from urllib.request import HTTPRedirectHandler, HTTPSHandler, ProxyHandler, Request, build_opener

import orjson

from hoopproxy.addons.jwks import is_safe
from hoopproxy.cli.answers import Mistake, Unreachable

BYTES_MAX = 1024 * 1024
STEP_S_MAX = 10.0
"""Until the next byte."""
EXCHANGE_S_MAX = 30.0
"""Until the last."""


@dataclass(frozen=True, slots=True)
class Answer:
    """Any status, and the object in the body; {} where there is none."""

    status: int
    document: Mapping[str, Any] = field(repr=False)


class _Stay(HTTPRedirectHandler):
    """Whoever is asked answers: what a redirect names was chosen by nobody."""

    def redirect_request(self, *_: Any) -> None:
        return None


def get(url: str, ca_file: Path | None = None) -> Answer:
    """@raise Mistake, Unreachable"""
    return _exchanged(Request(_checked(url)), ca_file)


def post_form(url: str, form: Mapping[str, str], ca_file: Path | None = None) -> Answer:
    """@raise Mistake, Unreachable"""
    return _exchanged(Request(_checked(url), urlencode(form).encode(), method="POST"), ca_file)


def post_json(url: str, document: Mapping[str, Any], ca_file: Path | None = None, token: str = "") -> Answer:
    """With `token`, as its bearer (RFC 6750). @raise Mistake, Unreachable"""
    headers = {"Content-Type": "application/json"} | ({"Authorization": f"Bearer {token}"} if token else {})
    return _exchanged(Request(_checked(url), orjson.dumps(document), headers, method="POST"), ca_file)


def _checked(url: str) -> str:
    if not is_safe(url):
        raise Mistake(f"{url} can't be trusted; wanted is an address with https:// (or with a loopback literal).")
    return url


def _exchanged(request: Request, ca_file: Path | None) -> Answer:
    request.add_header("Accept", "application/json")
    host = urlsplit(request.full_url).hostname
    try:
        trust = ssl.create_default_context()
        if ca_file:
            trust.load_verify_locations(ca_file)
    except (OSError, ssl.SSLError) as why:
        raise Mistake(f"{ca_file} holds no certificates of authorities: {why}.") from why
    # A proxy of the environment's is used (only CONNECT is, for https), but not to reach this machine.
    proxies = ProxyHandler({} if request.type == "http" else None)
    opener = build_opener(proxies, HTTPSHandler(context=trust), _Stay())
    until_s = monotonic() + EXCHANGE_S_MAX
    try:
        try:
            response = opener.open(request, timeout=STEP_S_MAX)
        except HTTPError as answer:  # any status but 2xx
            response = answer
        with response:
            body = bytearray()
            while piece := response.read1(65536):
                body += piece
                if len(body) > BYTES_MAX or monotonic() > until_s:
                    raise Unreachable(f"{host} answers more than {BYTES_MAX} bytes, or too slowly.")
            return Answer(response.status, _document(bytes(body)))
    except URLError as why:
        raise Unreachable(f"{host} can't be reached: {why.reason}.") from why
    except (OSError, HTTPException) as why:
        raise Unreachable(f"{host} can't be reached: {why}.") from why


def _document(body: bytes) -> Mapping[str, Any]:
    try:
        document = orjson.loads(body)
    except orjson.JSONDecodeError:
        return {}
    return document if isinstance(document, dict) else {}
