"""The keys that one issuer publishes: read, judged, kept for a while, and read again when a token names a new one.

No addon by itself; `oidc` is built on it. Knows keys and their age, but no token and no claim.
"""

from collections.abc import Awaitable, Callable, Collection, Mapping
from ipaddress import ip_address
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import urlsplit

import orjson
from joserfc import jws, jwt
from joserfc.errors import JoseError
from joserfc.jwk import ECKey, Key, OKPKey, RSAKey
from joserfc.jws import JWSRegistry
from joserfc.util import base64_to_int

from hoopproxy.rooms import IScheduler, ISignal

SET_BYTES_MAX = 1024 * 1024
KEYS_MAX = 100
RSA_BITS_MIN = 2048
FETCH_S_MAX = 2.0
"""Discovery and key set, one after the other, stay below the default of `limits.decision_s_max`."""
REFRESH_S = 600.0
"""Keys older than this are read again when a token arrives, so that a withdrawn key does not live for long."""
REFETCH_S_MIN = 60.0
"""An unknown `kid` makes us ask the issuer at most this often: a forger must not turn us against it."""
RETRY_S_MIN = 5.0
"""How soon an issuer is asked again while there is no usable key at all."""


SIGNATURES = {
    "RS256": JWSRegistry.algorithms["RS256"],
    "ES256": JWSRegistry.algorithms["ES256"],
    "EdDSA": JWSRegistry.algorithms["Ed25519"],
}
"""The only signatures that count, under the names that issuers use for them. `EdDSA` means Ed25519 here: RFC 9864
deprecates the name because it leaves the curve open."""

HEADER_BYTES_MAX = 2048


class Signatures(JWSRegistry):
    """What joserfc is allowed to accept: `allowed`, a part of `SIGNATURES`, and nothing that it knows besides."""

    def __init__(self, allowed: Collection[str]) -> None:
        super().__init__(algorithms=allowed, strict_check_header=False)
        self.algorithms = SIGNATURES
        self.max_header_length = HEADER_BYTES_MAX

    def sign(self, header: dict[str, Any], claims: dict[str, Any], key: Key) -> str:
        """A signed JWT. @raise JoseError"""
        return jwt.encode(header, claims, key, None, self)

    def extract(self, token: bytes) -> jws.CompactSignature:
        """A token taken apart; nothing of it is believed yet. @raise JoseError, ValueError"""
        return jws.extract_compact(token, None, self)

    def validates(self, signed: jws.CompactSignature, key: Key) -> bool:
        """Whether it bears that key's signature. @raise JoseError"""
        return jws.validate_compact(signed, key, None, self)


class KeysUnavailable(Exception):
    """The issuer's keys can't be had, or are too old to be trusted."""


class Answer(Protocol):
    """What `hoopproxy.hands.http` answers."""

    status: int
    body: bytes


type Fetch = Callable[..., Awaitable[Any]]
"""`hoopproxy.hands.http`, or what a test puts in its place."""

type Source = Callable[[], Awaitable[bytes]]
"""Gets the key set's JSON; raises anything when it can't."""


def from_file(path: Path) -> Source:
    """The key set in a file, which its owner may replace at any time."""

    async def read() -> bytes:
        return read_set(path)

    return read


def read_set(path: Path) -> bytes:
    """What the file holds: at most a byte more than a key set may be long. @raise OSError."""
    with path.open("rb") as file:
        return file.read(SET_BYTES_MAX + 1)


def from_url(fetch: Fetch, url: str, ca_file: str | None) -> Source:
    """The key set at an address."""

    async def get() -> bytes:
        return await _get(fetch, url, ca_file)

    return get


def from_issuer(fetch: Fetch, issuer: str, ca_file: str | None) -> Source:
    """The key set that the issuer's own metadata names (OpenID Connect Discovery 1.0 §4)."""

    async def discover() -> bytes:
        address = (await metadata(fetch, issuer, ca_file)).get("jwks_uri")
        if not isinstance(address, str) or not is_safe(address):
            raise KeysUnavailable(f"{issuer} names no jwks_uri that begins with https://")
        return await _get(fetch, address, ca_file)

    return discover


async def metadata(fetch: Fetch, issuer: str, ca_file: str | None) -> Mapping[str, Any]:
    """What the issuer says of itself. @raise KeysUnavailable: it is another's, or none."""
    url = issuer.rstrip("/") + "/.well-known/openid-configuration"
    found = orjson.loads(await _get(fetch, url, ca_file))
    if not isinstance(found, dict) or found.get("issuer") != issuer:
        raise KeysUnavailable(f"{url} is the metadata of another issuer")
    return found


def is_safe(url: str) -> bool:
    """Whether nobody on the way can change what comes from there: it is TLS all the way, or it is this machine."""
    try:
        parts = urlsplit(url)
        host = parts.hostname or ""
        if "@" in parts.netloc or parts.scheme not in ("https", "http"):
            return False
        return bool(host) if parts.scheme == "https" else ip_address(host).is_loopback
    except ValueError:
        return False


async def _get(fetch: Fetch, url: str, ca_file: str | None) -> bytes:
    headers = {"Accept": "application/json"}
    answer: Answer = await fetch(
        "GET", url, headers=headers, body=b"", timeout_s=FETCH_S_MAX, bytes_max=SET_BYTES_MAX, ca_file=ca_file
    )
    if answer.status != 200:
        raise KeysUnavailable(f"{url} answered with status {answer.status}")
    return answer.body


def parse(data: bytes) -> tuple[Key, ...]:
    """The keys of a JWK set (RFC 7517 §5) that may verify a token; others are passed over.

    @raise KeysUnavailable: it is no key set, a huge one, or one that holds private keys, which nobody may trust.
    """
    if len(data) > SET_BYTES_MAX:
        raise KeysUnavailable(f"the key set is longer than {SET_BYTES_MAX} bytes")
    try:
        document = orjson.loads(data)
    except orjson.JSONDecodeError as why:
        raise KeysUnavailable("the key set is no JSON") from why
    keys = document.get("keys") if isinstance(document, dict) else None
    if not isinstance(keys, list) or len(keys) > KEYS_MAX:
        raise KeysUnavailable(f'the key set is no object with an array of up to {KEYS_MAX} "keys"')
    if any(isinstance(key, dict) and key.get("kty") != "oct" and "d" in key for key in keys):
        raise KeysUnavailable("the key set holds private keys; wanted is the public set")
    return tuple(key for raw in keys if isinstance(raw, dict) and (key := _usable(raw)) is not None)


def _usable(raw: dict[str, Any]) -> Key | None:
    """A key for signatures, of a kind and size that count, or None."""
    if raw.get("use", "sig") != "sig":
        return None
    if raw.get("alg") == "EdDSA":
        raw = {**raw, "alg": "Ed25519"}
    try:
        match raw.get("kty"):
            case "RSA" if base64_to_int(raw["n"]).bit_length() >= RSA_BITS_MIN:
                key: Key = RSAKey.import_key(raw)
            case "EC" if raw.get("crv") == "P-256":
                key = ECKey.import_key(raw)
            case "OKP" if raw.get("crv") == "Ed25519":
                key = OKPKey.import_key(raw)
            case _:
                return None
        key.check_key_op("verify")
    except (JoseError, ValueError, TypeError, KeyError, AttributeError):
        return None
    return key


def fits(key: Key, algorithm: str) -> bool:
    """Whether the key is one for this algorithm: its kind decides, never the token alone."""
    try:
        SIGNATURES[algorithm].check_key(key)
    except JoseError:
        return False
    return True


class PublishedKeys:
    """The keys of one issuer, kept for `age_s_max`.

    An outage is survived with the keys at hand until they are that old; then there is no key, hence no login.
    """

    def __init__(self, source: Source, scheduler: IScheduler, age_s_max: float) -> None:
        self._source = source
        self._scheduler = scheduler
        self._age_s_max = age_s_max
        self._keys: tuple[Key, ...] = ()
        self._read_at_s: float | None = None
        self._tried_at_s: float | None = None
        self._reading: ISignal | None = None
        self._trouble = "the issuer was not asked yet"

    async def find(self, kid: str | None, algorithm: str) -> Key | None:
        """The key that a token names, or the issuer's only one where it names none; None: the issuer has no such key.

        @raise KeysUnavailable: nobody can tell, now.
        """
        if not self._fresh():
            await self._read(RETRY_S_MIN)
        elif self._age_s() > min(REFRESH_S, self._age_s_max / 2) and self._reading is None:
            await self._read(REFETCH_S_MIN)  # others go on with the keys at hand meanwhile
        if not self._fresh():
            raise KeysUnavailable(self._trouble)
        if (key := self._find(kid, algorithm)) is None:
            await self._read(REFETCH_S_MIN)
            key = self._find(kid, algorithm)
        return key

    @property
    def usable(self) -> int:
        """How many keys there are at hand."""
        return len(self._keys)

    def take(self, data: bytes) -> None:
        """Replace the keys by those of a key set. @raise KeysUnavailable: it is none; the old ones stay."""
        self._keys = parse(data)
        self._read_at_s = self._scheduler.monotonic_s()

    def _find(self, kid: str | None, algorithm: str) -> Key | None:
        if kid is None and len(self._keys) != 1:
            return None
        return next((key for key in self._keys if kid in (None, key.kid) and fits(key, algorithm)), None)

    def _age_s(self) -> float:
        return float("inf") if self._read_at_s is None else self._scheduler.monotonic_s() - self._read_at_s

    def _fresh(self) -> bool:
        return self._age_s() < self._age_s_max

    async def _read(self, pause_s: float) -> None:
        """Ask the issuer, unless somebody asks already (then wait for that) or did so less than `pause_s` ago."""
        if self._reading is not None:
            await self._reading.wait()
            return
        now_s = self._scheduler.monotonic_s()
        if self._tried_at_s is not None and now_s - self._tried_at_s < pause_s:
            return
        self._tried_at_s, self._reading = now_s, self._scheduler.signal()
        try:
            self.take(await self._source())
        except Exception as why:  # noqa: BLE001 -- whatever keeps the keys away, it is an outage of the issuer
            self._trouble = f"{type(why).__name__}: {why}"
        finally:
            self._reading.set()
            self._reading = None
