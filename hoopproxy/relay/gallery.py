"""Who watches which live session, and what they see of it: what a reviewer may read of its recording, as it happens.

No watcher is ever waited for. Knows neither how watchers are reached nor who may watch.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

from orjson import Fragment

from hoopproxy.events import Action, Answered, Asked, Closed, Completed, Faulted, Record, Terminal
from hoopproxy.evidence.transcript import Lines, Transcript
from hoopproxy.model import Passage, Tally
from hoopproxy.rooms import IScheduler


class Watcher(Protocol):
    """Somebody who watches. Both calls return at once and raise nothing."""

    def tell(self, event: Mapping[str, Any], /) -> None:
        """A line: `connection_id`, and the `line` as JSON."""

    def end(self) -> None:
        """The session has ended."""


class NotLive(LookupError):
    """There is no such session, or it has ended."""


@dataclass(slots=True)
class _Session:
    showings: "dict[str, Showing]" = field(default_factory=dict)
    watchers: list[Watcher] = field(default_factory=list)


class Gallery:
    """All live sessions of a gateway, for those who watch them."""

    def __init__(self, scheduler: IScheduler) -> None:
        self._scheduler = scheduler
        self._sessions: dict[str, _Session] = {}

    def show(self, passage: Passage) -> "Showing":
        """One more connection of a session can be watched, until its `over`."""
        session = self._sessions.setdefault(passage.session_id, _Session())
        connection_id = passage.permit.arrival.connection_id
        showing = Showing(passage, session.watchers, self._scheduler, lambda: self._over(passage))
        session.showings[connection_id] = showing
        showing.welcome(*session.watchers)
        return showing

    def watch(self, session_id: str, watcher: Watcher) -> Callable[[], None]:
        """Tell `watcher` what happens from now on, until the answered function is called or the session has ended.

        @raise NotLive
        """
        session = self._sessions.get(session_id)
        if session is None:
            raise NotLive(session_id)
        session.watchers.append(watcher)
        for showing in session.showings.values():
            showing.welcome(watcher)

        def leave() -> None:
            if watcher in session.watchers:
                session.watchers.remove(watcher)

        return leave

    def _over(self, passage: Passage) -> None:
        session = self._sessions[passage.session_id]
        del session.showings[passage.permit.arrival.connection_id]
        if not session.showings:
            del self._sessions[passage.session_id]
            for watcher in tuple(session.watchers):
                watcher.end()


class Showing:
    """One connection, as it is watched; who comes late is first told who it is and what runs."""

    def __init__(
        self, passage: Passage, watchers: Sequence[Watcher], scheduler: IScheduler, over: Callable[[], None]
    ) -> None:
        self._passage, self._watchers, self._scheduler, self._over = passage, watchers, scheduler, over
        self._running: dict[int, list[tuple[float, Record]]] = {}
        self._transcript: Transcript | None = None
        self._first = 0

    def welcome(self, *watchers: Watcher) -> None:
        """Tell those who begin to watch how it stands."""
        transcript = Transcript()
        self._tell(transcript.opened(self._scheduler.now_s(), self._passage), watchers)
        for at_s, record in [one for records in self._running.values() for one in records]:
            self._tell(transcript.recorded(at_s, (record,)), watchers)

    def saw(self, at_s: float, records: Sequence[Record]) -> None:
        """This was recorded."""
        for record in records:
            self._remember(at_s, record)
        if not self._watchers:
            self._transcript = None
            return
        if self._transcript is None:
            self._transcript, self._first = Transcript(), 0
        self._tell(self._transcript.recorded(at_s, tuple(map(self._discreet, records))), self._watchers)

    def over(self, tally: Tally, reason: str) -> None:
        """The connection has ended."""
        if self._watchers:
            closed = (self._transcript or Transcript()).closed(self._scheduler.now_s(), tally, reason)
            self._tell(closed, self._watchers)
        self._over()

    def _remember(self, at_s: float, record: Record) -> None:
        match record:
            case Asked(statement) if statement.action in (Action.RUN, Action.CALL):
                self._running[statement.number] = [(at_s, record)]
            case Terminal(number) | Answered(number) if number in self._running:
                self._running[number][1:] = [(at_s, record)]
            case Completed(number) | Faulted(number) | Closed(number):
                self._running.pop(number, None)

    def _discreet(self, record: Record) -> Record:
        """An error may quote its statement, which may hold a credential: known only if it was asked since then."""
        match record:
            case Asked(statement):
                self._first = self._first or statement.number
            case Faulted(number) if not self._first or number < self._first:
                return replace(record, text="")
            case Answered(number) if self._runs_in_secret(number):
                return replace(record, headers=())
        return record

    def _runs_in_secret(self, number: int) -> bool:
        match self._running.get(number):
            case [(_, Asked(statement)), *_]:
                return statement.secret
        return False

    def _tell(self, lines: Lines, watchers: Sequence[Watcher]) -> None:
        connection_id = self._passage.permit.arrival.connection_id
        for line in lines.masked.splitlines():
            for watcher in tuple(watchers):
                watcher.tell({"connection_id": connection_id, "line": Fragment(line)})
