"""What one side sends, cut into payloads that are read where they lie: nothing is copied that only passes.

Knows no message. `packets.Splitter` is for those who want a payload each.
"""

from hoopproxy.errors import ProtocolViolation
from hoopproxy.model import Side
from hoopproxy.wire.ssh.packets import LENGTH_BYTES, PAYLOAD_BYTES_MAX


class Intake:
    """After `next` the payload is `data[start:end]`, and its frame begins `LENGTH_BYTES` before it.

    What arrives while a payload is incomplete is joined once, when it is complete: O(n) however it is cut.
    """

    def __init__(self, side: Side) -> None:
        self.side = side
        self.data = b""
        self.start = self.end = 0
        self._later: list[bytes] = []
        self._later_bytes = 0

    def append(self, data: bytes) -> None:
        """Take what arrived."""
        if self.end == len(self.data) and not self._later:
            self.data, self.start, self.end = data, 0, 0
        else:
            self._later.append(data)
            self._later_bytes += len(data)

    def next(self) -> bool:
        """Go on to the next payload, if it is whole. @raise ProtocolViolation: a length that no payload has."""
        while True:
            start = self.end + LENGTH_BYTES
            left = len(self.data) - start
            if left >= 0:
                length = int.from_bytes(self.data[self.end : start])
                if not 0 < length <= PAYLOAD_BYTES_MAX:
                    raise ProtocolViolation(
                        self.side.value, "A packet has a length that no SSH packet has.", detail=f"{length} bytes"
                    )
                if left >= length:
                    self.start, self.end = start, start + length
                    return True
                if left + self._later_bytes < length:
                    return False
            elif not self._later:
                return False
            self._join()

    def go_back(self) -> None:
        """The same payload comes next once more."""
        self.end = self.start - LENGTH_BYTES

    def _join(self) -> None:
        self.data = b"".join((memoryview(self.data)[self.end :], *self._later))
        self.start = self.end = 0
        self._later.clear()
        self._later_bytes = 0
