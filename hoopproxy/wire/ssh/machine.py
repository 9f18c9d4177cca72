"""One relayed SSH connection as a machine without I/O: the two directions, joined by their channels.

Knows neither sockets nor addons, and no encryption: it reads the payloads of the connection protocol, framed as in
`packets`. `client_half` and `server_half` hold the rules of each direction.
"""

import sys
from itertools import count

from zope.interface import implementer

from hoopproxy.errors import ProtocolViolation
from hoopproxy.events import Ask, Reply, Step
from hoopproxy.model import Passage, Side
from hoopproxy.rooms import IPeer, IWire, IWireFactory
from hoopproxy.settings import Limits
from hoopproxy.wire.direction import Direction
from hoopproxy.wire.ssh.channels import Channels, words
from hoopproxy.wire.ssh.client_half import ClientHalf
from hoopproxy.wire.ssh.draft import Draft
from hoopproxy.wire.ssh.server_half import ServerHalf
from hoopproxy.wire.ssh.terms import Terms

_NOBODY: frozenset[Side] = frozenset()
_CLIENT = frozenset((Side.CLIENT,))

STEP_MESSAGES_MAX = 256
"""Messages of one step where others wait for their turn: some milliseconds of the tiniest ones."""


@implementer(IWire)
class SshWire:
    """A machine in the state right after `welcome`: both ends are logged in and no channel is open.

    It pauses the client while `limits.pending_statements_max` requests are unanswered. It has ended when either side
    left. No step goes through more than `messages_max` messages.
    """

    def __init__(self, terms: Terms, messages_max: int = sys.maxsize) -> None:
        self._messages_max = messages_max
        self._channels = Channels()
        self._client, self._server = ClientHalf(terms, self._channels), ServerHalf(terms, self._channels)
        self._from_client: Direction[ClientHalf | ServerHalf] = Direction(Side.CLIENT, self._client)
        self._from_server: Direction[ClientHalf | ServerHalf] = Direction(Side.SERVER, self._server)
        self._ended = self._broken = False

    def feed(self, side: Side, data: bytes) -> Step:
        direction = self._from(side)
        direction.may_be_fed()
        if not data:
            return self._left(side)
        direction.half.append(data)
        return self._run(side, direction, None)

    def resume(self, side: Side, reply: Reply | None) -> Step:
        direction = self._from(side)
        direction.may_resume(reply)
        return self._run(side, direction, reply)

    def release(self, side: Side) -> Step:
        if side is Side.CLIENT or self._from_server.is_busy:
            raise AssertionError("nothing is held back for a time")
        self._begin(side)
        draft = Draft()
        if not self._ended:
            self._server.release(draft)
        return self._finish(side, draft)

    def words(self, sentence: str) -> bytes:
        """On standard error of each channel in which something runs and whose window has room."""
        said, draft = words(sentence), Draft()
        for channel in self._channels:
            if channel.run is not None and channel.output.takes(said):
                channel.output.say(said, draft)
        return draft.client.taken()

    def _from(self, side: Side) -> Direction[ClientHalf | ServerHalf]:
        return self._from_client if side is Side.CLIENT else self._from_server

    def _run(self, side: Side, direction: Direction[ClientHalf | ServerHalf], reply: Reply | None) -> Step:
        self._begin(side)
        half, draft = direction.half, Draft(self._messages_max)
        if self._ended:
            return self._finish(side, draft)
        if reply is not None:
            half.answer(reply, draft)
        ask = half.run(draft)
        direction.is_asking, direction.is_unfinished = ask is not None, draft.is_full
        return self._finish(side, draft, ask)

    def _begin(self, side: Side) -> None:
        if self._broken:
            raise ProtocolViolation(side.value, "This connection was broken off before.")
        self._broken = True  # unless the step is finished

    def _finish(self, side: Side, draft: Draft, ask: Ask | None = None) -> Step:
        self._broken = False
        pause = _CLIENT if self._client.is_full else _NOBODY
        hold_s = self._server.holding.hold_s if side is Side.SERVER else 0.0
        return draft.step(ask, pause, self._ended, self._is_idle(), hold_s)

    def _is_idle(self) -> bool:
        """Whether the client waits for no answer. For what a running command does nobody knows."""
        is_busy = self._from_client.is_busy or self._from_server.is_busy
        return not (is_busy or self._channels.opening or self._channels.owed[Side.CLIENT].count)

    def _left(self, side: Side) -> Step:
        """End of stream: SSH has no half-closed connections, so nothing is answered any more."""
        self._begin(side)
        draft = Draft()
        if side is Side.SERVER and not self._ended:
            self._server.release(draft)
        for channel in self._channels:
            self._channels.over(channel, draft)
        self._ended = True
        return self._finish(side, draft)


@implementer(IWireFactory)
class SshWires:
    """Makes machines."""

    treatment = "parsed, output masked"

    def __init__(self, limits: Limits) -> None:
        self._limits = limits

    def wire(self, passage: Passage, peer: IPeer, protected: frozenset[str], rows_recorded_max: int) -> IWire:
        is_masked = "*" in protected  # what is protected by its origin, a column, has no place in a stream
        terms = Terms(is_masked, passage.permit.target.environment, self._limits, count(1))
        return SshWire(terms, STEP_MESSAGES_MAX)
