"""Raw TCP's front door: one target for all who come, who are known by a certificate or by where they come from.

Raw TCP has no words: who is refused, or ended by the gateway, hears a reset, and the operator's log says why. Knows
nothing of what is said.
"""

from collections.abc import Callable

from zope.interface import implementer

from hoopproxy.connection import Connection
from hoopproxy.errors import BrokenOff, ConfigError, Refused
from hoopproxy.listen.fitting import expect
from hoopproxy.listen.tls import Certificate, MutualCertificate, is_clear_allowed
from hoopproxy.model import Arrival, Credentials, Passage, Side
from hoopproxy.proofs import HeldKey, Secret
from hoopproxy.rooms import IFrontend, IListener, IPeer, IScheduler, ISignal
from hoopproxy.settings import Limits, ListenerSettings, Plaintext


@implementer(IListener)
class TcpListener:
    """Makes frontends. Building it reads certificate, key and the clients' authority. @raise ConfigError"""

    def __init__(self, settings: ListenerSettings, limits: Limits, scheduler: IScheduler) -> None:
        expect(settings, "certificate", "key", "client_ca", "target", "account", plaintext=tuple(Plaintext))
        if problem := _problem(settings):
            raise ConfigError((f"listen.{settings.name}{problem}",))
        self.settings = settings
        self._tls: Certificate | None = None
        if settings.client_ca_file:
            self._tls = MutualCertificate(settings)
        elif settings.plaintext is Plaintext.NEVER:
            self._tls = Certificate(settings)

    def frontend(self, connection: Connection, arrival: Arrival, adopt: Callable[[IFrontend], None]) -> IFrontend:
        return TcpFrontend(connection, arrival, self.settings, self._tls)


@implementer(IFrontend)
class TcpFrontend:
    """One client."""

    side = Side.CLIENT
    handshake_limit = "handshake_s_max"

    def __init__(
        self, connection: Connection, arrival: Arrival, settings: ListenerSettings, tls: Certificate | None
    ) -> None:
        self.arrival = arrival
        self._connection, self._settings, self._tls = connection, settings, tls

    @property
    def lost(self) -> ISignal:
        """Set when the client is gone, not only done with sending."""
        return self._connection.lost

    async def credentials(self) -> Credentials | None:
        key: HeldKey | None = None
        if self._tls is not None:
            key = await self._tls.shake(self._connection)
        elif not is_clear_allowed(self._settings, self.arrival, self._connection):
            raise Refused(
                "Without TLS this gateway is reached from its own machine only; connect from there.", reason="target"
            )
        return Credentials(self._settings.target, self._settings.account, database="", secret=Secret(""), key=key)

    def again(self, why: Exception) -> bool:
        return False

    async def welcome(self, passage: Passage, peer: IPeer) -> None:
        """Nothing: what comes out of it is the target's alone."""

    def inform(self, sentence: str, words: bytes = b"") -> None:
        """Nothing, for the same reason."""

    def refuse(self, session_id: str, why: Exception, words: bytes = b"") -> None:
        """Nothing: the reset says what can be said."""

    async def read(self) -> bytes:
        data = await self._connection.read()
        if not data and self._connection.is_broken:
            raise BrokenOff("The client's connection broke off; what it sent may not be whole.")
        return data

    async def write(self, data: bytes) -> None:
        await self._connection.write(data)

    async def end(self) -> None:
        await self._connection.end()

    def close(self) -> None:
        self._connection.cut()

    def dismiss(self) -> None:
        self.close()
        self._connection.dismiss()

    def abort(self) -> None:
        self._connection.abort()


def _problem(settings: ListenerSettings) -> str:
    """What is wrong with them, from the key on; "" when nothing is."""
    has_certificate = bool(settings.certificate_file or settings.key_file)
    if not settings.target:
        return ".target is missing; wanted is the [[target]] that its clients reach, as raw TCP can't name one."
    if settings.plaintext is Plaintext.NEVER:
        return "" if has_certificate else ".certificate is missing; wanted are certificate and key, or plaintext."
    if has_certificate or settings.client_ca_file:
        return f'.plaintext is "{settings.plaintext.value}", and there are files for TLS; wanted is one or the other.'
    return ""
