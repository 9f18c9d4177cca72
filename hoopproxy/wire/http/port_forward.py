"""A port-forward that the gateway itself ends: its WebSocket, and each forwarded connection a lane of the client's.

The target sees nothing of it. Which dialect a client speaks follows from the subprotocol (RFC 6455 §1.9) that it asks
for. Knows no connection's target and no verdict.
"""

import re
from collections.abc import Sequence

from wsproto.frame_protocol import CloseReason
from wsproto.utilities import generate_accept_token

from hoopproxy.errors import ProtocolViolation
from hoopproxy.events import Completed, Reply
from hoopproxy.model import Side
from hoopproxy.settings import Limits
from hoopproxy.wire.http.forwards import ChannelForwards, Forwards, Outcome, SpdyForwards
from hoopproxy.wire.http.lanes import Frame
from hoopproxy.wire.http.messages import Answer, Headers, RequestHead
from hoopproxy.wire.http.reading import Relayed
from hoopproxy.wire.http.resources import Unreadable, parameters
from hoopproxy.wire.http.websocket import Close, End, Ping, Whole

TUNNEL, CHANNELS = "SPDY/3.1+portforward.k8s.io", "v4.channel.k8s.io"
"""The subprotocols that there are here, the first preferred."""

PORTS_MAX = 127
"""A channel's number is one byte, and a port takes two."""

_KEY = re.compile(r"[A-Za-z0-9+/]{22}==")
_PORTS = re.compile(r"[0-9]{1,5}(,[0-9]{1,5})*")


def unfit(request: RequestHead) -> str:
    """Why no port can be forwarded for such a request: a full sentence; "" when it can."""
    headers = request.headers
    if not request.wants_upgrade:
        return "Ports are forwarded over a WebSocket alone; use kubectl 1.31 or later."
    if headers.get("sec-websocket-version") != "13" or not _KEY.fullmatch(headers.get("sec-websocket-key") or ""):
        return "Your client asked for no WebSocket of version 13 (RFC 6455)."
    protocol = _chosen(request)
    if not protocol:
        return f"Ports are forwarded by {TUNNEL} or {CHANNELS}; use kubectl 1.31 or later."
    if protocol == CHANNELS and not _ports(request):
        return f"{CHANNELS} forwards 1 to {PORTS_MAX} ports, which the query names as ports=8080."
    return ""


def begin(number: int, request: RequestHead, pod: str, limits: Limits) -> tuple[Answer, "PortForward"]:
    """The 101 for a fit request, statement `number`, and what follows it. `pod` is `CLUSTER:NAMESPACE/POD`."""
    protocol = _chosen(request)
    forwards: Forwards = ChannelForwards(pod, _ports(request))
    if protocol == TUNNEL:
        forwards = SpdyForwards(pod, limits.channels_max)
    key = request.headers.get("sec-websocket-key") or ""
    fields = (
        ("connection", "Upgrade"),
        ("upgrade", "websocket"),
        ("sec-websocket-accept", generate_accept_token(key.encode()).decode()),
        ("sec-websocket-protocol", protocol),
    )
    return Answer(101, Headers(fields)), PortForward(number, limits, forwards)


class PortForward:
    """The connection after its 101, as `reading.Upgraded`: statement `number` asked for it."""

    def __init__(self, number: int, limits: Limits, forwards: Forwards) -> None:
        self._number, self._forwards = number, forwards
        self._client = End(Side.CLIENT, limits.message_bytes_max)

    def begin(self) -> Relayed:
        """What a client may wait for."""
        return self._become(self._forwards.begin())

    def feed(self, side: Side, data: bytes) -> Relayed:
        """More of what the client sent; of the target nothing comes here."""
        if side is Side.SERVER:
            return Relayed()
        if not data:
            return self._relayed(b"", [], is_over=True)
        said, frames, is_over = bytearray(), list[Frame](), False
        for each in self._client.hears(data):
            match each:
                case Whole(message, is_text=False):
                    outcome = self._forwards.hear(message)
                    said += self._said(outcome)
                    frames += outcome.frames
                case Whole():
                    raise ProtocolViolation(
                        "client", "Your client broke the protocol of port-forwarding.", detail="a message of text"
                    )
                case Ping(payload, is_pong=False):
                    said += self._client.says(Ping(payload, is_pong=True))
                case Close():
                    said += self._client.says(each)
                    is_over = True
        return self._relayed(bytes(said), frames, is_over)

    def resume(self, side: Side, reply: Reply) -> Relayed:
        """Nothing was asked."""
        return Relayed()

    def release(self) -> Relayed:
        """Nothing is held."""
        return Relayed()

    def take(self, frame: Frame) -> Relayed:
        """A frame of one of the forwarded connections."""
        return self._become(self._forwards.take(frame))

    def farewell(self, sentence: str) -> bytes:
        """A close frame that says it."""
        return self._client.farewell(sentence)

    def _become(self, outcome: Outcome) -> Relayed:
        return self._relayed(self._said(outcome), outcome.frames, outcome.is_over)

    def _said(self, outcome: Outcome) -> bytes:
        """Messages, and behind the last one a farewell."""
        said = b"".join(self._client.says(Whole(message)) for message in outcome.messages)
        return said + self._client.says(Close(CloseReason.NORMAL_CLOSURE)) if outcome.is_over else said

    def _relayed(self, to_client: bytes, frames: Sequence[Frame], is_over: bool) -> Relayed:
        records = (Completed(self._number, "closed", row_count=0),) if is_over else ()
        return Relayed(to_client, records=records, frames=tuple(frames), ended=is_over)


def _chosen(request: RequestHead) -> str:
    """Subprotocols are compared as they are written (RFC 6455 §4.2.2)."""
    offered = {each.strip() for value in request.headers.all("sec-websocket-protocol") for each in value.split(",")}
    return next((protocol for protocol in (TUNNEL, CHANNELS) if protocol in offered), "")


def _ports(request: RequestHead) -> tuple[int, ...]:
    """The ports that the query names, once or comma-separated; () for none, or for what names none."""
    try:
        values = [value for name, value in parameters(request.query) if name == "ports"]
    except Unreadable:
        return ()
    if not all(_PORTS.fullmatch(value) for value in values):
        return ()
    ports = tuple(int(port) for value in values for port in value.split(","))
    return ports if len(ports) <= PORTS_MAX and all(0 < port <= 65535 for port in ports) else ()
