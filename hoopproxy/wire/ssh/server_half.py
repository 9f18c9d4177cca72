"""What the server sends to a logged-in client: what it answers, what is shown of its output, and what is refused.

Knows nothing of the client's requests but who waits for what.
"""

from collections.abc import Callable
from typing import ClassVar

from hoopproxy.events import Action, Completed, Faulted, Plan, Rejected, Reply, Shape, Statement
from hoopproxy.model import Side
from hoopproxy.wire.lines import Lines, cutter_of, shape_of
from hoopproxy.wire.ssh import messages, requests
from hoopproxy.wire.ssh.channels import OWN_NUMBERS_FROM, Channel, Channels, End
from hoopproxy.wire.ssh.draft import STREAMS, Draft
from hoopproxy.wire.ssh.holding import Holding
from hoopproxy.wire.ssh.intake import Intake
from hoopproxy.wire.ssh.messages import DATA, EXTENDED_DATA, PROHIBITED, STDERR, Reader, misplaced
from hoopproxy.wire.ssh.output import Output
from hoopproxy.wire.ssh.owed import GLOBAL
from hoopproxy.wire.ssh.terms import Terms

_KEEPALIVE = "keepalive@openssh.com"
_EMPTY = frozenset(("eow@openssh.com", _KEEPALIVE))
"""Requests of a server that carry nothing."""

_NOT_OPENED = "The target asked for a channel to your client ({}), and the gateway opens none in that direction."
_UNSAID = "The target did not open the channel."
_DENIED = "The target refused it."


class ServerHalf:
    """The server's direction."""

    def __init__(self, terms: Terms, channels: Channels) -> None:
        self._terms, self._channels = terms, channels
        self._owed = channels.owed[Side.SERVER]
        self._intake = Intake(Side.SERVER)
        self._plans: dict[int, Plan] = {}
        self._wanted = 0
        self.holding = Holding()

    def append(self, data: bytes) -> None:
        """Take what arrived."""
        self._intake.append(data)

    def answer(self, reply: Reply, draft: Draft) -> None:
        """The plan for the stream that was asked about. Masking with a wrong one would be our worst mistake."""
        if not isinstance(reply, Plan):
            raise AssertionError(f"a shape is not answered by {type(reply).__name__}")
        if reply.shape != shape_of(STREAMS[self._wanted]) or len(reply.operations) != 1:
            raise AssertionError("the plan is not for the shape that was asked about")
        self._plans[self._wanted] = reply

    def run(self, draft: Draft) -> Shape | None:
        """Go through what arrived, up to the first stream whose plan is unknown. @raise ProtocolViolation."""
        intake = self._intake
        while draft.takes_one():
            if not intake.next():
                return None
            kind = intake.data[intake.start]
            reader = Reader(Side.SERVER, intake.data, intake.start, intake.end)
            if kind in (DATA, EXTENDED_DATA):
                shape = self._data(kind, reader, draft)
                if shape is not None:
                    intake.go_back()
                    return shape
                continue
            take = self._TAKES.get(kind)
            if take is None:
                raise misplaced(Side.SERVER, kind, "a server has no use for it")
            take(self, reader, draft)
        return None

    # Output ---------------------------------------------------------------------------------------------------------

    def _data(self, kind: int, reader: Reader, draft: Draft) -> Shape | None:
        channel = self._channels.find(Side.SERVER, reader.uint32(), kind)
        code = reader.uint32() if kind == EXTENDED_DATA else 0
        raw = reader.string()
        reader.end()
        if kind == EXTENDED_DATA and code != STDERR:
            raise misplaced(Side.SERVER, kind, f"extended data of the unknown kind {code}")
        if channel.server.has_ended:
            raise misplaced(Side.SERVER, kind, "data behind their end")
        if channel.is_cut or channel.client.has_closed:
            channel.output.spend(len(raw))
            return None
        plan = self._plans.get(code)
        if self._terms.is_masked:
            if plan is None:
                self._wanted = code
                return shape_of(STREAMS[code])
            if plan.refusal:
                draft.note(Faulted(channel.statement, "refused", plan.refusal))
                channel.output.spend(len(raw))
                channel.cut(plan.refusal, draft)
                return None
        self._show(code, plan, channel, raw, draft)
        return None

    def _show(self, code: int, plan: Plan | None, channel: Channel, raw: bytes, draft: Draft) -> None:
        output, sftp = channel.output, channel.run.sftp if channel.run else None
        output.spend(len(raw))
        number = channel.statement
        if sftp is not None and not code:
            for record in sftp.answered(raw):
                draft.note(record)
            number = 0
        if plan is not None and plan.masks:
            lines = output.lines.get(code)
            if lines is None:
                lines = output.lines[code] = Lines(cutter_of(plan))
            output.show(code, number, lines.feed(raw), draft)
            self.holding.touched(channel)
            for other in self.holding.passed_over():
                self._release(other, draft)
        elif output.passes(len(raw)):
            self._pass_on(draft)
            if number and raw:
                draft.stream(number, STREAMS[code], raw)
        else:
            output.show(code, number, raw, draft)
        if plan is not None:
            self._settle(channel, draft)

    def release(self, draft: Draft) -> None:
        """The server paused: show what is held of unfinished lines. @raise AddonFailure."""
        for channel in self.holding.paused():
            self._release(channel, draft)

    def _release(self, channel: Channel, draft: Draft) -> None:
        channel.output.finish(channel.statement, draft)
        self._settle(channel, draft)

    def _settle(self, channel: Channel, draft: Draft) -> None:
        """Grant the server what masks have made shorter."""
        granted = channel.output.credit()
        if granted and not channel.is_closing:
            draft.server.say(messages.window_adjust(channel.server.number, granted))

    def _pass_on(self, draft: Draft) -> None:
        draft.client.pass_on(self._intake.data, self._intake.start, self._intake.end)

    # Other messages -------------------------------------------------------------------------------------------------

    def _confirmation(self, reader: Reader, draft: Draft) -> None:
        recipient, sender, window, packet_max = (reader.uint32() for _ in range(4))
        reader.end()
        opening = self._channels.opening.pop(recipient, None)
        if opening is None or sender >= OWN_NUMBERS_FROM or sender in self._channels.by_server:
            raise misplaced(Side.SERVER, reader.kind, f"channel {sender} for {recipient}")
        output = Output(recipient, opening.window, opening.packet_max, self._terms.granted_max)
        channel = Channel(End(recipient), End(sender), output, window, packet_max, opening.statement)
        self._pass_on(draft)
        self._channels.opened(channel, draft)

    def _open_failure(self, reader: Reader, draft: Draft) -> None:
        recipient, reason, description, _ = reader.uint32(), reader.uint32(), reader.string(), reader.string()
        reader.end()
        opening = self._channels.opening.pop(recipient, None)
        if opening is None:
            raise misplaced(Side.SERVER, reader.kind, f"channel {recipient} was not asked for")
        text = _UNSAID
        if self._terms.is_masked:
            draft.client.say(messages.open_failure(recipient, reason, text))
        else:
            self._pass_on(draft)
            text = description.decode("utf-8", "replace")
        draft.note(Faulted(opening.statement, f"open failure {reason}", text))

    def _open(self, reader: Reader, draft: Draft) -> None:
        name, number = reader.name(), reader.uint32()
        statement = Statement(next(self._terms.numbers), Action.OPEN, name, name)
        draft.note(Rejected(statement, _NOT_OPENED.format(name)))
        draft.server.say(messages.open_failure(number, PROHIBITED, _NOT_OPENED.format(name)))

    def _window_adjust(self, reader: Reader, draft: Draft) -> None:
        channel, count = self._channels.find(Side.SERVER, reader.uint32(), reader.kind), reader.uint32()
        reader.end()
        channel.widen(count)
        if not (channel.is_cut or channel.client.has_closed):
            self._pass_on(draft)

    def _eof(self, reader: Reader, draft: Draft) -> None:
        channel = self._channels.find(Side.SERVER, reader.uint32(), reader.kind)
        reader.end()
        if channel.server.has_ended:
            raise misplaced(Side.SERVER, reader.kind, "a second end")
        channel.server.has_ended = True
        self._end(channel, reader.payload, draft)

    def _close(self, reader: Reader, draft: Draft) -> None:
        channel = self._channels.find(Side.SERVER, reader.uint32(), reader.kind)
        reader.end()
        self._end(channel, reader.payload, draft)
        self._channels.closed(Side.SERVER, channel, draft)

    def _end(self, channel: Channel, payload: bytes, draft: Draft) -> None:
        if not channel.is_cut:
            channel.output.finish(channel.statement, draft)
            channel.output.end(payload, draft)

    def _request(self, reader: Reader, draft: Draft) -> None:
        channel = self._channels.find(Side.SERVER, reader.uint32(), reader.kind)
        name, wants_reply = reader.name(), reader.flag()
        if channel.is_cut:
            return
        if name == "exit-status":
            self._exits(channel, f"exit {reader.uint32()}", reader, draft)
        elif name == "exit-signal":
            self._exits_by_signal(channel, wants_reply, reader, draft)
        elif name == "xon-xoff":
            reader.flag()
            reader.end()
            self._pass_on(draft)
        elif name in _EMPTY:
            reader.end()
            self._pass_on(draft)
        else:
            if wants_reply and not channel.client.has_closed:
                failure = messages.channel_failure(channel.server.number)
                self._owed.owe(channel.number, lambda later: later.server.say(failure), draft)
                self._not_too_many()
            return
        if wants_reply:
            self._expect(channel.number)

    def _exits(self, channel: Channel, tag: str, reader: Reader, draft: Draft) -> None:
        reader.end()
        draft.note(Completed(channel.statement, tag, 0))
        self._pass_on(draft)

    def _exits_by_signal(self, channel: Channel, wants_reply: bool, reader: Reader, draft: Draft) -> None:
        name, has_dumped = requests.read_signal(reader), reader.take(1)
        reader.string()  # the target's words
        reader.string()  # their language
        reader.end()
        draft.note(Completed(channel.statement, f"signal {name}", 0))
        if self._terms.is_masked:
            rest = messages.string(name.encode()) + has_dumped + bytes(8)
            draft.client.say(messages.channel_request(channel.number, "exit-signal", wants_reply, rest))
        else:
            self._pass_on(draft)

    def _global_request(self, reader: Reader, draft: Draft) -> None:
        name, wants_reply = reader.name(), reader.flag()
        if name == _KEEPALIVE:
            reader.end()
            self._pass_on(draft)
            if wants_reply:
                self._expect(GLOBAL)
        elif wants_reply:
            self._owed.owe(GLOBAL, lambda later: later.server.say(messages.request_failure()), draft)
            self._not_too_many()

    def _expect(self, number: int) -> None:
        """The client will answer."""
        self._owed.expect(number)
        self._not_too_many()

    def _not_too_many(self) -> None:
        """A server asks now and then; one that floods is not paused, but broken off. @raise ProtocolViolation."""
        if self._owed.count > self._terms.limits.pending_statements_max:
            raise misplaced(Side.SERVER, messages.GLOBAL_REQUEST, "more requests than anybody answers")

    def _reply(self, reader: Reader, draft: Draft) -> None:
        """The answer to a request of the client's."""
        channel, number = None, GLOBAL
        if reader.kind in (messages.CHANNEL_SUCCESS, messages.CHANNEL_FAILURE):
            channel = self._channels.find(Side.SERVER, reader.uint32(), reader.kind)
            if channel.is_cut:
                return
            number = channel.number
        reader.end()
        owed = self._channels.owed[Side.CLIENT]
        answered = owed.answered(number)
        if reader.kind == messages.CHANNEL_FAILURE and channel is not None and answered:
            draft.note(Faulted(answered, "failure", _DENIED))
            if channel.run is not None and channel.run.statement == answered:
                self._channels.over(channel, draft)
            elif channel.terminal_from == answered:
                channel.terminal = None
        self._pass_on(draft)
        owed.go_on(number, draft)

    _TAKES: ClassVar[dict[int, Callable[["ServerHalf", Reader, Draft], None]]] = {
        messages.GLOBAL_REQUEST: _global_request,
        messages.REQUEST_SUCCESS: _reply,
        messages.REQUEST_FAILURE: _reply,
        messages.CHANNEL_OPEN: _open,
        messages.CHANNEL_OPEN_CONFIRMATION: _confirmation,
        messages.CHANNEL_OPEN_FAILURE: _open_failure,
        messages.WINDOW_ADJUST: _window_adjust,
        messages.EOF: _eof,
        messages.CLOSE: _close,
        messages.CHANNEL_REQUEST: _request,
        messages.CHANNEL_SUCCESS: _reply,
        messages.CHANNEL_FAILURE: _reply,
    }
