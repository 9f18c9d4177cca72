"""The bodies of functions and of DO: what changes in them, where PL/pgSQL's own parser makes that certain.

A body's queries come from that parser without their places, and with blanks for INTO and its target. A query is changed
only if the body holds it just as often as the parser found it; else all of the body stays, and the server decides.
Knows no names.
"""

import re
from collections import Counter
from collections.abc import Callable, Iterator
from operator import attrgetter

from hoopproxy.events import Edit
from hoopproxy.masking.shadows.plpgsql import tree
from hoopproxy.masking.syntax import Unreadable, nodes

type Changes = Callable[[str, int, bool], tuple[Edit, ...]]
"""The changes to one query or expression, given the number of the grammar that reads it, and whether it is what EXECUTE
runs: an expression that makes SQL."""

_BLANKS = re.compile(r" {2,}")


def changed(body: str, language: str, source: str, changes: Changes) -> tuple[Edit, ...]:
    """The edits to a body; none for languages that aren't read. `source` is the statement around it.

    @raise Refused: as `changes` does.
    """
    match language:
        case "sql":
            return changes(body, 0, False)
        case "plpgsql":
            return _procedure(body, source, changes)
        case _:
            return ()


def _procedure(body: str, source: str, changes: Changes) -> tuple[Edit, ...]:
    edits: list[Edit] = []
    claimed: list[tuple[int, int]] = []
    found = Counter(_queries(source))
    for (query, grammar, is_run), count in sorted(found.items(), key=lambda each: -len(each[0][0])):
        places = [
            hit.span()
            for hit in _pattern(query).finditer(body)
            if not any(start < hit.end() and hit.start() < end for start, end in claimed)
        ]
        claimed += places
        inner = changes(query, grammar, is_run)
        if inner and len(places) != count:
            return ()
        # Both end alike: where the body says PERFORM, which is longer, the parser says SELECT.
        edits += (Edit(end - len(query) + each.at, each.removed, each.put) for _, end in places for each in inner)
    return tuple(sorted(edits, key=attrgetter("at")))


def _pattern(query: str) -> re.Pattern[str]:
    """What such a query looks like in the body."""
    pattern, at = "", 0
    if query.startswith("SELECT "):
        pattern, at = "(?:SELECT|(?<=[pP])[eE][rR][fF][oO][rR][mM])", len("SELECT")
    for blanks in _BLANKS.finditer(query, at):
        pattern += f"{re.escape(query[at : blanks.start()])}.{{{len(blanks[0])}}}"
        at = blanks.end()
    return re.compile(pattern + re.escape(query[at:]), re.DOTALL)


def _queries(source: str) -> Iterator[tuple[str, int, bool]]:
    """Every query and expression of a body, as `Changes` takes it; none if it can't be read."""
    try:
        found = list(nodes(tree(source)))
    except Unreadable:
        return
    run = [inside["query"] for kind, inside in found if kind in ("PLpgSQL_stmt_dynexecute", "PLpgSQL_stmt_dynfors")]
    run += [inside for kind, inside in found if kind == "dynquery"]
    texts = {each["PLpgSQL_expr"]["query"] for each in run}
    for kind, inside in found:
        if kind == "PLpgSQL_expr":
            yield inside["query"], inside["parseMode"], inside["query"] in texts
