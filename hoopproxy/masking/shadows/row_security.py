"""Whether a table's row security holds for masked sessions as it holds for their account.

A twin reads its table for its owner's role, and the session's own role has another name than the account's. So a policy
is the same for all of them only if it is everybody's and asks nobody's name; what it compares must not be protected, as
whether a row is there would tell. Knows no statement.
"""

from collections.abc import Mapping

from hoopproxy.masking.shadows.inventory import PUBLIC, Inventory, Relation
from hoopproxy.masking.syntax import Unreadable, fold, nodes, statements, strings

_WHO = frozenset(
    {"session_user", "getpgusername", "pg_has_role", "pg_get_userbyid", "row_security_active", "current_role", "user"}
)


def unrestated(inventory: Inventory, relation: Relation, role: str, protected: Mapping[int, frozenset[str]]) -> str:
    """What about the row security of `relation` is not the same for masked sessions, as the end of a sentence after
    "its row security"; "" when all is. `protected` are the folded names of protected columns."""
    account = inventory.roles.get(role)
    is_owner = account is not None and (relation.owner == role or relation.owner in account.member_of)
    if account is not None and (
        account.is_superuser
        or account.bypasses_row_security
        or (is_owner and relation.oid not in inventory.surroundings.forced)
    ):
        return f"does not bind {role}, but would bind masked sessions"
    hidden = protected.get(relation.oid, frozenset())
    for policy in relation.policies:
        if policy.roles != {PUBLIC}:
            return f"has the policy {policy.name}, which is for certain roles"
        for text in filter(None, (policy.using, policy.check)):
            if why := _asks(text, hidden):
                return f"has the policy {policy.name}, which {why}"
    return ""


def _asks(text: str, hidden: frozenset[str]) -> str:
    try:
        trees = statements(f"SELECT {text}")
    except Unreadable:
        return "can't be read"
    for kind, inside in nodes(list(trees)):
        match kind:
            case "SQLValueFunction" if "USER" in inside["op"] or "ROLE" in inside["op"]:
                return "asks who the session is"
            case "FuncCall" if fold(strings(inside["funcname"])[-1]) in _WHO:
                return "asks who the session is"
            case "FuncCall" if len(inside["funcname"]) > 1 and strings(inside["funcname"])[0] != "pg_catalog":
                return f"calls {strings(inside['funcname'])[-1]}"
            case "SubLink":
                return "reads tables"
            case "ColumnRef":
                last = inside["fields"][-1]
                if "A_Star" in last or fold(strings([last])[0]) in hidden:
                    return "compares masked columns"
    return ""
