"""`hoopproxy.lookup('public.customers.email', 'ada@example.com')`: which rows hold a value that may not be seen.

A function of the gateway's, not of the database's: a call becomes an array of primary keys before the statement leaves.
Knows neither who may call it nor how often.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from hoopproxy.errors import Refused
from hoopproxy.masking import syntax
from hoopproxy.masking.calls import constant
from hoopproxy.masking.shadows import spelling
from hoopproxy.masking.shadows.inventory import Column, Inventory, Relation
from hoopproxy.masking.shadows.naming import owner_role
from hoopproxy.masking.shadows.quoting import dotted, literal, quoted
from hoopproxy.masking.shadows.rewriting import TREE_BYTES_MAX
from hoopproxy.rooms import Rows

NAME = ["hoopproxy", "lookup"]

CALLS_MAX = 10
"""In one statement: each is a query of its own."""

ROWS_MAX = 1000
"""A value that more rows have tells nobody apart; and each key makes the statement longer."""

QUERY_MS_MAX = 2000
"""Of one look-up: an index answers in a millisecond, and whoever has none may not hold up the others."""

FORM = (
    "Write hoopproxy.lookup('schema.table.column', 'value') with two plain texts in apostrophes; parameters such as $1 "
    "can't be looked up."
)


@dataclass(frozen=True, slots=True)
class Call:
    """A call that stands in a text from character `start` to `end`."""

    start: int
    end: int
    column: str
    value: str


def calls(text: str) -> tuple[Call, ...]:
    """The calls in a text, in order; none where the text can't be read. @raise Refused: one is not of the form."""
    if NAME[0] not in text.lower():
        return ()
    try:
        trees = syntax.statements(text, TREE_BYTES_MAX)
    except syntax.Unreadable:
        return ()
    nodes = [
        inside
        for tree in trees
        for kind, inside in syntax.nodes(tree)
        if kind == "FuncCall" and syntax.strings(inside["funcname"]) == NAME
    ]
    if len(nodes) > CALLS_MAX:
        raise _refused(f"A statement may hold {CALLS_MAX} calls of hoopproxy.lookup; send it in parts.")
    return tuple(sorted((_call(text, node) for node in nodes), key=lambda call: call.start))


def _call(text: str, node: syntax.Node) -> Call:
    arguments = [constant(argument) for argument in node.get("args", [])]
    column, value = arguments if len(arguments) == 2 else (None, None)
    if column is None or value is None:
        raise _refused(FORM)
    start = len(text.encode()[: node.get("location", 0)].decode())
    try:
        at = spelling.word(text, spelling.parts(text, start, NAME)[-1].end, "(")
        at = spelling.word(text, _past(text, at, column), ",")
        return Call(start, spelling.word(text, _past(text, at, value), ")"), column, value)
    except spelling.Astray:
        raise _refused(FORM) from None


def _past(text: str, at: int, expected: str) -> int:
    found = spelling.literal(text, at, expected)
    if not found.is_quoted:
        raise spelling.Astray
    return found.places[-1] + 1


@dataclass(frozen=True, slots=True)
class Lookup:
    """What a call asks for, in a database."""

    relation: Relation
    column: Column
    key: Column
    database: str
    value: str

    @classmethod
    def of(cls, call: Call, inventory: Inventory) -> "Lookup":
        """@raise Refused: the database has no such column, or its rows have no key that could be told."""
        for relation in inventory.relations.values():
            name = call.column.removeprefix(f"{relation.schema}.{relation.name}.")
            column = relation.column(name) if name != call.column else None
            if column is None or relation.kind not in "rp":
                continue
            key = relation.column(relation.primary_key[0]) if len(relation.primary_key) == 1 else None
            if key is None:
                raise _refused(f"{call.column} can't be looked up, because its table has no primary key of one column.")
            return cls(relation, column, key, inventory.database, call.value)
        raise _refused(f"{call.column} can't be looked up, because the database has no table with that column.")

    def query(self) -> str:
        """Asks for the keys, as the owner of the twins: one text, and so one transaction."""
        return (
            f"SET LOCAL ROLE {quoted(owner_role(self.database))}; SET LOCAL statement_timeout = {QUERY_MS_MAX}; "
            f"SELECT {quoted(self.key.name)}::text FROM {dotted(self.relation.schema, self.relation.name)} "
            f"WHERE {quoted(self.column.name)} = {literal(self.value)} LIMIT {ROWS_MAX + 1}"
        )

    def array(self, answer: Sequence[Rows]) -> str:
        """The keys as SQL. @raise Refused: too many rows have the value."""
        keys = [key or "" for (key,) in answer[-1]]
        if len(keys) > ROWS_MAX:
            raise _refused(f"More than {ROWS_MAX} rows have that value, which is no look-up any more.")
        return f"(ARRAY[{', '.join(map(literal, keys))}]::{self.key.type_sql}[])"


def answered(text: str, calls: Sequence[Call], arrays: Sequence[str]) -> str:
    """The text with an array in the place of each call."""
    for call, array in reversed(list(zip(calls, arrays, strict=True))):
        text = text[: call.start] + array + text[call.end :]
    return text


def _refused(sentence: str) -> Refused:
    return Refused(sentence, reason="statement")
