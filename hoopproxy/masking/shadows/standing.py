"""How one mask set stands in one database: what was installed, and whether it would hold. Knows no query."""

from dataclasses import dataclass

from hoopproxy.masking.shadows import audit, installed
from hoopproxy.masking.shadows.findings import blocking
from hoopproxy.masking.shadows.handover import Handover
from hoopproxy.masking.shadows.inventory import Inventory
from hoopproxy.masking.shadows.logins import Kind
from hoopproxy.masking.shadows.planned import planned
from hoopproxy.masking.shadows.texts import Texts
from hoopproxy.masks import NO_CATALOG, Catalog, MaskSet

NO_ROLE = "no role"
"""In the place of a digest, where there is nobody to install anything for."""


@dataclass(frozen=True, slots=True)
class Standing:
    """`digest` is the installed plan's, "" where none is; `kind` are the set's logins, `catalog` what they must know.

    `reasons` say in full sentences what would break masks; `accepted` are the findings, by name, that somebody took
    responsibility for.
    """

    mask_set: MaskSet
    digest: str
    catalog: Catalog
    kind: Kind
    reasons: tuple[str, ...] = ()
    accepted: tuple[str, ...] = ()

    @property
    def is_installed(self) -> bool:
        """Whether there is anything to enter by."""
        return bool(self.digest)


def judged(inventory: Inventory, mask_set: MaskSet, accepted: frozenset[str]) -> Standing:
    """How it stands, where the findings in `accepted` may be. Takes a while: the text of every view is read."""
    texts = Texts.of(inventory)
    plan = planned(inventory, mask_set, texts, accepted)
    if plan is None:
        reason = f"The account stands for the role {mask_set.role}, which the database does not have."
        return Standing(mask_set, NO_ROLE, NO_CATALOG, Kind(mask_set.name, {}), (reason,))
    findings = (
        *plan.findings,
        *Handover(inventory, plan.taken).findings(),
        *installed.leaks(inventory, plan),
        *audit.findings(inventory, (mask_set,), texts),
    )
    shadow = installed.shadow(inventory, plan)
    return Standing(
        mask_set=mask_set,
        digest=inventory.installed.get(mask_set.name, ""),
        catalog=Catalog({}, {}, frozenset(), frozenset(), shadow),
        kind=Kind.of(mask_set.name, shadow.path, inventory.roles[mask_set.role].settings),
        reasons=tuple(dict.fromkeys(each.sentence for each in blocking(findings, accepted))),
        accepted=tuple(sorted({each.name for each in findings} & accepted)),
    )
