"""Raw TCP as a machine: one question before the first byte, then every byte as it is, until both directions ended.

Understands nothing of what passes, so that it can mask nothing either. Knows no socket.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from zope.interface import implementer

from hoopproxy.errors import Refused
from hoopproxy.events import Action, Asked, Completed, Copied, Forward, Record, Reject, Rejected, Reply, Statement, Step
from hoopproxy.model import Passage, Side
from hoopproxy.rooms import IPeer, IWire, IWireFactory
from hoopproxy.settings import Limits

STATEMENT = Statement(1, Action.OPEN, "tcp", outline="tcp")
"""The one thing that is asked about: whether anything may pass."""

BY_CONTENT = "*"
"""Among protected paths: what somebody who knows values would mask. Nobody can say what here is one."""

NOTHING_HELD: Mapping[Side, bytes] = MappingProxyType(dict.fromkeys(Side, b""))


@implementer(IWireFactory)
class TcpWires:
    """Makes machines."""

    treatment = "not parsed, not masked"

    def __init__(self, limits: Limits) -> None:
        """No limit is needed: a machine holds no more than what came in one read from each side."""

    def wire(self, passage: Passage, peer: IPeer, protected: frozenset[str], rows_recorded_max: int) -> "TcpWire":
        """@raise Refused: the policy hides something by its name, which nobody could keep."""
        if names := protected - {BY_CONTENT}:
            raise Refused(
                f"Parts of target '{passage.permit.target.name}' are hidden from you, which raw TCP can't do; "
                "ask the owner of the data.",
                reason="target",
                detail=f"masks of {', '.join(sorted(names))} on a raw TCP target",
            )
        return TcpWire()


@implementer(IWire)
class TcpWire:
    """One connection. Whoever speaks first, it may be the target: it waits, and so does the other, for the answer."""

    def __init__(self) -> None:
        self._asked: Side | None = None  # whose bytes the question is about
        self._is_open = False
        self._refusal = ""
        self._held = {side: b"" for side in Side}
        self._bytes = dict.fromkeys(Side, 0)
        self._ended: frozenset[Side] = frozenset()

    def feed(self, side: Side, data: bytes) -> Step:
        self._bytes[side] += len(data)
        if not data:
            self._ended |= {side}
        if not self._is_open:
            self._held[side] += data
            if self._asked is None:
                self._asked = side
                return self._waits(ask=STATEMENT)
            return self._waits()
        if not data:
            return self._passes(ends=frozenset((side,)))
        return Step(to_server=data, is_idle=True) if side is Side.CLIENT else Step(to_client=data, is_idle=True)

    def resume(self, side: Side, reply: Reply | None) -> Step:
        """@raise Refused: once the answer is recorded, which was no."""
        if isinstance(reply, Forward):
            return self._waits(records=(Asked(STATEMENT),), more=True)  # nothing passes before that is durable
        if isinstance(reply, Reject):
            self._refusal = reply.sentence
            return self._waits(records=(Rejected(STATEMENT, reply.sentence),), more=True)
        if self._refusal:
            raise Refused(self._refusal, reason="statement")
        self._is_open = True
        held, self._held = self._held, {}
        return self._passes(held, self._ended)

    def release(self, side: Side) -> Step:
        return Step(is_idle=True)

    def words(self, sentence: str) -> bytes:
        return b""

    def _waits(self, **wanted: Any) -> Step:
        """Not yet: the side that was not asked about is read no further."""
        assert self._asked is not None
        return Step(**wanted, pause=frozenset((self._asked.other,)), is_idle=True)

    def _passes(self, held: Mapping[Side, bytes] = NOTHING_HELD, ends: frozenset[Side] = frozenset()) -> Step:
        """What was held, and behind it the ends of stream of `ends`."""
        records: list[Record] = [Copied(STATEMENT.number, side, self._bytes[side]) for side in Side if side in ends]
        if is_over := len(self._ended) == len(Side):
            records.append(Completed(STATEMENT.number, "closed", row_count=0))
        return Step(
            to_client=held[Side.SERVER],
            to_server=held[Side.CLIENT],
            records=tuple(records),
            half_closes=frozenset(side.other for side in ends),
            ended=is_over,
            is_idle=True,
        )
