"""SSH's front door: the gateway's host keys, a client's login, and refusals that the client's user gets to read.

Between login and end payloads of the connection protocol pass as they are. Never sees a target's secret.
"""

from collections.abc import Callable, Mapping
from contextlib import suppress

from twisted.conch.ssh.keys import Key
from zope.interface import implementer

from hoopproxy.connection import Connection
from hoopproxy.errors import LimitReached, ProtocolViolation, Refused, SessionError
from hoopproxy.listen.fitting import expect
from hoopproxy.listen.ssh_channel import Children
from hoopproxy.listen.ssh_host_keys import host_keys
from hoopproxy.listen.ssh_login import Login
from hoopproxy.model import Arrival, Credentials, Passage, Side
from hoopproxy.rooms import IFrontend, IListener, IPeer, IScheduler, ISignal
from hoopproxy.settings import Limits, ListenerSettings
from hoopproxy.ssh.exchange import PROTOCOL_ERROR, UNAVAILABLE, ServerExchange
from hoopproxy.ssh.transport import SshTransport
from hoopproxy.wire.ssh.messages import CHANNEL_FAILURE, CHANNEL_OPEN, CHANNEL_OPEN_CONFIRMATION
from hoopproxy.wire.ssh.packets import LENGTH_BYTES, Splitter


@implementer(IListener)
class SshListener:
    """Makes frontends. Building it reads the host keys. @raise ConfigError"""

    def __init__(self, settings: ListenerSettings, limits: Limits, scheduler: IScheduler) -> None:
        expect(settings, "host_keys")
        self.settings = settings
        self._limits, self._scheduler = limits, scheduler
        self._host_keys = host_keys(settings)

    def frontend(self, connection: Connection, arrival: Arrival, adopt: Callable[[IFrontend], None]) -> IFrontend:
        return SshFrontend(connection, arrival, self._host_keys, adopt, self._limits, self._scheduler)


@implementer(IFrontend)
class SshFrontend:
    """One client."""

    side = Side.CLIENT
    handshake_limit = "login_s_max"

    def __init__(
        self,
        connection: Connection,
        arrival: Arrival,
        host_keys: Mapping[bytes, Key],
        adopt: Callable[[IFrontend], None],
        limits: Limits,
        scheduler: IScheduler,
    ) -> None:
        self.arrival = arrival
        self._adopt, self._limits, self._scheduler = adopt, limits, scheduler
        self._exchange = ServerExchange(host_keys)
        self._login = Login(self._exchange, limits)
        self._exchange.login = self._login.take
        self._transport = SshTransport(connection, self._exchange, scheduler)
        self._children: Children | None = None
        self._is_refused = False

    @property
    def lost(self) -> ISignal:
        """Set when the client is gone."""
        return self._transport.lost

    async def credentials(self) -> Credentials | None:
        if not self._exchange.is_secure:
            await self._agree_on_keys()
        while self._login.attempt is None:
            if not await self._transport.advance():
                raise ProtocolViolation(
                    "client",
                    "Your client closed the connection before its login was over.",
                    detail=self._exchange.farewell or "",
                )
        return self._login.attempt

    def again(self, why: Exception) -> bool:
        attempt = self._login.attempt
        if not isinstance(why, Refused) or attempt is None:
            return False
        # Clients show one key after the other by themselves, and nobody asked for a sentence about each.
        may_try = self._login.fail(why.sentence if attempt.key is None else "")
        self._transport.flush()
        return may_try

    async def welcome(self, passage: Passage, peer: IPeer) -> None:
        send, permit = self._transport.send, passage.permit
        self._children = Children(send, self.arrival, permit, self._adopt, self._limits, self._scheduler)
        self._transport.taken_in, self._transport.taken_out = self._is_a_childs, self._is_a_child
        self._login.succeed()
        self._transport.flush()

    def inform(self, sentence: str, words: bytes = b"") -> None:
        self._show(sentence, words)

    def refuse(self, session_id: str, why: Exception, words: bytes = b"") -> None:
        if self._is_refused or not isinstance(why, SessionError):
            return
        self._is_refused = True
        sentence = f"{why.sentence} (Session {session_id}: name it when you ask the operator of the gateway.)"
        self._show(sentence, words)
        self._transport.disconnect(PROTOCOL_ERROR if isinstance(why, ProtocolViolation) else UNAVAILABLE, sentence)

    async def read(self) -> bytes:
        return await self._transport.read()

    async def write(self, data: bytes) -> None:
        await self._transport.write(data)

    async def end(self) -> None:
        await self._transport.end()

    def close(self) -> None:
        self._part()
        self._transport.close()

    def dismiss(self) -> None:
        self._part()
        self._transport.dismiss()

    def abort(self) -> None:
        self._part()
        self._transport.abort()

    # Inside -----------------------------------------------------------------------------------------------------------

    async def _agree_on_keys(self) -> None:
        limit_s = self._limits.handshake_s_max
        try:
            await self._scheduler.within(limit_s, self._transport.secure())
        except TimeoutError as why:
            raise LimitReached(
                f"Your client did not agree on keys within {limit_s:g} s; connect again.",
                limit="limits.handshake_s_max",
            ) from why

    def _show(self, sentence: str, words: bytes) -> None:
        """Before the client is in, as a banner; afterwards by what the machine has for it."""
        with suppress(ProtocolViolation):  # it agrees on no key: then there is nobody to be told
            if self._children is None:
                self._login.tell(sentence)
            splitter = Splitter(Side.SERVER)
            splitter.append(words)
            for payload in iter(splitter.next, None):
                self._exchange.say(payload)
        self._transport.flush()

    def _is_a_child(self, payload: bytes) -> bool:
        """A channel that the machine hands back: it leads not to the target of this session but to one of its own."""
        if payload[0] != CHANNEL_OPEN or self._children is None:
            return False
        self._children.open(payload)
        return True

    def _is_a_childs(self, framed: bytes) -> bool:
        number, recipient = framed[LENGTH_BYTES], framed[LENGTH_BYTES + 1 : LENGTH_BYTES + 2]
        if recipient < b"\x80" or not CHANNEL_OPEN_CONFIRMATION <= number <= CHANNEL_FAILURE or self._children is None:
            return False
        return self._children.take(framed[LENGTH_BYTES:])

    def _part(self) -> None:
        if self._children is not None:
            self._children.close()
