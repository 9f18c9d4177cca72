"""The way to a PostgreSQL target: a judged literal, verified TLS, then a login with a secret that no user sees.

Thin: what is said is `wire.postgres.login`'s and `catalog`'s. Knows neither the client nor why this target.
"""

import secrets
from collections import defaultdict
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import Encoding
from twisted.internet.defer import Deferred, DeferredLock, DeferredSemaphore
from zope.interface import implementer

from hoopproxy.connection import Connection
from hoopproxy.dial.postgres_desk import PARAMETERS, PostgresDesk
from hoopproxy.dial.reaching import Reached, Reaching, unreachable
from hoopproxy.dial.tls import Proof, Verification
from hoopproxy.errors import SessionError
from hoopproxy.hands import in_thread
from hoopproxy.masks import NO_CATALOG, Catalog
from hoopproxy.model import Endpoint, Measurements, Passage, Permit, Side, Target
from hoopproxy.proofs import TargetSecret
from hoopproxy.residency.addresses import forbidden
from hoopproxy.rooms import IDialer, IPeer, IProvisioner, IReached, IScheduler, ISignal
from hoopproxy.settings import Limits
from hoopproxy.wire.postgres.catalog import CatalogReader
from hoopproxy.wire.postgres.login import LoggedIn, Login, VersionRefused
from hoopproxy.wire.postgres.requests import TERMINATE
from hoopproxy.wire.postgres.scram import end_point
from hoopproxy.wire.postgres.startup import PROTOCOL_3_0, PROTOCOL_3_2, SSL_REQUEST, cancel_request

BY_CONTENT = "*"
"""Among protected paths: values are judged by what they hold, so the catalog has nothing to say of it."""

NONCE_BYTES = 18
"""As many as libpq's SCRAM_RAW_NONCE_LEN."""

INTERRUPTS_MAX = 16
"""Connections with cancel requests to one target at a time: whoever may cancel can't flood it with dials."""


@dataclass(frozen=True, slots=True)
class Greeting:
    """What the frontend shows its client: the settings that the target reported."""

    parameters: Mapping[str, str]


class Proved(Reached):
    """A target that proved itself with this certificate, which the login may be bound to (RFC 5929 §4)."""

    def __init__(self, connection: Connection, proof: Proof) -> None:
        super().__init__(connection, proof.spki_sha256)
        self.certificate = proof.certificate


@dataclass(frozen=True, slots=True)
class Entering:
    """As whom the gateway enters which database, with which settings."""

    secret: TargetSecret
    database: str
    parameters: Mapping[str, str]


@implementer(IDialer, IProvisioner)
class PostgresDialer:
    """Dials PostgreSQL targets. `limits.dial_s_max` bounds each address, the login, and each cancel."""

    def __init__(self, reactor: Any, limits: Limits, scheduler: IScheduler) -> None:
        self._reaching, self._scheduler, self._limits = Reaching(reactor, limits, scheduler), scheduler, limits
        self._interrupting: defaultdict[str, DeferredSemaphore] = defaultdict(lambda: DeferredSemaphore(INTERRUPTS_MAX))

    def unfit(self, target: Target) -> str:
        if target.tls is None:
            return "tls is missing: a PostgreSQL target proves itself by its certificate."
        return ""

    async def reach(self, permit: Permit) -> Proved:
        return await self._reaching.first(permit, _prove)

    async def login(
        self,
        reached: IReached,
        passage: Passage,
        secret: TargetSecret,
        protected: frozenset[str],
        known: Catalog | None = None,
    ) -> "PostgresPeer":
        assert isinstance(reached, Proved)
        permit, paths = passage.permit, protected - {BY_CONTENT}

        async def catalog_of(connection: Connection) -> Catalog:
            return known or await _read_catalog(connection, paths)

        entering = Entering(secret, permit.database, permit.parameters)
        connection, done, catalog = await self._enter(permit.target, reached, entering, catalog_of)
        return PostgresPeer(self, connection, permit.target, passage.measurements, done, catalog)

    async def desk(self, passage: Passage, secret: TargetSecret) -> PostgresDesk:
        target = passage.permit.target
        reached = await self._again(target, passage.measurements)
        return await self._desk(target, reached, Entering(secret, passage.permit.database, PARAMETERS))

    async def desk_at(self, target: Target, endpoint: Endpoint, database: str, secret: TargetSecret) -> PostgresDesk:
        """A desk for an operator's command, at an address that nobody else has judged.

        @raise UpstreamUnreachable, UpstreamRefused
        """
        reason = forbidden(endpoint.address, allow_loopback=target.allow_loopback, port=endpoint.port)
        if reason is not None:
            raise unreachable(target, f"{endpoint} is {reason}, which the gateway never dials")
        reached = await self._reaching.at(target, endpoint, _prove)
        return await self._desk(target, reached, Entering(secret, database, PARAMETERS))

    async def interrupt(self, target: Target, measured: Measurements, done: LoggedIn) -> None:
        """Show the target its own cancel key: at the same address, and only to the holder of the same private key.

        @raise UpstreamUnreachable
        """
        if done.key:
            await self._reaching.in_time(target, self._interrupt(target, measured, done))

    def signal(self) -> ISignal:
        """A new signal, for those who wait for an interrupt."""
        return self._scheduler.signal()

    async def _desk(self, target: Target, reached: Proved, entering: Entering) -> PostgresDesk:
        async def settled(connection: Connection) -> PostgresDesk:
            desk = PostgresDesk(connection, target, self._limits.provision_s_max, self._scheduler)
            await desk.settle()
            return desk

        _, _, desk = await self._enter(target, reached, entering, settled)
        return desk

    async def _enter[T](
        self, target: Target, reached: Proved, entering: Entering, first: Callable[[Connection], Awaitable[T]]
    ) -> tuple[Connection, LoggedIn, T]:
        """Log in, and do what comes first. Some poolers know protocol 3.0 alone, and need a second try."""
        try:
            return await self._log_in(target, reached, entering, PROTOCOL_3_2, first)
        except VersionRefused:
            again = await self._again(target, reached.measurements)
            return await self._log_in(target, again, entering, PROTOCOL_3_0, first)

    async def _log_in[T](
        self,
        target: Target,
        reached: Proved,
        entering: Entering,
        version: int,
        first: Callable[[Connection], Awaitable[T]],
    ) -> tuple[Connection, LoggedIn, T]:
        connection = reached.take_over()
        nonce = secrets.token_urlsafe(NONCE_BYTES)
        end_point = _end_point(reached.certificate)
        login = Login(entering.secret, entering.database, entering.parameters, nonce, end_point, version)

        async def log_in() -> tuple[LoggedIn, T]:
            return await _log_in(connection, login), await first(connection)

        try:
            done, came = await self._reaching.in_time(target, log_in())
        except BaseException:
            connection.abort()
            raise
        return connection, done, came

    async def _again(self, target: Target, measured: Measurements) -> Proved:
        """A new connection to where an earlier one led. @raise UpstreamUnreachable: somebody else answers there now."""
        reached = await self._reaching.at(target, measured.peer, _prove)
        if reached.measurements.spki_sha256 != measured.spki_sha256:
            reached.abort()
            raise unreachable(target, f"{measured.peer} holds another private key than before")
        return reached

    async def _interrupt(self, target: Target, measured: Measurements, done: LoggedIn) -> None:
        async with self._interrupting[target.name]:
            connection = (await self._again(target, measured)).take_over()
            try:
                connection.send(cancel_request(done.process_id, done.key))
                await connection.read()  # it closes without a word, once it has sent the signal
            finally:
                connection.close()


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
        self._interrupting = DeferredLock()
        self._interrupted: ISignal | None = None
        self._is_closed = False

    @property
    def lost(self) -> ISignal:
        """Set when the target is gone."""
        return self._connection.lost

    async def read(self) -> bytes:
        return await self._connection.read()

    async def write(self, data: bytes) -> None:
        await self._connection.write(data)

    async def end(self) -> None:
        await self._connection.end()

    async def interrupt(self) -> None:
        """One runs at a time. All that are wanted meanwhile share the next: the statement that they are about may be a
        later one than that which is being stopped."""
        interrupted = self._interrupted
        if interrupted is None:
            interrupted = self._interrupted = self._dialer.signal()
            Deferred.fromCoroutine(self._interrupt(interrupted))  # on its own: whoever wanted it may leave
        await interrupted.wait()

    async def _interrupt(self, interrupted: ISignal) -> None:
        try:
            async with self._interrupting:
                self._interrupted = None
                await self._dialer.interrupt(self._target, self._measured, self._done)
        except SessionError:
            pass  # a target that can't be reached any more has nothing to stop
        finally:
            interrupted.set()

    def close(self) -> None:
        if not self._is_closed:
            self._is_closed = True
            self._connection.send(TERMINATE)
            self._connection.close()

    def dismiss(self) -> None:
        self.close()
        self._connection.dismiss()

    def abort(self) -> None:
        self._connection.abort()


async def _prove(target: Target, connection: Connection) -> Proved:
    verification = Verification(target)
    connection.send(SSL_REQUEST)
    answer = await connection.read()
    # One byte and no more: what came behind it in the clear would pass for the target's word (CVE-2021-23222).
    if answer != b"S":
        raise unreachable(target, f"{connection.peer} answered {answer[:40]!r} to SSLRequest, wanted is b'S'")
    return Proved(connection, await verification.shake(connection))


async def _log_in(connection: Connection, login: Login) -> LoggedIn:
    connection.send(login.start())
    while login.done is None:
        # In a thread, for the sake of one answer: a target may ask for a second's work on SCRAM's keys.
        connection.send(await in_thread("login", login.feed, await connection.read()))
    connection.unread(login.rest)
    return login.done


async def _read_catalog(connection: Connection, paths: frozenset[str]) -> Catalog:
    if not paths:
        return NO_CATALOG
    reader = CatalogReader(paths)
    await connection.write(reader.query())
    while (catalog := reader.feed(await connection.read())) is None:
        pass
    connection.unread(reader.rest)
    return catalog


def _end_point(certificate: x509.Certificate) -> bytes:
    try:
        algorithm = certificate.signature_hash_algorithm
    except UnsupportedAlgorithm:  # then nobody knows what to bind to
        algorithm = None
    return end_point(certificate.public_bytes(Encoding.DER), algorithm.name if algorithm else None)
