"""What somebody types who asks for access, before it has become terms.

Knows no policy.
"""

from dataclasses import dataclass

TEXT_CHARACTERS_MAX = 500
"""A reason is a sentence or two; approvers read it."""


@dataclass(frozen=True, slots=True)
class Wish:
    """`accounts` empty: all that the rule is for. `rule` "": the first that fits. `not_before_s` 0.0: at once."""

    target_name: str
    duration_s: float
    reason: str
    accounts: frozenset[str] = frozenset()
    ticket: str = ""
    rule: str = ""
    not_before_s: float = 0.0
    sessions_max: int | None = None
    rows_max: int | None = None
    bytes_max: int | None = None
    renews: str = ""
