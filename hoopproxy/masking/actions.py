"""What a statement does, in the words that a grant's `actions` speak of: read, write, ddl, copy, call, admin.

Each statement of PostgreSQL's grammar is of one of these, or does nothing by itself (SET, BEGIN); what stands in it
counts, too. Knows no grant.
"""

from collections.abc import Mapping, Sequence
from types import MappingProxyType

from hoopproxy.masking.deeds import Deeds

_KINDS = {
    "read": "SELECT LISTEN",
    "write": "INSERT UPDATE DELETE MERGE TRUNCATE LOCK NOTIFY",
    "ddl": "CREATE ALTER DROP GRANT COMMENT REASSIGN REFRESH",
    "copy": "COPY",
    "call": "CALL DO",
    "admin": "LOAD VACUUM",
    "": "TRANSACTION SET SHOW PREPARE EXECUTE DEALLOCATE CURSOR EXPLAIN DISCARD RETURN",
}
"""What is prepared, explained or fetched counts where it stands: EXECUTE and FETCH do what was asked before."""

OF_KINDS: Mapping[str, str] = MappingProxyType({kind: action for action, of in _KINDS.items() for kind in of.split()})

_OF_WORDS: Mapping[str, str] = MappingProxyType(
    {
        "ddl": "ddl",
        "large-objects": "write",
        "dblink": "call",
        "sql-from-text": "call",
        "copy-program": "admin",
        "copy-file": "admin",
        "file-functions": "admin",
        "set-role": "admin",
    }
)


def actions(done: Sequence[Deeds]) -> frozenset[str]:
    """All that these statements do. A COPY reads or writes besides."""
    found: set[str] = set()
    for each in done:
        found |= {OF_KINDS[kind] for kind in each.kinds if kind in OF_KINDS}
        found |= {_OF_WORDS[word] for word in each.words if word in _OF_WORDS}
        if each.locks_or_fills:
            found.add("write")
        elif "COPY" in each.kinds:
            found.add("read")
    return frozenset(found - {""})
