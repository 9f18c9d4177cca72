"""How people sign in at the portal: by a browser or by a password, and how the command line gets the token.

The command line goes first: it listens on this port of its own machine and knows the secret behind this challenge (as
RFC 7636 has it). The browser that begins there must be the one that comes back from the identity provider, which a
cookie tells; then it is sent to that port with a code, which whoever knows the secret exchanges for a token, once.
Knows no HTTP server.
"""

import base64
import hashlib
import hmac
import re
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any
from urllib.parse import urlencode

from hoopproxy.asking import Asking, a, at_once, maybe
from hoopproxy.errors import ConfigError, Refused, SessionError
from hoopproxy.interfaces import IAuthenticator, IBrowserSignIn, IMintsTokens, INamesProvider, ITakesPasswords
from hoopproxy.model import Arrival, Credentials, Identity
from hoopproxy.portal.exchange import Wrong
from hoopproxy.portal.once import Once
from hoopproxy.proofs import Secret
from hoopproxy.rooms import IScheduler

COOKIE = "__Host-hoopproxy-sign-in"
"""Set by this very host and for it alone, over TLS (RFC 6265bis §4.1.3.2)."""

VISITS_MAX = 10_000
"""Browsers that are at their identity provider."""

CODES_MAX = 10_000
CODE_S_MAX = 60.0
"""From the browser to the command line on the same machine: RFC 6749 §4.1.2 has ten minutes at most."""

_CHALLENGE = re.compile(r"[A-Za-z0-9_-]{43}")
"""SHA-256 in Base64url (RFC 7636 §4.2)."""
_VERIFIER = re.compile(r"[A-Za-z0-9._~-]{43,128}")
_STATE = re.compile(r"[A-Za-z0-9_-]{16,128}")
_PORT = re.compile(r"[1-9][0-9]{3,4}")


@dataclass(frozen=True, slots=True)
class _Visit:
    """A browser that was sent to its identity provider: by whom, and where it goes afterwards."""

    way: str
    port: int
    challenge: str
    state: str
    cookie_sha256: bytes = field(repr=False)


class SignIn:
    """All ways of signing in here, in the order of `authenticators`. @raise ConfigError: nobody mints tokens."""

    def __init__(
        self,
        url: str,
        authenticators: Sequence[IAuthenticator],
        scheduler: IScheduler,
        ask: Asking,
        sign_in_s_max: float,
    ) -> None:
        self.sign_in_s_max = sign_in_s_max
        self._url, self._scheduler, self._ask = url, scheduler, ask
        self._ways = {each.name: each for each in authenticators}
        self._minter = next((IMintsTokens(each) for each in authenticators if IMintsTokens.providedBy(each)), None)
        self._visits: Once[_Visit] = Once(VISITS_MAX, sign_in_s_max)
        self._codes: Once[tuple[str, str, Identity]] = Once(CODES_MAX, CODE_S_MAX)
        if self._minter is None and any(way["kind"] != "provider" for way in self.ways()):
            raise ConfigError(
                (
                    "portal: people can sign in at it, and nobody mints tokens for them; wanted is an addon with "
                    'use = "signed-in" among roles.authenticators.',
                )
            )

    def ways(self) -> list[dict[str, Any]]:
        """Each way, as `/.well-known/hoopproxy` tells it."""
        told: list[dict[str, Any]] = []
        for name, each in self._ways.items():
            if INamesProvider.providedBy(each):
                told.append({"name": name, "kind": "provider", **INamesProvider(each).provider})
            if IBrowserSignIn.providedBy(each):
                told.append({"name": name, "kind": "browser"})
            if ITakesPasswords.providedBy(each):
                told.append({"name": name, "kind": "password"})
        return told

    # By a browser -----------------------------------------------------------------------------------------------------

    def begin(self, way: str, asked: Mapping[str, str]) -> tuple[str, str]:
        """Where the browser is sent, and the cookie that it gets. @raise Wrong, SessionError"""
        addon = self._by_browser(way)
        port, challenge, state = (asked.get(name, "") for name in ("port", "challenge", "state"))
        fits = _PORT.fullmatch(port) and _CHALLENGE.fullmatch(challenge) and _STATE.fullmatch(state)
        if not fits or not 1024 <= int(port) <= 65535:
            raise Wrong(400, "A sign-in is begun by `hoopproxy login`; run it in your terminal.")
        name, cookie = secrets.token_urlsafe(32), secrets.token_urlsafe(32)  # never one that the browser brought
        visit = _Visit(way, int(port), challenge, state, _sha256(cookie))
        location = at_once(addon, "begin", partial(IBrowserSignIn(addon).begin, name), a(str))
        self._visits.put(name, visit, self._scheduler.monotonic_s())
        return location, cookie

    async def finish(self, way: str, form: Mapping[str, str], cookie: str) -> str:
        """Where the browser goes after it came back: to the command line, with a code or with why there is none.

        @raise Wrong: it is not the browser that went.
        """
        addon, now_s = self._by_browser(way), self._scheduler.monotonic_s()
        name = form.get("RelayState", form.get("state", ""))
        visit = self._visits.look(name, now_s)
        if visit is None or visit.way != way or not hmac.compare_digest(_sha256(cookie), visit.cookie_sha256):
            raise Wrong(
                403,
                "This sign-in was not begun in this browser, or it took too long; go back to your terminal and run "
                "`hoopproxy login` again.",
            )
        self._visits.take(name, now_s)
        try:
            identity = await self._ask(addon, "finish", partial(IBrowserSignIn(addon).finish, form), a(Identity))
        except SessionError as why:
            told = {"error": "access_denied", "error_description": why.sentence}
        else:
            code = secrets.token_urlsafe(32)
            self._codes.put(code, (visit.challenge, way, identity), self._scheduler.monotonic_s())
            told = {"code": code}
        return f"http://127.0.0.1:{visit.port}/?{urlencode({**told, 'state': visit.state, 'iss': self._url})}"

    async def redeem(self, code: str, verifier: str) -> dict[str, Any]:
        """The token for a code. @raise Wrong: it is none, any more or for you."""
        found = self._codes.take(code, self._scheduler.monotonic_s())
        if found is None or not _VERIFIER.fullmatch(verifier) or not hmac.compare_digest(_s256(verifier), found[0]):
            raise Wrong(403, "This sign-in is over or was another's; run `hoopproxy login` again.")
        return await self._token(*found[1:])

    # By a password ----------------------------------------------------------------------------------------------------

    async def by_password(self, arrival: Arrival, way: str, name: str, password: str) -> dict[str, Any]:
        """The token for who knows this password. @raise Wrong, SessionError"""
        addon = self._ways.get(way)
        if addon is None or not ITakesPasswords.providedBy(addon):
            raise Wrong(404, f"Nobody signs in by a password at {way!r:.80} here.")
        if ":" in name or not name.isprintable():
            raise Wrong(400, "A name holds no colon and nothing unprintable.")
        credentials = Credentials("", "", "", Secret(f"{name}:{password}"))
        identity = await self._ask(addon, "identify", partial(addon.identify, arrival, credentials), maybe(Identity))
        if identity is None:
            raise Refused("Name or password is wrong.", reason="credentials", detail=f"{way} knows nobody by this name")
        return await self._token(way, identity)

    async def _token(self, way: str, identity: Identity) -> dict[str, Any]:
        assert self._minter is not None  # or there was no way to come here
        token = await self._ask(self._minter, "mint", partial(self._minter.mint, identity, way), a(str))
        return {"token": token, "name": identity.name}

    def _by_browser(self, way: str) -> IAuthenticator:
        addon = self._ways.get(way)
        if addon is None or not IBrowserSignIn.providedBy(addon):
            raise Wrong(404, f"Nobody signs in by a browser at {way!r:.80} here.")
        return addon


def _sha256(text: str) -> bytes:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()


def _s256(verifier: str) -> str:
    """The challenge of a verifier (RFC 7636 §4.2)."""
    return base64.urlsafe_b64encode(_sha256(verifier)).rstrip(b"=").decode()
