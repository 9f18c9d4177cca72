"""What is protected in a target, and what a masker may ask to be done about it: frozen values.

Knows neither policy nor wire: which column gets which mask, and what a mask means for a type, is decided elsewhere.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field


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
    `functions` are the names of all functions outside `pg_catalog`: what they read can't be proved.
    """

    protected: Mapping[int, Relation]
    tainted: Mapping[int, Relation]
    known: frozenset[int]
    functions: frozenset[str]


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
class PerCell:
    """A masker's own function for text cells: one non-NULL value as on the wire to its masked form, None for NULL.

    Pure, synchronous, total. A raise ends the session; the value never goes through. `addon` names whom to blame.
    """

    mask: Callable[[bytes], bytes | None]
    addon: str


type Mask = Redact | Nullify | Partial | KeyedHash | PerCell
