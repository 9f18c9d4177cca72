"""The book of prepared statements and portals: what each name stands for, as the client's messages have it so far.

Clients don't wait for answers, so the book runs ahead of the server: a change is made when its message goes out and
undone when the server refuses or skips it. Knows no message; SQL's own PREPARE, DEALLOCATE and DECLARE don't appear in
it, which is safe: a name that only the server knows can't be used here, one that only the book knows fails there.
"""

from dataclasses import dataclass, field
from enum import Enum

from hoopproxy.errors import ProtocolViolation
from hoopproxy.events import Edit, Field
from hoopproxy.wire.postgres import requests


@dataclass(slots=True, eq=False)
class Prepared:
    """A prepared statement. `text` is what the client wrote, `sent` what the server was given, by these `edits`.

    `fields` is what the server said to a Describe of it: good enough for a recording, never for a mask. When the
    search path changes, the server may plan it anew over other tables with columns of the same types.
    """

    number: int
    text: str
    sent: str
    edits: tuple[Edit, ...] = ()
    fields: tuple[Field, ...] | None = None

    @property
    def bytes_held(self) -> int:
        """What it takes of memory, roughly."""
        return len(self.text) if self.text is self.sent else len(self.text) + len(self.sent)


@dataclass(slots=True, eq=False)
class Portal:
    """A statement with its parameters, ready to run.

    `described` is the newest description of it; `fields` the one that stood right before its first Execute, which is
    the only one that is true of its rows: a portal over SQL's EXECUTE or FETCH is described anew each time, and
    by whatever those names mean by then. `rows` were shown of it so far.
    """

    statement: "Change[Prepared]"
    prepared: Prepared
    bind: requests.Bind
    bytes_held: int = 0
    described: tuple[Field, ...] | None = None
    fields: tuple[Field, ...] | None = None
    rows: int = 0

    def complete(self, bind: requests.Bind) -> None:
        """Its Bind was a long one, and all of it is known by now."""
        self.bind = bind


class State(Enum):
    """What became of a change."""

    SENT = "sent"
    CONFIRMED = "confirmed"
    UNDONE = "undone"
    CLOSED = "closed"


@dataclass(slots=True, eq=False)
class Change[T: (Prepared, Portal)]:
    """A name stands for `value` from one message on; `before` is what it reverts to should the server say no."""

    names: "Names[T]" = field(repr=False)
    name: str
    value: T
    before: "Change[T] | None"
    state: State = State.SENT

    def confirm(self) -> None:
        """The server did it."""
        self.state, self.before = State.CONFIRMED, None

    def undo(self) -> None:
        """The server refused it, or skipped it after an earlier error."""
        self.state = State.UNDONE
        self.names.tidy(self.name)

    def close(self) -> None:
        """The server closed what the name stood for when Close was sent."""
        newest = _newest(self)
        if newest is not None:
            newest.state = State.CLOSED
            self.names.tidy(self.name)

    @property
    def undone(self) -> bool:
        """Whether it turned out never to have happened."""
        return self.state is State.UNDONE


def _newest[T: (Prepared, Portal)](change: Change[T] | None) -> Change[T] | None:
    while change is not None and change.state in (State.UNDONE, State.CLOSED):
        change = change.before
    return change


class Names[T: (Prepared, Portal)]:
    """One namespace of a connection."""

    def __init__(self) -> None:
        self._changes: dict[str, Change[T]] = {}

    def __len__(self) -> int:
        return len(self._changes)

    @property
    def bytes_held(self) -> int:
        """What all that the names stand for takes."""
        return sum(change.value.bytes_held for change in self._changes.values())

    def change(self, name: str, value: T) -> Change[T]:
        """From now on `name` stands for `value`."""
        self._changes[name] = change = Change(self, name, value, self.find(name))
        return change

    def find(self, name: str) -> Change[T] | None:
        """What `name` stands for, as far as is known. A Close counts once it is confirmed: it may be skipped."""
        return _newest(self._changes.get(name))

    def tidy(self, name: str) -> None:
        """Something that `name` stood for is gone."""
        newest = self.find(name)
        if newest is None:
            self._changes.pop(name, None)
        else:
            self._changes[name] = newest

    def forget_confirmed(self, *spared: str) -> None:
        """All that the server knew is gone, but these names; what is still on its way stays."""
        self._changes = {
            name: change
            for name, change in self._changes.items()
            if name in spared or change.state is not State.CONFIRMED
        }


class Book:
    """Both namespaces of one connection."""

    def __init__(self) -> None:
        self.statements: Names[Prepared] = Names()
        self.portals: Names[Portal] = Names()


def be_sure(*changes: Change[Prepared] | Change[Portal]) -> None:
    """What the server says it has done must be what was asked about.

    A client that doesn't wait may use a name whose Parse or Bind fails, while the server knows that name from elsewhere
    (an earlier Parse, SQL's PREPARE or DECLARE) and runs something else than the book says.

    @raise ProtocolViolation
    """
    if any(change.undone for change in changes):
        raise ProtocolViolation(
            "client", "A name was used again before the target had confirmed it; wait for its answer first."
        )
