"""Which places of a JSON document a mask of paths means, and which documents can be read in one way only.

A place that is shown, or hidden, is so with all that lies in it. Knows neither SQL nor the wire: the database's own
expression and the gateway's reader are both made from this, and show the same.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache

from hoopproxy.masking.fields import steps

BYTES_MAX = 1 << 24
"""Longer documents are redacted whole: to read them would take more memory than a mask should."""

BLANKS = {"array": "[]", "boolean": "false", "null": "null", "number": "0", "object": "{}", "string": '"***"'}
"""What stands for a value that may not be seen, by its kind (as `jsonb_typeof` calls them): its kind stays."""

ESCAPED_BACKSLASH, NO_ESCAPE = "\\\\", "--"
"""With the first replaced by the second, each backslash that is left begins an escape."""

PAIR = r"\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}"
"""Two escapes that are one character outside the Basic Multilingual Plane (RFC 8259 §7)."""

UNFIT_ESCAPE = r"\\u(?:0000|[dD][89a-fA-F])"
"""Where no PAIR is left, an escape that is no character of PostgreSQL's: NUL, or half of a pair."""

STRING = r'"[^"\\]*(?:\\.[^"\\]*)*"'

UNFIT_NUMBER = r"[0-9.]{255}|[eE][-+]?[0-9]{4}"
"""Where no STRING is left, a number that `numeric` might not hold (it ends at 131072 digits). These five patterns mean
the same to PostgreSQL and to Python."""


@dataclass(frozen=True, slots=True)
class Branch:
    """What is meant below one place: all of it, some members by name, or what any `other` member or element holds."""

    is_whole: bool = False
    members: Mapping[str, "Branch"] = field(default_factory=dict)
    others: "Branch | None" = None


@lru_cache(1024)
def branch(paths: tuple[str, ...]) -> Branch:
    """The paths as a tree. @raise ValueError: one is no path, or means a name at any depth, which has no end."""
    routes = []
    for path in paths:
        way = steps(path)
        if any(descends for descends, _ in way):
            raise ValueError(path)
        routes.append(tuple(name for _, name in way))
    return _grown(routes)


def _grown(routes: Sequence[tuple[str | None, ...]]) -> Branch:
    if () in routes:
        return Branch(is_whole=True)
    others = [route[1:] for route in routes if route[0] is None]
    names = sorted({route[0] for route in routes if route[0] is not None})
    return Branch(
        members={
            name.removeprefix("."): _grown([*others, *(route[1:] for route in routes if route[0] == name)])
            for name in names
        },
        others=_grown(others) if others else None,
    )
