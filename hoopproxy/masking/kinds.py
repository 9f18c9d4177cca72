"""The kinds of statement, by the word that people know them by.

One table over every statement node of PostgreSQL's grammar. Knows neither columns nor policy.
"""

from collections.abc import Iterator, Mapping
from types import MappingProxyType

from hoopproxy.masking.syntax import Node, nodes

_NODES = {
    "SELECT": "SelectStmt PLAssignStmt",
    "INSERT": "InsertStmt",
    "UPDATE": "UpdateStmt",
    "DELETE": "DeleteStmt",
    "MERGE": "MergeStmt",
    "COPY": "CopyStmt",
    "TRANSACTION": "TransactionStmt ConstraintsSetStmt",
    "SET": "VariableSetStmt",
    "SHOW": "VariableShowStmt",
    "PREPARE": "PrepareStmt",
    "EXECUTE": "ExecuteStmt",
    "DEALLOCATE": "DeallocateStmt",
    "CURSOR": "DeclareCursorStmt FetchStmt ClosePortalStmt",
    "EXPLAIN": "ExplainStmt",
    "LISTEN": "ListenStmt UnlistenStmt",
    "NOTIFY": "NotifyStmt",
    "DISCARD": "DiscardStmt",
    "LOCK": "LockStmt",
    "TRUNCATE": "TruncateStmt",
    "DO": "DoStmt",
    "CALL": "CallStmt",
    "GRANT": "GrantStmt GrantRoleStmt AlterDefaultPrivilegesStmt",
    "COMMENT": "CommentStmt SecLabelStmt",
    "LOAD": "LoadStmt",
    "REFRESH": "RefreshMatViewStmt",
    "REASSIGN": "ReassignOwnedStmt",
    "VACUUM": "VacuumStmt ClusterStmt ReindexStmt CheckPointStmt",
    "DROP": """
        DropOwnedStmt DropRoleStmt DropStmt DropSubscriptionStmt DropTableSpaceStmt DropUserMappingStmt DropdbStmt
        """,
    "CREATE": """
        CompositeTypeStmt CreateAmStmt CreateCastStmt CreateConversionStmt CreateDomainStmt CreateEnumStmt
        CreateEventTrigStmt CreateExtensionStmt CreateFdwStmt CreateForeignServerStmt CreateForeignTableStmt
        CreateFunctionStmt CreateOpClassStmt CreateOpFamilyStmt CreatePLangStmt CreatePolicyStmt CreatePublicationStmt
        CreateRangeStmt CreateRoleStmt CreateSchemaStmt CreateSeqStmt CreateStatsStmt CreateStmt CreateSubscriptionStmt
        CreateTableAsStmt CreateTableSpaceStmt CreateTransformStmt CreateTrigStmt CreateUserMappingStmt CreatedbStmt
        DefineStmt ImportForeignSchemaStmt IndexStmt ReplicaIdentityStmt RuleStmt ViewStmt
        """,
    "ALTER": """
        AlterCollationStmt AlterDatabaseRefreshCollStmt AlterDatabaseSetStmt AlterDatabaseStmt AlterDomainStmt
        AlterEnumStmt AlterEventTrigStmt AlterExtensionContentsStmt AlterExtensionStmt AlterFdwStmt
        AlterForeignServerStmt AlterFunctionStmt AlterObjectDependsStmt AlterObjectSchemaStmt AlterOpFamilyStmt
        AlterOperatorStmt AlterOwnerStmt AlterPolicyStmt AlterPublicationStmt AlterRoleSetStmt AlterRoleStmt
        AlterSeqStmt AlterStatsStmt AlterSubscriptionStmt AlterSystemStmt AlterTSConfigurationStmt
        AlterTSDictionaryStmt AlterTableMoveAllStmt AlterTableSpaceOptionsStmt AlterTableStmt AlterTypeStmt
        AlterUserMappingStmt RenameStmt
        """,
    "RETURN": "ReturnStmt",
}

KINDS: Mapping[str, str] = MappingProxyType({node: kind for kind, of in _NODES.items() for node in of.split()})
"""Statement node to kind."""

UNBOUNDED: Mapping[str, str] = MappingProxyType(
    {"UpdateStmt": "UPDATE WITHOUT WHERE", "DeleteStmt": "DELETE WITHOUT WHERE"}
)
"""Kinds of their own: changes of every row of a table."""

WORDS = frozenset(KINDS.values()) | frozenset(UNBOUNDED.values())


def known(kind: str) -> str:
    """A kind's word as it stands in `WORDS`, whatever its case and blanks. @raise ValueError: it is none."""
    word = " ".join(kind.upper().split())
    if word not in WORDS:
        raise ValueError(f"{kind!r} is no kind of statement: wanted is one of {', '.join(sorted(WORDS))}")
    return word


def kinds(statement: Node) -> Iterator[str]:
    """The kinds of a statement and of all within it: a DELETE in a WITH, what EXPLAIN or PREPARE is about."""
    for node, inside in nodes(statement):
        if node in KINDS:
            yield KINDS[node]
            if node in UNBOUNDED and "whereClause" not in inside:
                yield UNBOUNDED[node]
