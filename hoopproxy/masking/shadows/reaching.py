"""Functions that reach past a session's rights on tables, by what the catalog tells of them: their name and language.

Knows no text: what can be read is judged in `closure`.
"""

import re
from collections.abc import Mapping
from types import MappingProxyType

from hoopproxy.masking.shadows.inventory import Function

POLYMORPHIC = frozenset({2249, 2276, 2277, 2283, 2287, 2776, 3500, 3831, 4537, 4538, 5077, 5078, 5079, 5080})
"""record, "any" and the any… types (pg_type.dat): a caller may pass a temporary type, and its casts run with it."""

# Functions of extensions that the rights on tables do not hold back. crosstab, connectby and xpath_table are not among
# them: they run SQL with their caller's rights.
_REACHING: Mapping[re.Pattern[str], str] = MappingProxyType(
    {
        re.compile(pattern): does
        for pattern, does in {
            r"dblink\w*": "opens a connection with rights of its own",
            r"pg_read_\w+|pg_ls_\w+|pg_stat_file|pg_file_\w+|pg_logdir_ls|lo_(im|ex)port": "reads the server's files",
            r"pg_get_wal_\w+|get_raw_page|\w*page_(items?|header|stats)\w*|tuple_data_\w+|bt_meta\w*|fsm_page\w*"
            r"|pg_logical_\w+|pg_control_\w+": "reads raw storage",
            r"pg_stat_statements\w*|pg_stat_get_activity": "shows other people's statements",
        }.items()
    }
)


def why_kept(function: Function) -> str:
    """Why no masked session may call it, as the end of a sentence; "" for all that need not be decided by name."""
    for pattern, does in _REACHING.items():
        if pattern.fullmatch(function.name) and function.language in ("c", "internal"):
            return f"it {does}"
    if function.kind in "fpw" and not function.extension and function.language in ("c", "internal"):
        return "its code is no SQL, and no extension answers for it"
    if not function.is_trusted and function.language not in ("c", "internal"):
        return f"it is written in {function.language}, which can do all that the server can"
    return ""
