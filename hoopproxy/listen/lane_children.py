"""What leads elsewhere through an HTTP client (`kubectl port-forward`): each such lane is a session of its own.

The machine opens these lanes, and `adopt` has them served like any other connection, with their own verdict, lease and
recording. What stands between a lane and the client's bytes is the machine's business; knows no socket.
"""

import re
import secrets
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import replace

from twisted.internet.defer import Deferred
from zope.interface import implementer

from hoopproxy.errors import BrokenOff, Refused, Revoked, SessionError
from hoopproxy.model import Arrival, Credentials, Passage, Permit, Side
from hoopproxy.proofs import Secret
from hoopproxy.rooms import IFrontend, IPeer, IScheduler, ISignal
from hoopproxy.settings import Limits
from hoopproxy.wire.http.lanes import Frame, Kind, framed

HELD_BYTES_MAX = 262_144
"""What one child holds that its target has not taken, before the client is read no further."""

UNTAKEN_MAX = 1024
"""Frames that may wait for a client that asks without end and takes no answer, before it is read no further."""

_PLACE = re.compile(r"[A-Za-z0-9._-]{1,63}:[a-z0-9-]{1,63}/[a-z0-9.-]{1,253}:[0-9]{1,5}")
"""What may go into a log: all that the name of a pod's port may be."""


class LaneChildren:
    """The lanes of one HTTP client that are connections of their own; `permit` is that of the session around them.

    For their frontend: frames from the machine go into `take`, and all that it reads comes out of `next`.
    """

    def __init__(
        self,
        arrival: Arrival,
        permit: Permit,
        adopt: Callable[[IFrontend], None],
        limits: Limits,
        scheduler: IScheduler,
    ) -> None:
        self._arrival, self._adopt = arrival, adopt
        self.permit, self.are_gone = permit, False
        self._limits, self._scheduler = limits, scheduler
        self._lanes: dict[int, LaneFrontend] = {}
        self._waiting: deque[tuple[bytes, ISignal]] = deque()
        self._is_reading = False
        self._brought: list[bytes | Exception] = []  # at most one: what the client's own connection had
        self._changed = scheduler.signal()

    def take(self, frame: Frame) -> None:
        """What the machine says of a lane other than 0. Of one that has ended it may not know that yet."""
        if frame.kind is Kind.OPEN:
            self._open(frame.lane, frame.payload.decode("ascii", "backslashreplace"))
        elif lane := self._lanes.get(frame.lane):
            lane.take(frame)

    async def next(self, own: Callable[[], Awaitable[bytes]]) -> bytes:
        """What is to be read next: a frame of one of the lanes, or else what `own` reads of the client's connection.

        Neither starves the other, and nothing is lost when this is cancelled. While a child holds too much, `own` is
        not called: the client's lanes share one connection, and have no windows that it would respect.
        """
        while True:
            if self._brought:
                return _told(self._brought.pop())
            if not (self._is_reading or self._are_full):
                self._is_reading = True
                Deferred.fromCoroutine(self._read(own))
            if self._waiting:
                frame, taken = self._waiting.popleft()
                taken.set()
                return frame
            if not self._brought:
                await self._changed.wait()

    def close(self) -> None:
        """The client is gone, or to go: so are its lanes."""
        self.are_gone = True
        for lane in tuple(self._lanes.values()):
            lane.leave()
        self._lanes.clear()
        while self._waiting:
            self._waiting.popleft()[1].set()
        self.wake()

    # What its lanes call ----------------------------------------------------------------------------------------------

    def say(self, frame: Frame) -> ISignal:
        """Something for the machine, in its turn; set when it was taken."""
        taken = self._scheduler.signal()
        if self.are_gone:
            taken.set()
        else:
            self._waiting.append((framed(frame), taken))
            self.wake()
        return taken

    def forget(self, lane: int) -> None:
        """It is over."""
        self._lanes.pop(lane, None)
        self.wake()

    def wake(self) -> None:
        """There is something to be read, or there may be."""
        self._changed, changed = self._scheduler.signal(), self._changed
        changed.set()

    def signal(self) -> ISignal:
        """A new one."""
        return self._scheduler.signal()

    # Inside -----------------------------------------------------------------------------------------------------------

    @property
    def _are_full(self) -> bool:
        return len(self._waiting) > UNTAKEN_MAX or any(lane.is_full for lane in self._lanes.values())

    def _open(self, lane: int, name: str) -> None:
        if len(self._lanes) >= self._limits.channels_max:
            sentence = (
                f"You forward {len(self._lanes)} connections at once, and more are not allowed (limits.channels_max); "
                "close one and try again."
            )
            self.say(Frame(Kind.REFUSED, lane, sentence.encode()))
            return
        arrival = replace(
            self._arrival,
            connection_id=secrets.token_hex(8),
            protocol="pod",
            at_s=self._scheduler.now_s(),
            parent=self.permit.session_id,
        )
        child = self._lanes[lane] = LaneFrontend(arrival, lane, name, self, self._limits.chunk_bytes_max)
        self._adopt(child)

    async def _read(self, own: Callable[[], Awaitable[bytes]]) -> None:
        try:
            self._brought.append(await own())
        except Exception as why:  # noqa: BLE001 # it is told to whoever reads next
            self._brought.append(why)
        self._is_reading = False
        self.wake()


def _told(brought: bytes | Exception) -> bytes:
    if isinstance(brought, Exception):
        raise brought
    return brought


@implementer(IFrontend)
class LaneFrontend:
    """One such lane as a client connection; its target is `name`."""

    side = Side.CLIENT
    handshake_limit = "handshake_s_max"

    def __init__(self, arrival: Arrival, lane: int, name: str, siblings: LaneChildren, chunk_bytes_max: int) -> None:
        self.arrival = arrival
        self.lost = siblings.signal()
        self._lane, self._name, self._siblings = lane, name, siblings
        self._chunk_bytes_max = chunk_bytes_max
        self._unread = bytearray()
        self._changed = siblings.signal()
        self._is_welcome = self._has_ended = self._has_left = self._is_ended = self._is_closed = False

    @property
    def is_full(self) -> bool:
        """Whether it holds as much as it may of what its target has not taken."""
        return len(self._unread) > HELD_BYTES_MAX

    async def credentials(self) -> Credentials | None:
        if not _PLACE.fullmatch(self._name):
            raise Refused("What your client forwards to is no port of a pod; check its name.", reason="target")
        return Credentials(self._name, account="", database="", secret=Secret(""), parent=self._siblings.permit)

    def again(self, why: Exception) -> bool:
        return False

    async def welcome(self, passage: Passage, peer: IPeer) -> None:
        if self._siblings.are_gone:
            raise Revoked("The session that this connection belongs to has ended.")
        self._is_welcome = True
        self._siblings.say(Frame(Kind.OPENED, self._lane))

    def inform(self, sentence: str, words: bytes = b"") -> None:
        """Nothing: what comes out of such a lane is the target's alone."""

    def refuse(self, session_id: str, why: Exception, words: bytes = b"") -> None:
        if isinstance(why, SessionError):
            self._part(Kind.CLOSED if self._is_welcome else Kind.REFUSED, f"{why.sentence} (session {session_id})")

    async def read(self) -> bytes:
        while not self._unread and not (self._has_ended or self._has_left):
            await self._changed.wait()
        if not self._unread and not (self._has_ended or self._is_ended):
            raise BrokenOff("The client closed its connection amid what it sent.")
        was_full = self.is_full
        data = bytes(memoryview(self._unread)[: self._chunk_bytes_max])
        del self._unread[: len(data)]
        if was_full and not self.is_full:
            self._siblings.wake()
        return data

    async def write(self, data: bytes) -> None:
        if self._hears:
            await self._siblings.say(Frame(Kind.DATA, self._lane, data)).wait()

    async def end(self) -> None:
        if self._hears:
            self._is_ended = True
            await self._siblings.say(Frame(Kind.ENDED, self._lane)).wait()

    def close(self) -> None:
        self._part(Kind.CLOSED, "")

    def dismiss(self) -> None:
        self.close()

    def abort(self) -> None:
        self.close()

    # What the client does ---------------------------------------------------------------------------------------------

    def take(self, frame: Frame) -> None:
        """The machine says this of it."""
        match frame.kind:
            case Kind.DATA if not (self._has_ended or self._is_closed):
                self._unread += frame.payload
            case Kind.ENDED:
                self._has_ended = True
            case Kind.CLOSED:
                self.leave()
        self._wake()

    def leave(self) -> None:
        """The client wants no more of it; what it sent before still goes on."""
        self._has_left = True
        self.lost.set()
        self._wake()

    # Inside -----------------------------------------------------------------------------------------------------------

    @property
    def _hears(self) -> bool:
        return not (self._is_ended or self._has_left or self._is_closed)

    def _part(self, kind: Kind, sentence: str) -> None:
        """Once: the machine is told, unless it said so itself."""
        if not (self._is_closed or self._has_left):
            self._siblings.say(Frame(kind, self._lane, sentence.encode()))
        self._is_closed = True
        self._unread.clear()
        self._siblings.forget(self._lane)
        self.lost.set()
        self._wake()

    def _wake(self) -> None:
        """Something may be read now, or never will."""
        self._changed, changed = self._siblings.signal(), self._changed
        changed.set()
