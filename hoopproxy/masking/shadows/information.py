"""Copies of the `information_schema` views that show what the asking role has rights to: they ask for an account.

Knows the views by their queries alone, as the server prints them; how they differ between versions does not matter.
"""

from collections.abc import Iterator, Mapping
from functools import lru_cache
from graphlib import TopologicalSorter
from typing import Any

from hoopproxy.masking.shadows.quoting import dotted, literal, quoted
from hoopproxy.masking.syntax import nodes, statements, strings

ORIGINAL = "information_schema"

_UNREADABLE = "pg_user_mapping"
"""Superusers alone may read it, so the few views that do are left as they are."""

_RESTRICTED, _OPEN = "pg_authid", "pg_roles"
"""The same rows, without and with the right to read them."""


def copies(views: Mapping[str, str], role: str, schema: str) -> Mapping[str, str]:
    """What makes the copies in `schema`, in that order, by name of the view. `role` is the account's."""
    read = {name: _read(definition) for name, definition in views.items()}
    order = tuple(TopologicalSorter({name: sorted(read[name].views) for name in sorted(read)}).static_order())
    unreadable: set[str] = set()
    wanted: set[str] = set()
    for name in order:
        view = read.get(name)
        if view is None or _UNREADABLE in view.catalogs or view.views & unreadable:
            unreadable.add(name)
        elif view.asks or view.views & wanted:
            wanted.add(name)
    for name in reversed(order):  # what begins with _ nobody but its owner may read
        if name in wanted:
            wanted |= {each for each in read[name].views if each.startswith("_")}
    return {
        name: f"CREATE VIEW {dotted(schema, name)} AS {read[name].turned(role, schema, wanted)}"
        for name in order
        if name in wanted
    }


def columns(definition: str) -> tuple[str, ...]:
    """The columns of a view whose query the server printed."""
    return _read(definition).columns


@lru_cache(maxsize=512)
def _read(definition: str) -> "_View":
    """Servers of one version print the same, and every mask set asks for it."""
    return _View(definition)


class _View:
    """One definition, and the places in it that matter."""

    def __init__(self, definition: str) -> None:
        self._text = definition.rstrip().removesuffix(";").encode()
        trees = list(statements(definition))
        query = trees[0]["SelectStmt"]
        while "larg" in query:
            query = query["larg"]
        targets = [each["ResTarget"] for each in query["targetList"]]
        self.columns = tuple(
            each["name"] if "name" in each else strings(each["val"]["ColumnRef"]["fields"])[-1] for each in targets
        )
        self._found = [
            (kind, inside) for kind, inside in nodes(trees) if kind in ("FuncCall", "RangeVar", "SQLValueFunction")
        ]
        ranges = [inside for kind, inside in self._found if kind == "RangeVar"]
        self.views = {each["relname"] for each in ranges if each.get("schemaname") == ORIGINAL}
        self.catalogs = {each["relname"] for each in ranges if "schemaname" not in each}
        self.asks = any(kind == "SQLValueFunction" or _asks(inside) for kind, inside in self._found)

    def turned(self, role: str, schema: str, wanted: set[str]) -> str:
        """The query, asking for `role` in place of the current one and reading copies in place of originals."""
        text = self._text
        for at, before, after in sorted(self._splices(role, schema, wanted), reverse=True):
            assert text[at:].startswith(before.encode()), f"no {before} at {at}"
            text = text[:at] + after.encode() + text[at + len(before) :]
        return text.decode()

    def _splices(self, role: str, schema: str, wanted: set[str]) -> Iterator[tuple[int, str, str]]:
        user = f"{literal(role)}::name"
        for kind, inside in self._found:
            at = inside.get("location", 0)
            if kind == "FuncCall" and (name := _asks(inside)):
                yield at, f"{name}(", f"{name}({user}, "
            elif kind == "SQLValueFunction" and inside["op"] in ("SVFOP_CURRENT_USER", "SVFOP_SESSION_USER"):
                word = inside["op"].removeprefix("SVFOP_")
                yield at, word, user
            elif kind == "RangeVar" and inside.get("schemaname") == ORIGINAL and inside["relname"] in wanted:
                yield at, f"{ORIGINAL}.", f"{quoted(schema)}."
            elif kind == "RangeVar" and "schemaname" not in inside and inside["relname"] == _RESTRICTED:
                yield at, _RESTRICTED, _OPEN if "alias" in inside else f"{_OPEN} {_RESTRICTED}"


def _asks(call: Mapping[str, Any]) -> str:
    """The name of a function that asks for rights of the current role, "" for others."""
    name = strings(call.get("funcname", []))[-1:] or [""]
    if not (name[0] == "pg_has_role" or (name[0].startswith("has_") and name[0].endswith("_privilege"))):
        return ""
    # With the role's name it would have one argument more.
    return name[0] if len(call["args"]) == (3 if name[0] == "has_column_privilege" else 2) else ""
