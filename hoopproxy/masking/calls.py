"""Which functions, operators and settings a masked session may use, by name.

Knows names alone, neither columns nor scopes.
"""

from dataclasses import dataclass

from hoopproxy.masking import sources
from hoopproxy.masking.names import Names
from hoopproxy.masking.syntax import Node, fold, strings

BUILT_IN = frozenset({"pg_catalog", "information_schema"})


class Unprovable(Exception):
    """The statement can't be proved to show no protected value. `sentence` is for the client."""

    def __init__(self, sentence: str) -> None:
        super().__init__(sentence)
        self.sentence = sentence


@dataclass(frozen=True, slots=True)
class Calls:
    """Judges by name. `safe_functions` are folded names outside pg_catalog that the operator vouches for."""

    names: Names
    safe_functions: frozenset[str]

    def function(self, call: Node) -> None:
        """A FuncCall. @raise Unprovable"""
        *schemas, name = strings(call["funcname"])
        schema, folded = fold(schemas[-1]) if schemas else "", fold(name)
        if schema in ("", *BUILT_IN):
            does = sources.function_does(folded)
            if does:
                raise Unprovable(
                    f"The function {name} can't be used in a session with masked columns, because it {does}: "
                    "select from the tables themselves."
                )
        if (schema == "" and self.unproved(folded)) or (
            schema not in ("", *BUILT_IN) and folded not in self.safe_functions
        ):
            raise Unprovable(
                f"The function {name} can't be used in a session with masked columns, because what it reads can't be "
                "proved: ask the operator to list it under safe_functions, or write pg_catalog. before the name if "
                "you mean PostgreSQL's own."
            )
        if folded == "set_config":
            self._set_config(call.get("args", []))

    def unproved(self, name: str) -> bool:
        """Whether a bare folded name may be a function that nobody vouches for."""
        return name in self.names.functions and name not in self.safe_functions

    def operator(self, parts: list[Node]) -> None:
        """An operator's name. @raise Unprovable"""
        *schemas, _ = strings(parts) or [""]
        if schemas and fold(schemas[-1]) != "pg_catalog":
            raise Unprovable(
                "Operators of other schemas than pg_catalog can't be used in a session with masked columns, because "
                "what they read can't be proved."
            )

    def setting(self, name: str, value: str | None) -> None:
        """A setting's new value; None is the one of the session's start. @raise Unprovable"""
        refused = sources.setting_refused(name, value)
        if refused:
            raise Unprovable(refused)

    def _set_config(self, arguments: list[Node]) -> None:
        values = [constant(argument) for argument in arguments[:2]]
        if len(values) < 2 or values[0] is None:
            raise Unprovable("In a session with masked columns the name given to set_config must be a plain text.")
        # A value that is no plain text is harmless unless the setting cares for it; "?" is no encoding.
        self.setting(values[0], "?" if values[1] is None else values[1])


def constant(node: Node) -> str | None:
    """A constant's text; None for everything else."""
    inside = node.get("A_Const", {})
    if "sval" in inside:
        return str(inside["sval"].get("sval", ""))
    return None
