"""An issuer, an authenticator that trusts it, and a clock that both read."""

from collections.abc import Coroutine
from dataclasses import dataclass, field
from ipaddress import ip_address
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pytest
from twisted.internet.defer import Deferred, succeed
from twisted.internet.task import Clock

from hoopproxy.access.policy import Policy
from hoopproxy.addons.oidc import OidcAuthenticator, Settings
from hoopproxy.model import Arrival, Credentials, Endpoint, Identity
from hoopproxy.proofs import Secret
from hoopproxy.registry import Setting
from hoopproxy.scheduler import TwistedScheduler
from hoopproxy.testing.issuer import Issuer

URL = "https://id.example"
START_S = 1_800_000_000.0
ARRIVAL = Arrival("c1", "front", "postgres", Endpoint(ip_address("127.0.0.1"), 50000), START_S)
POLICY = Policy("r", (), (), ())


def credentials(token: str) -> Credentials:
    return Credentials("ledger", "", "", Secret(token))


def run(work: Coroutine[Deferred[Any], Any, Any]) -> Any:
    """What the coroutine answers or raises; it must not have to wait."""
    results: list[Any] = []
    errors: list[Any] = []
    Deferred.fromCoroutine(work).addCallbacks(results.append, errors.append)
    if errors:
        errors[0].raiseException()
    assert results, "it still waits"
    return results[0]


@dataclass
class Answer:
    """What the web answers."""

    status: int
    body: bytes
    headers: dict[str, str] = field(default_factory=dict)


@dataclass
class Web:
    """In place of `hands.http`: pages by address; a page may be an answer, an exception or a Deferred."""

    pages: dict[str, Any] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    limits: list[tuple[float, int]] = field(default_factory=list)

    async def __call__(
        self,
        method: str,
        url: str,
        *,
        headers: Any,
        body: bytes,
        timeout_s: float,
        bytes_max: int,
        ca_file: str | None,
    ) -> Answer:
        assert method == "GET"
        self.asked.append(url)
        self.limits.append((timeout_s, bytes_max))
        page = self.pages.get(url, Answer(404, b""))
        if callable(page):
            page = page()
        if isinstance(page, Exception):
            raise page
        answer: Answer = await (page if isinstance(page, Deferred) else succeed(page))
        return answer


@dataclass
class Place:
    """Everything that a test of identity needs."""

    directory: Path
    clock: Clock
    scheduler: TwistedScheduler
    issuer: Issuer
    web: Web

    @property
    def setting(self) -> Setting:
        return Setting("gw", "EU", str(self.directory), POLICY, MappingProxyType({}), self.scheduler)

    def authenticator(self, **settings: Any) -> OidcAuthenticator:
        """One that trusts the issuer's published file, or what `settings` say."""
        chosen: dict[str, Any] = {"issuer": URL, "audience": "hoopproxy", "jwks_file": self.issuer.jwks_file}
        chosen |= settings
        return OidcAuthenticator("corp", Settings(**chosen), self.setting, self.web)

    def identify(self, authenticator: OidcAuthenticator, token: str) -> Identity | None:
        identity: Identity | None = run(authenticator.identify(ARRIVAL, credentials(token)))
        return identity


@pytest.fixture(scope="session")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with one key of each kind: RSA keys take long to make."""
    directory = tmp_path_factory.mktemp("keys")
    Issuer(directory, URL, algorithms=("RS256", "EdDSA", "ES256"))
    return directory


@pytest.fixture
def place(tmp_path: Path, keys: Path) -> Place:
    clock = Clock()
    clock.advance(START_S)
    scheduler = TwistedScheduler(clock)
    directory = tmp_path / "issuer"
    directory.mkdir(mode=0o700)
    for file in keys.iterdir():
        (directory / file.name).write_bytes(file.read_bytes())
    return Place(tmp_path, clock, scheduler, Issuer(directory, URL, now_s=scheduler.now_s), Web())
