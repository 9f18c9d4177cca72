"""The machine of HTTP between a client and a target, and someone who watches that it keeps what it promises.

The target's lanes are read by parsers of their own, h11 and h2: so what the machine sends is taken apart by others than
who put it together. Knows nothing of what should be answered.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

import h11
from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.events import DataReceived, RequestReceived, StreamReset

from fuzz.endings import Ending, ending
from fuzz.http_says import CANARY, FORBIDDEN, SECRET, TOKEN
from hoopproxy.errors import SessionError
from hoopproxy.events import Answered, Ask, Asked, Forward, Record, Reject, Reply, Shape, Step
from hoopproxy.evidence.transcript import Transcript
from hoopproxy.model import Side
from hoopproxy.proofs import Secret, TargetSecret
from hoopproxy.settings import Limits
from hoopproxy.targets import HttpTarget
from hoopproxy.wire.http.fields import folded
from hoopproxy.wire.http.halves import SERVER_PREFACE
from hoopproxy.wire.http.lanes import Frame, Frames, Kind, framed
from hoopproxy.wire.http.machine import HttpWire
from tests.wire.http.plainly import CUSTOMER, Scene, regulated, rule

LIMITS = Limits(head_bytes_max=2048, document_bytes_max=4096, message_bytes_max=1024, lanes_max=3)
REFUSED = "The security team refuses this request; ask them."
STEPS_MAX = 2000
OWN_LINE = b"\r\nHost: crm.i"
"""What only the gateway says."""
LEADING = ("location", "refresh", "content-location", "alt-svc")
ENDPOINTS = (CUSTOMER, "/events", "/lines")


@dataclass
class Target:
    """One lane's other end. `asked` are the requests that it has got whole heads of, `bodies` what came of theirs."""

    alpn: str
    asked: list[tuple[str, str]] = field(default_factory=list)
    bodies: list[bytearray] = field(default_factory=list)
    waiting: list[tuple[int, bool]] = field(default_factory=list)
    """Streams that have no answer yet, and whether only the head is wanted."""
    broke: str = ""
    raw: bytearray = field(default_factory=bytearray)

    def __post_init__(self) -> None:
        self._h1 = h11.Connection(h11.SERVER, max_incomplete_event_size=1 << 20)
        self._h2 = H2Connection(H2Configuration(client_side=False, header_encoding="latin-1"))
        self._bodies: dict[int, bytearray] = {}

    def greeting(self) -> bytes:
        """What it says first."""
        if self.alpn != "h2":
            return b""
        self._h2.initiate_connection()
        return self._h2.data_to_send()

    def hears(self, data: bytes) -> None:
        """What the machine sent."""
        self.raw += data
        if self.alpn == "h2":
            self._hears_frames(data)
        else:
            self._h1.receive_data(data)
            self._take()

    def _take(self) -> None:
        while True:
            if self._h1.their_state is h11.DONE and self._h1.our_state in (h11.SEND_RESPONSE, h11.SEND_BODY):
                return  # it is not answered yet, and the next one waits
            event = self._h1.next_event()
            match event:
                case h11.Request(method=method, target=target, headers=headers):
                    self.asked.append((method.decode(), target.decode("latin-1")))
                    self._shown([(name.decode(), value.decode("latin-1")) for name, value in headers])
                    self.bodies.append(bytearray())
                    self.waiting.append((0, method == b"HEAD"))
                case h11.Data(data=data):
                    self.bodies[-1] += data
                case _ if event in (h11.NEED_DATA, h11.PAUSED):
                    return
                case h11.ConnectionClosed():
                    return

    def _shown(self, headers: Iterable[tuple[str, str]]) -> None:
        shown = [value for name, value in headers if folded(name) in ("authorization", "proxy-authorization")]
        assert shown == [f"Bearer {SECRET}"], f"the target was shown {shown}"

    def answered(self) -> None:
        """Of HTTP/1.1: whatever it was, the next request may come now."""
        if self.alpn == "h2" or self._h1.our_state is not h11.SEND_RESPONSE:
            return
        is_whole = self._h1.their_state is h11.DONE
        self._h1.send(h11.Response(status_code=200, headers=[("content-length", "0")]))
        self._h1.send(h11.EndOfMessage())
        if is_whole and self._h1.our_state is h11.DONE and self._h1.their_state is h11.DONE:
            self._h1.start_next_cycle()
            self._take()

    def _hears_frames(self, data: bytes) -> None:
        for event in self._h2.receive_data(data):
            match event:
                case RequestReceived(stream_id=stream, headers=headers):
                    named = {str(name): str(value) for name, value in headers}
                    self.asked.append((named[":method"], named[":path"]))
                    self._shown(named.items())
                    self.waiting.append((stream, named[":method"] == "HEAD"))
                    self._bodies[stream] = bytearray()
                    self.bodies.append(self._bodies[stream])
                case DataReceived(stream_id=stream, data=piece):
                    self._bodies[stream] += piece
                case StreamReset(stream_id=stream):
                    self.waiting = [each for each in self.waiting if each[0] != stream]


class Stage:
    """Feed it until it is `over`. With `is_masked`, what its target says at an endpoint is masked."""

    def __init__(self, alpn: str, *, is_masked: bool, is_h2: bool) -> None:
        # What is not listed is masked, too: a byte that is changed in a name makes another one of it.
        lists = [regulated("$.id", "$.name", endpoint=each) for each in ENDPOINTS if is_masked]
        masks = [rule("$..pan")] if is_masked else []
        secret = TargetSecret("gateway", Secret(SECRET))
        http = HttpTarget(endpoints=ENDPOINTS)
        self._scene = Scene(*masks, *lists, http=http, limits=LIMITS, secret=secret)
        self._wire = HttpWire(self._scene.reading, LIMITS, alpn, "https")
        self._is_masked = is_masked
        self.shown = bytearray(SERVER_PREFACE if is_h2 else b"")
        self.lanes: dict[int, Target] = {0: Target(alpn)}
        self.unheard: list[Frame] = []
        """What the target's side has to say of its own accord: greetings, lanes that opened or closed."""
        self.records: list[Record] = []
        self.broke: Ending | None = None
        self.paused: frozenset[Side] = frozenset()
        self.ended = False
        self._forwarded = self._said = 0
        self._frames = {side: Frames(side) for side in Side}
        self._transcript = Transcript()
        self._asks: dict[Side, Ask | None] = dict.fromkeys(Side)
        if greeting := self.lanes[0].greeting():
            self.unheard.append(Frame(Kind.DATA, 0, greeting))

    @property
    def over(self) -> bool:
        """Whether nothing more can happen."""
        return self.ended or self.broke is not None

    def client(self, data: bytes) -> None:
        """Bytes of the client's; b"": it sends no more."""
        self._feed(Side.CLIENT, framed(Frame(Kind.DATA, 0, data)) if data else b"")

    def target(self, frame: Frame) -> None:
        """Something of the target's side."""
        self._feed(Side.SERVER, framed(frame))

    def settle(self) -> None:
        """Let the target's side say what it has to."""
        while self.unheard and not self.over and Side.SERVER not in self.paused:
            self.target(self.unheard.pop(0))

    def _feed(self, side: Side, data: bytes) -> None:
        if self.over:
            return
        self._said += len(data)
        self._run(side, lambda: self._wire.feed(side, data))

    def _run(self, side: Side, begin: Callable[[], Step]) -> None:
        try:
            step = begin()
            self._watch(step)
            for _ in range(STEPS_MAX):
                if not (step.ask is not None or step.more) or step.ended:
                    break
                reply = None if step.ask is None else self._reply(step.ask)
                step = self._wire.resume(side, reply)
                self._watch(step)
            else:
                raise AssertionError("it goes on without end")
        except SessionError as why:
            self.broke = ending(why)
            self._broken(self.broke)

    def _reply(self, ask: Ask) -> Reply:
        if isinstance(ask, Shape):
            return self._scene.plan(ask)
        assert ask.http is not None
        if ask.http.path.lower().startswith(FORBIDDEN):
            return Reject(REFUSED)
        self._forwarded += 1
        return Forward(ask.text)

    # What must hold ---------------------------------------------------------------------------------------------------

    def _watch(self, step: Step) -> None:
        self._transcript.recorded(0.0, step.records)  # evidence can write down whatever happened
        self.records += step.records
        self.paused, self.ended = step.pause, step.ended
        for answered in (each for each in step.records if isinstance(each, Answered)):
            astray = [name for name, value in answered.headers if "evil" in value and name.lower() in LEADING]
            assert not astray, f"{astray} would lead the client elsewhere"
        for frame in self._taken(Side.CLIENT, step.to_client):
            assert frame.lane == 0 and frame.kind is Kind.DATA, f"a client is told {frame}"
            self.shown += frame.payload
        for frame in self._taken(Side.SERVER, step.to_server):
            self._hears(frame)
        self._within_limits()

    def _taken(self, side: Side, data: bytes) -> list[Frame]:
        frames = self._frames[side]
        frames.append(data)
        taken = list(iter(frames.next, None))
        assert not frames.is_amid
        return taken

    def _hears(self, frame: Frame) -> None:
        if frame.kind is Kind.OPEN:
            assert frame.lane not in self.lanes
            self.lanes[frame.lane] = Target("h2" if b"h2" in frame.payload else "http/1.1")
            self.unheard.append(Frame(Kind.OPENED, frame.lane, self.lanes[frame.lane].alpn.encode()))
            if greeting := self.lanes[frame.lane].greeting():
                self.unheard.append(Frame(Kind.DATA, frame.lane, greeting))
        elif frame.kind is Kind.DATA:
            lane = self.lanes[frame.lane]
            lane.hears(frame.payload)
            assert all(FORBIDDEN not in path.lower() for _, path in lane.asked), "nobody allowed that"
            assert all(OWN_LINE not in body for body in lane.bodies), "a request was taken for the body of another"

    def _within_limits(self) -> None:
        asked = sum(len(lane.asked) for lane in self.lanes.values())
        # One that was on an idle lane may be sent once more.
        assert asked <= 2 * self._forwarded, "the target heard more than was allowed"
        assert self._forwarded == sum(isinstance(each, Asked) for each in self.records)
        if not self._forwarded:
            assert all(not lane.raw for lane in self.lanes.values() if lane.alpn != "h2"), "there was no verdict"
        assert len(self.shown) <= 4096 + 400 * (self._forwarded + 1) + 60 * self._said
        assert SECRET.encode() not in self.shown, "the gateway's credential was shown to the client"
        if self._is_masked:
            assert CANARY.encode() not in self.shown, "a masked value was shown"
            assert all(CANARY.encode() not in getattr(each, "raw", b"") for each in self.records)

    def _broken(self, why: Ending) -> None:
        """Nothing of theirs is in its words."""
        assert all(each not in text for text in why for each in (TOKEN, SECRET, CANARY))
        assert all(each.encode() not in self._wire.words(why[1]) for each in (TOKEN, SECRET, CANARY))

    def last_words(self) -> None:
        """May be asked for whenever it goes on, and change nothing."""
        if not self.over:
            before = len(self._wire.words("The session has ended."))
            assert len(self._wire.words("The session has ended.")) == before
