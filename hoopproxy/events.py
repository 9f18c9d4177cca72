"""What crosses the relay: a machine's steps and questions, the answers to them, and what recorders are shown.

Knows no protocol: `wire/` machines speak these, `relay/` answers them, addons judge and record them. Every event is
frozen; raw bytes in it are already masked where the client would see a mask.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum
from typing import Protocol

from hoopproxy.model import Side
from hoopproxy.requests import HeaderFields, HttpRequest, KubernetesRequest


class Format(Enum):
    """How a cell is written on the wire."""

    TEXT = "text"
    BINARY = "binary"


@dataclass(frozen=True, slots=True)
class Field:
    """One column of a result.

    `path` is `schema.table.column` when the cell comes straight from a relation whose name the gateway knows, or
    `ENDPOINT $.path` when it stands in JSON (and ends with `~` where it is the member's name itself), else "".
    `table_oid` and `column_number` are 0 for expressions (PostgreSQL protocol, RowDescription). `type_modifier` is -1
    where the type has none.
    """

    name: str
    path: str
    table_oid: int
    column_number: int
    type_oid: int
    type_modifier: int
    format: Format


@dataclass(frozen=True, slots=True)
class Shape:
    """The columns of one result, in order. Equal shapes share one plan; there is no "last" shape."""

    fields: tuple[Field, ...]


class Action(Enum):
    """What a client asks a target to do with a statement.

    The first three are SQL's. CALL is one HTTP request, whatever comes of it. OPEN asks for a channel or stream
    (`session`, `direct-tcpip db:5432`), RUN for something to run in it (`exec rsync --server .`, `shell`, `subsystem
    sftp`), REQUEST for anything else (`pty-req xterm 80x24`, `env LANG=C.UTF-8`, `signal TERM`).
    """

    QUERY = "query"
    PREPARE = "prepare"
    EXECUTE = "execute"
    OPEN = "open"
    RUN = "run"
    REQUEST = "request"
    CALL = "call"


SQL = frozenset((Action.QUERY, Action.PREPARE, Action.EXECUTE))
"""The actions whose text is SQL."""


@dataclass(frozen=True, slots=True)
class Omitted:
    """Stands for a bind value that was too long to be held and went by in pieces. Who must see a value to allow a
    statement has to refuse it."""

    bytes_count: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Parameter:
    """One bind value as sent; None is NULL."""

    value: bytes | Omitted | None = field(repr=False)
    format: Format


@dataclass(frozen=True, slots=True)
class Statement:
    """A question of the machine: may this go to the target? `number` counts statements of one connection from 1.

    For EXECUTE `text` is the text of the prepared statement and `parameters` are its bind values. `outline` is the text
    without its literals, fit for people who review but may not see data; "" when it could not be made. `secret` marks
    a text that carries a credential (`ALTER ROLE … PASSWORD`): nobody keeps more of it than the outline. `http` is set
    for CALL (its text is `GET /v1/customers/17?full=1`), and `kubernetes` where the target is a cluster. `settings`,
    for guards alone, is what the connection said before that may change what the text means (`relay.footing`).
    """

    number: int
    action: Action
    text: str
    outline: str = ""
    parameters: tuple[Parameter, ...] = ()
    secret: bool = False
    http: HttpRequest | None = None
    kubernetes: KubernetesRequest | None = None
    settings: tuple[str, ...] = ()


type Ask = Statement | Shape


# Answers to asks ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Edit:
    """At character `at` of the original text, `removed` characters became `put`. In order, none within another."""

    at: int
    removed: int
    put: str


class Ration(Protocol):
    """Rows that several connections are shown together, and no more of: `sentence` says so when none is left."""

    @property
    def rows_left(self) -> int: ...
    @property
    def sentence(self) -> str: ...
    def take(self, rows: int) -> None:
        """So many are shown."""


@dataclass(frozen=True, slots=True)
class Forward:
    """Send it; `text` replaces the statement's text (equal to it when nothing was rewritten), `edits` say where.

    After `rows_max` rows (0: no limit) of a result, or when the `ration` is used up, the client gets an error in place
    of the rest.
    """

    text: str
    edits: tuple[Edit, ...] = ()
    rows_max: int = 0
    ration: Ration | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class Reject:
    """Answer the client in the target's place with `sentence`; the session goes on.

    `withdrawn`: the client itself took the statement back while it waited.
    """

    sentence: str
    withdrawn: bool = False


@dataclass(frozen=True, slots=True)
class Keep:
    """Leave the cell as it is."""


@dataclass(frozen=True, slots=True)
class Null:
    """Replace the cell by NULL."""


@dataclass(frozen=True, slots=True)
class Constant:
    """Replace a non-NULL cell by these bytes (already in the column's format); NULL stays NULL."""

    value: bytes


@dataclass(frozen=True, slots=True)
class KeepEnds:
    """Replace each UTF-8 character between the first and last ones by `*`; not longer than both together: all `*`."""

    first: int
    last: int


@dataclass(frozen=True, slots=True)
class Call:
    """Replace a non-NULL cell by what `function` returns for its bytes (None: NULL). `addon` is blamed for a raise."""

    function: Callable[[bytes], bytes | None]
    addon: str


type Operation = Keep | Null | Constant | KeepEnds | Call


@dataclass(frozen=True, slots=True)
class Plan:
    """One operation per field of `shape`: what the row kernel executes. `refusal` set means: no row may pass."""

    shape: Shape
    operations: tuple[Operation, ...]
    refusal: str = ""

    @property
    def masks(self) -> bool:
        """Whether any cell is changed at all."""
        return any(not isinstance(operation, Keep) for operation in self.operations)


type Reply = Forward | Reject | Plan


# What recorders are shown -------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Asked:
    """The statement goes to the target, where it was rewritten in the words of `sent`."""

    statement: Statement
    sent: str = ""


@dataclass(frozen=True, slots=True)
class Rejected:
    """A statement that never went upstream, and why."""

    statement: Statement
    sentence: str


@dataclass(frozen=True, slots=True)
class Columns:
    """A result begins."""

    statement_number: int
    shape: Shape


@dataclass(frozen=True, slots=True)
class Rows:
    """`row_count` rows of a result, `cells_masked` cells of which were changed.

    `raw` holds the first of them as the client sees them, complete messages, up to the recording's `rows_max` of this
    result; "" once that is reached.
    """

    statement_number: int
    raw: bytes = field(repr=False)
    row_count: int
    cells_masked: int = 0


@dataclass(frozen=True, slots=True)
class Completed:
    """A statement ended: the target's tag (`SELECT 3`, `exit 0`, `signal KILL`) and the rows that the client was
    shown."""

    statement_number: int
    tag: str
    row_count: int


@dataclass(frozen=True, slots=True)
class Faulted:
    """The target answered with an error: its code (SQLSTATE) and its text as the client sees it."""

    statement_number: int
    code: str
    text: str


@dataclass(frozen=True, slots=True)
class Copied:
    """Bulk bytes of a COPY that went by, by side of origin."""

    statement_number: int
    side: Side
    bytes_count: int


@dataclass(frozen=True, slots=True)
class Terminal:
    """The statement that runs has a terminal of this size from now on. `term` is its kind, such as `xterm-256color`."""

    statement_number: int
    columns: int
    rows: int
    term: str


@dataclass(frozen=True, slots=True)
class Streamed:
    """Bytes of a running statement, as the client sent them (`stdin`, and the body of an HTTP `request`) or sees them
    (`stdout`, `stderr`, and the body of a `response`)."""

    statement_number: int
    stream: str
    raw: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Transferred:
    """A file that was read, written or otherwise changed within a running statement (`subsystem sftp`).

    `operation` is `read`, `write`, `remove`, `rename`, `mkdir`, `rmdir`, `symlink`, `setstat`, …; `path` as the client
    named it, and `new_path` where there are two. `sha256`, in hex, is over the `bytes_count` bytes that went by, ""
    where they did not come in order. `outcome` is "ok" or the target's own words; `detail` says how it was opened or
    what was set (`create truncate`, `size=0 mode=0600`).
    """

    statement_number: int
    operation: str
    path: str
    new_path: str = ""
    bytes_count: int = 0
    sha256: str = ""
    outcome: str = "ok"
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Answered:
    """The head of an HTTP response, as the client sees it."""

    statement_number: int
    status: int
    version: str
    headers: HeaderFields = field(repr=False)


@dataclass(frozen=True, slots=True)
class Message:
    """One WebSocket message that `side` sent, as the other end sees it."""

    statement_number: int
    side: Side
    is_text: bool
    raw: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Closed:
    """Nothing more comes of a statement that ran: its channel is closed. Output may follow `Completed`, not this."""

    statement_number: int


type Record = (
    Asked
    | Rejected
    | Columns
    | Rows
    | Completed
    | Faulted
    | Copied
    | Terminal
    | Streamed
    | Transferred
    | Answered
    | Message
    | Closed
)


@dataclass(frozen=True, slots=True)
class Step:
    """What one `feed` or `resume` of a machine wants done, in this order: record, write both sides, then ask.

    After a step with an `ask` the machine keeps what else that side sent until `resume(side, reply)`; after one with
    `more`, which is as much as one step may be, until `resume(side, None)`. `pause` names the sides that must not be
    read or resumed until a later step no longer names them. `half_closes` names the sides that hear an end of stream
    behind what is written: nothing will follow. `ended` means: close both sides after writing. `is_amid` means that
    `to_client` ends inside a message: words of the gateway's own must not follow it. `is_idle` means that the next move
    is the client's: nothing that it sent is unanswered. `is_at_rest`, which no machine has to tell, says that the
    target has nothing to do, either: nothing would have to be stopped there. `hold_s` above 0 means: if that side sends
    no more within so long, it has paused, and `release` is to give what the machine holds back of what it sent.
    `is_heading` means that the client has begun something that must come as a whole and within `limits.head_s_max`,
    such as the head of an HTTP request, however slowly its bytes drip. `interrupts` means: ask the target to stop the
    running statement, and feed or resume that side again only when it was asked.
    """

    to_client: bytes = b""
    to_server: bytes = b""
    records: tuple[Record, ...] = ()
    ask: Ask | None = None
    more: bool = False
    pause: frozenset[Side] = frozenset()
    ended: bool = False
    is_amid: bool = False
    is_idle: bool = False
    is_at_rest: bool = False
    hold_s: float = 0.0
    half_closes: frozenset[Side] = frozenset()
    is_heading: bool = False
    interrupts: bool = False
