"""Whether somebody who inserts a row has a hand in what the default of a column makes. Knows no right."""

from hoopproxy.masking.shadows.inventory import Column
from hoopproxy.masking.shadows.texts import read
from hoopproxy.masking.syntax import nodes, strings

_UNSTEERED = frozenset(
    """
    clock_timestamp gen_random_uuid nextval now statement_timestamp timezone transaction_timestamp uuid_generate_v1
    uuid_generate_v1mc uuid_generate_v4 uuidv4 uuidv7
    """.split()
)
"""Functions whose answers nobody chooses; random() is none of them, as there is setseed()."""


def is_steered(column: Column) -> bool:
    """Whether the default calls what may answer as its caller likes: it asks for a setting, say."""
    if column.is_generated or not column.default:
        return False
    trees = read(f"SELECT {column.default}")
    return trees is None or any(
        kind == "FuncCall" and strings(inside["funcname"])[-1] not in _UNSTEERED for kind, inside in nodes(list(trees))
    )
