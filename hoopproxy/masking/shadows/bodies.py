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
from hoopproxy.masking.shadows.plpgsql import run_in, tree
from hoopproxy.masking.syntax import Unreadable, nodes

type Changes = Callable[[str, int, bool], tuple[Edit, ...]]
"""The changes to one query or expression, given the number of the grammar that reads it, and whether it is what EXECUTE
runs: an expression that makes SQL."""

SEARCHED_CHARACTERS_MAX = 10_000_000
"""Of a body, counted for each of its queries: 20,000 characters with 500 different ones, say. Of a larger one nothing
changes."""

_PIECE = re.compile(r"(?:[^ ]|(?<! ) (?! ))+")
"""What stands between two blanks or more: those may be anything in the body."""

_VERB = re.compile(r"SELECT|(?<=[pP])[eE][rR][fF][oO][rR][mM]")


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
    found = Counter(_queries(source))
    if len(found) * len(body) > SEARCHED_CHARACTERS_MAX:
        return ()
    changed = {each: inner for each in found if (inner := changes(*each))}
    claimed = bytearray(len(body))
    for each in sorted(found if changed else (), key=lambda each: -len(each[0])):
        query, inner = each[0], changed.get(each, ())
        size = len(query)
        starts = [start for start in _starts(query, body) if claimed.find(1, start, start + size) < 0]
        for start in starts:
            claimed[start : start + size] = b"\1" * size
        if inner and len(starts) != found[each]:
            return ()
        edits += (Edit(start + edit.at, edit.removed, edit.put) for start in starts for edit in inner)
    return tuple(sorted(edits, key=attrgetter("at")))


def _starts(query: str, body: str) -> Iterator[int]:
    """Where such a query begins in the body, one behind the other."""
    # Where the body says PERFORM, which is longer, the parser says SELECT: both end alike.
    verb = len("SELECT") if query.startswith("SELECT ") else 0
    pieces = [(each.start(), each[0]) for each in _PIECE.finditer(query, verb)]
    place, longest = max(pieces, key=lambda piece: len(piece[1]), default=(0, query))
    start = 0
    while (start := body.find(longest, start + place) - place) >= 0:
        is_one = start + len(query) <= len(body) and all(body.startswith(text, start + at) for at, text in pieces)
        if is_one and (not verb or _VERB.match(body, start)):
            yield start
            start += len(query)
        else:
            start += 1


def _queries(source: str) -> Iterator[tuple[str, int, bool]]:
    """Every query and expression of a body, as `Changes` takes it; none if it can't be read."""
    try:
        function = tree(source)
    except Unreadable:
        return
    run = run_in(function)
    for kind, inside in nodes(function):
        if kind == "PLpgSQL_expr":
            yield inside["query"], inside["parseMode"], inside["query"] in run
