"""A machine between a client and a target: what a relay does, without anything that waits."""

from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

from hoopproxy.events import (
    Action,
    Ask,
    Field,
    Format,
    Forward,
    Keep,
    Plan,
    Record,
    Reject,
    Reply,
    Shape,
    Statement,
    Step,
    Streamed,
)
from hoopproxy.model import Side
from hoopproxy.requests import HttpRequest
from hoopproxy.settings import Limits
from hoopproxy.wire.http.lanes import Frame, Frames, Kind, framed
from hoopproxy.wire.http.machine import HttpWire
from hoopproxy.wire.http.messages import Answer, Headers, RequestHead, ResponseHead
from hoopproxy.wire.http.reading import Body, Relayed, Shown, Upgraded

HOP_BY_HOP = ("connection", "keep-alive", "proxy-connection", "upgrade", "te", "authorization")
SHAPE = Shape((Field("text", "", 0, 0, 25, -1, Format.TEXT),))


class Upper:
    """A body that is masked by shouting: all at once, or piece by piece; with a question before the first."""

    def __init__(self, is_whole: bool, asks: bool = True, refusal: str = "") -> None:
        self.is_whole, self._asks, self._refusal = is_whole, asks, refusal
        self._held = b""

    @property
    def held_bytes(self) -> int:
        return len(self._held)

    def feed(self, data: bytes) -> Shown:
        if self.is_whole:
            self._held += data
            return Shown()
        return self._shown(data)

    def end(self) -> Shown:
        return self._shown(self._held) if self.is_whole else Shown()

    def resume(self, plan: Plan) -> Shown:
        if plan.refusal:
            return Shown(refusal=plan.refusal)
        return self._shown(self._held)

    def _shown(self, data: bytes) -> Shown:
        if self._asks:
            self._asks, self._held = False, data
            return Shown(ask=SHAPE)
        self._held = b""
        if self._refusal:
            return Shown(refusal=self._refusal)
        return Shown(data.upper(), row_count=1, cells_masked=1)


class Echo:
    """An upgraded connection that passes all, and ends when a side says bye."""

    def __init__(self) -> None:
        self.fed: list[tuple[Side, bytes]] = []

    def begin(self) -> Relayed:
        return Relayed()

    def release(self) -> Relayed:
        return Relayed(to_client=b"released")

    def feed(self, side: Side, data: bytes) -> Relayed:
        self.fed.append((side, data))
        if data == b"bye" or not data:
            return Relayed(ended=True)
        if data == b"ask":
            return Relayed(ask=Statement(2, Action.CALL, "message"))
        if data == b"hold":
            return Relayed(hold_s=0.5)
        if data == b"child":
            return Relayed(frames=(Frame(Kind.OPEN, 1, b"pod"),))
        return Relayed(to_server=data) if side is Side.CLIENT else Relayed(to_client=data)

    def resume(self, side: Side, reply: Reply) -> Relayed:
        return Relayed(to_client=b"asked")

    def take(self, frame: Frame) -> Relayed:
        return Relayed(to_client=frame.payload)

    def farewell(self, sentence: str) -> bytes:
        return sentence.encode()


@dataclass
class FakeReading:
    """Passes all, without what is for one hop."""

    body_of: Callable[[RequestHead, ResponseHead], Body | None] = lambda request, response: None
    made: Callable[[RequestHead], tuple[Answer, Upgraded] | None] = lambda request: None
    stop: Callable[[RequestHead], Answer | None] = lambda request: None
    divert: Callable[[ResponseHead], Answer | None] = lambda response: None
    echo: Echo = field(default_factory=Echo)

    def ask(self, number: int, request: RequestHead) -> Statement | Answer:
        http = HttpRequest(request.method, request.authority, request.path, request.query, request.version)
        return self.stop(request) or Statement(number, Action.CALL, f"{request.method} {request.target}", http=http)

    def outgoing(self, request: RequestHead) -> RequestHead:
        headers = request.headers.without(*HOP_BY_HOP)
        if request.wants_upgrade:
            headers = headers.plus("connection", "upgrade").plus("upgrade", "websocket")
        if "trailers" in request.headers.tokens("te"):
            headers = headers.plus("te", "trailers")
        return replace(request, headers=headers, scheme="https", authority="target.test")

    def upgraded_here(self, number: int, request: RequestHead) -> tuple[Answer, Upgraded] | None:
        return self.made(request)

    def incoming(self, request: RequestHead, response: ResponseHead) -> ResponseHead | Answer:
        if response.status == 101:
            return response
        headers = response.headers.without(*HOP_BY_HOP)
        return self.divert(response) or replace(response, headers=headers)

    def body(self, number: int, request: RequestHead, response: ResponseHead) -> Body | None:
        return self.body_of(request, response)

    def upgraded(self, number: int, request: RequestHead, response: ResponseHead) -> Upgraded:
        return self.echo

    def says(self, status: int, sentence: str) -> Answer:
        body = sentence.encode()
        return Answer(status, Headers((("content-length", str(len(body))),)), body)


@dataclass
class Rig:
    """`refuse` answers the text of a statement with a sentence, "" allows. Lanes that are made speak `made_alpn`."""

    alpn: str = "http/1.1"
    made_alpn: str = "http/1.1"
    reading: FakeReading = field(default_factory=FakeReading)
    refuse: Callable[[str], str] = lambda text: ""
    plan: Callable[[Shape], Plan] = lambda shape: Plan(shape, (Keep(),))
    limits: Limits = field(default_factory=Limits)
    answers: bool = True
    opens: bool = True

    def __post_init__(self) -> None:
        self.wire = HttpWire(self.reading, self.limits, self.alpn, "https")
        self.to_client = bytearray()
        self.children: list[Frame] = []
        self.lanes: dict[int, bytearray] = defaultdict(bytearray)
        self.said: list[Frame] = []
        """All frames to the target's side but DATA."""
        self.records: list[Record] = []
        self.asks: dict[Side, Ask] = {}
        self.step = Step()
        self._frames = {side: Frames(side) for side in Side}

    def client(self, data: bytes, lane: int = 0) -> bytes:
        """What the client is sent in answer to this."""
        return self.feed(Side.CLIENT, framed(Frame(Kind.DATA, lane, data)))

    def client_ends(self) -> bytes:
        return self.feed(Side.CLIENT, b"")

    def target(self, data: bytes, lane: int = 0) -> bytes:
        return self.feed(Side.SERVER, framed(Frame(Kind.DATA, lane, data)))

    def says(self, kind: Kind, lane: int = 0, payload: bytes = b"") -> bytes:
        return self.feed(Side.SERVER, framed(Frame(kind, lane, payload)))

    def feed(self, side: Side, data: bytes) -> bytes:
        before = len(self.to_client)
        self._perform(side, self.wire.feed(side, data))
        return bytes(self.to_client[before:])

    def resume(self, side: Side, reply: Reply | None) -> bytes:
        before = len(self.to_client)
        self.asks.pop(side, None)
        self._perform(side, self.wire.resume(side, reply))
        return bytes(self.to_client[before:])

    def _perform(self, side: Side, step: Step) -> None:
        opened = self._take(step)
        while True:
            if step.more:
                step = self.wire.resume(side, None)
            elif step.ask is not None and self.answers:
                step = self.wire.resume(side, self._reply(step.ask))
            else:
                break
            opened += self._take(step)
        if step.ask is not None:
            self.asks[side] = step.ask
        for lane in opened if self.opens else ():
            self.says(Kind.OPENED, lane, self.made_alpn.encode())

    def _reply(self, ask: Ask) -> Reply:
        if isinstance(ask, Shape):
            return self.plan(ask)
        sentence = self.refuse(ask.text)
        return Reject(sentence) if sentence else Forward(ask.text)

    def _take(self, step: Step) -> list[int]:
        self.step = step
        self.records.extend(step.records)
        opened = []
        for side, data in ((Side.CLIENT, step.to_client), (Side.SERVER, step.to_server)):
            frames = self._frames[side]
            frames.append(data)
            while (frame := frames.next()) is not None:
                if side is Side.CLIENT and frame.lane == 0:
                    self.to_client += frame.payload
                elif side is Side.CLIENT:
                    self.children.append(frame)
                elif frame.kind is Kind.DATA:
                    self.lanes[frame.lane] += frame.payload
                else:
                    self.said.append(frame)
                    opened += [frame.lane] if frame.kind is Kind.OPEN else []
        return opened

    def sent(self, lane: int = 0) -> bytes:
        """What that lane was sent since this was asked last."""
        data = bytes(self.lanes[lane])
        self.lanes[lane].clear()
        return data

    def noted(self) -> list[Any]:
        """Records, with what was streamed in one piece."""
        joined: list[Any] = []
        for record in self.records:
            last = joined[-1] if joined else None
            if isinstance(record, Streamed) and isinstance(last, Streamed) and last.stream == record.stream:
                joined[-1] = replace(last, raw=last.raw + record.raw)
            else:
                joined.append(record)
        return joined
