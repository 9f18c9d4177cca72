"""The way to a PostgreSQL target: a judged literal, verified TLS, then a login with a secret that no user sees.

Thin: what is said is `wire.postgres.login`'s and `catalog`'s. Knows neither the client nor why this target.
"""

import secrets
import struct
from collections.abc import Awaitable, Mapping
from dataclasses import dataclass
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from zope.interface import implementer

from hoopproxy.connection import Connection, connect
from hoopproxy.dial.tls import client_options, proved
from hoopproxy.errors import ProtocolViolation, SessionError, UpstreamUnreachable
from hoopproxy.interfaces import IDialer, IPeer, IReached, IScheduler
from hoopproxy.model import Catalog, Endpoint, Limits, Measurements, Passage, Permit, Side, Target, TargetSecret
from hoopproxy.wire.postgres.catalog import EMPTY, CatalogReader
from hoopproxy.wire.postgres.login import LoggedIn, Login
from hoopproxy.wire.postgres.scram import end_point

_SSL_REQUEST = struct.pack("!ii", 8, 80877103)
_TERMINATE = b"X\0\0\0\4"
BY_CONTENT = "*"


@dataclass(frozen=True, slots=True)
class Greeting:
    """What the frontend shows its client: the settings that the target reported."""

    parameters: Mapping[str, str]


@implementer(IReached)
class Reached:
    """A target that proved itself and knows nothing of us yet."""

    def __init__(self, connection: Connection, certificate: x509.Certificate, measurements: Measurements) -> None:
        self.measurements = measurements
        self.certificate = certificate
        self._connection: Connection | None = connection

    def take_over(self) -> Connection:
        """The connection, which `abort` leaves alone from now on."""
        connection, self._connection = self._connection, None
        assert connection is not None, "a reached target is logged in to once"
        return connection

    def abort(self) -> None:
        if self._connection is not None:
            self._connection.abort()


@implementer(IDialer)
class PostgresDialer:
    """Dials PostgreSQL targets."""

    def __init__(self, reactor: Any, limits: Limits, scheduler: IScheduler) -> None:
        self._reactor, self._limits, self._scheduler = reactor, limits, scheduler

    async def reach(self, permit: Permit) -> Reached:
        """The first of the judged addresses that answers and proves itself. @raise UpstreamUnreachable: none does."""
        failure = UpstreamUnreachable(f"Target '{permit.target.name}' has no address; tell the operator.")
        for address in permit.addresses:
            try:
                return await self._in_time(self.prove(permit.target, Endpoint(address, permit.target.port)), permit)
            except UpstreamUnreachable as why:
                failure = why
        raise failure

    async def login(
        self, reached: IReached, passage: Passage, secret: TargetSecret, protected: frozenset[str]
    ) -> "PostgresPeer":
        assert isinstance(reached, Reached)
        certificate, permit = reached.certificate, passage.permit
        connection = reached.take_over()
        try:
            login = Login(secret, permit.database, permit.parameters, secrets.token_urlsafe(18), _bound_to(certificate))
            done = await self._in_time(_log_in(connection, login), permit)
            catalog = await self._in_time(_read_catalog(connection, protected - {BY_CONTENT}), permit)
        except BaseException:
            connection.abort()
            raise
        return PostgresPeer(self, connection, permit.target, reached.measurements, done, catalog)

    async def prove(self, target: Target, endpoint: Endpoint) -> Reached:
        """Connect, compare the peer's address, have it prove itself. @raise UpstreamUnreachable"""
        connection = await connect(self._reactor, endpoint, self._limits, self._scheduler)
        try:
            if connection.peer != endpoint:
                raise _unreachable(target, f"dialled {endpoint}, but the peer is {connection.peer}")
            connection.send(_SSL_REQUEST)
            answer = await connection.read()
            if answer != b"S":
                raise _unreachable(target, f"{endpoint} answered {answer[:40]!r} to SSLRequest; wanted is TLS")
            try:
                await connection.start_tls(client_options(target))
            except ProtocolViolation as why:
                raise _unreachable(target, why.detail) from why
            certificate, spki = proved(target, connection.peer_certificate)
        except BaseException:
            connection.abort()
            raise
        return Reached(connection, certificate, Measurements(connection.peer, spki, connection.tcp_rtt_us))

    async def interrupt(self, target: Target, measured: Measurements, done: LoggedIn) -> None:
        """Show the target its own cancel key, at the same address and to the same key holder."""
        reached: Reached = await self._scheduler.within(self._limits.dial_s_max, self.prove(target, measured.peer))
        connection = reached.take_over()
        try:
            if reached.measurements.spki_sha256 == measured.spki_sha256:
                body = struct.pack("!II", 80877102, done.process_id) + done.key
                connection.send(struct.pack("!i", len(body) + 4) + body)
                await self._scheduler.within(self._limits.dial_s_max, connection.read())  # it closes without a word
        finally:
            connection.close()

    async def _in_time[T](self, work: Awaitable[T], permit: Permit) -> T:
        try:
            done: T = await self._scheduler.within(self._limits.dial_s_max, work)
        except TimeoutError as why:
            raise _unreachable(
                permit.target, f"no answer within {self._limits.dial_s_max:g} s (limits.dial_s_max)"
            ) from why
        return done


@implementer(IPeer)
class PostgresPeer:
    """A target that the gateway is logged in to."""

    side = Side.SERVER

    def __init__(
        self,
        dialer: PostgresDialer,
        connection: Connection,
        target: Target,
        measured: Measurements,
        done: LoggedIn,
        catalog: Catalog,
    ) -> None:
        self.greeting = Greeting(done.parameters)
        self.catalog = catalog
        self._dialer, self._connection, self._target = dialer, connection, target
        self._measured, self._done = measured, done
        self._is_closed = False

    async def read(self) -> bytes:
        return await self._connection.read()

    async def write(self, data: bytes) -> None:
        await self._connection.write(data)

    async def interrupt(self) -> None:
        try:
            await self._dialer.interrupt(self._target, self._measured, self._done)
        except (SessionError, TimeoutError):
            pass  # a target that can't be reached any more has nothing to stop

    def close(self) -> None:
        if not self._is_closed:
            self._is_closed = True
            self._connection.send(_TERMINATE)
            self._connection.close()

    def abort(self) -> None:
        self._connection.abort()


async def _log_in(connection: Connection, login: Login) -> LoggedIn:
    connection.send(login.start())
    while login.done is None:
        connection.send(login.feed(await connection.read()))
    return login.done


async def _read_catalog(connection: Connection, paths: frozenset[str]) -> Catalog:
    if not paths:
        return EMPTY
    reader = CatalogReader(paths)
    await connection.write(reader.query())
    while (catalog := reader.feed(await connection.read())) is None:
        pass
    return catalog


def _bound_to(certificate: x509.Certificate) -> bytes:
    algorithm = certificate.signature_hash_algorithm
    return end_point(certificate.public_bytes(Encoding.DER), algorithm.name if algorithm else None)


def _unreachable(target: Target, detail: str) -> UpstreamUnreachable:
    return UpstreamUnreachable(
        f"Target '{target.name}' could not be reached, or did not prove that it is itself; tell the operator.",
        detail=detail,
    )
