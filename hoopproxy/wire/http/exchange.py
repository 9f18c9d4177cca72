"""One request and its response: asked about, sent on, answered, and masked on the way back.

What may pass is decided by guards, what becomes of it by a `Reading`; this knows the order. Knows no bytes of HTTP.
"""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, replace

from hoopproxy.events import (
    Answered,
    Ask,
    Asked,
    Closed,
    Completed,
    Faulted,
    Forward,
    Plan,
    Reject,
    Rejected,
    Reply,
    Rows,
    Statement,
)
from hoopproxy.model import Side
from hoopproxy.wire.http.client_half import ClientHalf
from hoopproxy.wire.http.draft import Draft
from hoopproxy.wire.http.lanes import Frame
from hoopproxy.wire.http.messages import Answer, Headers, RequestHead, ResponseHead
from hoopproxy.wire.http.parts import Broken, Data, End, FromClient, FromServer, Head, Trailers
from hoopproxy.wire.http.pool import Lane, Pool
from hoopproxy.wire.http.reading import Body, Reading, Relayed, Shown, Upgraded

IDEMPOTENT = frozenset(("GET", "HEAD", "OPTIONS", "PUT", "DELETE", "TRACE"))
"""What may be asked once more when nobody knows whether it was heard (RFC 9110 §9.2.2)."""

UNANSWERED = "The target closed its connection before it answered, or its answer can't be read; try again later."
CUT = "The target broke off its answer."
CROWDED = (
    "The gateway masks what this target answers, and has as much of it in hand for your connection as it may: ask for "
    "less at once."
)


@dataclass(frozen=True, slots=True)
class Question:
    """Something to be asked, and who hears the answer; that may lead to the next."""

    ask: Ask
    answer: Callable[[Reply], "Question | None"]


@dataclass(frozen=True, slots=True)
class Ends:
    """What an exchange lies between."""

    reading: Reading
    client: ClientHalf
    pool: "Pool[Exchange]"
    draft: Draft


class Exchange:
    """One. `stream` is the client's name for it, `number` the recording's and the lanes'. `is_begun`: the client has
    seen the head of a response; `is_over`: it has seen all that it will."""

    def __init__(self, ends: Ends, number: int, stream: int, request: RequestHead) -> None:
        self.number, self.stream, self.request = number, stream, request
        self.needs_http1 = self.is_again = self.is_begun = self.is_over = False
        self.upgraded: Upgraded | None = None
        self.hold_s = 0.0
        self.lane: Lane[Exchange] | None = None
        self._ends = ends
        self._statement: Statement | None = None  # once it was allowed
        self._outgoing = request
        self._unsent: deque[Data | End] = deque()
        self._response = ResponseHead(0, "", "", Headers())
        self._body: Body | None = None
        self._whole: list[bytes] = []
        self._trailers: Trailers | None = None
        self._is_read = self._is_sent = False  # the request, to its end
        self._is_ending = self._is_faulted = False
        self._row_count = 0

    # The request ------------------------------------------------------------------------------------------------------

    def begin(self) -> Question | None:
        """Its head is whole. None: it is answered here."""
        if self.request.method == "CONNECT":
            self._say(self._ends.reading.says(400, "This is no proxy: ask for a path of the target."))
            return None
        asked = self._ends.reading.ask(self.number, self.request)
        if isinstance(asked, Answer):
            self._say(asked)
            return None
        return Question(asked, lambda reply: self._decided(asked, reply))

    def _decided(self, statement: Statement, reply: Reply) -> None:
        if self.is_over:
            return  # its client left meanwhile
        match reply:
            case Reject(sentence):
                self._ends.draft.note(Rejected(statement, sentence))
                self._say(self._ends.reading.says(403, sentence))
            case Forward(text):
                if text != statement.text:
                    raise AssertionError("a request is not rewritten")
                self._statement = statement
                self._ends.draft.note(Asked(statement))
                self._forward()
            case _:
                raise AssertionError(f"a statement is not answered by {type(reply).__name__}")

    def _forward(self) -> None:
        reading, client, request = self._ends.reading, self._ends.client, self.request
        if request.is_bodyless and request.version == "HTTP/1.1":
            if "upgrade" in request.headers.tokens("connection") and (
                made := reading.upgraded_here(self.number, request)
            ):
                if isinstance(made, Answer):
                    self._say(made)
                    return
                answer, upgraded = made
                self._upgrade(ResponseHead(answer.status, "", "", answer.headers, True), upgraded)
                return
            self.needs_http1 = request.wants_upgrade
        self._outgoing = replace(reading.outgoing(request), is_bodyless=request.is_bodyless)
        if "100-continue" in request.headers.tokens("expect"):
            self._outgoing = replace(self._outgoing, headers=self._outgoing.headers.without("expect"))
            if not request.is_bodyless:
                client.go_ahead(self.stream)
        self._ends.pool.want(self)

    def seated(self, lane: "Lane[Exchange]") -> None:
        self.lane = lane
        lane.open_half.send(Head(self.number, self._outgoing))
        while self._unsent:
            self._send(self._unsent.popleft())

    def unserved(self, sentence: str) -> None:
        self._fail(sentence)

    def from_client(self, part: FromClient) -> Question | None:
        """What follows the head."""
        match part:
            case Data(_, raw) if self.upgraded is not None:
                return self._relay(self.upgraded.feed(Side.CLIENT, raw), Side.CLIENT)
            case End() if self._is_read and self.upgraded is not None:
                return self._relay(self.upgraded.feed(Side.CLIENT, b""), Side.CLIENT)
            case Data() | End():
                self._is_read = isinstance(part, End)
                self._send(part)
            case Broken():
                self.abandon()
        return None

    def _send(self, part: Data | End) -> None:
        if self.upgraded is not None:
            return  # the end of a request that was answered here
        if self.lane is None:
            self._unsent.append(part)
            return
        if isinstance(part, Data):
            self._ends.draft.stream(self.number, "request", part.raw)
        else:
            self._is_sent = True
        self.lane.open_half.send(replace(part, stream=self.number))

    def abandon(self) -> None:
        """Nothing more comes of it."""
        if self._statement is not None:
            self._ends.draft.note(Closed(self.number))
        self._leave()

    # The response -----------------------------------------------------------------------------------------------------

    def from_server(self, part: FromServer) -> Question | None:
        """What the target sends, on whichever lane."""
        if self.upgraded is not None:
            return self._relay_back(part, self.upgraded)
        match part:
            case Head(_, head):
                self._answered(head)
            case Data() if self._response.is_bodyless:
                self._fail(CUT)  # there is nothing that it could belong to
            case Data(_, raw) if (body := self._body) is not None:
                return self._shown(body.feed(raw))
            case Data(_, raw):
                self._show(raw)
            case Trailers():
                self._trailers = None if self._body else part  # they tell of bytes that the client does not see
            case End() if (body := self._body) is not None:
                self._is_ending = True
                return self._shown(body.end())
            case End():
                self._finish()
            case Broken():
                self._broke(part)
        return None

    def _answered(self, head: ResponseHead) -> None:
        reading = self._ends.reading
        if head.status == 101 and not self.needs_http1:
            self._fail(UNANSWERED)
            return
        if self.request.method == "HEAD" or head.status in (204, 304):
            head = replace(head, is_bodyless=True)
        response = reading.incoming(self.request, head)
        if isinstance(response, Answer):
            self._say(response)
        elif head.status == 101:
            self._upgrade(response, reading.upgraded(self.number, self.request, response))
        else:
            self._response = response
            self._body = None if head.is_bodyless else reading.body(self.number, self.request, response)
            if self._body is not None:
                self._response = replace(response, headers=response.headers.without("content-length"))
            if self._body is None or not self._body.is_whole:
                self._begin()

    def _begin(self) -> None:
        shown = self._ends.client.framed(self.stream, self._response)
        self._ends.client.send(Head(self.stream, shown))
        self.is_begun = True
        if self._statement is not None:
            self._ends.draft.note(Answered(self.number, shown.status, shown.version, shown.headers.fields))

    def _shown(self, shown: Shown) -> Question | None:
        """What became of a piece of a body that is masked."""
        if self.is_over:
            return None  # its client left while its mask was asked for
        if shown.row_count:
            self._row_count += shown.row_count
            self._ends.draft.note(Rows(self.number, b"", shown.row_count, shown.cells_masked))
        if shown.data and self.is_begun:
            self._show(shown.data)
        elif shown.data:
            self._whole.append(shown.data)
        if shown.refusal:
            self._fail(shown.refusal)
        elif shown.ask is not None:
            return Question(shown.ask, self._planned)
        elif self._is_ending:
            self._finish()
        return None

    def _planned(self, plan: Reply) -> Question | None:
        if not isinstance(plan, Plan) or self._body is None:
            raise AssertionError(f"a shape is not answered by {type(plan).__name__}")
        return self._shown(self._body.resume(plan))

    def _show(self, raw: bytes) -> None:
        self._ends.client.send(Data(self.stream, raw))
        if self._statement is not None:
            self._ends.draft.stream(self.number, "response", raw)

    def _finish(self) -> None:
        if not self.is_begun:
            whole = b"".join(self._whole)
            headers = self._response.headers.plus("content-length", str(len(whole)))
            self._response = replace(self._response, headers=headers)
            self._begin()
            if whole:
                self._show(whole)
        if self._trailers is not None:
            self._ends.client.send(replace(self._trailers, stream=self.stream))
        self._ends.client.send(End(self.stream))
        self._complete()

    def _complete(self) -> None:
        if self._statement is not None and not self._is_faulted:
            self._ends.draft.note(Completed(self.number, str(self._response.status), self._row_count))
        self.abandon()

    def _say(self, answer: Answer) -> None:
        """A whole response of the gateway's own; of the target's nothing more is wanted."""
        body = answer.to(self.request.method).body
        self._response = ResponseHead(answer.status, "", "", answer.headers, not body)
        self._begin()
        if body:
            self._show(body)
        self._ends.client.send(End(self.stream))
        self._complete()

    def _broke(self, broken: Broken) -> None:
        """The lane did, or the target gave the request up."""
        assert self.lane is not None, "nobody could have broken off"
        is_safe = broken.is_unprocessed or (
            self.request.method in IDEMPOTENT and self.lane.is_http1 and not (self.lane.is_fresh or self.lane.is_heard)
        )
        if is_safe and self.request.is_bodyless and not self.is_again:
            self._ends.pool.leave(self, self.lane)
            self.is_again, self.lane = True, None
            if self._is_sent:
                self._unsent.append(End(self.stream))
            self._ends.pool.want(self)
        else:
            self._fail(CUT if self.is_begun else UNANSWERED)

    def _fail(self, sentence: str) -> None:
        if self._statement is not None:
            self._is_faulted = True
            self._ends.draft.note(Faulted(self.number, "502", sentence))
        if self.is_begun:
            self._ends.client.send(Broken(self.stream, sentence))
            self.abandon()
        else:
            self._say(self._ends.reading.says(502, sentence))

    def _leave(self) -> None:
        self.is_over = True
        self._unsent.clear()
        self._ends.pool.leave(self, self.lane)
        self._ends.client.forget(self.stream)

    # After a 101 ------------------------------------------------------------------------------------------------------

    def _upgrade(self, response: ResponseHead, upgraded: Upgraded) -> None:
        self._response = response
        self._begin()
        self._ends.client.send(End(self.stream))
        self.upgraded = upgraded
        self._relay(upgraded.begin(), Side.CLIENT)  # it asks nothing yet

    def release(self) -> Question | None:
        """The target has paused for `hold_s`."""
        return None if self.upgraded is None else self._relay(self.upgraded.release(), Side.SERVER)

    def take(self, frame: Frame) -> Question | None:
        """A frame of one of the client's other lanes."""
        return None if self.upgraded is None else self._relay(self.upgraded.take(frame), Side.CLIENT)

    def _relay_back(self, part: FromServer, upgraded: Upgraded) -> Question | None:
        match part:
            case Data(_, raw):
                return self._relay(upgraded.feed(Side.SERVER, raw), Side.SERVER)
            case End() | Broken() if not self._is_ending:
                self._is_ending = True
                return self._relay(upgraded.feed(Side.SERVER, b""), Side.SERVER)
        return None

    def _relay(self, relayed: Relayed, side: Side) -> Question | None:
        ends, upgraded = self._ends, self.upgraded
        assert upgraded is not None, "it was not upgraded"
        self.hold_s = relayed.hold_s
        for record in relayed.records:
            ends.draft.note(record)
        for frame in relayed.frames:
            ends.draft.child(frame)
        if relayed.to_client:
            ends.client.send(Data(self.stream, relayed.to_client))
        if relayed.to_server and self.lane is not None:
            self.lane.open_half.send(Data(self.number, relayed.to_server))
        if relayed.ended:
            self.abandon()
            ends.client.leave()
        elif relayed.ask is not None:
            return Question(relayed.ask, lambda reply: self._relay(upgraded.resume(side, reply), side))
        return None

    # What lies here ---------------------------------------------------------------------------------------------------

    @property
    def held_bytes(self) -> int:
        """Of the response's body, what waits until it can be masked."""
        return 0 if self._body is None or self.is_over else self._body.held_bytes

    def withhold(self) -> None:
        """There is no room for what lies here."""
        self._fail(CROWDED)

    def unsent_bytes(self) -> int:
        """Of the request's body, what waits for a lane or for the target to take more."""
        waiting = sum(len(part.raw) for part in self._unsent if isinstance(part, Data))
        return waiting if self.lane is None else waiting + self.lane.open_half.buffered(self.number)
