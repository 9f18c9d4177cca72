"""What a public client asks an OpenID Connect provider for: codes with PKCE, device codes, fresh tokens, revocation.

RFC 6749, 7636, 8252, 8628, 7009, 8707 and OpenID Connect Core 1.0. Knows no browser, no terminal and no file.
"""

import base64
import hashlib
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlencode, urlsplit

import orjson

from hoopproxy.addons.jwks import is_safe
from hoopproxy.cli.answers import Negative, printable
from hoopproxy.cli.web import get, post_form

LIFETIME_S = 300.0
"""Of a token that says nothing of its own: it is asked for again soon."""

TIME_S_MAX = 253402300799.0
"""The end of the year 9999."""

DEVICE_CODE = "urn:ietf:params:oauth:grant-type:device_code"


class Denied(Negative):
    """The provider says no: its `error` (RFC 6749 §5.2), and in the text its description."""

    def __init__(self, error: str, description: str) -> None:
        super().__init__(f"Your identity provider says no: {printable(description or error)[:500]}")
        self.error = error


@dataclass(frozen=True, slots=True)
class Provider:
    """Whom to ask, as whom, and for what. `shows` is which token the gateway is shown: access_token or id_token."""

    issuer: str
    client_id: str
    scope: str = "openid offline_access"
    resource: str = ""
    audience: str = ""
    shows: str = "access_token"
    ca_file: Path | None = None

    @property
    def wanted(self) -> dict[str, str]:
        """What every request for tokens says of them (RFC 8707; `audience` where a provider wants that)."""
        named = {"resource": self.resource, "audience": self.audience}
        return {name: value for name, value in named.items() if value}


@dataclass(frozen=True, slots=True)
class Tokens:
    """What was got: `shown` is for the gateway and counts until `until_s` (POSIX), `refresh` may be ""."""

    shown: str = field(repr=False)
    until_s: float
    refresh: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True)
class Proof:
    """The secrets of one sign-in (RFC 7636 §4.1; RFC 6749 §10.12)."""

    verifier: str = field(default_factory=lambda: secrets.token_urlsafe(48), repr=False)
    state: str = field(default_factory=lambda: secrets.token_urlsafe(24), repr=False)
    nonce: str = field(default_factory=lambda: secrets.token_urlsafe(24), repr=False)

    @property
    def challenge(self) -> str:
        """S256 of the verifier (RFC 7636 §4.2)."""
        digest = hashlib.sha256(self.verifier.encode()).digest()
        return base64.urlsafe_b64encode(digest).rstrip(b"=").decode()


@dataclass(frozen=True, slots=True)
class DeviceCode:
    """What a person types elsewhere (RFC 8628 §3.2). `interval_s` is how often the provider may be asked."""

    secret: str = field(repr=False)
    user_code: str
    url: str
    whole_url: str
    lifetime_s: float
    interval_s: float


class OAuth:
    """One provider, found by its metadata (OpenID Connect Discovery 1.0 §4). @raise Negative, Mistake, Unreachable"""

    def __init__(self, provider: Provider) -> None:
        url = provider.issuer.rstrip("/") + "/.well-known/openid-configuration"
        answer = get(url, provider.ca_file)
        if answer.status != 200 or answer.document.get("issuer") != provider.issuer:
            raise Negative(f"{url} does not tell of the issuer {provider.issuer}; is its name right to the letter?")
        self.provider, self._metadata = provider, answer.document
        methods = self._metadata.get("code_challenge_methods_supported", ["S256"])
        if not isinstance(methods, list) or "S256" not in methods:
            raise Negative("Your identity provider does not support PKCE with S256, without which codes can be stolen.")

    def authorization_url(self, redirect_uri: str, proof: Proof) -> str:
        """Where the browser goes."""
        asked = {
            "response_type": "code",
            "client_id": self.provider.client_id,
            "redirect_uri": redirect_uri,
            "scope": self.provider.scope,
            "state": proof.state,
            "nonce": proof.nonce,
            "code_challenge": proof.challenge,
            "code_challenge_method": "S256",
            **self.provider.wanted,
        }
        if "offline_access" in self.provider.scope.split():
            asked["prompt"] = "consent"  # without it there is no refresh token (OpenID Connect Core 1.0 §11)
        endpoint = self._endpoint("authorization_endpoint")
        return f"{endpoint}{'&' if urlsplit(endpoint).query else '?'}{urlencode(asked)}"

    def check_issuer(self, answered: Mapping[str, str]) -> None:
        """Whether the one who answers is the one who was asked (RFC 9207 §2.4). @raise Negative"""
        is_told = self._metadata.get("authorization_response_iss_parameter_supported") is True
        if (is_told or "iss" in answered) and answered.get("iss") != self.provider.issuer:
            raise Negative("Another identity provider answered than was asked; begin again.")

    def by_code(self, code: str, redirect_uri: str, proof: Proof) -> Tokens:
        """The tokens for a code that the browser brought."""
        asked = {"grant_type": "authorization_code", "code": code, "redirect_uri": redirect_uri}
        return self._tokens({**asked, "code_verifier": proof.verifier}, proof.nonce)

    def by_refresh(self, refresh: str) -> Tokens:
        """Fresh tokens (RFC 6749 §6). The old refresh token counts on where no new one comes."""
        tokens = self._tokens({"grant_type": "refresh_token", "refresh_token": refresh})
        return tokens if tokens.refresh else replace(tokens, refresh=refresh)

    def device_code(self) -> DeviceCode:
        """What the person is told (RFC 8628 §3.1)."""
        asked = {"client_id": self.provider.client_id, "scope": self.provider.scope, **self.provider.wanted}
        found = self._post(self._endpoint("device_authorization_endpoint"), asked)
        secret, user_code, url = (_text(found, name) for name in ("device_code", "user_code", "verification_uri"))
        whole = found.get("verification_uri_complete")
        if not is_safe(url):
            raise Negative("Your identity provider sends you to an address without https://.")
        return DeviceCode(
            secret,
            user_code,
            url,
            whole if isinstance(whole, str) and is_safe(whole) else "",
            _number(found, "expires_in", 600),
            max(1.0, _number(found, "interval", 5)),
        )

    def by_device_code(self, code: DeviceCode) -> Tokens:
        """The tokens, when the person has said yes.

        @raise Denied: `authorization_pending`, `slow_down`, or for good.
        """
        return self._tokens({"grant_type": DEVICE_CODE, "device_code": code.secret})

    def revoke(self, refresh: str) -> None:
        """Nobody gets tokens by it any more (RFC 7009). @raise Denied, Negative, Unreachable"""
        asked = {"token": refresh, "token_type_hint": "refresh_token", "client_id": self.provider.client_id}
        self._post(self._endpoint("revocation_endpoint"), asked)

    def _tokens(self, asked: Mapping[str, str], nonce: str = "") -> Tokens:
        named = {**asked, "client_id": self.provider.client_id, **self.provider.wanted}
        found = self._post(self._endpoint("token_endpoint"), named)
        if "id_token" in found:
            self._check_id_token(_claims(_text(found, "id_token")), nonce)
        shown = _text(found, self.provider.shows)
        lifetime_s = _number(found, "expires_in", LIFETIME_S)
        refresh = found.get("refresh_token")
        return Tokens(shown, until_of(shown) or now_s() + lifetime_s, refresh if isinstance(refresh, str) else "")

    def _check_id_token(self, claims: Mapping[str, Any], nonce: str) -> None:
        """It is ours and of this sign-in. It came from the provider itself, over TLS (OpenID Connect Core 1.0 §3.1.3.7,
        6); its signature is checked where it is shown."""
        audience = claims.get("aud")
        audiences = audience if isinstance(audience, list) else [audience]
        is_ours = claims.get("iss") == self.provider.issuer and self.provider.client_id in audiences
        if not is_ours or (nonce and claims.get("nonce") != nonce):
            raise Negative("Your identity provider answered with another sign-in than this one; begin again.")

    def _endpoint(self, name: str) -> str:
        url = self._metadata.get(name)
        if not isinstance(url, str) or not is_safe(url):
            raise Negative(f"Your identity provider names no {name} with https://, so this can't be done with it.")
        return url

    def _post(self, url: str, form: Mapping[str, str]) -> Mapping[str, Any]:
        answer = post_form(url, form, self.provider.ca_file)
        if answer.status != 200:
            error, description = (str(answer.document.get(name, "")) for name in ("error", "error_description"))
            raise Denied(error, description or error or f"status {answer.status}")
        return answer.document


def now_s() -> float:
    """POSIX time."""
    return datetime.now(UTC).timestamp()


def until_of(token: str) -> float:
    """Until when a JWT counts by its own word; 0.0 for whatever else it is."""
    try:
        return min(float(_claims(token).get("exp", 0)), TIME_S_MAX)
    except (Negative, TypeError, ValueError, OverflowError):
        return 0.0


def _claims(token: str) -> Mapping[str, Any]:
    try:
        _, payload, _ = token.split(".")
        claims = orjson.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
    except ValueError as why:
        raise Negative("Your identity provider's token is no JWT.") from why
    return claims if isinstance(claims, dict) else {}


def _text(found: Mapping[str, Any], name: str) -> str:
    value = found.get(name)
    if not isinstance(value, str) or not value or not value.isprintable():
        raise Negative(f"Your identity provider's answer holds no {name} that can be used.")
    return value


def _number(found: Mapping[str, Any], name: str, default: float) -> float:
    value = found.get(name, default)
    return float(value) if isinstance(value, int | float) and 0 <= value < 1e9 else default
