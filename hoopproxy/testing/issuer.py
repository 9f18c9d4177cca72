"""A small identity provider: makes keys, issues tokens, publishes its key set, rotates; for demonstrations and tests.

Whoever can read its directory can be anybody: it has no place in production. Knows nothing of the gateway.
"""

import os
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

import orjson
from joserfc.jwk import ECKey, Key, KeyParameters, KeySet, OKPKey, RSAKey
from twisted.application.service import Service
from twisted.internet.address import IPv4Address, IPv6Address
from twisted.internet.interfaces import IListeningPort, IReactorTCP
from twisted.web.resource import Resource
from twisted.web.server import Request, Site

from hoopproxy.addons.jwks import Signatures

type Algorithm = Literal["RS256", "ES256", "EdDSA"]

METADATA_PATH = "/.well-known/openid-configuration"
KEYS_PATH = "/jwks"


def _now_s() -> float:
    return datetime.now(UTC).timestamp()


class Issuer:
    """An issuer whose keys live in `directory`: `keys.json` (private, 0600) and `jwks.json` (what it publishes).

    `url` is its name, the `iss` of its tokens. Made anew when the directory holds none; otherwise its keys are read.
    """

    def __init__(
        self,
        directory: Path,
        url: str,
        *,
        algorithms: Iterable[Algorithm] = ("ES256",),
        now_s: Callable[[], float] = _now_s,
    ) -> None:
        self.url = url
        self.directory = directory
        self._now_s = now_s
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        try:
            self._keys = KeySet.import_key_set(orjson.loads(self._key_file.read_bytes())).keys
        except FileNotFoundError:
            self._keys = [_new_key(algorithm) for algorithm in algorithms]
            self._save()

    @property
    def jwks_file(self) -> Path:
        """The published key set: what an `oidc` addon's `jwks_file` names."""
        return self.directory / "jwks.json"

    @property
    def keys(self) -> tuple[Key, ...]:
        """Its private keys, the oldest first."""
        return tuple(self._keys)

    def jwks(self) -> bytes:
        """The published key set as JSON."""
        return orjson.dumps(KeySet(self._keys).as_dict(private=False))

    def metadata(self) -> bytes:
        """What OpenID Connect Discovery 1.0 §3 asks for, as far as a verifier of tokens needs it."""
        supported = sorted({_algorithm(key) for key in self._keys})
        return orjson.dumps(
            {
                "issuer": self.url,
                "jwks_uri": self.url.rstrip("/") + KEYS_PATH,
                "response_types_supported": ["id_token"],
                "subject_types_supported": ["public"],
                "id_token_signing_alg_values_supported": supported,
            }
        )

    def issue(
        self,
        sub: str,
        groups: Iterable[str] = (),
        audience: str = "hoopproxy",
        lifetime_s: float = 3600,
        *,
        algorithm: Algorithm | None = None,
        **claims: Any,
    ) -> str:
        """A token, signed by the newest key (of `algorithm`); `claims` are added, and None takes one out."""
        key = next(key for key in reversed(self._keys) if algorithm in (None, _algorithm(key)))
        now = int(self._now_s())
        named = {
            "iss": self.url,
            "sub": sub,
            "aud": audience,
            "iat": now,
            "nbf": now,
            "exp": now + int(lifetime_s),
            "groups": sorted(groups),
            **claims,
        }
        header = {"alg": _algorithm(key), "kid": key.kid}
        chosen = {name: value for name, value in named.items() if value is not None}
        return Signatures([_algorithm(key)]).sign(header, chosen, key)

    def rotate(self) -> None:
        """A new key for each algorithm; the ones before stay published, so that their tokens live on."""
        self._keys += [_new_key(algorithm) for algorithm in dict.fromkeys(map(_algorithm, self._keys))]
        self._save()

    def withdraw(self) -> None:
        """Publish only the newest key of each algorithm: tokens of older ones die."""
        self._keys = list({_algorithm(key): key for key in self._keys}.values())
        self._save()

    @property
    def _key_file(self) -> Path:
        return self.directory / "keys.json"

    def _save(self) -> None:
        _write(self._key_file, orjson.dumps(KeySet(self._keys).as_dict(private=True)), 0o600)
        _write(self.jwks_file, self.jwks(), 0o644)


class IssuerService(Service):
    """Serves an issuer's metadata and key set over HTTP on a loopback address. `port` 0 takes a free one; the issuer's
    `url` should name the port that `issuer_port` then tells."""

    def __init__(self, reactor: IReactorTCP, issuer: Issuer, port: int, address: str = "127.0.0.1") -> None:
        self._reactor = reactor
        self._issuer = issuer
        self._port = port
        self._address = address
        self._listening: IListeningPort | None = None

    @property
    def issuer_port(self) -> int:
        """The port that it listens on."""
        assert self._listening is not None, "it listens from startService on"
        address = self._listening.getHost()
        assert isinstance(address, IPv4Address | IPv6Address)
        return address.port

    def startService(self) -> None:
        """Listen."""
        super().startService()  # type: ignore[no-untyped-call]  # Twisted has no types here
        root = Resource()  # type: ignore[no-untyped-call]  # Twisted has no types here
        well_known = Resource()  # type: ignore[no-untyped-call]  # Twisted has no types here
        root.putChild(KEYS_PATH.strip("/").encode(), _Json(self._issuer.jwks))
        root.putChild(b".well-known", well_known)
        well_known.putChild(METADATA_PATH.rpartition("/")[2].encode(), _Json(self._issuer.metadata))
        site: Any = Site(root)  # type: ignore[no-untyped-call]  # Twisted has no types here
        self._listening = self._reactor.listenTCP(self._port, site, interface=self._address)

    def stopService(self) -> Any:
        """Stop listening. A Deferred."""
        super().stopService()  # type: ignore[no-untyped-call]  # Twisted has no types here
        listening, self._listening = self._listening, None
        return listening.stopListening() if listening else None


class _Json(Resource):
    """One document, made for each request."""

    isLeaf = True

    def __init__(self, document: Callable[[], bytes]) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # Twisted has no types here
        self._document = document

    def render_GET(self, request: Request) -> bytes:
        request.setHeader(b"Content-Type", b"application/json")  # type: ignore[no-untyped-call]  # Twisted has no types here
        return self._document()


def _new_key(algorithm: str) -> Key:
    parameters: KeyParameters = {"use": "sig", "alg": "Ed25519" if algorithm == "EdDSA" else algorithm}
    match algorithm:
        case "RS256":
            return RSAKey.generate_key(2048, parameters, auto_kid=True)
        case "ES256":
            return ECKey.generate_key("P-256", parameters, auto_kid=True)
        case _:
            return OKPKey.generate_key("Ed25519", parameters, auto_kid=True)


def _algorithm(key: Key) -> str:
    """The name by which tokens call the key's algorithm."""
    return {"RSA": "RS256", "EC": "ES256", "OKP": "EdDSA"}[key.key_type]


def _write(path: Path, data: bytes, mode: int) -> None:
    """Replace the file in one step, never readable by more than `mode` says."""
    fresh = path.with_suffix(".new")
    fresh.unlink(missing_ok=True)
    with open(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode), "wb") as file:
        file.write(data)
        os.fsync(file.fileno())
    fresh.replace(path)
