"""What becomes of each view and function of a database for one mask set: frozen values. Knows no SQL."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum

from hoopproxy.masking.shadows.findings import Finding
from hoopproxy.masking.shadows.texts import Texts
from hoopproxy.masks import Named

type Taken = tuple[str, int]
"""`TABLE` or `ROUTINE`, and an OID."""


class Fate(IntEnum):
    """What becomes of a relation or function, the worse the higher.

    CLEAN: proven to show nothing protected. BOUNDED: a function that has its caller's rights, whatever it does.
    MASKED: a protected relation, seen through a twin. CLONED: seen through a clone. WITHHELD: neither.
    """

    CLEAN = 0
    BOUNDED = 1
    MASKED = 2
    CLONED = 3
    WITHHELD = 4


@dataclass(frozen=True, slots=True)
class Verdict:
    """A fate; `reason` is the full sentence that says why it is withheld, or cloned."""

    fate: Fate
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Cloning:
    """The OIDs of what gets a clone, and the original schemas that these lie in."""

    relations: frozenset[int]
    functions: frozenset[int]
    schemas: frozenset[str]


@dataclass(frozen=True, slots=True)
class Closure:
    """The verdicts on all relations and functions of an inventory, by OID, for one mask set of the account's `role`.

    `withheld` tells the reason for every name that has nothing else. `taken` must not be PUBLIC's, `findings` say why.
    """

    role: str
    relations: Mapping[int, Verdict]
    functions: Mapping[int, Verdict]
    clones: Cloning
    withheld: Mapping[Named, str]
    findings: tuple[Finding, ...]
    taken: frozenset[Taken]
    texts: Texts

    @property
    def clean_functions(self) -> frozenset[int]:
        """Functions that may be granted: what they show is nothing protected, or what their caller may see. No others
        may be, whether they are SECURITY DEFINER or not."""
        return frozenset(oid for oid, verdict in self.functions.items() if verdict.fate <= Fate.BOUNDED)
