"""Verifies tokens of an OpenID Connect issuer: signed JWTs (RFC 7519, RFC 8725), checked without a word to the issuer.

Only for live sessions the issuer may be asked whether their token still counts (RFC 7662). Knows the issuer's keys
through `hoopproxy.addons.jwks`. Keeps no token.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any, Literal, Self

import orjson
from joserfc import jws
from joserfc.errors import ExpiredTokenError, JoseError
from joserfc.jwt import JWTClaimsRegistry
from pydantic import BaseModel, ConfigDict, Field, model_validator
from zope.interface import alsoProvides, implementer, provider

from hoopproxy.addons.jwks import (
    Fetch,
    KeysUnavailable,
    PublishedKeys,
    Signatures,
    Source,
    from_file,
    from_issuer,
    from_url,
    is_safe,
    read_set,
)
from hoopproxy.addons.oidc_introspection import Introspection
from hoopproxy.errors import Refused
from hoopproxy.hands import http
from hoopproxy.interfaces import IAddonFactory, IAuthenticator, INamesProvider, IRechecking, ISetting
from hoopproxy.model import Arrival, Credentials, Identity

SUBJECT_CHARACTERS_MAX = 255
"""OpenID Connect Core 1.0 §2: a `sub` is no longer."""
GROUPS_MAX = 1000
NAME_CHARACTERS_MAX = 100

TYPES = ("jwt", "at+jwt", "application/at+jwt")
"""The header's `typ`: a token as such, or an access token (RFC 9068 §2.1). Logout tokens and the like are others."""

BRINGS_ITS_OWN_KEY = frozenset({"jku", "jwk", "x5u", "x5c", "crit"})
"""Header parameters by which a token would choose how it is judged."""


class SignIn(BaseModel):
    """`[addon.NAME.sign_in]`: how `hoopproxy login` asks the issuer, for whom the portal sends there."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    client_id: str = Field(min_length=1)
    scope: str = Field("openid offline_access", min_length=1)
    resource: str = ""
    audience: str = ""
    shows: Literal["access_token", "id_token"] = "access_token"


class Settings(BaseModel):
    """The keys of `[addon.NAME]` with `use = "oidc"`. Without `jwks_file` and `jwks_url` the issuer is asked."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    issuer: str = Field(min_length=1)
    audience: str = Field(min_length=1)
    algorithms: tuple[Literal["RS256", "ES256", "EdDSA"], ...] = Field(("RS256", "ES256", "EdDSA"), min_length=1)
    jwks_file: Path | None = None
    jwks_url: str | None = None
    jwks_age_s_max: Annotated[float, Field(ge=60, le=604800)] = 86400.0
    ca_file: Path | None = None
    groups_claim: str = Field("groups", min_length=1)
    name_claim: str = Field("name", min_length=1)
    authorized_parties: frozenset[str] = frozenset()
    skew_s_max: Annotated[int, Field(ge=0, le=60)] = 30
    token_bytes_max: Annotated[int, Field(ge=256, le=65536)] = 16384
    introspection_client_id: str | None = Field(None, min_length=1)
    introspection_secret_file: Path | None = None
    introspection_url: str | None = None
    sign_in: SignIn | None = None

    @model_validator(mode="after")
    def _one_safe_source(self) -> Self:
        if self.jwks_file and self.jwks_url:
            raise ValueError("there are jwks_file and jwks_url; wanted is one of them, or none for discovery")
        url = self.jwks_url or self.issuer
        if not self.jwks_file and not is_safe(url):
            raise ValueError(
                f"keys would come from {url}; wanted is an address with https:// (or http:// and a loopback literal "
                "with its port), or a jwks_file"
            )
        return self

    @model_validator(mode="after")
    def _introspects_wholly(self) -> Self:
        if (self.introspection_client_id is None) != (self.introspection_secret_file is None):
            raise ValueError(
                "of introspection_client_id and introspection_secret_file one is missing; wanted are both, or none"
            )
        if self.introspection_client_id and not is_safe(self.introspection_url or self.issuer):
            raise ValueError("tokens would go to an address without https://; wanted is a safe introspection_url")
        return self


class _Invalid(Exception):
    """The token is not valid here; the text is for the operator."""


@provider(IAddonFactory)
@implementer(IAuthenticator)
class OidcAuthenticator:
    """An identity from a token of one issuer."""

    summary = "Verifies JWTs of an OpenID Connect issuer (RS256, ES256, Ed25519) against its published keys."
    settings = Settings

    @classmethod
    def build(cls, name: str, settings: Settings, setting: ISetting) -> "OidcAuthenticator":
        """Make it; a key set in a file is read at once, so that a wrong one stops the start."""
        return cls(name, settings, setting, http)

    def __init__(self, name: str, settings: Settings, setting: ISetting, fetch: Fetch) -> None:
        self.name = name
        self._settings = settings
        self._scheduler = setting.scheduler
        self._keys = PublishedKeys(_source(settings, fetch), setting.scheduler, settings.jwks_age_s_max)
        self._algorithms = Signatures(settings.algorithms)
        if settings.jwks_file:
            self._keys.take(read_set(settings.jwks_file))
            if not self._keys.usable:
                raise KeysUnavailable(f"{settings.jwks_file} holds no key that verifies signatures")
        if settings.sign_in:
            self.provider = {"issuer": settings.issuer, **settings.sign_in.model_dump()}
            alsoProvides(self, INamesProvider)
        if settings.introspection_client_id and settings.introspection_secret_file:
            self._introspection = Introspection(
                fetch,
                settings.issuer,
                settings.introspection_url,
                settings.introspection_client_id,
                settings.introspection_secret_file,
                str(settings.ca_file) if settings.ca_file else None,
            )
            alsoProvides(self, IRechecking)

    async def identify(self, arrival: Arrival, credentials: Credentials) -> Identity | None:
        """The identity in the token, or None without a token, or for one of another issuer."""
        secret = credentials.secret.reveal()
        if not secret or ":" in secret:  # no JWT holds a colon: it is somebody's name and password
            return None
        if secret.startswith("hpx_"):  # nor begins so: what JSON becomes in base64 does not
            return None
        try:
            token = _parse(secret, self._settings.token_bytes_max, self._algorithms)
            if token.issuer != self._settings.issuer:
                return None
            await self._verify(token)
            return self._identity(token.claims, token.is_access_token)
        except ExpiredTokenError as why:
            raise Refused(
                "Your token has expired; get a new one from your identity provider and connect again.",
                reason="credentials",
                detail=f"{self.name}: {why}",
            ) from why
        except KeysUnavailable as why:
            raise Refused(
                "The gateway can't check tokens of your identity provider at the moment; connect again in a minute.",
                reason="credentials",
                detail=f"{self.name}: no usable keys of {self._settings.issuer}: {why}",
            ) from why
        except (_Invalid, JoseError) as why:
            raise Refused(
                "Your token is not valid here; get one for this gateway from your identity provider and connect again.",
                reason="credentials",
                detail=f"{self.name}: {why}",
            ) from why

    async def recheck(self, identity: Identity, credentials: Credentials) -> Identity | None:
        """By what the issuer says of the token now; its groups count, where it names them.

        @raise Exception: the issuer does not say.
        """
        said = await self._introspection.ask(credentials.secret.reveal())
        if said is None or said.get("sub", identity.subject) != identity.subject:
            return None
        groups = said.get(self._settings.groups_claim)
        return identity if groups is None else replace(identity, groups=self._groups(groups))

    async def _verify(self, token: "_Token") -> None:
        """The signature, by a key that the issuer publishes for the algorithm that the token names."""
        header = token.signed.headers()
        algorithm, kid, kind = header.get("alg"), header.get("kid"), header.get("typ", "JWT")
        if algorithm not in self._settings.algorithms:
            raise _Invalid(f"algorithm {algorithm!r:.40} is not one of {', '.join(self._settings.algorithms)}")
        if own := BRINGS_ITS_OWN_KEY & header.keys():
            raise _Invalid(f"the header holds {', '.join(sorted(own))}")
        if not isinstance(kind, str) or kind.lower() not in TYPES:
            raise _Invalid(f"typ {kind!r:.40} is no kind of token that logs in")
        if kid is not None and not isinstance(kid, str):
            raise _Invalid("kid is no text")
        key = await self._keys.find(kid, algorithm)
        if key is None:
            raise _Invalid(f"the issuer publishes no key {kid!r:.60} for {algorithm}")
        if not self._algorithms.validates(token.signed, key):
            raise _Invalid("the signature is wrong")

    def _identity(self, claims: Mapping[str, Any], is_access_token: bool) -> Identity:
        """Who the claims say it is. @raise JoseError, _Invalid: they do not hold here and now."""
        settings = self._settings
        JWTClaimsRegistry(
            now=int(self._scheduler.now_s()),
            leeway=settings.skew_s_max,
            iss={"essential": True, "value": settings.issuer},
            aud={"essential": True, "value": settings.audience},
            sub={"essential": True},
            exp={"essential": True},
        ).validate(dict(claims))
        subject, groups = claims["sub"], self._groups(claims.get(settings.groups_claim, []))
        if not subject.isprintable() or not 0 < len(subject) <= SUBJECT_CHARACTERS_MAX:
            raise _Invalid("sub is empty, too long or unprintable")
        self._check_party(claims, is_access_token)
        return Identity(
            issuer=settings.issuer,
            subject=subject,
            name=_shown(claims.get(settings.name_claim)) or subject[:NAME_CHARACTERS_MAX],
            groups=groups,
            expires_at_s=float(claims["exp"]) + settings.skew_s_max,
            method=self.name,
        )

    def _groups(self, found: object) -> frozenset[str]:
        groups = [found] if isinstance(found, str) else found
        if not isinstance(groups, list) or len(groups) > GROUPS_MAX or not all(isinstance(one, str) for one in groups):
            raise _Invalid(f"{self._settings.groups_claim} is no array of up to {GROUPS_MAX} texts")
        return frozenset(groups)

    def _check_party(self, claims: Mapping[str, Any], is_access_token: bool) -> None:
        """A token for several audiences says to whom it was given, and that must be somebody we know.

        OpenID Connect Core 1.0 §3.1.3.7 (4, 5). Access tokens of RFC 9068 need no `azp`.
        """
        party, audiences = claims.get("azp"), claims["aud"]
        if party is None:
            if isinstance(audiences, list) and len(audiences) > 1 and not is_access_token:
                raise _Invalid("aud has several values and azp is missing")
        elif party != self._settings.audience and party not in self._settings.authorized_parties:
            raise _Invalid(f"azp {party!r:.60} is neither the audience nor in authorized_parties")


@dataclass(frozen=True, slots=True)
class _Token:
    """A token taken apart; nothing of it is believed yet."""

    signed: jws.CompactSignature
    claims: Mapping[str, Any]

    @property
    def issuer(self) -> str:
        """Who claims to have issued it."""
        issuer = self.claims.get("iss")
        if not isinstance(issuer, str):
            raise _Invalid("iss is missing or no text")
        return issuer

    @property
    def is_access_token(self) -> bool:
        """Whether its header says that it is one by RFC 9068."""
        return str(self.signed.headers().get("typ")).lower().endswith("at+jwt")


def _parse(text: str, bytes_max: int, algorithms: Signatures) -> _Token:
    if not text.isascii() or len(text) > bytes_max:
        raise _Invalid(f"it is no ASCII text of up to {bytes_max} bytes")
    try:
        signed = algorithms.extract(text.encode())
        claims = orjson.loads(signed.payload)
    except (ValueError, TypeError, RecursionError) as why:
        raise _Invalid("it is no JWT") from why
    if not isinstance(claims, dict) or not isinstance(signed.headers(), dict):
        raise _Invalid("header or claims are no JSON object")
    return _Token(signed, claims)


def _shown(name: object) -> str:
    """A name for people's eyes: no control characters that could rewrite a terminal."""
    return "".join(filter(str.isprintable, name))[:NAME_CHARACTERS_MAX].strip() if isinstance(name, str) else ""


def _source(settings: Settings, fetch: Fetch) -> Source:
    ca_file = str(settings.ca_file) if settings.ca_file else None
    if settings.jwks_file:
        return from_file(settings.jwks_file)
    if settings.jwks_url:
        return from_url(fetch, settings.jwks_url, ca_file)
    return from_issuer(fetch, settings.issuer, ca_file)
