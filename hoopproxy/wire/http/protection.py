"""What maskers protect of one endpoint's answers.

Knows the words in which they say it (`interfaces.IMasker.protects`), and no masker.
"""

from dataclasses import dataclass

ANY = "*"
"""Values are judged by content; before a path: at any endpoint; behind an endpoint: whatever is not listed."""


@dataclass(frozen=True, slots=True)
class Protection:
    """`by_path`: some values are masked by where they stand. `is_listed`: all but what a list names."""

    endpoint: str
    by_content: bool
    by_path: bool
    is_listed: bool

    @classmethod
    def of(cls, protected: frozenset[str], endpoint: str) -> "Protection":
        """What of `protected` holds at an endpoint, "" where none fits: `*`, `ENDPOINT $.path`, `ENDPOINT *`."""
        endpoint = endpoint or ANY
        here = [
            path for where, _, path in (each.partition(" ") for each in protected) if path and where in (endpoint, ANY)
        ]
        return cls(endpoint, ANY in protected, bool(here), ANY in here)

    @property
    def is_empty(self) -> bool:
        """Whether nothing is masked there."""
        return not (self.by_content or self.by_path)

    def of_field(self, path: str) -> str:
        """What maskers know a place by."""
        return f"{self.endpoint} {path}"
