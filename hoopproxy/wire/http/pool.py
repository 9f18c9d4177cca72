"""Which lane serves which request: reused where one is free, made where none is, and waited for in order.

Knows no request's meaning and no client.
"""

from collections import deque
from dataclasses import dataclass, field
from typing import Protocol, Self

from hoopproxy.settings import Limits
from hoopproxy.wire.http.halves import server_half
from hoopproxy.wire.http.lanes import Frame, Kind, framed
from hoopproxy.wire.http.parts import Broken, FromServer
from hoopproxy.wire.http.server_half import Http1ServerHalf, ServerHalf

HTTP1 = "http/1.1"


class Seated(Protocol):
    """What has its turn on a lane. `number` is what its parts are called there; `is_again`: it had its turn on one that
    was idle for too long."""

    number: int
    needs_http1: bool
    is_again: bool

    def seated(self, lane: "Lane[Self]") -> None:
        """It has this lane now."""

    def unserved(self, sentence: str) -> None:
        """There is no lane for it, for a reason that its client is told."""


@dataclass(eq=False, slots=True)
class Lane[Request: Seated]:
    """A connection to the target. `half` is None until it is open. `is_fresh`: it has served nobody yet; `is_heard`:
    something came since it was last given to somebody; `is_gone`: the target closed it."""

    number: int
    is_http1: bool = False
    half: ServerHalf | None = None
    seats: dict[int, Request] = field(default_factory=dict)
    is_fresh: bool = True
    is_paused: bool = False
    is_heard: bool = False
    is_gone: bool = False

    @property
    def open_half(self) -> ServerHalf:
        """@raise AssertionError: it is not open yet."""
        assert self.half is not None, f"lane {self.number} is not open"
        return self.half

    def has_room_for(self, seated: Request) -> bool:
        """Whether it can serve that now."""
        if self.half is None or not self.half.has_room:
            return False
        return (self.is_fresh or not seated.is_again) if self.is_http1 else not seated.needs_http1


class Pool[Request: Seated]:
    """All lanes of one session's connection. Lane 0 is open, and speaks what ALPN agreed on."""

    def __init__(self, limits: Limits, alpn: str) -> None:
        self._limits, self._alpn = limits, alpn
        self._lanes: dict[int, Lane[Request]] = {}
        self._next = 1
        self._waiting: deque[Request] = deque()
        self._frames: list[Frame] = []
        self._opened(self._lane(0), alpn)

    # Requests ---------------------------------------------------------------------------------------------------------

    def want(self, seated: Request) -> None:
        """It waits for its turn."""
        self._waiting.append(seated)

    def leave(self, seated: Request, lane: Lane[Request] | None) -> None:
        """It is done with its lane, or waits no more."""
        if lane is None:
            if seated in self._waiting:
                self._waiting.remove(seated)
            return
        if lane.seats.pop(seated.number, None) is not None:
            lane.is_fresh = False
            lane.open_half.forget(seated.number)
            self.pause(lane, False)

    def seat(self) -> None:
        """Give lanes to those who wait, in order, and have those made that are missing."""
        while self._waiting and (lane := self._free(self._waiting[0])) is not None:
            seated = self._waiting.popleft()
            lane.seats[seated.number] = seated
            lane.is_heard = False
            seated.seated(lane)
        if self._waiting:
            self._make()

    def _free(self, seated: Request) -> Lane[Request] | None:
        return next((lane for lane in self._lanes.values() if lane.has_room_for(seated)), None)

    def _make(self) -> None:
        is_http1 = self._waiting[0].needs_http1 or self._alpn != "h2"
        wanted = len(self._waiting) if is_http1 else 1
        wanted -= sum(lane.half is None for lane in self._lanes.values())
        if len(self._lanes) == self._limits.lanes_max and wanted > 0:
            self._give_up_one()
        for _ in range(min(wanted, self._limits.lanes_max - len(self._lanes))):
            lane = self._lane(self._next)
            self._next += 1
            offers = self._alpn if self._alpn != "h2" else HTTP1 if is_http1 else f"h2,{HTTP1}"
            self._frames.append(Frame(Kind.OPEN, lane.number, offers.encode()))

    def _give_up_one(self) -> None:
        """An idle lane that is of no use to who waits first."""
        for lane in self._lanes.values():
            if lane.half is not None and not lane.seats:
                self._gone(lane)
                return

    # Lanes ------------------------------------------------------------------------------------------------------------

    def take(self, frame: Frame) -> None:
        """What the target's side says. Parts of messages come of it: see `speaking`."""
        lane = self._lanes.get(frame.lane)
        if lane is None:
            return  # it was given up, and this was on its way
        match frame.kind:
            case Kind.OPENED:
                self._opened(lane, frame.payload.decode("latin-1"))
            case Kind.REFUSED:
                del self._lanes[lane.number]
                self._refuse(frame.payload.decode("utf-8", "replace"))
            case Kind.DATA:
                lane.is_heard = True
                lane.open_half.receive(frame.payload)
            case Kind.ENDED | Kind.CLOSED if lane.half is None:
                del self._lanes[lane.number]
            case Kind.ENDED | Kind.CLOSED:
                lane.is_gone = frame.kind is Kind.CLOSED
                self._ended(lane, frame.payload.decode("utf-8", "replace"))

    def _opened(self, lane: Lane[Request], alpn: str) -> None:
        lane.half = server_half(self._limits, alpn)
        lane.is_http1 = isinstance(lane.half, Http1ServerHalf)

    def _refuse(self, sentence: str) -> None:
        """Who waited for it waits no more; where there is no other lane, nobody does."""
        for _ in range(1 if self._lanes else len(self._waiting)):
            if self._waiting:
                self._waiting.popleft().unserved(sentence)

    def _ended(self, lane: Lane[Request], why: str) -> None:
        half = lane.open_half
        if why:  # it broke off: what would end with the connection is not whole
            half.parts.extend(Broken(number, why) for number in lane.seats)
        else:
            half.receive(b"")
        half.is_over = True

    def speaking(self) -> tuple[Request, FromServer] | None:
        """The next part that a target sent, and to which request; None: there is none."""
        for lane in self._lanes.values():
            half = lane.half
            while half is not None and half.parts:
                part = half.parts.popleft()
                if (seated := lane.seats.get(part.stream)) is not None:
                    return seated, part
            if half is not None and half.is_over and lane.seats:
                seated = next(iter(lane.seats.values()))
                return seated, Broken(seated.number, "it closed the connection")
        return None

    def pause(self, lane: Lane[Request], is_paused: bool) -> None:
        """Whether nothing more of that lane is wanted for now."""
        if is_paused != lane.is_paused:
            lane.is_paused = is_paused
            self._frames.append(Frame(Kind.PAUSE if is_paused else Kind.RESUME, lane.number))

    def taken(self) -> bytes:
        """What the target's side is to be told, once."""
        for lane in tuple(self._lanes.values()):
            if lane.half is not None:
                if data := lane.half.taken():
                    self._frames.append(Frame(Kind.DATA, lane.number, data))
                if (lane.half.is_over or (lane.half.is_leaving and not lane.seats)) and not lane.half.parts:
                    self._gone(lane)
        frames, self._frames = self._frames, []
        return b"".join(map(framed, frames))

    def _gone(self, lane: Lane[Request]) -> None:
        del self._lanes[lane.number]
        if not lane.is_gone:
            self._frames.append(Frame(Kind.CLOSED, lane.number))

    def _lane(self, number: int) -> Lane[Request]:
        lane = self._lanes[number] = Lane(number)
        return lane
