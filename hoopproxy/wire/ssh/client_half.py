"""What a logged-in client sends: what is asked about, what goes to the server, and what is answered in its place.

Knows nothing of what the server says; what was sent and not answered yet stands in `owed`.
"""

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import ClassVar

from hoopproxy.errors import ProtocolViolation
from hoopproxy.events import Action, Asked, Forward, Reject, Rejected, Reply, Statement, Terminal
from hoopproxy.model import Side
from hoopproxy.wire.ssh import messages, requests
from hoopproxy.wire.ssh.channels import Channel, Channels, Opening, Run, words
from hoopproxy.wire.ssh.draft import Draft
from hoopproxy.wire.ssh.intake import Intake
from hoopproxy.wire.ssh.messages import DATA, PROHIBITED, RESOURCE_SHORTAGE, Reader, misplaced
from hoopproxy.wire.ssh.owed import GLOBAL
from hoopproxy.wire.ssh.requests import Request
from hoopproxy.wire.ssh.sftp import Sftp
from hoopproxy.wire.ssh.terms import Terms

PACKET_BYTES_MIN = 1024
"""The least that a client's channel has to take at once; all have to take packets of 32 KiB (RFC 4253 §6.1)."""

_TOO_MANY = "You have as many channels open as the gateway allows ({}); close some (limits.channels_max)."
_ONE_EACH = "One channel runs one thing: open another channel for this."

type _About = Opening | Channel | int
"""What a question is about: a session channel, a request in a channel, or the client's number of a forwarded one."""


class ClientHalf:
    """The client's direction."""

    def __init__(self, terms: Terms, channels: Channels) -> None:
        self._terms, self._channels = terms, channels
        self._owed = channels.owed[Side.CLIENT]
        self._intake = Intake(Side.CLIENT)
        self._asking: tuple[Statement, Request, bytes, _About] | None = None

    def append(self, data: bytes) -> None:
        """Take what arrived."""
        self._intake.append(data)

    @property
    def is_full(self) -> bool:
        """Whether the client has asked for as much as it may before the server answers."""
        return self._owed.count + len(self._channels.opening) >= self._terms.limits.pending_statements_max

    def run(self, draft: Draft) -> Statement | None:
        """Go through what arrived, up to the first question. @raise ProtocolViolation."""
        intake = self._intake
        while draft.takes_one():
            if self.is_full:
                draft.is_full = True
                return None
            if not intake.next():
                return None
            kind = intake.data[intake.start]
            reader = Reader(Side.CLIENT, intake.data, intake.start, intake.end)
            if kind == DATA:
                self._data(reader, draft)
                continue
            take = self._TAKES.get(kind)
            if take is None:
                raise misplaced(Side.CLIENT, kind, "a client has no use for it")
            asked = take(self, reader, draft)
            if asked is not None:
                return asked
        return None

    # Questions ------------------------------------------------------------------------------------------------------

    def _ask(self, request: Request, payload: bytes, about: _About) -> Statement:
        statement = self._statement(request)
        self._asking = statement, request, payload, about
        return statement

    def _statement(self, request: Request) -> Statement:
        return Statement(
            next(self._terms.numbers), request.action, request.text, request.outline, secret=request.secret
        )

    def answer(self, reply: Reply, draft: Draft) -> None:
        """The reply to the last question."""
        if self._asking is None:
            raise AssertionError("nothing was asked")
        (statement, request, payload, about), self._asking = self._asking, None
        match reply:
            case Reject(sentence):
                draft.note(Rejected(statement, sentence))
                self._refuse(request, about, sentence, draft)
            case Forward(text):
                if not (isinstance(about, Channel) and about.is_cut):  # the gateway may have closed it meanwhile
                    self._forward(replace(statement, text=text), request, payload, about, draft)
            case _:
                raise AssertionError(f"a statement is not answered by {type(reply).__name__}")

    def _forward(self, statement: Statement, request: Request, payload: bytes, about: _About, draft: Draft) -> None:
        draft.note(Asked(statement))
        if statement.text != request.text:
            if request.name != "exec" or not isinstance(about, Channel):
                raise AssertionError("of all that SSH asks for, a command alone is rewritten")
            command = messages.string(requests.rewritten(statement.text))
            payload = messages.channel_request(about.server.number, request.name, request.wants_reply, command)
        match about:
            case Opening():
                about.statement = statement.number
                self._channels.opening[about.number] = about
                draft.server.say(payload)
            case Channel():
                draft.server.say(payload)
                self._requested(statement.number, request, about, draft)
            case _:
                draft.client.say(payload)  # the frontend takes it out, and ends the channel itself

    def _requested(self, number: int, request: Request, channel: Channel, draft: Draft) -> None:
        """The server was sent a request."""
        if request.wants_reply:
            self._owed.expect(channel.number, number)
        if request.name == "pty-req":
            channel.terminal, channel.terminal_from = request.terminal, number
        elif request.terminal and channel.terminal:
            channel.terminal = replace(request.terminal, term=channel.terminal.term)
        if request.action is Action.RUN:
            is_sftp = request.text == "subsystem sftp"
            channel.run = Run(number, Sftp(number) if is_sftp else None)
        if channel.run and channel.terminal and (request.terminal or request.action is Action.RUN):
            size = channel.terminal
            draft.note(Terminal(channel.run.statement, size.columns, size.rows, size.term))

    def _refuse(self, request: Request, about: _About, sentence: str, draft: Draft) -> None:
        """Answer in the server's place."""
        match about:
            case Channel():
                self._refuse_request(request, about, sentence, draft)
            case Opening(number=number) | int(number):
                draft.client.say(messages.open_failure(number, PROHIBITED, sentence))

    def _refuse_request(self, request: Request, channel: Channel, sentence: str, draft: Draft) -> None:
        if channel.is_closing:
            return
        if request.action is Action.RUN and channel.run is None:
            channel.is_refused = True
            self._owed.owe(channel.number, partial(_fail, request, channel, sentence), draft)
            return
        if request.name != requests.ENVIRONMENT:  # what is not accepted is left out silently, as sshd does
            channel.output.say(words(sentence), draft)
        if request.wants_reply:
            failure = messages.channel_failure(channel.number)
            self._owed.owe(channel.number, lambda later: later.client.say(failure), draft)

    # Messages -------------------------------------------------------------------------------------------------------

    def _pass_on(self, draft: Draft) -> None:
        draft.server.pass_on(self._intake.data, self._intake.start, self._intake.end)

    def _data(self, reader: Reader, draft: Draft) -> None:
        channel = self._channels.find(Side.CLIENT, reader.uint32(), DATA)
        raw = reader.string()
        reader.end()
        size = len(raw)
        if size > channel.room or size > channel.packet_max:
            raise ProtocolViolation("client", "Your client sent more than the target's window had room for.")
        if channel.client.has_ended:
            raise misplaced(Side.CLIENT, DATA, "data behind their end")
        run = channel.run
        if channel.is_cut:
            channel.room -= size
        elif run is None:  # it was refused, or never asked for: nobody reads this
            if size and not channel.server.has_closed:
                draft.client.say(messages.window_adjust(channel.number, size))
        else:
            channel.room -= size
            self._pass_on(draft)
            if run.sftp is None:
                if raw:
                    draft.stream(run.statement, "stdin", raw)
            else:
                for record in run.sftp.sent(raw):
                    draft.note(record)

    def _open(self, reader: Reader, draft: Draft) -> Statement | None:
        name, number, window, packet_max = reader.name(), reader.uint32(), reader.uint32(), reader.uint32()
        if number in self._channels.opening or number in self._channels.by_client:
            raise misplaced(Side.CLIENT, reader.kind, f"channel {number} is open")
        request = requests.read_open(name, reader)
        if request.refusal:
            draft.note(Rejected(self._statement(request), request.refusal))
            draft.client.say(messages.open_failure(number, PROHIBITED, request.refusal))
            return None
        if request.name != "session":
            return self._ask(request, reader.payload, number)
        channels_max = self._terms.limits.channels_max
        if len(self._channels) >= channels_max:
            sentence = _TOO_MANY.format(channels_max)
            draft.note(Rejected(self._statement(request), sentence))
            draft.client.say(messages.open_failure(number, RESOURCE_SHORTAGE, sentence))
            return None
        if packet_max < PACKET_BYTES_MIN:
            raise reader.broken("a channel that takes no packets")
        granted = min(window, self._terms.granted_max)
        payload = reader.payload if granted == window else messages.open_session(number, granted, packet_max)
        return self._ask(request, payload, Opening(number, 0, window, packet_max))

    def _request(self, reader: Reader, draft: Draft) -> Statement | None:
        channel = self._channels.find(Side.CLIENT, reader.uint32(), reader.kind)
        request = requests.read_request(reader, self._terms.environment, self._terms.is_masked)
        if channel.is_cut or channel.is_refused:
            return None
        if request.passes:
            self._pass_on(draft)
            self._requested(0, request, channel, draft)
            return None
        refusal = request.refusal or (_ONE_EACH if request.action is Action.RUN and channel.run else "")
        if refusal:
            draft.note(Rejected(self._statement(request), refusal))
            self._refuse_request(request, channel, refusal, draft)
            return None
        return self._ask(request, reader.payload, channel)

    def _global_request(self, reader: Reader, draft: Draft) -> None:
        name, wants_reply = reader.name(), reader.flag()
        if name in requests.GLOBALS_PASSED:
            reader.end()
            self._pass_on(draft)
            if wants_reply:
                self._owed.expect(GLOBAL)
            return
        request = requests.refused(name, Action.REQUEST)
        draft.note(Rejected(self._statement(request), request.refusal))
        self._channels.tell(request.refusal, draft)
        if wants_reply:
            self._owed.owe(GLOBAL, lambda later: later.client.say(messages.request_failure()), draft)

    def _reply(self, reader: Reader, draft: Draft) -> None:
        """The answer to a request of the server's."""
        number = GLOBAL
        if reader.kind in (messages.CHANNEL_SUCCESS, messages.CHANNEL_FAILURE):
            channel = self._channels.find(Side.CLIENT, reader.uint32(), reader.kind)
            if channel.is_cut:
                return
            number = channel.number
        reader.end()
        owed = self._channels.owed[Side.SERVER]
        owed.answered(number)
        self._pass_on(draft)
        owed.go_on(number, draft)

    def _window_adjust(self, reader: Reader, draft: Draft) -> None:
        channel, count = self._channels.find(Side.CLIENT, reader.uint32(), reader.kind), reader.uint32()
        reader.end()
        granted = channel.output.widen(count, draft)
        if channel.is_cut or channel.server.has_closed:
            return
        if granted == count:
            self._pass_on(draft)
        elif granted:
            draft.server.say(messages.window_adjust(channel.server.number, granted))

    def _eof(self, reader: Reader, draft: Draft) -> None:
        channel = self._channels.find(Side.CLIENT, reader.uint32(), reader.kind)
        reader.end()
        if channel.client.has_ended:
            raise misplaced(Side.CLIENT, reader.kind, "a second end")
        channel.client.has_ended = True
        if not channel.is_cut:
            self._pass_on(draft)

    def _close(self, reader: Reader, draft: Draft) -> None:
        channel = self._channels.find(Side.CLIENT, reader.uint32(), reader.kind)
        reader.end()
        channel.output.drop(draft)
        if not channel.is_cut:
            self._pass_on(draft)
        self._channels.closed(Side.CLIENT, channel, draft)

    _TAKES: ClassVar[dict[int, Callable[["ClientHalf", Reader, Draft], Statement | None]]] = {
        messages.GLOBAL_REQUEST: _global_request,
        messages.REQUEST_SUCCESS: _reply,
        messages.REQUEST_FAILURE: _reply,
        messages.CHANNEL_OPEN: _open,
        messages.WINDOW_ADJUST: _window_adjust,
        messages.EOF: _eof,
        messages.CLOSE: _close,
        messages.CHANNEL_REQUEST: _request,
        messages.CHANNEL_SUCCESS: _reply,
        messages.CHANNEL_FAILURE: _reply,
    }


def _fail(request: Request, channel: Channel, sentence: str, draft: Draft) -> None:
    """Let what was refused run, as it were, and fail with the sentence on standard error.

    The protocol's own no has no place for a sentence, and clients drop what was shown right before it (OpenSSH with a
    terminal) or raise without it (asyncssh, paramiko).
    """
    if request.wants_reply and not channel.is_closing:
        draft.client.say(messages.channel_success(channel.number))
    channel.cut(sentence, draft)
