"""One port of a pod as an API server forwards it, in the messages of a WebSocket: the gateway is its client here.

Clusters from 1.31 on tunnel SPDY, which knows the end of one direction; older ones have `v4.channel.k8s.io`, which does
not. Machines without I/O; they know neither the socket nor who wants the port.
"""

from dataclasses import dataclass, field
from typing import Protocol

from hoopproxy.errors import BrokenOff, ProtocolViolation
from hoopproxy.model import Side
from hoopproxy.wire.http.spdy import Data, Ping, Reset, SpdyFrame, SpdyReader, SpdyWriter, Syn

COMPLAINT_BYTES_MAX = 1024
"""What is kept of an error that a cluster tells."""

_ERROR, _DATA = 1, 3  # a client's streams are odd


@dataclass(slots=True)
class Heard:
    """What was in a piece of a message: `data` of the pod's, what is to be answered, whether its stream has ended."""

    data: bytes = field(default=b"", repr=False)
    answer: bytes = b""
    has_ended: bool = False


class PodStream(Protocol):
    """What is sent are whole messages, b"" for nothing. `complaint` is what the cluster says went wrong."""

    complaint: bytes

    def begin(self) -> bytes:
        """Before anything else."""

    def data(self, data: bytes) -> bytes:
        """For the pod."""

    def end(self) -> bytes:
        """That was all for the pod; b"": this can't be said."""

    def hear(self, data: bytes, *, is_whole: bool) -> Heard:
        """A piece of a message; `is_whole`: its last. @raise ProtocolViolation, BrokenOff."""


class SpdyPodStream:
    """`SPDY/3.1+portforward.k8s.io`: a stream for an error, and one for data."""

    def __init__(self, port: int) -> None:
        self.complaint = b""
        self._port = str(port)
        self._reader, self._writer = SpdyReader(Side.SERVER), SpdyWriter()

    def begin(self) -> bytes:
        """Both streams."""
        return self._written(
            Syn(_ERROR, {"streamtype": "error", "port": self._port, "requestid": "0"}, is_last=True),
            Syn(_DATA, {"streamtype": "data", "port": self._port, "requestid": "0"}),
        )

    def data(self, data: bytes) -> bytes:
        """See `PodStream`."""
        return self._written(Data(_DATA, data))

    def end(self) -> bytes:
        """See `PodStream`."""
        return self._written(Data(_DATA, b"", is_last=True))

    def hear(self, data: bytes, *, is_whole: bool) -> Heard:
        """See `PodStream`: messages are nothing but bytes, cut anyhow."""
        self._reader.append(data)
        heard = Heard()
        while (frame := self._reader.next()) is not None:
            match frame:
                case Data(stream, piece, is_last) if stream == _DATA:
                    heard.data += piece
                    heard.has_ended |= is_last
                case Data(stream, piece) if stream == _ERROR:
                    self.complaint = (self.complaint + piece)[:COMPLAINT_BYTES_MAX]
                case Reset(stream) if stream == _DATA:
                    raise BrokenOff("The pod's connection broke off; what it sent may not be whole.")
                case Ping(number) if not number % 2:
                    heard.answer += self._written(frame)
                case Syn():
                    raise _broken("a stream that the cluster opened")
        return heard

    def _written(self, *frames: SpdyFrame) -> bytes:
        return b"".join(map(self._writer.bytes_of, frames))


class ChannelPodStream:
    """`v4.channel.k8s.io`: channel 0 for data and 1 for an error, each of which begins with the port."""

    def __init__(self) -> None:
        self.complaint = b""
        self._channel = -1  # of the message that is amid
        self._port_bytes = [2, 2]  # still to come, by channel

    def begin(self) -> bytes:
        """Nothing: the query said it."""
        return b""

    def data(self, data: bytes) -> bytes:
        """See `PodStream`."""
        return b"\0" + data

    def end(self) -> bytes:
        """There is no such message."""
        return b""

    def hear(self, data: bytes, *, is_whole: bool) -> Heard:
        """See `PodStream`: the first byte of a message is its channel."""
        if self._channel < 0 and data:
            self._channel, data = data[0], data[1:]
            if self._channel >= len(self._port_bytes):
                raise _broken(f"channel {self._channel}")
        channel, heard = self._channel, Heard()
        if data:
            port_bytes = min(self._port_bytes[channel], len(data))
            self._port_bytes[channel] -= port_bytes
            if channel == 0:
                heard.data = data[port_bytes:]
            else:
                self.complaint = (self.complaint + data[port_bytes:])[:COMPLAINT_BYTES_MAX]
        if is_whole:
            self._channel = -1
        return heard


def _broken(what: str) -> ProtocolViolation:
    return ProtocolViolation(
        Side.SERVER.value, "The cluster broke the protocol of port-forwarding; tell its operator.", detail=what
    )
