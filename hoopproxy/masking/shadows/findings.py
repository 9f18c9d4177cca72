"""What an audit finds: frozen values. Knows no database."""

from dataclasses import dataclass
from enum import Enum


class Severity(Enum):
    """RED: masks would not hold. AMBER: somebody has to say that it may be, and why."""

    RED = "red"
    AMBER = "amber"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is wrong. `name` is what `accept` in targets.toml says: a word for the kind and the object, such
    as `row-security public.orders`. `sentence` says in full what follows. Withheld: the object gets no grant and no
    twin, so that nothing else is wrong; what is not withheld closes the whole database. What is amber and withheld is
    given to sessions once it is accepted."""

    severity: Severity
    name: str
    sentence: str
    withheld: bool = False

    def order(self) -> tuple[bool, bool, str]:
        """Sorts the worst first."""
        return self.severity is not Severity.RED, self.withheld, self.name


def blocking(findings: tuple[Finding, ...], accepted: frozenset[str]) -> tuple[Finding, ...]:
    """Those that close the database."""
    return tuple(
        each for each in findings if not each.withheld and (each.severity is Severity.RED or each.name not in accepted)
    )
