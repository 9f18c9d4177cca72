"""What a protocol over HTTP makes of its messages: the seam between the machine, which knows no meaning, and meaning.

`plain.PlainReading` is HTTP's own, `kubernetes.KubernetesReading` a cluster's. Knows neither bytes nor lanes.
"""

from dataclasses import dataclass, field
from typing import Protocol

from hoopproxy.events import Plan, Record, Reply, Shape, Statement
from hoopproxy.model import Side
from hoopproxy.wire.http.lanes import Frame
from hoopproxy.wire.http.messages import Answer, RequestHead, ResponseHead


@dataclass(frozen=True, slots=True)
class Shown:
    """What becomes of a piece of a body. With an `ask`, nothing more is fed before `resume`. `refusal` (a sentence)
    ends the body: in the whole response's place while its head is not sent, and as a broken one from then on.
    `cells_masked` of `row_count` values were changed."""

    data: bytes = field(default=b"", repr=False)
    ask: Shape | None = None
    refusal: str = ""
    row_count: int = 0
    cells_masked: int = 0


class Body(Protocol):
    """One response's body on its way to the client, masked. A machine without I/O, fed in order."""

    is_whole: bool
    """Whether all of it comes at once, at its end: then the response's head waits for it, and its length is told."""

    @property
    def held_bytes(self) -> int:
        """Roughly, what lies here of it until more has come."""

    def feed(self, data: bytes) -> Shown:
        """More of it, as the target sent it; at least one byte."""

    def end(self) -> Shown:
        """That was all."""

    def resume(self, plan: Plan) -> Shown:
        """The answer to the ask of the last `Shown`."""


@dataclass(frozen=True, slots=True)
class Relayed:
    """What becomes of bytes of an upgraded connection. `frames` are for the client's other lanes (children). With an
    `ask`, nothing more of the same side is fed before `resume`. `ended`: both directions are over. `hold_s`: as in a
    `Step`; after what the target sent."""

    to_client: bytes = field(default=b"", repr=False)
    to_server: bytes = field(default=b"", repr=False)
    records: tuple[Record, ...] = ()
    frames: tuple[Frame, ...] = ()
    ask: Statement | Shape | None = None
    ended: bool = False
    hold_s: float = 0.0


class Upgraded(Protocol):
    """A connection after its 101: WebSocket's frames, as bytes, both ways. A machine without I/O.

    @raise ProtocolViolation: one of the sides breaks RFC 6455, or a limit.
    """

    def begin(self) -> Relayed:
        """Once, right behind the 101 and before anything is fed: what the gateway says or opens of its own accord."""

    def feed(self, side: Side, data: bytes) -> Relayed:
        """More of what that side sent; b"": it will send no more."""

    def resume(self, side: Side, reply: Reply) -> Relayed:
        """The answer to the ask of that side's last `Relayed`, and what it had sent behind it."""

    def release(self) -> Relayed:
        """The target has paused for the last `hold_s`: what is held back of what it sent."""

    def take(self, frame: Frame) -> Relayed:
        """A frame of one of the client's other lanes."""

    def farewell(self, sentence: str) -> bytes:
        """A close frame for the client that says it, b"" where it has been sent one. Nothing is changed by this: it may
        be that nobody is shown it."""


class Reading(Protocol):
    """One connection's. Methods are called in the order of this list, for one request after the other, or interleaved
    where requests are. Total: what can't be read is refused."""

    def ask(self, number: int, request: RequestHead) -> Statement | Answer:
        """The question for the guards, or the answer to a request that nobody needs to be asked about: a foreign
        authority (421), other credentials than the connection began with, a method that would echo secrets."""

    def outgoing(self, request: RequestHead) -> RequestHead:
        """The request for the target: without the client's credentials and hop-by-hop fields, with the target's."""

    def upgraded_here(self, number: int, request: RequestHead) -> tuple[Answer, Upgraded] | Answer | None:
        """For an upgrade that the gateway answers itself, with a 101 or with a refusal: instead of `outgoing`."""

    def incoming(self, request: RequestHead, response: ResponseHead) -> ResponseHead | Answer:
        """The response for the client; or what it gets instead of one that would lead it elsewhere."""

    def body(self, number: int, request: RequestHead, response: ResponseHead) -> Body | None:
        """How the response's body is masked; None: it passes as it is. `response` as from `incoming`."""

    def upgraded(self, number: int, request: RequestHead, response: ResponseHead) -> Upgraded:
        """After the target's 101."""

    def says(self, status: int, sentence: str) -> Answer:
        """A refusal in the protocol's own words, with the session's id."""
