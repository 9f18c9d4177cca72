"""What one channel's client is shown, within the window that it granted, and what the server may send for it.

The server spends a window that is the client's, and both count (RFC 4254 §5.2). Where the gateway masks or has its own
say, the two counts part: here both are kept, and made one again with the client's next grants. Knows no request.
"""

from collections import deque

from hoopproxy.errors import ProtocolViolation
from hoopproxy.model import Side
from hoopproxy.wire.lines import LINE_BYTES_MAX, Lines
from hoopproxy.wire.ssh import messages
from hoopproxy.wire.ssh.draft import STREAMS, Draft
from hoopproxy.wire.ssh.messages import STDERR, UINT32_MAX

PIECE_BYTES_MAX = 32_768
"""What of its own the gateway puts into one packet (the least that RFC 4253 §6.1 demands), if the client takes it."""

MASKED_WINDOW_BYTES_MAX = 1 << 20
"""What a server may send ahead where output is masked: it may grow, and then waits here for the client's window."""

WORDS_BYTES_MAX = 4096
"""Sentences of the gateway's own are dropped where so much waits for a client that takes nothing."""


class Output:
    """`room` is what the client takes by now, `granted` what the server may send."""

    def __init__(self, number: int, window: int, packet_max: int, granted_max: int) -> None:
        self._number, self._packet_max, self._granted_max = number, packet_max, granted_max
        self.room = window
        self.granted = min(window, granted_max)
        self.lines: dict[int, Lines] = {}
        self._waiting: deque[tuple[int, int, memoryview]] = deque()
        self._waiting_bytes = 0
        self._ends: list[bytes] = []
        self._is_ending = False

    @property
    def held_bytes(self) -> int:
        """How much of unfinished lines waits for their ends."""
        return sum(len(lines.held) for lines in self.lines.values())

    def spend(self, size: int) -> None:
        """The server sends so much. @raise ProtocolViolation: it may not."""
        if size > self.granted or size > self._packet_max:
            raise ProtocolViolation("server", "The target sent more than your client's window had room for.")
        self.granted -= size

    def passes(self, size: int) -> bool:
        """Whether what the server sends can go on as it is; if so, it is counted."""
        if self._waiting or size > self.room:
            return False
        self.room -= size
        return True

    def show(self, code: int, number: int, data: bytes, draft: Draft) -> None:
        """Show the client output of statement `number` (0: nobody's, so it is in no record) as soon as it may be."""
        if data:
            self._waiting.append((code, number, memoryview(data)))
            self._waiting_bytes += len(data)
            self._flush(draft)

    def say(self, words: bytes, draft: Draft) -> None:
        """Words of the gateway's own, on standard error."""
        if not self._is_ending and self._waiting_bytes < WORDS_BYTES_MAX:
            self.show(STDERR, 0, words, draft)

    def takes(self, words: bytes) -> bool:
        """Whether words could be shown at once."""
        return not (self._is_ending or self._waiting) and len(words) <= min(self.room, self._packet_max)

    def finish(self, number: int, draft: Draft) -> None:
        """Show what is held of unfinished lines. @raise AddonFailure."""
        for code, lines in self.lines.items():
            self.show(code, number, lines.finish(), draft)

    def end(self, message: bytes, draft: Draft) -> None:
        """A message that belongs behind all that is to be shown: EOF or CLOSE, say."""
        self._is_ending = True
        self._ends.append(message)
        self._flush(draft)

    def drop(self, draft: Draft) -> None:
        """The client takes no more: only the ends are left to be told."""
        self.lines = {}
        self._waiting.clear()
        self._waiting_bytes = 0
        self._flush(draft)

    def widen(self, count: int, draft: Draft) -> int:
        """The client grants so much; what the server is to be granted for it. @raise ProtocolViolation."""
        self.room += count
        if self.room > UINT32_MAX:
            raise ProtocolViolation(Side.CLIENT.value, "A window was opened wider than SSH allows.")
        self._flush(draft)
        return self._grant(self._short())

    def credit(self) -> int:
        """What the server is to be granted because less than it sent reached the client; 0 while it has enough."""
        short = self._short()
        return self._grant(short) if short >= self.granted else 0

    def _short(self) -> int:
        """By how much the server should be granted more. Where a line is held it may always finish that, or a narrow
        window would cut numbers in two; if the client takes what came before."""
        held = self.held_bytes
        room = self.room - self._waiting_bytes - held
        if held and not self._waiting:
            room = max(room, LINE_BYTES_MAX - held)
        return min(room, self._granted_max) - self.granted

    def _grant(self, count: int) -> int:
        self.granted += max(count, 0)
        return max(count, 0)

    def _flush(self, draft: Draft) -> None:
        piece_max = min(self._packet_max, PIECE_BYTES_MAX)
        while self._waiting and self.room:
            code, number, data = self._waiting.popleft()
            shown = data[: min(self.room, piece_max)]
            if len(shown) < len(data):
                self._waiting.appendleft((code, number, data[len(shown) :]))
            self.room -= len(shown)
            self._waiting_bytes -= len(shown)
            draft.client.say(messages.output(self._number, code, shown))
            if number:
                draft.stream(number, STREAMS[code], shown)
        if not self._waiting:
            for message in self._ends:
                draft.client.say(message)
            self._ends.clear()
