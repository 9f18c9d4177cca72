"""Which fields of a document a rule means: paths such as `$.cards[*].number`, and the places that they cover.

A field is known by `ENDPOINT PATH`. The paths are the part of JSONPath (RFC 9535) that names places one by one; `~`
behind one means the name of the member itself. Knows no policy and no document.
"""

import json
import re
from collections.abc import Iterator, Sequence
from functools import lru_cache

ANY = "*"
"""As an endpoint, any; as a path, whatever is not listed."""

_STEP = re.compile(r'(\.\.?)([A-Za-z_][A-Za-z0-9_]*|\*)|(\.\.)?\[(\*|"(?:[^"\\]|\\.)*")\]')

KNOWN_CHARACTERS_MAX = 200
"""No ordinary field's path is longer."""

type Step = tuple[bool, str | None]
"""Whether it may lie at any depth below the one before, and its name (`.name`, `[*]`); None for any."""


@lru_cache(4096)
def steps(path: str) -> tuple[Step, ...]:
    """The steps of a rule's path: `.name`, `["odd name"]`, `.*` and `[*]` for each member or element, and `..name` for
    that name at any depth. @raise ValueError: it is none."""
    return tuple((descends, None if name == "[*]" else name) for descends, name in _steps(path))


def _steps(path: str) -> Iterator[tuple[bool, str]]:
    if not path.startswith("$"):
        raise ValueError(path)
    at = 1
    while at < len(path):
        found = _STEP.match(path, at)
        if not found:
            raise ValueError(path)
        dots, name, descends, bracketed = found.groups()
        if bracketed:
            name = "[*]" if bracketed == "*" else f".{json.loads(bracketed)}"
        else:
            name = "[*]" if name == "*" else f".{name}"
        yield (dots or descends) == "..", name
        at = found.end()


def _reached(rule: Sequence[Step], place: Sequence[str]) -> list[set[int]]:
    """How many steps of `place` the rule may have used up after none, one, … and all of its own."""
    reached = [{0}]
    for descends, name in rule:
        starts = reached[-1]
        if descends and starts:  # what lies below any of them lies below the first
            starts = set(range(min(starts), len(place)))
        reached.append({at + 1 for at in starts if at < len(place) and name in (None, place[at])})
    return reached


def _place(field: str) -> tuple[str, list[str]]:
    """Where a field is found, and the steps to it. Whoever writes a document can make them as long as it is: the long
    ones are not remembered."""
    return _known_place(field) if len(field) <= KNOWN_CHARACTERS_MAX else _read_place(field)


def _read_place(field: str) -> tuple[str, list[str]]:
    endpoint, _, path = field.removesuffix("~").partition(" ")
    return endpoint, [name for _, name in _steps(path)]


_known_place = lru_cache(1 << 14)(_read_place)


def _split(rule: str) -> tuple[str, str]:
    endpoint, _, path = rule.partition(" ")
    return endpoint, path


def covers(rule: str, field: str) -> bool:
    """Whether `rule` protects the value of `field`, or one that it lies in. A name, only `ENDPOINT *` protects."""
    (endpoint, path), (where, place) = _split(rule), _place(field)
    if endpoint not in (ANY, where):
        return False
    if path.startswith("$") and not field.endswith("~"):
        return bool(_reached(steps(path), place)[-1])
    return path == ANY


def lists(rule: str, field: str) -> bool:
    """Whether a list with `rule` on it shows `field`: the value that it names, and the names of members on the way."""
    (endpoint, path), (where, place) = _split(rule), _place(field)
    if endpoint not in (ANY, where):
        return False
    wanted = steps(path)
    reached = _reached(wanted, place)
    if not field.endswith("~"):
        return len(place) in reached[-1]
    ways = (ends for ends, (descends, _) in zip(reached, wanted, strict=False) if descends)
    return any(len(place) in ends for ends in reached) or any(ways)
