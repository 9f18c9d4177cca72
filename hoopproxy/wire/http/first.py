"""The first request of a connection, before anything is believed: read to the end of its head, and answered when it
leads nowhere.

The machine reads the same bytes again. Knows no credentials and no target.
"""

from hoopproxy.errors import ProtocolViolation
from hoopproxy.model import Side
from hoopproxy.settings import Limits
from hoopproxy.wire.http.halves import client_half
from hoopproxy.wire.http.messages import Answer, RequestHead
from hoopproxy.wire.http.parts import Head, Malformed


class FirstRequest:
    """One connection's. Its head has `scheme` "" where the client named none (HTTP/1.1's origin form), and for CONNECT
    `target` "" and the host and port as `authority`."""

    def __init__(self, limits: Limits, is_h2: bool) -> None:
        self._half = client_half(limits, is_h2=is_h2, scheme="")
        self._stream, self._method = 1, ""
        self._bytes_left = 2 * limits.head_bytes_max  # of all that may stand before a head, and is kept, too

    def feed(self, data: bytes) -> RequestHead | None:
        """More bytes of the client's, at least one; None: the head is not whole yet.

        @raise ProtocolViolation: it never will be, or is too long; `answer` may still say so.
        """
        self._half.receive(data)
        self._bytes_left -= len(data)
        while self._half.parts:
            part = self._half.parts.popleft()
            if isinstance(part, Head):
                self._stream, self._method = part.stream, part.message.method
                return part.message
            if isinstance(part, Malformed):
                self._stream = part.stream
                raise ProtocolViolation(Side.CLIENT.value, MALFORMED, detail=f"a request was refused: {part.why}")
        if self._bytes_left < 0 or self._half.is_over:
            raise ProtocolViolation(Side.CLIENT.value, MALFORMED, detail="it sends anything but a request")
        return None

    def answer(self, answer: Answer) -> bytes:
        """What tells the client, and ends its connection. Once; in HTTP/2 behind the preface, which was sent."""
        self._half.refuse(self._stream, answer.to(self._method))
        self._half.leave()
        return self._half.taken()


MALFORMED = "Your client sent a request that can't be read in one way alone, and nothing of it was passed on."
"""The sentence for it, with status 400."""
