"""The way to a port of a pod: through its cluster's API server, which proves itself as for any other session with it.

Asks for the port as the person whom the session is for. Knows neither the client nor what is said.
"""

from typing import Any
from urllib.parse import quote

from twisted.internet.defer import CancelledError, Deferred
from wsproto import ConnectionType, WSConnection
from wsproto.connection import ConnectionState
from wsproto.events import (
    AcceptConnection,
    BytesMessage,
    CloseConnection,
    Ping,
    RejectConnection,
    RejectData,
    Request,
    TextMessage,
)
from wsproto.utilities import LocalProtocolError, RemoteProtocolError
from zope.interface import implementer

from hoopproxy.connection import Connection
from hoopproxy.dial.reaching import Reached, Reaching, unreachable
from hoopproxy.dial.tls import Verification
from hoopproxy.errors import BrokenOff, ProtocolViolation, UpstreamRefused, UpstreamUnreachable
from hoopproxy.masks import NO_CATALOG, Catalog
from hoopproxy.model import Passage, Permit, Side, Target
from hoopproxy.proofs import TargetSecret
from hoopproxy.rooms import IDialer, IPeer, IReached, IScheduler
from hoopproxy.settings import Limits
from hoopproxy.wire.http.impersonation import impersonation
from hoopproxy.wire.http.messages import SERVER_NAME
from hoopproxy.wire.http.names import bracketed
from hoopproxy.wire.http.pod_stream import ChannelPodStream, PodStream, SpdyPodStream
from hoopproxy.wire.http.port_forward import CHANNELS, TUNNEL

OFFERS = ("http/1.1",)
"""What ALPN offers: a WebSocket is asked for in HTTP/1.1 (RFC 6455 §4.1)."""

REJECTION_BYTES_MAX = 1024
"""What is kept of an API server's reasons for a no."""

QUIET_S = 10.0
"""Where a cluster can't be told that the client has said its all, a pod that says nothing for so long has, too."""


@implementer(IDialer)
class PodDialer:
    """Dials ports of pods. `limits.dial_s_max` bounds each address, and the way from there to the pod."""

    def __init__(self, reactor: Any, limits: Limits, scheduler: IScheduler) -> None:
        self._reaching, self._scheduler = Reaching(reactor, limits, scheduler), scheduler

    def unfit(self, target: Target) -> str:
        if target.pod is None:
            return "pod is missing; wanted is a table that names its cluster, namespace, pod and port."
        if target.tls is None:
            return f"pod.cluster names {target.pod.cluster}, which has no tls; wanted is one that proves itself."
        if target.host_keys:
            return "host_keys is set, and an API server has none; it proves itself by tls."
        if target.databases:
            return "databases is set, and a pod has none; take it out."
        return ""

    async def reach(self, permit: Permit) -> Reached:
        return await self._reaching.first(permit, _prove)

    async def login(
        self,
        reached: IReached,
        passage: Passage,
        secret: TargetSecret,
        protected: frozenset[str],
        known: Catalog | None = None,
    ) -> "PodPeer":
        assert isinstance(reached, Reached)
        request = _request(passage.permit, secret)  # before anything is sent: it may be that nobody is to come there
        connection = reached.take_over()
        try:
            return await self._reaching.in_time(passage.permit.target, self._forwarded(passage, request, connection))
        except BaseException:
            connection.abort()
            raise

    async def _forwarded(self, passage: Passage, request: Request, connection: Connection) -> "PodPeer":
        target, socket = passage.permit.target, WSConnection(ConnectionType.CLIENT)
        await connection.write(socket.send(request))
        status, reasons = 0, b""
        while True:
            data = await connection.read()
            if not data:
                raise _refused(target, status, reasons)
            try:
                socket.receive_data(data)
                for event in socket.events():
                    match event:
                        case AcceptConnection(subprotocol=protocol):
                            return await self._begun(target, protocol, socket, connection)
                        case RejectConnection(status_code=status):
                            pass
                        case RejectData(data=more, body_finished=is_over):
                            reasons = (reasons + more)[:REJECTION_BYTES_MAX]
                            if is_over or len(reasons) == REJECTION_BYTES_MAX:
                                raise _refused(target, status, reasons)
            except RemoteProtocolError as why:
                raise unreachable(target, f"what it answered is no WebSocket: {why}") from why

    async def _begun(
        self, target: Target, protocol: str | None, socket: WSConnection, connection: Connection
    ) -> "PodPeer":
        assert target.pod is not None
        stream: PodStream = ChannelPodStream()
        if protocol == TUNNEL:
            stream = SpdyPodStream(target.pod.port)
        elif protocol != CHANNELS:
            raise unreachable(target, f"it chose {protocol!r}; offered were {TUNNEL} and {CHANNELS}")
        peer = PodPeer(target, stream, socket, connection, self._scheduler)
        await peer.say(stream.begin())
        return peer


@implementer(IPeer)
class PodPeer:
    """A port that is forwarded: the pod's bytes."""

    side = Side.SERVER
    greeting = None
    catalog = NO_CATALOG

    def __init__(
        self, target: Target, stream: PodStream, socket: WSConnection, connection: Connection, scheduler: IScheduler
    ) -> None:
        self.lost = scheduler.signal()
        self._target, self._stream, self._socket, self._connection = target, stream, socket, connection
        self._scheduler = scheduler
        self._has_ended = self._is_over = self._has_spoken = False
        self._parting: Deferred[None] | None = None

    async def read(self) -> bytes:
        """@raise BrokenOff, ProtocolViolation, UpstreamUnreachable: what the cluster says went wrong."""
        while not self._has_ended:
            if data := await self._hear():
                self._has_spoken = True
                return data
            if self._stream.complaint:
                break
        if complaint := self._stream.complaint:
            raise UpstreamUnreachable(
                f"Target '{self._target.name}' does not answer on its port, or broke off; check that it listens.",
                detail=complaint.decode("utf-8", "backslashreplace"),
            )
        return b""

    async def write(self, data: bytes) -> None:
        await self.say(self._stream.data(data))

    async def end(self) -> None:
        if last := self._stream.end():
            await self.say(last)
        elif not self._is_over:
            self._parting = Deferred.fromCoroutine(self._part_when_quiet()).addErrback(_is_cancelled)

    async def interrupt(self) -> None:
        """Nothing: the pod hears that the connection ends."""

    def close(self) -> None:
        if not self._is_over:
            self._finish(self._socket.send(CloseConnection(code=1000)))
        self._connection.close()

    def dismiss(self) -> None:
        self.close()
        self._connection.dismiss()

    def abort(self) -> None:
        self._finish()
        self._connection.abort()

    async def say(self, message: bytes) -> None:
        """Send it, once there is room."""
        if message and not self._is_over:
            await self._connection.write(self._socket.send(BytesMessage(message)))

    # Inside -----------------------------------------------------------------------------------------------------------

    async def _hear(self) -> bytes:
        """What one read of the socket brings of the pod's; b"": nothing, or the end."""
        data = b"".join([await self._heard(event) for event in self._socket.events()])
        if data or self._has_ended:
            return data
        if not (raw := await self._connection.read()):
            if not self._is_over:
                self._finish()
                raise BrokenOff("The cluster's connection broke off; what the pod sent may not be whole.")
            self._has_ended = True
            return b""
        try:
            self._socket.receive_data(raw)
        except (RemoteProtocolError, LocalProtocolError) as why:
            raise _broken(str(why)) from why
        return b""

    async def _heard(self, event: Any) -> bytes:
        match event:
            case BytesMessage(data=piece, message_finished=is_whole):
                heard = self._stream.hear(bytes(piece), is_whole=is_whole)
                await self.say(heard.answer)
                self._has_ended |= heard.has_ended
                return heard.data
            case Ping():
                await self._connection.write(self._socket.send(event.response()))
            case CloseConnection() if self._socket.state is ConnectionState.OPEN:
                raise _broken(f"no frame: {event.reason}")  # wsproto's way to say so: nobody has closed anything
            case CloseConnection():
                self._has_ended = True
                if not self._is_over:
                    self._finish(self._socket.send(event.response()))
            case TextMessage():
                raise _broken("a message of text")
        return b""

    async def _part_when_quiet(self) -> None:
        """The client has said its all, and the pod can't be told: it goes on until it is done, or seems to be."""
        self._has_spoken = True
        while self._has_spoken and not self._is_over:
            self._has_spoken = False
            await self._scheduler.sleep(QUIET_S)
        self._parting = None
        self.close()

    def _finish(self, last_words: bytes = b"") -> None:
        self._is_over = True
        if last_words:
            self._connection.send(last_words)
        if self._parting is not None:
            self._parting.cancel()
        self.lost.set()


async def _prove(target: Target, connection: Connection) -> Reached:
    proof = await Verification(target, OFFERS).shake(connection, by_halves=True)
    return Reached(connection, proof.spki_sha256)


def _request(permit: Permit, secret: TargetSecret) -> Request:
    """@raise Refused: nobody is to come there under that name. @raise UpstreamRefused: its own credential is unfit."""
    target = permit.target
    assert target.pod is not None
    namespace, pod = quote(target.pod.namespace, safe=""), quote(target.pod.pod, safe="")
    fields = [("user-agent", SERVER_NAME), *impersonation(permit.identity, target.pod.people)]
    if target.accounts[permit.account]:
        token = secret.password.reveal()
        if not (token.isascii() and token.isprintable()):
            raise UpstreamRefused(
                f"The gateway's own credential for target '{target.name}' can't be used; tell the gateway's operator.",
                detail=f"credential {target.accounts[permit.account]!r} is no bearer token (RFC 6750 §2.1)",
            )
        fields.append(("authorization", f"Bearer {token}"))
    return Request(
        host=f"{bracketed(target.host)}:{target.port}",
        target=f"/api/v1/namespaces/{namespace}/pods/{pod}/portforward?ports={target.pod.port}",
        subprotocols=[TUNNEL, CHANNELS],
        extra_headers=[(name.encode("ascii"), value.encode("latin-1")) for name, value in fields],
    )


def _refused(target: Target, status: int, reasons: bytes) -> UpstreamUnreachable | UpstreamRefused:
    """What an API server's no means."""
    assert target.pod is not None
    detail = f"{status or 'no answer'}: {reasons.decode('utf-8', 'backslashreplace')}"
    place = f"pod '{target.pod.pod}' in namespace '{target.pod.namespace}'"
    match status:
        case 401:
            sentence = f"The cluster of {place} did not accept the gateway's credential; tell the gateway's operator."
        case 403:
            sentence = f"The cluster does not let you forward ports of {place}; ask its owner."
        case 404:
            sentence = f"The cluster has no {place}; check the names."
        case _:
            return unreachable(target, detail)
    return UpstreamRefused(sentence, detail=detail)


def _broken(what: str) -> ProtocolViolation:
    return ProtocolViolation("server", "The cluster broke the protocol of WebSockets; tell its operator.", detail=what)


def _is_cancelled(failure: Any) -> None:
    failure.trap(CancelledError)
