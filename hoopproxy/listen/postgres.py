"""PostgreSQL's front door: TLS, the startup packet, a token as password or a certificate instead, and refusals in the
protocol's own words.

Thin: what the packets mean is `wire.postgres.startup`'s. Never sees a target's secret.
"""

import struct
from collections.abc import Callable
from dataclasses import replace
from functools import partial

from zope.interface import implementer

from hoopproxy.connection import Connection
from hoopproxy.errors import (
    ConfigError,
    EvidenceUnavailable,
    LimitReached,
    ProtocolViolation,
    Refused,
    Revoked,
    SessionError,
    UpstreamRefused,
    UpstreamUnreachable,
)
from hoopproxy.listen.cancels import CancelKey, Cancels
from hoopproxy.listen.fitting import expect
from hoopproxy.listen.tls import Certificate, MutualCertificate, is_clear_allowed
from hoopproxy.model import Arrival, Credentials, Passage, Side
from hoopproxy.proofs import HeldKey, Secret
from hoopproxy.rooms import IFrontend, IListener, IPeer, IScheduler, ISignal, IWithdrawing
from hoopproxy.settings import Limits, ListenerSettings, Plaintext
from hoopproxy.wire.postgres.framing import Reader, Splitter, message
from hoopproxy.wire.postgres.messages import backend_key_data, error, notice, parameter_status, ready_for_query
from hoopproxy.wire.postgres.startup import (
    KEY_BYTES_MIN,
    CancelRequest,
    DirectTls,
    First,
    GssRequest,
    SslRequest,
    Startup,
    credentials,
    read_first,
)

ALPN = b"postgresql"
"""Registered with IANA; direct TLS demands it so that no other protocol's client can be led here."""

PASSWORD_BYTES_MAX = 65_536
"""A token that names some thousand groups."""

_AUTHENTICATION_OK = message(b"R", struct.pack("!I", 0))
_CLEARTEXT_PASSWORD = message(b"R", struct.pack("!I", 3))

_SQLSTATES: tuple[tuple[type[SessionError], str], ...] = (
    (ProtocolViolation, "08P01"),
    (UpstreamUnreachable, "08001"),
    (UpstreamRefused, "08004"),
    (LimitReached, "53400"),
    (EvidenceUnavailable, "58030"),
    (Revoked, "57P01"),
)
_REFUSED = {"credentials": "28P01", "statement": "42501"}
"""By reason; every other refusal is `invalid_authorization_specification` (appendix "PostgreSQL Error Codes")."""


@implementer(IListener)
class PostgresListener:
    """Makes frontends. Building it reads certificate and key. @raise ConfigError"""

    def __init__(self, settings: ListenerSettings, limits: Limits, scheduler: IScheduler) -> None:
        keys = ("certificate", "key", "client_ca", "client_certificate")
        expect(settings, *keys, plaintext=(Plaintext.NEVER, Plaintext.LOOPBACK))
        if settings.client_ca_file and settings.plaintext is not Plaintext.NEVER:
            raise ConfigError(
                (
                    f'listen.{settings.name}.plaintext is "{settings.plaintext.value}", and client_ca asks for '
                    "certificates, which nobody shows without TLS; wanted is one or the other.",
                )
            )
        self.settings = settings
        self._limits = limits
        kind = MutualCertificate if settings.client_ca_file else Certificate
        self._tls = kind(settings, lambda _: (ALPN,))
        self._cancels = Cancels()

    def frontend(self, connection: Connection, arrival: Arrival, adopt: Callable[[IFrontend], None]) -> IFrontend:
        return PostgresFrontend(connection, arrival, self.settings, self._limits, self._tls, self._cancels)


@implementer(IFrontend, IWithdrawing)
class PostgresFrontend:
    """One client."""

    side = Side.CLIENT
    handshake_limit = "handshake_s_max"

    def __init__(
        self,
        connection: Connection,
        arrival: Arrival,
        settings: ListenerSettings,
        limits: Limits,
        tls: Certificate,
        cancels: Cancels,
    ) -> None:
        self.arrival = arrival
        self._connection, self._settings, self._limits = connection, settings, limits
        self._tls, self._cancels = tls, cancels
        self._key: CancelKey | None = None
        self._held: HeldKey | None = None
        self._key_bytes = KEY_BYTES_MIN
        self._is_authenticated = self._is_refused = False
        self.withdraw: Callable[[], bool] = lambda: False

    @property
    def lost(self) -> ISignal:
        """Set when the client is gone, not only done with sending."""
        return self._connection.lost

    async def credentials(self) -> Credentials | None:
        startup = await self._startup()
        if startup is None:
            return None
        self._key_bytes = startup.key_bytes
        self._connection.send(startup.negotiation)
        asked = credentials(startup)  # what can't be had is refused before a password is asked for
        if self._held is not None:
            return replace(asked, key=self._held)
        self._connection.send(_CLEARTEXT_PASSWORD)
        return replace(asked, secret=await self._password())

    def again(self, why: Exception) -> bool:
        return False

    async def welcome(self, passage: Passage, peer: IPeer) -> None:
        self._authenticated()
        self._key = self._cancels.give(partial(self._interrupt, peer), self._key_bytes)
        settings = b"".join(parameter_status(name, value) for name, value in peer.greeting.parameters.items())
        await self._connection.write(settings + backend_key_data(*self._key) + ready_for_query(b"I"))

    def inform(self, sentence: str, words: bytes = b"") -> None:
        self._authenticated()
        self._connection.send(notice(sentence))

    def refuse(self, session_id: str, why: Exception, words: bytes = b"") -> None:
        if self._is_refused or not isinstance(why, SessionError):
            return
        self._is_refused = True
        hint = f"Session {session_id}: name it when you ask the operator of the gateway."
        self._connection.send(error(why.sentence, _sqlstate(why), "FATAL", hint))

    async def read(self) -> bytes:
        return await self._connection.read()

    async def write(self, data: bytes) -> None:
        await self._connection.write(data)

    async def end(self) -> None:
        await self._connection.end()

    def close(self) -> None:
        self._take_key_back()
        self._connection.close()

    def dismiss(self) -> None:
        self.close()
        self._connection.dismiss()

    def abort(self) -> None:
        self._take_key_back()
        self._connection.abort()

    async def _startup(self) -> Startup | None:
        """Everything up to the startup packet; None when the client only came to cancel."""
        is_tls = asked_gss = False
        while True:
            match first := await self._first(not is_tls):
                case SslRequest() if not is_tls:
                    self._connection.send(b"S")
                    self._held = await self._tls.start(self._connection)
                    is_tls = True
                case DirectTls():
                    is_tls = True  # `_first` did the handshake
                case GssRequest() if not is_tls and not asked_gss:
                    self._connection.send(b"N")
                    asked_gss = True
                case CancelRequest():
                    await self._cancels.use(CancelKey(first.process_id, first.key))
                    return None
                case Startup():
                    self._require(is_tls)
                    return first
                case _:
                    raise ProtocolViolation("client", "Your client asked for encryption twice.")

    async def _first(self, may_be_tls: bool) -> First:
        data = b""
        while (found := read_first(data, self._limits.startup_bytes_max)) is None:
            data += await self._more()
        first, length = found
        if isinstance(first, DirectTls):
            if not may_be_tls:
                raise ProtocolViolation("client", "Your client began TLS inside TLS.")
            self._held = await self._tls.start(self._connection, data)
            if self._connection.alpn != ALPN:
                raise ProtocolViolation(
                    "client", "Direct TLS needs the ALPN protocol 'postgresql'; update your client."
                )
        elif len(data) > length and not isinstance(first, Startup):
            # Bytes behind a request for encryption came in the clear: whoever injected them must not be read inside it.
            raise ProtocolViolation("client", "Your client sent something behind its request for encryption.")
        else:
            self._connection.unread(data[length:])
        return first

    def _require(self, is_tls: bool) -> None:
        if not is_tls and not is_clear_allowed(self._settings, self.arrival, self._connection):
            raise Refused("This gateway is reached over TLS only; connect with sslmode=require.", reason="target")

    async def _password(self) -> Secret:
        splitter = Splitter(Side.CLIENT)
        while (received := splitter.next(PASSWORD_BYTES_MAX, "a password's length")) is None:
            splitter.append(await self._more())
        if received.kind != b"p":
            raise ProtocolViolation("client", "Your client sent something else where its password belongs.")
        self._connection.unread(bytes(splitter.buffer))
        reader = Reader(Side.CLIENT, received.body)
        password = reader.raw_string()
        reader.end()
        try:
            return Secret(password.decode())
        except UnicodeDecodeError as why:
            raise Refused(
                "Your password is no token; use the token that you get at sign-in.", reason="credentials"
            ) from why

    async def _more(self) -> bytes:
        data = await self._connection.read()
        if not data:
            raise ProtocolViolation("client", "Your client closed the connection during its handshake.")
        return data

    def _authenticated(self) -> None:
        """Say so once. Who is to be told something is known by then, and before it libpq takes no notice."""
        if not self._is_authenticated:
            self._is_authenticated = True
            self._connection.send(_AUTHENTICATION_OK)

    async def _interrupt(self, peer: IPeer) -> None:
        """What waits for a person has not reached the target."""
        if not self.withdraw():
            await peer.interrupt()

    def _take_key_back(self) -> None:
        if self._key is not None:
            self._cancels.take_back(self._key)


def _sqlstate(why: SessionError) -> str:
    if isinstance(why, Refused):
        return _REFUSED.get(why.reason, "28000")
    return next((code for kind, code in _SQLSTATES if isinstance(why, kind)), "XX000")
