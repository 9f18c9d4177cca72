"""Finds entities in one text: all patterns in one walk, checks for what fits, and one answer where two overlap.

Knows neither what becomes of them nor where the text comes from.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import lru_cache
from operator import attrgetter
from typing import NamedTuple

from hoopproxy.masking.content.budget import SEARCH, WORD, Budget
from hoopproxy.masking.content.entity import WORDS_BEFORE_BYTES, WORDS_BEHIND_BYTES, Entity, Nearby, Words
from hoopproxy.masking.content.patterns import Pattern, Patterns

_UUID_BYTES = 36
_UUID = re.compile(rb"(?<![0-9A-Za-z])[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}(?![0-9A-Za-z])", re.I)

_LITERALS_MAX = 6
"""Looking for more literals one by one takes longer than to run the patterns."""

_DIGITS = b"0123456789"
_JOINTS = frozenset({b"-", b".", b"/"})
_GAPS = re.compile(rb"[^0-9A-Za-z]+")

NUMBER_DIGITS_MIN = 7
"""What has as many digits is a number: its groups are alike, and one may stand before it that is not its own."""

VALUE_BYTES_MAX = 128
"""What needs a word near it is no longer."""

DETECTORS_MAX = 64
"""As many as the rules of a configuration can be combined to, in practice."""

NAMES_KNOWN_MAX = 4096
"""Names of columns and members are the target's to choose; so many are remembered."""


class Found(NamedTuple):
    """`text[start:end]` holds `entity`; `is_whole` is false where another that it overlaps reaches further."""

    start: int
    end: int
    entity: Entity
    is_whole: bool = True


class _Claim(NamedTuple):
    entity: Entity
    words: Words
    unless: Words | None
    work: int


class _Form:
    """One pattern, and the entities that are written so; where these are numbers, `12 4539 5787 …` may hide one."""

    def __init__(self, text: str, claims: Sequence[_Claim], *, is_weak: bool) -> None:
        self.pattern, self._claims = Pattern(text), claims
        self._nearby = Nearby([each.words for each in claims]) if is_weak else None
        self._hides = all(each.entity.digits >= NUMBER_DIGITS_MIN for each in claims)

    def look(self, text: bytes, named: frozenset[str], at: int, size: int, budget: Budget) -> Iterator[Found]:
        """What is proved to be one between `at` and `size`. @raise TooDear"""
        budget.walk(size - at)
        for start, end in self.pattern.spans(text, at, size):
            if entity := self._proved(text, start, end, named, budget):
                yield Found(start, end, entity)
            elif self._hides:
                yield from self._hidden(text, start, end, named, budget)

    def _hidden(self, text: bytes, start: int, end: int, named: frozenset[str], budget: Budget) -> Iterator[Found]:
        """What begins at a later group of digits within one that is none."""
        for gap in _GAPS.finditer(text, start, end):
            budget.spend(SEARCH)
            span = self.pattern.at(text, gap.end())
            if span and (entity := self._proved(text, *span, named, budget)):
                yield Found(*span, entity)
                return

    def _proved(self, text: bytes, start: int, end: int, named: frozenset[str], budget: Budget) -> Entity | None:
        """The most certain of those who claim this and can prove it."""
        budget.spend(SEARCH)
        if (text[end : end + 1] in _JOINTS or text[start - 1 : start] in _JOINTS) and _is_part(text, start, end):
            return None
        claims = self._claims if self._nearby is None else self._told(self._nearby, text, start, end, named, budget)
        if not claims:
            return None
        best: Entity | None = None
        value = text[start:end].decode("utf-8", "replace")
        for entity, _, unless, work in claims:
            if best is not None and entity.certainty <= best.certainty:
                continue
            budget.spend(work)
            if entity.check(value) and not (unless and unless.before(text, start)):
                best = entity
        return best

    def _told(
        self, nearby: Nearby, text: bytes, start: int, end: int, named: frozenset[str], budget: Budget
    ) -> Sequence[_Claim]:
        """Those of whom a word near this tells, or a name."""
        budget.spend(SEARCH)
        near = nearby.which(text, start, end)
        if not named:
            return [self._claims[index] for index in near]
        return [each for index, each in enumerate(self._claims) if each.entity.name in named or index in near]


class Detector:
    """What finds some entities. Reads the tables of their checks now, so that nothing waits for a disk later."""

    def __init__(self, entities: Sequence[Entity]) -> None:
        self._words = {each.name: Words(each.words) for each in entities}
        strong: dict[str, list[_Claim]] = {}
        weak: dict[str, list[_Claim]] = {}
        for each in entities:
            each.check(each.example)
            claim = _Claim(each, self._words[each.name], Words(each.unless) if each.unless else None, each.work)
            for claims, patterns in ((strong, each.strong), (weak, each.weak)):
                for pattern in patterns:
                    claims.setdefault(pattern, []).append(claim)
        self._strong = [_Form(text, claims, is_weak=False) for text, claims in strong.items()]
        self._weak = [_Form(text, claims, is_weak=True) for text, claims in weak.items()]
        words = Words(sorted({word for each in entities if each.weak for word in each.words}))
        # A walk for the strong forms finds on its way whether the weak ones can count at all.
        self._first = Patterns([*strong, *([words.pattern] if words.pattern else ())])
        self._second = Patterns([*weak])
        self._any_word = Pattern(words.pattern, None) if words.pattern else None
        self._quick_look = _quick_look(entities)
        self.named = lru_cache(NAMES_KNOWN_MAX)(self._named)

    def _named(self, name: bytes) -> frozenset[str]:
        """The entities that a column or member of this name tells of: no more words are needed near them."""
        return frozenset(entity for entity, words in self._words.items() if words.name(name))

    def find(self, text: bytes, named: frozenset[str] = frozenset(), budget: Budget | None = None) -> list[Found]:
        """What is in `text`, in order, none overlapping another. `named` need no words near them. @raise TooDear"""
        budget = budget or Budget()
        if not self._quick_look(text):
            return []
        found: list[Found] = []
        parts = [(0, len(text))] if named else []
        budget.glance(len(text))
        fitting = self._first.which(text)
        if fitting:
            budget.walk(len(text))
        for index in fitting:
            if index < len(self._strong):
                found += self._strong[index].look(text, named, 0, len(text), budget)
            elif not named:
                parts = self._near_words(text, budget)
        for at, size in parts:
            budget.walk(size - at)
            for index in self._second.which(text[at:size]):
                found += self._weak[index].look(text, named, at, size, budget)
        return list(_apart(found)) if len(found) > 1 else found

    def may_hold(self, text: bytes) -> bool:
        """False: nothing is in `text`, whatever is named."""
        return self._quick_look(text) and bool(self._first.which(text) or self._second.which(text))

    def _near_words(self, text: bytes, budget: Budget) -> list[tuple[int, int]]:
        """The parts of `text` where a weak sign may count: all others, and most texts have some, are not looked at."""
        assert self._any_word is not None
        parts: list[tuple[int, int]] = []
        budget.walk(len(text))
        for start, end in self._any_word.spans(text, 0, len(text)):
            budget.spend(WORD)
            start = max(start - WORDS_BEHIND_BYTES - VALUE_BYTES_MAX, 0)
            end = min(end + WORDS_BEFORE_BYTES + VALUE_BYTES_MAX, len(text))
            if parts and start <= parts[-1][1]:
                parts[-1] = (parts[-1][0], end)
            else:
                parts.append((start, end))
        return parts


@lru_cache(DETECTORS_MAX)
def detector_of(entities: tuple[Entity, ...]) -> Detector:
    """One for each choice: to make one takes a tenth of a second."""
    return Detector(entities)


def _quick_look(entities: Iterable[Entity]) -> Callable[[bytes], bool]:
    """A function that says of most texts that nothing is in them, faster than any pattern."""
    digits_min = min((each.digits for each in entities if not each.literals), default=1 << 30)
    literals = tuple(sorted({literal for each in entities for literal in each.literals}))
    if digits_min == 0 or len(literals) > _LITERALS_MAX:
        return lambda text: True

    def may_hold(text: bytes) -> bool:
        for literal in literals:
            if text.find(literal) >= 0:  # `in` would take ten times as long: it tries for a number first
                return True
        return len(text) - len(text.translate(None, _DIGITS)) >= digits_min

    return may_hold


def _is_part(text: bytes, start: int, end: int) -> bool:
    """Whether more digits are joined to it, so that it is a piece of another number; or of a UUID."""
    if start > 1 and text[start - 1 : start] in _JOINTS and text[start - 2 : start - 1].isdigit():
        if text[start : start + 1].isdigit():
            return True
    if text[end : end + 1] in _JOINTS and text[end + 1 : end + 2].isdigit() and text[end - 1 : end].isdigit():
        return True
    around = _UUID.finditer(text, max(start - _UUID_BYTES, 0), end + _UUID_BYTES)
    return any(each.start() <= start and end <= each.end() for each in around)


def _apart(found: list[Found]) -> Iterator[Found]:
    """One answer for each stretch that is covered: of those who overlap the most certain, then the longest names it."""
    found.sort(key=attrgetter("start"))
    cluster: list[Found] = []
    reached = 0
    for each in found:
        if each.start >= reached and cluster:
            yield _one(cluster, reached)
            cluster = []
        cluster.append(each)
        if each.end > reached:
            reached = each.end
    yield _one(cluster, reached)


def _one(cluster: Sequence[Found], end: int) -> Found:
    if len(cluster) == 1:
        return cluster[0]
    best = max(cluster, key=lambda each: (each.entity.certainty, each.end - each.start))
    start = cluster[0].start
    return Found(start, end, best.entity, (best.start, best.end) == (start, end))
