"""A simulated client: does the handshake, plays its script, reads as fast as it likes, leaves when and how it likes.

Speaks PostgreSQL's protocol as drivers do, well or badly. Knows nothing of what the gateway should answer.
"""

from dataclasses import dataclass, field
from typing import Any

from hoopproxy.model import Side
from hoopproxy.testing.simulation.network import Line, Network
from hoopproxy.testing.simulation.scripts import CopyIn, Leave, Move, Rest, Send, Stop, Wait
from hoopproxy.testing.simulation.weather import Fate, Weather
from hoopproxy.wire.postgres.framing import Message, Reader, Splitter, message, string
from hoopproxy.wire.postgres.messages import read_backend_key_data, read_fields
from hoopproxy.wire.postgres.startup import PROTOCOL_3_0, cancel_request

ANYTHING = 1 << 30

PATIENCE_S = 1.5
"""Who reads nothing for longer may miss the gateway's last words (`limits.drain_s_max`)."""


def startup(user: str, database: str) -> bytes:
    """A StartupMessage."""
    body = PROTOCOL_3_0.to_bytes(4) + b"".join(map(string, ("user", user, "database", database))) + b"\0"
    return (len(body) + 4).to_bytes(4) + body


@dataclass(slots=True)
class Canceller:
    """Comes only to show a key, on a connection of its own."""

    key: tuple[int, bytes]
    line: Any = None

    def begin(self) -> None:
        """Show it, and go."""
        self.line.send(cancel_request(*self.key))
        self.line.leave()

    def received(self, data: bytes) -> None:
        raise AssertionError("a cancel request was answered")

    def ended(self) -> None:
        """That is all."""


@dataclass(slots=True)
class Client:
    """`saw` is all that it was sent. `has_left`: it went of its own, or reads too slowly to hear how it ended."""

    person: str
    target: str
    script: list[Move]
    network: Network
    weather: Weather
    cancel: Any = None
    line: Any = None
    saw: bytearray = field(default_factory=bytearray)
    said: bytearray = field(default_factory=bytearray)
    """What it sent after the handshake."""
    key: tuple[int, bytes] | None = None
    fatal: list[dict[str, str]] = field(default_factory=list)
    has_left: bool = False
    is_done: bool = False
    is_in: bool = False
    is_content: bool = False
    """All that it asked was answered when it left."""
    has_cancelled: bool = False
    is_struck: bool = False
    """Something happens to it."""
    _inbox: Splitter = field(default_factory=lambda: Splitter(Side.SERVER))
    _owed: int = 0
    _is_wanted: bool = False
    """Data for a COPY are wanted."""
    _is_told_no: bool = False
    _is_resting: bool = False
    _fate: Fate = Fate.NONE
    _left_bytes: int = 0

    def begin(self, line: Line) -> None:
        """It is connected."""
        self.line = line
        self._fate, self._left_bytes = self.weather.fate(self.weather.p_client)
        self.is_struck = self._fate is not Fate.NONE
        self._send(startup("reader", self.target))

    def received(self, data: bytes) -> None:
        """Read on."""
        self.saw += data
        self._inbox.append(data)
        while (received := self._inbox.next(ANYTHING, "")) is not None:
            self._take(received)
        self._suffer(len(data))
        self._play()

    def ended(self) -> None:
        """No more will come."""
        self.is_done = True

    @property
    def gateway_s_words(self) -> list[dict[str, str]]:
        """What ended it, in the gateway's words; a target's own FATAL names no session."""
        return [fields for fields in self.fatal if fields.get("H", "").startswith("Session ")]

    def _take(self, received: Message) -> None:
        match received.kind:
            case b"R" if Reader(Side.SERVER, received.body).numbers("I")[0] == 3:
                self._send(message(b"p", b"token\0"))
            case b"K":
                self.key = read_backend_key_data(received.body)
            case b"Z":
                if self.is_in:
                    self._owed -= 1
                self.is_in = True
            case b"G":
                self._is_wanted = True
            case b"E":
                self._is_told_no = True
                fields = read_fields(received.body)
                if fields.get("S") == "FATAL":
                    self.fatal.append(fields)

    def _play(self) -> None:
        """The next moves, as far as they may be made now."""
        while self.is_in and self.script and not self._is_resting and not self.is_done and not self.line.is_over:
            match self.script[0]:
                case Wait() if self._owed > 0:
                    return
                case CopyIn() if not (self._is_wanted or self._is_told_no):
                    return
            self._make(self.script.pop(0))

    def _make(self, move: Move) -> None:
        match move:
            case Send(data, readies):
                self._owed += readies
                self._is_wanted = self._is_told_no = False
                self._say(data)
            case CopyIn(data, otherwise):
                self._say(data if self._is_wanted else otherwise)
            case Rest(duration_s):
                self._is_resting = True
                self.has_left = self.has_left or duration_s > PATIENCE_S
                self.line.sleep(duration_s)
                self.network.clock.callLater(duration_s, self._go_on)
            case Stop(is_own_key):
                if self.key is not None:
                    self.has_cancelled = True
                    number, key = self.key
                    self.cancel(Canceller((number, key if is_own_key else bytes(len(key)))))
            case Leave(is_polite):
                self.has_left, self.is_content = True, self._owed == 0
                if is_polite:
                    self._say(message(b"X"))
                self.line.leave()

    def _go_on(self) -> None:
        self._is_resting = False
        self._play()

    def _say(self, data: bytes) -> None:
        self.said += data
        self._send(data)

    def _send(self, data: bytes) -> None:
        self.line.send(data)
        self._suffer(len(data))

    def _suffer(self, bytes_count: int) -> None:
        """Its own fate, at the byte that was thrown for it."""
        self._left_bytes -= bytes_count
        if self._fate is Fate.NONE or self._left_bytes > 0 or self.line.is_over:
            return
        self.network.trace.note(self.line.name, f"client: {self._fate.value}")
        fate, self._fate, self.has_left = self._fate, Fate.NONE, True
        match fate:
            case Fate.RESET:
                self.line.reset()
            case Fate.LEAVES:
                self.line.leave()
            case Fate.GARBAGE | Fate.FATAL:
                self.line.send(self.weather.garbage())
            case Fate.MUTE:
                self.script.clear()
                self.line.sleep(10_000.0)
