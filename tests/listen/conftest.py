"""A listener on both loopbacks, real clients in threads, and what the frontend made of them."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field, replace
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import psycopg
import pytest
from zope.interface import implementer

from hoopproxy.disk.authority import make_authority
from hoopproxy.errors import SessionError
from hoopproxy.hands import in_thread
from hoopproxy.listen.cancels import Cancels
from hoopproxy.listen.postgres import PostgresListener
from hoopproxy.listen.server import Server
from hoopproxy.masks import Catalog
from hoopproxy.model import Arrival, Credentials, Side
from hoopproxy.rooms import IFrontend, IPeer
from hoopproxy.scheduler import TwistedScheduler
from hoopproxy.settings import Limits, ListenerSettings, Plaintext
from hoopproxy.testing.certificates import Authority, Leaf

from . import http_desk


@dataclass(frozen=True)
class Greeting:
    parameters: dict[str, str]


@implementer(IPeer)
class Peer:
    """A target that says nothing and counts the interrupts."""

    side = Side.SERVER
    catalog = Catalog({}, {}, frozenset(), frozenset())

    def __init__(self) -> None:
        self.greeting = Greeting({"server_version": "17.0", "client_encoding": "UTF8"})
        self.interrupts = 0

    async def interrupt(self) -> None:
        self.interrupts += 1

    async def read(self) -> bytes:
        return b""

    async def write(self, data: bytes) -> None: ...

    async def end(self) -> None: ...

    def close(self) -> None: ...

    def dismiss(self) -> None: ...

    def abort(self) -> None: ...


TERMINATE = b"X\0\0\0\4"

type Then = Callable[[IFrontend], Awaitable[None]]


@dataclass
class Desk:
    """What came in; and `then`, what is done with those whose handshake is over."""

    then: Then
    ports: dict[str, int] = field(default_factory=dict)
    ca_file: str = ""
    cancels: Cancels = field(default_factory=Cancels)
    arrivals: list[Arrival] = field(default_factory=list)
    credentials: list[Credentials | None] = field(default_factory=list)
    failures: list[SessionError] = field(default_factory=list)

    async def serve(self, frontend: IFrontend) -> None:
        self.arrivals.append(frontend.arrival)
        try:
            self.credentials.append(await frontend.credentials())
            if self.credentials[-1] is not None:
                await self.then(frontend)
        except SessionError as why:
            self.failures.append(why)
            frontend.refuse("s1", why)
        finally:
            frontend.close()

    def dsn(self, **changes: str) -> str:
        words = {
            "host": "localhost",
            "hostaddr": "127.0.0.1",
            "port": str(self.ports[changes.get("hostaddr", "127.0.0.1")]),
            "user": "reader",
            "dbname": "ledger/books",
            "password": "token",
            "sslmode": "verify-full",
            "sslrootcert": self.ca_file,
            "connect_timeout": "10",
        }
        return psycopg.conninfo.make_conninfo("", **words | changes)

    async def connect(self, **changes: str) -> psycopg.Connection[Any]:
        """A client of libpq's."""
        return await in_thread("client", psycopg.connect, self.dsn(**changes))

    async def refusal(self, **changes: str) -> str:
        """What a client is told that isn't let in."""
        with pytest.raises(psycopg.OperationalError) as caught:
            await self.connect(**changes)
        return str(caught.value)


async def welcomes(frontend: IFrontend) -> None:
    """Lets everybody in, and waits until they leave."""
    await frontend.welcome(None, Peer())  # type: ignore[arg-type] # it does not look at the passage
    while await frontend.read() not in (b"", TERMINATE):
        pass


@pytest.fixture(scope="session")
def leaf(authority: Authority) -> Leaf:  # the fixture imported above
    """The gateway's certificate."""
    return authority.issue("gateway", dns=("localhost",), ips=("127.0.0.1", "::1"))


def settings(leaf: Leaf, plaintext: Plaintext = Plaintext.NEVER) -> ListenerSettings:
    addresses = ip_address("127.0.0.1"), ip_address("::1")
    files = str(leaf.certificate_file), str(leaf.key_file)
    return ListenerSettings("front", "postgres", addresses, 0, *files, plaintext)


type Opens = Callable[..., AbstractAsyncContextManager[Desk]]


@pytest.fixture
def desk(reactor: Any, authority: Authority, leaf: Leaf) -> Opens:  # the fixtures imported above
    """`async with desk(then, plaintext) as it`: a listener that runs."""

    @asynccontextmanager
    async def opened(then: Then = welcomes, plaintext: Plaintext = Plaintext.NEVER) -> AsyncIterator[Desk]:
        limits, scheduler = Limits(drain_s_max=0.5), TwistedScheduler(reactor)
        listener = PostgresListener(settings(leaf, plaintext), limits, scheduler)
        made = Desk(then, ca_file=str(Path(authority.ca_file)), cancels=listener._cancels)
        server = Server(reactor, listener, limits, scheduler, made.serve)
        server.privilegedStartService()
        made.ports = {str(endpoint.address): endpoint.port for endpoint in server.endpoints}
        try:
            yield made
        finally:
            await server.stopService()

    return opened


@pytest.fixture(scope="session")
def over_tls(authority: Authority) -> ListenerSettings:
    """With a certificate of its own for the hosts of its domain."""
    leaf = authority.issue(
        "web", dns=(f"*.{http_desk.DOMAIN}", http_desk.DOMAIN, "gateway.test"), ips=("127.0.0.1", "::1")
    )
    files = {"certificate_file": str(leaf.certificate_file), "key_file": str(leaf.key_file)}
    return replace(http_desk.BARE, plaintext=Plaintext.NEVER, **files)


@pytest.fixture(scope="session")
def own(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The gateway's own authority, as settings have it."""
    directory = tmp_path_factory.mktemp("own")
    files = {key: directory / key for key in ("authority_file", "authority_key_file", "authority_passphrase_file")}
    make_authority(*files.values(), "tests", 30, ())
    return {key: str(file) for key, file in files.items()}
