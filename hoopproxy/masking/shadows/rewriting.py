"""A text with the names of protected relations and functions replaced by those of their twins; nothing else changes.

Pure: the same text, shadow and places give the same answer. Knows no session; `survey` finds in the tree what is to be
replaced, `sites` replaces it, `moves` and `places` follow what statements do to the meaning of names.

What is missed here ends as 42501: this is the convenience, the login's missing rights are the enforcement.
"""

from dataclasses import dataclass
from functools import cached_property, partial

from hoopproxy.events import Edit
from hoopproxy.masking.shadows import bodies
from hoopproxy.masking.shadows.moves import Move, moves
from hoopproxy.masking.shadows.places import Places, Sight
from hoopproxy.masking.shadows.sites import Site, applied, edits
from hoopproxy.masking.shadows.spelling import Astray
from hoopproxy.masking.shadows.survey import Survey
from hoopproxy.masking.syntax import PLAIN_STRINGS_OFF, Node, Unreadable, parsed
from hoopproxy.masks import Shadow

TREE_BYTES_MAX = 1 << 20
"""Of a statement's tree as JSON, which some ten thousand constants have; to read more of it would hold up others."""

DEPTH_MAX = 4
"""SQL in constants in SQL in constants: deeper ones stay as they are."""


@dataclass(frozen=True, slots=True)
class Rewritten:
    """`text` is the original with `edits` made; `places` are those after its statements ran."""

    text: str
    edits: tuple[Edit, ...]
    places: Places


@dataclass(frozen=True, slots=True)
class Single:
    """A text of at most one statement: what is changed follows from the sight alone, and `moves` come after it."""

    text: str
    edits: tuple[Edit, ...]
    moves: tuple[Move, ...]


def rewritten(text: str, shadow: Shadow, places: Places) -> Rewritten:
    """The text as a session that may see twins alone has to send it. What can't be read comes back unchanged.

    `Places.of(shadow)` are those of a fresh session, `Places.along(("public",))` those with an explicit path.
    @raise Refused: a statement needs what has no twin; the sentence says why.
    """
    raws = _raws(text, places.sight)
    if len(raws) > 1:
        return _several(text, raws, shadow, places)
    found = _single(text, raws, shadow, places.sight)
    for move in found.moves:
        places = move(places)
    return Rewritten(found.text, found.edits, places)


def single(text: str, shadow: Shadow, sight: Sight) -> Single | None:
    """The same for a text of one statement, whatever the places are beyond the sight; None: it has several.

    @raise Refused
    """
    raws = _raws(text, sight)
    return None if len(raws) > 1 else _single(text, raws, shadow, sight)


def _single(text: str, raws: list[Node], shadow: Shadow, sight: Sight) -> Single:
    reading = _Reading(text, shadow)
    done = tuple(move for raw in raws for move in reading.statement(raw, sight))
    changes = reading.edits()
    return Single(applied(text, changes), changes, done)


def _several(text: str, raws: list[Node], shadow: Shadow, places: Places) -> Rewritten:
    """Statements that are sent as one are one transaction, unless they say otherwise (protocol, "Simple Query")."""
    reading, is_implicit = _Reading(text, shadow), False
    for raw in raws:
        if raw["stmt"].get("TransactionStmt", {}).get("kind") in ("TRANS_STMT_BEGIN", "TRANS_STMT_START"):
            is_implicit = False
        elif not places.marks:
            places, is_implicit = places.begun(), True
        for move in reading.statement(raw, places.sight):
            places = move(places)
    if is_implicit and places.marks:
        places = places.committed()
    changes = reading.edits()
    return Rewritten(applied(text, changes), changes, places)


def _raws(text: str, sight: Sight, grammar: int = 0) -> list[Node]:
    """The statements; none if they can't be read."""
    try:
        return parsed(text, grammar if sight.plain_strings else grammar | PLAIN_STRINGS_OFF, TREE_BYTES_MAX)
    except Unreadable:
        return []


class _Reading:
    """One text, and what was found in it so far. `depth`: so many constants are around it."""

    def __init__(self, text: str, shadow: Shadow, depth: int = 0) -> None:
        self._text, self._shadow, self._depth = text, shadow, depth
        self._sites: list[Site] = []

    def statement(self, raw: Node, sight: Sight, is_run: bool = False) -> tuple[Move, ...]:
        """What the next statement does to places. `is_run`: its one value is a text that is run. @raise Refused"""

        def body(text: str, language: str, sight: Sight) -> tuple[Edit, ...]:
            return bodies.changed(text, language, self._source(raw), partial(self._within, sight))

        survey = Survey(self._shadow, sight, partial(self._within, sight), body)
        survey.statement(raw["stmt"])
        if is_run:
            survey.run(raw["stmt"])
        self._sites += survey.sites
        return moves(raw["stmt"], survey.settings, self._shadow.bearers)

    def edits(self) -> tuple[Edit, ...]:
        """All that changes; nothing where text and tree don't fit."""
        try:
            return edits(self._sites, self._text)
        except Astray:
            return ()

    def _within(self, sight: Sight, text: str, grammar: int = 0, is_run: bool = False) -> tuple[Edit, ...]:
        """What changes in SQL that stands in a constant of this text; `is_run`: it is an expression that makes SQL."""
        if self._depth == DEPTH_MAX:
            return ()
        reading = _Reading(text, self._shadow, self._depth + 1)
        for raw in _raws(text, sight, grammar):
            reading.statement(raw, sight, is_run)
        return reading.edits()

    def _source(self, raw: Node) -> str:
        start = raw.get("stmt_location", 0)
        end = start + raw["stmt_len"] if "stmt_len" in raw else None
        return self._octets[start:end].decode()

    @cached_property
    def _octets(self) -> bytes:
        return self._text.encode()
