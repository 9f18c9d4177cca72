"""Statements that a plan is made of, how a transaction of them begins and ends, and all of it as a script for psql.

Knows not what they do.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from hoopproxy.masking.shadows.locks import LOCK

BEGIN = (
    "BEGIN",
    "SET LOCAL search_path = pg_catalog, pg_temp",
    "SET LOCAL lock_timeout = '30s'",
    "SET LOCAL client_min_messages = warning",
    LOCK,
)
"""How the transaction begins. Whoever waits for a lock that long is in everybody's way."""

COMMIT = "COMMIT"


@dataclass(frozen=True, slots=True)
class Step:
    """Statements that go together. `withholds` names what alone is kept away if they fail; "": then all must fail.
    What is a key of `secrets` in them is shown to people as it is, and to the server as what it stands for."""

    statements: tuple[str, ...]
    withholds: str = ""
    secrets: Mapping[str, str] = field(default_factory=dict, repr=False)

    @property
    def said(self) -> tuple[str, ...]:
        """The statements as the server gets them."""
        said = self.statements
        for placeholder, secret in self.secrets.items():
            said = tuple(statement.replace(placeholder, secret) for statement in said)
        return said


def script(steps: Iterable[Step], *, with_secrets: bool = False) -> str:
    """The whole transaction for psql, which goes on where only one object is withheld. Keys are told by their digest
    alone unless `with_secrets`."""
    lines = ["\\set ON_ERROR_STOP on", *(f"{each};" for each in BEGIN)]
    is_lenient = False
    for step in steps:
        if is_lenient != bool(step.withholds):
            is_lenient = bool(step.withholds)
            lines.append(f"\\set ON_ERROR_ROLLBACK {'on' if is_lenient else 'off'}")
            lines.append(f"\\set ON_ERROR_STOP {'off' if is_lenient else 'on'}")
        statements = step.said if with_secrets else step.statements
        lines += [f"{each.rstrip().rstrip(';')};" for each in statements]
    return "\n".join([*lines, f"{COMMIT};", ""])
