"""HTTP's front door: TLS, a first request that says who comes and what for, and refusals that are whole responses.

Behind it bytes pass as frames of lanes, of which lane 0 is the client's connection. What requests mean is the machine's
business. Never sees a target's secret.
"""

from collections.abc import Callable

from zope.interface import implementer

from hoopproxy.connection import Connection
from hoopproxy.errors import LimitReached, ProtocolViolation, Refused, SessionError
from hoopproxy.listen.http_calls import Call, absolute, is_absolute, no_proxy, origin, tunnel
from hoopproxy.listen.http_front import H1, H2, Front
from hoopproxy.listen.http_login import NOTHING, shown
from hoopproxy.listen.http_statuses import Misdirected, status_of
from hoopproxy.listen.lane_children import LaneChildren
from hoopproxy.listen.tls import is_clear_allowed
from hoopproxy.listen.tunnel import RECORD_TYPE_HANDSHAKE, Tunnel
from hoopproxy.model import Arrival, Credentials, Passage, Side, Target
from hoopproxy.proofs import HeldKey
from hoopproxy.rooms import IFrontend, IListener, IPeer, IScheduler, ISignal
from hoopproxy.settings import Limits, ListenerSettings
from hoopproxy.wire.http.first import FirstRequest
from hoopproxy.wire.http.halves import CLIENT_PREFACE, SERVER_PREFACE
from hoopproxy.wire.http.lanes import Frame, Frames, Kind, framed
from hoopproxy.wire.http.messages import Answer, RequestHead
from hoopproxy.wire.http.refusals import refusal

LINGER_BYTES_MAX = 262_144
"""So much of an upload that was refused is read and thrown away, for its client to see why."""

_ESTABLISHED = b"HTTP/1.1 200 Connection established\r\n\r\n"
_HEAD_END = b"\r\n\r\n"
_NEEDED = "This gateway lets nobody in without a token: send yours as Bearer, or as the password of Basic."
_TELLING = CLIENT_PREFACE.partition(b"\r")[0]
"""By what the machine, too, tells HTTP/2."""


@implementer(IListener)
class HttpListener:
    """Makes frontends. Building it reads certificates and keys. @raise ConfigError"""

    def __init__(self, settings: ListenerSettings, limits: Limits, scheduler: IScheduler) -> None:
        self.settings = settings
        self._front = Front(settings, limits, scheduler)

    def frontend(self, connection: Connection, arrival: Arrival, adopt: Callable[[IFrontend], None]) -> IFrontend:
        return HttpFrontend(connection, arrival, self._front)


@implementer(IFrontend)
class HttpFrontend:
    """One client."""

    side = Side.CLIENT
    handshake_limit = "handshake_s_max"

    def __init__(self, connection: Connection, arrival: Arrival, front: Front) -> None:
        self.arrival = arrival
        self._connection, self._front = connection, front
        self._stream: Connection | Tunnel = connection  # where HTTP is spoken
        self._first: FirstRequest | None = None  # once HTTP may be answered
        self._call: Call | None = None
        self._frames = Frames(Side.SERVER)
        self._children: LaneChildren | None = None
        self._is_welcome = self._is_refused = False

    @property
    def lost(self) -> ISignal:
        """Set when the client is gone, not only done with sending."""
        return self._connection.lost

    async def credentials(self) -> Credentials | None:
        begun = await self._connection.read()
        if not begun:
            return None  # somebody only looked whether anybody listens
        self._connection.unread(begun)
        key = await self._secure(begun)
        head = await self._first_head()
        if head is None:
            return None  # a browser that thought it might need one more connection
        call = self._call = self._called(head)
        login = shown(head.headers, "proxy-authorization" if call.is_forward else "authorization")
        if login is NOTHING and key is None:
            self._answer(407 if call.is_forward else 401, _NEEDED)
            return None
        account = login.account or self._front.settings.account
        return Credentials(
            call.target_name, account, database="", secret=login.secret, parameters=call.parameters, key=key
        )

    def again(self, why: Exception) -> bool:
        return False

    async def welcome(self, passage: Passage, peer: IPeer) -> None:
        if self._call is not None and self._call.is_tunnel:
            self._stream.send(_ESTABLISHED)
            self._first = None
            limit_s = self._front.limits.handshake_s_max
            entering = self._enter(self._call.host, passage.permit.target, peer.greeting.alpn)
            try:
                await self._front.scheduler.within(limit_s, entering)
            except TimeoutError as why:
                raise LimitReached(
                    f"Your client said nothing within {limit_s:g} s of its CONNECT; connect again.",
                    limit="limits.handshake_s_max",
                ) from why
        self._is_welcome = True

    def inform(self, sentence: str, words: bytes = b"") -> None:
        """Nothing: HTTP has no word for it that its clients would show."""

    def refuse(self, session_id: str, why: Exception, words: bytes = b"") -> None:
        if self._is_refused or not isinstance(why, SessionError):
            return
        self._is_refused = True
        if not self._is_welcome:
            is_forward = self._call is not None and self._call.is_forward
            self._answer(status_of(why, is_forward=is_forward), why.sentence, session_id)
            return
        frames = Frames(Side.SERVER)  # the last of the session's own may have stayed unfinished
        frames.append(words)
        for frame in iter(frames.next, None):
            if frame.lane == 0 and frame.kind is Kind.DATA:
                self._stream.send(frame.payload)

    async def read(self) -> bytes:
        return await (self._own() if self._children is None else self._children.next(self._own))

    async def write(self, data: bytes) -> None:
        self._frames.append(data)
        for frame in iter(self._frames.next, None):
            if frame.lane:
                if self._children is not None:
                    self._children.take(frame)
            elif frame.kind is Kind.DATA:
                await self._stream.write(frame.payload)
            elif frame.kind is Kind.ENDED:
                await self._stream.end()
            elif frame.kind is Kind.CLOSED:
                self._stream.close(LINGER_BYTES_MAX)

    async def end(self) -> None:
        await self._stream.end()

    def close(self) -> None:
        self._part()
        self._stream.close(LINGER_BYTES_MAX)

    def dismiss(self) -> None:
        self.close()
        self._connection.dismiss()

    def abort(self) -> None:
        self._part()
        self._connection.abort()

    # What a protocol over HTTP has of its own -------------------------------------------------------------------------

    def origin(self, head: RequestHead) -> Call:
        """What a request means that takes the gateway for its target. @raise SessionError"""
        return origin(head, self._front.hosts, is_tls=self._is_tls, server_name=self._connection.server_name)

    def refusal(self, status: int, sentence: str, session_id: str) -> Answer:
        """A whole response that says it."""
        return refusal(status, sentence, session_id)

    # The first request ------------------------------------------------------------------------------------------------

    @property
    def _is_tls(self) -> bool:
        return self._front.tls is not None

    async def _secure(self, begun: bytes) -> HeldKey | None:
        """TLS, or none where none is wanted. @raise SessionError"""
        tls = self._front.tls
        if tls is not None and begun[0] == RECORD_TYPE_HANDSHAKE:
            key = await tls.shake(self._connection)
            self._greet(self._connection.alpn == H2)
            return key
        self._greet(False)
        if tls is not None:
            raise ProtocolViolation("client", "Your client spoke plain HTTP where TLS is wanted; use https://.")
        if not is_clear_allowed(self._front.settings, self.arrival, self._connection):
            raise Refused(
                "Without TLS this gateway is reached from its own machine only; connect from there.", reason="target"
            )
        return None

    async def _first_head(self) -> RequestHead | None:
        """The first request's head, whose bytes will be read once more, unless it is a CONNECT; None: there is none."""
        received = await self._begun()
        if not received:
            return None
        is_h2 = received.startswith(_TELLING)
        if self._is_tls and is_h2 != (self._connection.alpn == H2):
            raise ProtocolViolation("client", "Your client speaks another version of HTTP than it agreed on in TLS.")
        first = self._greet(True) if is_h2 and not self._is_tls else self._first
        assert first is not None
        head = first.feed(bytes(received))
        while head is None:
            more = await self._connection.read()
            if not more:
                raise ProtocolViolation("client", "Your client closed the connection within its first request.")
            received += more
            head = first.feed(more)
        is_consumed = head.method == "CONNECT"
        self._connection.unread(bytes(received).partition(_HEAD_END)[2] if is_consumed else bytes(received))
        return head

    async def _begun(self) -> bytearray:
        """As many bytes of what comes first as tell HTTP/2 from HTTP/1.1; none: the client left."""
        received = bytearray()
        while _TELLING.startswith(received) and len(received) < len(_TELLING):
            more = await self._connection.read()
            if not more:
                break
            received += more
        return received

    def _called(self, head: RequestHead) -> Call:
        if head.method == "CONNECT":
            if self._front.authority is None:
                raise no_proxy()
            return tunnel(head)
        return absolute(head) if is_absolute(head, self._front.hosts) else self.origin(head)

    async def _enter(self, host: str, target: Target, alpn: str) -> None:
        """Behind a CONNECT: TLS with the client, as if we were that host; or what the target, too, speaks in the clear.

        @raise SessionError
        """
        begun = await self._begun()
        if not begun:
            return  # it left; the next read says so
        self._connection.unread(bytes(begun))
        if begun[0] == RECORD_TYPE_HANDSHAKE:
            tls = Tunnel(self._connection, self._front.inner_tls(host, H2 if alpn == "h2" else H1))
            await tls.shake()
            self._stream = tls
            self._greet(tls.alpn == H2)
            if tls.server_name not in ("", host):
                raise Misdirected(
                    "Your client began TLS with another host than the one that its CONNECT was for.",
                    reason="target",
                    detail=f"SNI is {tls.server_name[:300]!r}, CONNECT was for {host!r}",
                )
        else:
            self._greet(begun.startswith(_TELLING))
            if target.tls is not None:
                raise Refused("This target is reached over TLS only; use https://.", reason="target")

    def _greet(self, is_h2: bool) -> FirstRequest:
        """From here on the client may be answered. In HTTP/2 the server speaks first, or some clients wait for it."""
        if is_h2:
            self._stream.send(SERVER_PREFACE)
        self._first = FirstRequest(self._front.limits, is_h2)
        return self._first

    # Bytes ------------------------------------------------------------------------------------------------------------

    async def _own(self) -> bytes:
        """What the client sends on its own connection, framed."""
        return framed(Frame(Kind.DATA, 0, await self._stream.read()))

    def _answer(self, status: int, sentence: str, session_id: str = "") -> None:
        """Once, where nothing was said yet; to one whose TLS failed nothing can be."""
        if self._first is not None:
            self._stream.send(self._first.answer(self.refusal(status, sentence, session_id)))

    def _part(self) -> None:
        if self._children is not None:
            self._children.close()
