"""What an entity is: how it is written, what proves it, and which words near it make a weak sign a good one.

Knows no entity by name; the tables do.
"""

import re
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, field
from enum import IntEnum

from hoopproxy.masking.content.budget import SEARCH
from hoopproxy.masking.content.patterns import NOTHING, Pattern, Patterns

WORDS_BEFORE_BYTES = 48
"""How far before a value a word may stand that tells what it is: a label, or the beginning of the sentence."""

WORDS_BEHIND_BYTES = 24
"""How far behind it, where nothing else may stand between."""


class Certainty(IntEnum):
    """What decides when two entities claim the same characters."""

    SHAPE = 1
    STRUCTURE = 2
    CHECKED = 3


def _always(text: str) -> bool:
    return True


@dataclass(frozen=True, slots=True)
class Entity:
    """One kind of thing that values hold.

    `strong` patterns are enough by themselves, `weak` ones need one of `words` near them; right behind one of `unless`
    neither counts. `check` takes the text that a pattern found; `proof` says in words what it checks. Each match holds
    `digits` digits at least, or one of `literals`: a quick look that spares the patterns most texts. `shown` are how
    many letters and digits at its beginning and end a partial mask leaves. `example` is one that nobody has. Without
    `is_usual` it is looked for only where a rule names it.
    """

    name: str
    what: str
    proof: str
    example: str
    strong: tuple[str, ...] = ()
    weak: tuple[str, ...] = ()
    words: tuple[str, ...] = ()
    unless: tuple[str, ...] = ()
    check: Callable[[str], bool] = _always
    certainty: Certainty = Certainty.CHECKED
    digits: int = 0
    literals: tuple[bytes, ...] = ()
    shown: tuple[int, int] = (0, 0)
    is_usual: bool = True
    label: bytes = field(init=False, compare=False)
    """What takes the place of one."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "label", b"[%b]" % self.name.encode())

    @property
    def work(self) -> int:
        """What one check costs at most, in units of a budget."""
        return getattr(self.check, "work", SEARCH)

    @property
    def is_default(self) -> bool:
        """Whether it is looked for where nobody named entities: it has a form that needs no words."""
        return bool(self.strong) and self.is_usual


_CAMEL = re.compile(rb"(?<=[a-z])(?=[A-Z])")


class Words:
    """Words that say what a value is. A blank in one is any gap, or none: `tax id` is also taxid.

    `pattern` is what finds one, `behind` one right behind a value; "" where there are none.
    """

    def __init__(self, words: Iterable[str]) -> None:
        either = "|".join(re.escape(word).replace(r"\ ", r"[\s_.-]{0,2}") for word in words)
        self.pattern = rf"(?i)(?:^|[^a-z])(?:{either})(?:e?s)?(?:$|[^a-z])" if either else ""
        self.behind = rf"(?i)^\s*[(\[]?\s*(?:{either})(?:$|[^a-z])" if either else ""
        before = rf"(?i)(?:^|[^a-z])(?:{either})[\s.:#_-]{{0,3}}(?:(?:no|nr|num|number|id|code)[\s.:#_-]{{0,3}})?$"
        self._anywhere = Pattern(self.pattern, None).fits if either else _nowhere
        self._before = Pattern(before, None).fits if either else _nowhere

    def before(self, text: bytes, start: int) -> bool:
        """Whether one stands right before `start`: `part no. 536-90-4399`."""
        return self._before(text[max(start - WORDS_BEHIND_BYTES, 0) : start])

    def name(self, name: bytes) -> bool:
        """Whether a column or member of this name says so: `customer_ssn`, `customerSsn`."""
        return self._anywhere(_CAMEL.sub(b" ", name))


class Nearby:
    """The words of many entities, looked for at once."""

    def __init__(self, words: Sequence[Words]) -> None:
        self._before = Patterns([each.pattern or NOTHING for each in words])
        self._behind = Patterns([each.behind or NOTHING for each in words])

    def which(self, text: bytes, start: int, end: int) -> Collection[int]:
        """Of whose words one stands shortly before the value at `start`, or right behind its `end`: their indexes."""
        before = text[max(start - WORDS_BEFORE_BYTES, 0) : start]
        # What stands before these is about something else.
        before = before[max(before.rfind(b";"), before.rfind(b"|")) + 1 :]
        return (*self._before.which(before), *self._behind.which(text[end : end + WORDS_BEHIND_BYTES]))


def _nowhere(text: bytes) -> bool:
    return False
