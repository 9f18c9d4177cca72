"""The gateway's own tokens: minted for who has signed in at the portal, and believed when they come back.

A token is a JWT (RFC 7519) of type `hoopproxy+jwt` and says what an identity is: by whom it was proved, and how. Knows
the one key that signs them, but neither the portal nor any way of signing in. Keeps no token.
"""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import orjson
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from joserfc import jws
from joserfc.errors import ExpiredTokenError, JoseError
from joserfc.jwk import OKPKey
from joserfc.jwt import ClaimsOption, JWTClaimsRegistry
from pydantic import BaseModel, ConfigDict, Field
from zope.interface import implementer, provider

from hoopproxy.addons.jwks import Signatures
from hoopproxy.disk.private import read_private
from hoopproxy.errors import Refused
from hoopproxy.hands import in_thread
from hoopproxy.interfaces import IAddonFactory, IAuthenticator, IMintsTokens, ISetting
from hoopproxy.model import Arrival, Credentials, Identity

KIND = "hoopproxy+jwt"
"""The header's `typ` (RFC 8725 §3.11): nothing else that is signed can be taken for one of these."""

TOKEN_BYTES_MAX = 8192
"""What fits into a password of every protocol (PostgreSQL's startup takes 10,000 bytes) and a line of HTTP's head."""

SKEW_S_MAX = 30
"""Between the clocks of gateways that share a key."""

KEY_BYTES_MAX = 4096
WANTED = "wanted is a PEM private key for Ed25519 (openssl genpkey -algorithm ed25519)"

_ED25519 = Signatures(["EdDSA"])


class Settings(BaseModel):
    """The keys of `[addon.NAME]` with `use = "signed-in"`. Gateways that share `key_file` and `issuer` take tokens of
    each other."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    issuer: str | None = Field(None, min_length=1, max_length=255)
    key_file: Path | None = None
    lifetime_s_max: Annotated[float, Field(ge=60, le=604800)] = 43200.0


class _Invalid(Exception):
    """The token is not valid here; the text is for the operator."""


@provider(IAddonFactory)
@implementer(IAuthenticator, IMintsTokens)
class SignedIn:
    """An identity from a token that this gateway, or one that shares its key, has minted."""

    summary = "Mints tokens for who has signed in at the portal, and verifies them (Ed25519)."
    settings = Settings

    @classmethod
    def build(cls, name: str, settings: Settings, setting: ISetting) -> "SignedIn":
        """Make it. Its own key is made when the first token is; one in `key_file` must be there."""
        return cls(name, settings, setting)

    def __init__(self, name: str, settings: Settings, setting: ISetting) -> None:
        self.name = name
        self._issuer = settings.issuer or f"gateway:{setting.gateway}"
        self._lifetime_s_max = settings.lifetime_s_max
        self._scheduler = setting.scheduler
        self._file = settings.key_file or Path(setting.state_dir) / name / "key.pem"
        self._key: OKPKey | None = None
        if settings.key_file or self._file.exists():
            self._key = _read(self._file)

    async def mint(self, identity: Identity, authenticator: str) -> str:
        if self._key is None:
            self._key = await in_thread("signed-in", _made, self._file)
        now_s = int(self._scheduler.now_s())
        claims = {
            "iss": self._issuer,
            "aud": self._issuer,
            "iat": now_s,
            "exp": int(min(identity.expires_at_s, now_s + self._lifetime_s_max)),
            "idp": identity.issuer,
            "sub": identity.subject,
            "name": identity.name,
            "groups": sorted(identity.groups),
            "method": identity.method,
            "by": authenticator,
        }
        header = {"alg": "EdDSA", "typ": KIND, "kid": self._key.kid}
        token = _ED25519.sign(header, claims, self._key)
        if len(token) > TOKEN_BYTES_MAX:
            raise Refused(
                "You are in more groups than a token can hold; tell the operator of the gateway.",
                reason="credentials",
                detail=f"{self.name}: {len(identity.groups)} groups make a token of {len(token)} bytes",
            )
        return token

    async def identify(self, arrival: Arrival, credentials: Credentials) -> Identity | None:
        """The identity in one of these tokens, or None for whatever else it is."""
        signed = _parsed(credentials.secret.reveal())
        if signed is None:
            return None
        try:
            return self._identity(self._verified(signed))
        except ExpiredTokenError as why:
            raise Refused(
                "Your sign-in has expired; run `hoopproxy login` and connect again.",
                reason="credentials",
                detail=f"{self.name}: {why}",
            ) from why
        except (_Invalid, JoseError, KeyError, TypeError, ValueError) as why:
            raise Refused(
                "Your token is not valid here; run `hoopproxy login` for this gateway and connect again.",
                reason="credentials",
                detail=f"{self.name}: {why}",
            ) from why

    def proven_by(self, credentials: Credentials) -> str:
        signed = _parsed(credentials.secret.reveal())
        return str(orjson.loads(signed.payload)["by"]) if signed else ""

    def _verified(self, signed: jws.CompactSignature) -> Mapping[str, Any]:
        if self._key is None:
            raise _Invalid("no token was minted here yet")
        if set(signed.headers()) != {"alg", "typ", "kid"} or signed.headers()["kid"] != self._key.kid:
            raise _Invalid("it is of another key")
        if not _ED25519.validates(signed, self._key):
            raise _Invalid("the signature is wrong")
        claims: Mapping[str, Any] = orjson.loads(signed.payload)
        wanted: ClaimsOption = {"essential": True, "value": self._issuer}
        JWTClaimsRegistry(
            now=int(self._scheduler.now_s()), leeway=SKEW_S_MAX, iss=wanted, aud=wanted, exp={"essential": True}
        ).validate(dict(claims))
        return claims

    def _identity(self, claims: Mapping[str, Any]) -> Identity:
        """What was minted is whole: it bears our signature."""
        return Identity(
            issuer=claims["idp"],
            subject=claims["sub"],
            name=claims["name"],
            groups=frozenset(claims["groups"]),
            expires_at_s=float(claims["exp"] + SKEW_S_MAX),
            method=claims["method"],
        )


def _parsed(text: str) -> jws.CompactSignature | None:
    """A JWS that says that it is one of ours; nothing of it is believed yet."""
    if not text.isascii() or len(text) > TOKEN_BYTES_MAX or text.count(".") != 2:
        return None
    try:
        signed = _ED25519.extract(text.encode())
        return signed if signed.headers().get("typ") == KIND else None
    except (JoseError, ValueError, TypeError, AttributeError, RecursionError):
        return None


def _made(file: Path) -> OKPKey:
    """A new key in a file for the gateway alone; what is there already stays."""
    file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    pem = Ed25519PrivateKey.generate().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    fresh = file.with_suffix(f".{os.getpid()}.new")
    with open(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600), "wb") as opened:
        opened.write(pem)
        os.fsync(opened.fileno())
    try:
        os.link(fresh, file)  # whole or not at all, and the first of two stays
    except FileExistsError:
        pass
    finally:
        fresh.unlink()
    return _read(file)


def _read(file: Path) -> OKPKey:
    """@raise OSError, Unfit, ValueError: it can't be used; the text says why."""
    pem = read_private(file, KEY_BYTES_MAX)
    try:
        key = OKPKey.import_key(pem)
    except (JoseError, ValueError, TypeError) as why:
        raise ValueError(f"{file} can't be used; {WANTED}") from why
    if not isinstance(key.private_key, Ed25519PrivateKey):
        raise ValueError(f"{file} holds another key; {WANTED}")
    key.ensure_kid()  # its thumbprint (RFC 7638)
    return key
