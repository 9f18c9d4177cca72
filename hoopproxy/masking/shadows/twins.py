"""Twins: views that show a protected relation under its own name, column for column, what is protected masked.

Knows no grant.
"""

from collections.abc import Mapping

from hoopproxy.masking.shadows.expressions import expression
from hoopproxy.masking.shadows.inventory import Relation
from hoopproxy.masking.shadows.quoting import dotted, quoted
from hoopproxy.masks import ColumnMask

ROW = "original"
"""What the query of a twin calls its original."""


def twin(relation: Relation, masks: Mapping[int, ColumnMask], schema: str, keyed: Mapping[int, str]) -> str:
    """What makes the twin of `relation` in `schema`. `masks` and `keyed`, the calls of functions that know a key, are
    by the column's number. A query of nothing but columns keeps the view updatable."""
    shown = ", ".join(
        expression(column, masks[column.number], ROW, keyed.get(column.number, ""))
        if column.number in masks
        else dotted(ROW, column.name)
        for column in relation.columns
    )
    names = ", ".join(quoted(column.name) for column in relation.columns)
    original = dotted(relation.schema, relation.name)
    return f"CREATE VIEW {dotted(schema, relation.name)} ({names}) AS SELECT {shown} FROM {original} AS {quoted(ROW)}"
