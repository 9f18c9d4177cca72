"""Patterns that run in linear time, whatever the text and whoever wrote the pattern: RE2 over bytes.

The only file that knows the library, and its compiled half beneath the wrapper, too: the wrapper's objects take longer
than the search in a short text. Knows no entity.
"""

from collections.abc import Iterator, Sequence

import re2  # type: ignore[import-untyped]  # it comes without types

PATTERN_CHARACTERS_MAX = 1000
"""No pattern that somebody can review is longer."""

PROGRAM_SIZE_MAX = 20_000
"""RE2's instructions for one pattern: `\\d{1,1000}` has some thousands, and its square would take a house's memory."""

_MEMORY_BYTES_MAX = 64 << 20
"""Of one automaton. What outgrows it is run without one: slower, and as right."""


NOTHING = r"[^\x00-\x{10FFFF}]"
"""The pattern of no text."""

_ANYWHERE, _HERE = re2._Anchor.UNANCHORED, re2._Anchor.ANCHOR_START


def _options(*, captures: bool) -> re2.Options:
    options = re2.Options()
    options.max_mem, options.log_errors, options.never_capture = _MEMORY_BYTES_MAX, False, not captures
    return options


class Pattern:
    """One pattern; where it has a group, the first is what it finds. @raise ValueError: a full sentence."""

    def __init__(self, text: str, characters_max: int | None = PATTERN_CHARACTERS_MAX) -> None:
        if characters_max is not None and len(text) > characters_max:
            raise ValueError(f"A pattern may have {characters_max} characters, not {len(text)}.")
        try:
            compiled = re2.compile(text, _options(captures=True))
        except re2.error as why:
            reason = why.args[0].decode("utf-8", "replace") if isinstance(why.args[0], bytes) else str(why)
            raise ValueError(f"RE2 can't read the pattern {text!r}: {reason}.") from why
        if compiled.programsize > PROGRAM_SIZE_MAX:
            raise ValueError(f"The pattern {text!r} is too large: repeat less in it.")
        if compiled.search(b"") is not None:
            raise ValueError(f"The pattern {text!r} fits where nothing is: have it ask for a character at least.")
        self.text = text
        self._match = compiled._regexp.Match
        self._group = min(compiled.groups, 1)

    def fits(self, text: bytes) -> bool:
        """Whether it fits somewhere."""
        return bool(self._match(_ANYWHERE, text, 0, len(text))[0][0] >= 0)

    def spans(self, text: bytes, at: int, size: int) -> Iterator[tuple[int, int]]:
        """Where it fits between `at` and `size`, one behind the other; what stands around is seen."""
        while at < size:
            spans = self._match(_ANYWHERE, text, at, size)
            if spans[0][0] < 0:
                return
            end = spans[0][1]
            at = end if end > at else at + 1
            start, end = spans[self._group]
            if 0 <= start < end:
                yield start, end

    def at(self, text: bytes, start: int) -> tuple[int, int] | None:
        """Where it fits at `start` and nowhere else; what stands before is seen."""
        span: tuple[int, int] = self._match(_HERE, text, start, len(text))[self._group]
        return None if span[0] < 0 else span


class Patterns:
    """Many patterns in one walk over a text."""

    def __init__(self, texts: Sequence[str]) -> None:
        found = re2.Set.SearchSet(_options(captures=False))
        for text in (*texts, r"\z"):
            found.Add(text)
        found.Compile()
        self._which = found._set.Match
        self._every, self._end = tuple(range(len(texts))), len(texts)
        self._nothing = [self._end]

    def which(self, text: bytes) -> Sequence[int]:
        """The indexes of those that fit somewhere."""
        found: list[int] = self._which(text)
        if found == self._nothing:
            return ()
        # Each text has an end: only a set whose automaton has no more memory answers that nothing fits.
        if not found:
            return self._every
        found.remove(self._end)
        return found
