"""What is protected in a target, and what a masker may ask to be done about it: frozen values.

Knows neither policy nor wire: which column gets which mask, and what a mask means for a type, is decided elsewhere.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from hashlib import sha256

from hoopproxy.proofs import TargetSecret


@dataclass(frozen=True, slots=True)
class Relation:
    """A table, view or partition of the target as its catalog names it, with its protected columns by number."""

    oid: int
    schema: str
    name: str
    columns: Mapping[int, str]


@dataclass(frozen=True, slots=True)
class Catalog:
    """What the gateway read from the target's catalog at login, for one database and one mask set.

    `protected` maps a protected relation's OID (partitions and inheritance children included) to the relation whose
    `columns` are the protected ones (number to the path of the rule, `schema.table.column`). `tainted` are relations
    that read protected ones (views, materialised views): they can't be masked by origin and are refused. `known` are
    the OIDs of all relations at login: a result from any other OID is newer than this snapshot and is refused.
    `functions` are the names of all functions outside `pg_catalog`: what they read can't be proved. `shadow` is there
    instead of all that where the target keeps the masks itself.
    """

    protected: Mapping[int, Relation]
    tainted: Mapping[int, Relation]
    known: frozenset[int]
    functions: frozenset[str]
    shadow: "Shadow | None" = None


NO_CATALOG = Catalog({}, {}, frozenset(), frozenset())
"""Of a target that has none, or in which nothing is protected by origin."""


@dataclass(frozen=True, slots=True)
class Redact:
    """A constant that is valid for the column's type."""


@dataclass(frozen=True, slots=True)
class Nullify:
    """NULL, which is valid for every type."""


@dataclass(frozen=True, slots=True)
class Partial:
    """Keep the first and last characters of a text, `*` for each in between; too short a text is masked whole."""

    first: int = 0
    last: int = 4


@dataclass(frozen=True, slots=True)
class KeyedHash:
    """HMAC-SHA256 under a secret key, in hex, cut to the column's length: equal values stay equal."""

    key: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Truncate:
    """A date or time cut down to the beginning, in UTC, of its `unit`, "year" or "month". Infinite ones stay; what no
    timestamp can be (years before 4713 BC or after 294276), and other types, as `Redact`."""

    unit: str


@dataclass(frozen=True, slots=True)
class Generalise:
    """A number cut down to a multiple of `step`, towards zero; what is no number, and a float beyond 1e300, to NaN.
    Other types as `Redact`."""

    step: int


@dataclass(frozen=True, slots=True)
class Token:
    """The digits of a text, or an integer, encrypted under a secret key so that the form stays (FF1, NIST SP 800-38G):
    equal values stay equal, a text keeps its other characters, an integer its sign and number of digits. A value of
    fewer than 6 digits, a text of more than 36, and other types, as `Redact`."""

    key: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class JsonPaths:
    """Of a JSON document the values at `paths` (`$.medical.diagnosis`, `$.cards[*].number`) alone are shown or, with
    `is_hidden`, hidden, each with all that lies in it. What is not on a list of what is shown is left out; what is
    hidden, or stands where a list has an object, becomes `"***"`, 0, false, `{}` or `[]`. Other types as `Redact`."""

    paths: tuple[str, ...]
    is_hidden: bool = False


@dataclass(frozen=True, slots=True)
class PerCell:
    """A masker's own function for text cells: one non-NULL value as on the wire to its masked form, None for NULL.

    Pure, synchronous, total. A raise ends the session; the value never goes through. `addon` names whom to blame. A
    cell whose binary form is no text becomes NULL unseen, but where the function `reads_binary`: made for the field's
    type, it takes and gives the binary form.
    """

    mask: Callable[[bytes], bytes | None]
    addon: str
    reads_binary: bool = False


type ColumnMask = Redact | Nullify | Partial | Truncate | Generalise | KeyedHash | Token | JsonPaths
"""The masks that know no more than a column and its type: what policy.toml can say, and a database can keep itself."""

type Mask = Redact | Nullify | Partial | Truncate | Generalise | KeyedHash | Token | JsonPaths | PerCell


# Where the target keeps the masks itself -----------------------------------------------------------------------------


def described(mask: ColumnMask) -> str:
    """The mask in words that say all of it, a key by its digest: equal texts are equal masks."""
    match mask:
        case KeyedHash(key) | Token(key):
            return f"{type(mask).__name__}({sha256(key).hexdigest()})"
        case _:
            return repr(mask)


@dataclass(frozen=True, slots=True)
class MaskSet:
    """What one kind of session does not see in one database: the path of each protected column to its mask.

    `role` is the role in the database that the account of the session stands for: its rights are the most that the set
    may have. Sessions with equal sets share everything that is made for them.
    """

    database: str
    role: str
    masks: Mapping[str, ColumnMask]

    @property
    def name(self) -> str:
        """`hp_` and twelve hex digits that follow from all of it: its group role, and the prefix of its schemas."""
        lines = [self.database, self.role, *(f"{path} {described(mask)}" for path, mask in sorted(self.masks.items()))]
        return f"hp_{sha256('\0'.join(lines).encode()).hexdigest()[:12]}"


@dataclass(frozen=True, slots=True)
class Shadowed:
    """A relation that sessions of a mask set see through a twin: `schema` and `name` are the twin's.

    `columns` are those of both, in order, `protected` those that are masked. `is_written` says whether it is a table
    that statements may change; `is_held` whether the twin can take its place there too (an updatable view).
    `has_heirs`: it has partitions or inheritance children, whose rows the twin shows and ONLY would not. `generated`
    are the columns that COPY of the table leaves out. `primary_key` are columns by which rows can be told apart, and
    from which all others follow in a GROUP BY.
    """

    schema: str
    name: str
    columns: tuple[str, ...] = ()
    protected: frozenset[str] = frozenset()
    is_written: bool = False
    is_held: bool = False
    has_heirs: bool = False
    generated: frozenset[str] = frozenset()
    primary_key: tuple[str, ...] = ()


type Named = tuple[str, str]
"""A schema and a name in it, as the catalog has them."""


@dataclass(frozen=True, slots=True)
class Origin:
    """What a twin stands for: the OID of the original, and its column number for each of the twin's."""

    table_oid: int
    column_numbers: Mapping[int, int]


@dataclass(frozen=True, slots=True)
class Shadow:
    """One mask set as it stands in one database: what a rewriter, and the guard of results, must know of it.

    `path` is the search path of a fresh session, `$user` and missing schemas left out. `bearers` tells for each name
    that a shadowed or withheld relation has which schemas have a relation of that name; `calls` the same for functions.
    `relations` and `functions` map originals to twins, `withheld` what has none, and can't be used, to the reason in a
    full sentence. `origins` maps the OIDs of twins; `tripwire` is what must never come: the OID of a table to
    the numbers of its protected columns. `silenced` tells what may not be done to rows of a relation (`INSERT`,
    `UPDATE`, `DELETE`), because of what it would set off there.
    """

    mask_set: str
    path: tuple[str, ...]
    bearers: Mapping[str, frozenset[str]]
    calls: Mapping[str, frozenset[str]]
    relations: Mapping[Named, Shadowed]
    functions: Mapping[Named, Named]
    withheld: Mapping[Named, str]
    origins: Mapping[int, Origin]
    tripwire: Mapping[int, frozenset[int]]
    silenced: Mapping[Named, frozenset[str]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Entrance:
    """As whom the gateway logs in where the target keeps the masks itself, and what must be known there.

    `accepted` are the findings that somebody took responsibility for: evidence names them.
    """

    secret: TargetSecret
    catalog: Catalog
    mask_set: str
    accepted: tuple[str, ...] = ()
