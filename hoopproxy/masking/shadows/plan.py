"""What install does in a database, and what uninstall does: the exact SQL, from an inventory and the sets of a policy.

Knows no connection. A set is made anew where its digest is not the installed one, and left alone where it is.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from hoopproxy.masking.shadows import audit
from hoopproxy.masking.shadows.findings import Finding, Severity, blocking
from hoopproxy.masking.shadows.grants import comment
from hoopproxy.masking.shadows.handover import Handover
from hoopproxy.masking.shadows.inventory import Inventory
from hoopproxy.masking.shadows.naming import STAMP, owner_role, set_of_login, set_of_schema
from hoopproxy.masking.shadows.planned import PlannedSet, planned
from hoopproxy.masking.shadows.quoting import quoted
from hoopproxy.masking.shadows.steps import Step
from hoopproxy.masking.shadows.texts import Texts
from hoopproxy.masks import MaskSet


@dataclass(frozen=True, slots=True)
class Plan:
    """`steps` are what is to be done, between BEGIN and COMMIT. `sets` are by name. What `made` and `dropped` name is
    made anew or taken away. `is_open`: no finding keeps sessions out."""

    steps: tuple[Step, ...]
    sets: Mapping[str, PlannedSet]
    findings: tuple[Finding, ...]
    made: tuple[str, ...]
    dropped: tuple[str, ...]
    blocking: tuple[Finding, ...]

    @property
    def is_open(self) -> bool:
        """Whether sessions may come in once it is done."""
        return not self.blocking


def plan(
    inventory: Inventory,
    sets: Iterable[MaskSet],
    accepted: frozenset[str],
) -> Plan:
    """What makes exactly these sets stand in a database. `accepted` are findings by name."""
    wanted = sorted(sets, key=lambda each: each.name)
    if not wanted:
        return Plan(uninstall(inventory), {}, (), (), tuple(sorted(inventory.installed)), ())
    texts = Texts.of(inventory)
    of_sets, findings = {}, [*_unable(inventory), *audit.findings(inventory, wanted, texts)]
    for mask_set in wanted:
        one = planned(inventory, mask_set, texts, accepted)
        if one is None:
            findings.append(_no_role(mask_set))
        else:
            of_sets[mask_set.name] = one
            findings += one.findings
    taken = frozenset(each for one in of_sets.values() for each in one.taken)
    handover = Handover(inventory, taken)
    findings += handover.findings()
    findings = sorted(dict.fromkeys(findings), key=Finding.order)
    made = tuple(name for name, one in of_sets.items() if inventory.installed.get(name) != one.digest)
    dropped = tuple(sorted(inventory.installed.keys() - of_sets.keys()))
    steps = [Step(tuple(_owner(inventory)))]
    steps += [Step(tuple(_removed(inventory, name, with_roles=True))) for name in dropped]
    for name in made:
        steps += _made(inventory, of_sets[name])
    steps.append(Step(tuple(handover.statements())))
    return Plan(
        steps=tuple(step for step in steps if step.statements),
        sets=of_sets,
        findings=tuple(findings),
        made=made,
        dropped=dropped,
        blocking=blocking(tuple(findings), accepted),
    )


def uninstall(inventory: Inventory) -> tuple[Step, ...]:
    """What takes everything away that was made for masks in this database, and gives PUBLIC back what it had."""
    owner = owner_role(inventory.database)
    steps = [Step(tuple(Handover(inventory, None).statements()))]
    steps += [Step(tuple(_removed(inventory, name, with_roles=True))) for name in sorted(inventory.installed)]
    if owner in inventory.own.roles:
        steps.append(
            Step((*_reached(inventory, owner), f"DROP OWNED BY {quoted(owner)}", f"DROP ROLE {quoted(owner)}"))
        )
    return tuple(step for step in steps if step.statements)


def _owner(inventory: Inventory) -> Iterator[str]:
    owner = owner_role(inventory.database)
    if owner not in inventory.own.roles:
        yield f"CREATE ROLE {quoted(owner)} NOLOGIN"
    yield from _reached(inventory, owner)


def _reached(inventory: Inventory, role: str) -> Iterator[str]:
    """What lets the provisioner act for a role of ours. Whoever may create roles may not act for them by itself."""
    if not inventory.is_superuser and role not in inventory.provisioner_roles:
        how = " WITH INHERIT TRUE, SET TRUE" if inventory.server_version >= 160000 else ""
        yield f"GRANT {quoted(role)} TO {quoted(inventory.provisioner)}{how}"


def _made(inventory: Inventory, one: PlannedSet) -> Iterator[Step]:
    group = one.mask_set.name
    if group in inventory.own.roles:
        yield Step(tuple(_removed(inventory, group, with_roles=False)))
    else:
        yield Step((f"CREATE ROLE {quoted(group)} NOLOGIN", *_reached(inventory, group)))
    yield from one.steps
    stamp = STAMP + one.digest
    yield Step((comment(f"ROLE {quoted(group)}", stamp), comment(f"SCHEMA {quoted(one.schemas[0])}", stamp)))


def _removed(inventory: Inventory, group: str, *, with_roles: bool) -> Iterator[str]:
    """Takes away all of a set; its roles, which live sessions have logged in as, only where it is not made anew."""
    for schema in sorted(inventory.own.schemas):
        if set_of_schema(schema) == group:
            yield f"DROP SCHEMA {quoted(schema)} CASCADE"
    logins = sorted(role for role in inventory.own.roles if set_of_login(role) == group) if with_roles else []
    for role in [*logins, group]:
        if role in inventory.own.roles:
            yield from _reached(inventory, role)
            yield f"DROP OWNED BY {quoted(role)}"
            if with_roles:
                yield f"DROP ROLE {quoted(role)}"


def _unable(inventory: Inventory) -> Iterator[Finding]:
    who = inventory.roles.get(inventory.provisioner)
    name, database = quoted(inventory.provisioner), quoted(inventory.database)
    if who is not None and not (who.is_superuser or who.creates_roles):
        yield Finding(
            Severity.RED,
            "provisioner roles",
            f"The provisioner {inventory.provisioner} may not create roles; ALTER ROLE {name} CREATEROLE would mend "
            "that.",
        )
    if not inventory.may_create:
        yield Finding(
            Severity.RED,
            "provisioner schemas",
            f"The provisioner {inventory.provisioner} may not create schemas in {inventory.database}; GRANT CREATE ON "
            f"DATABASE {database} TO {name} would mend that.",
        )


def _no_role(mask_set: MaskSet) -> Finding:
    return Finding(
        Severity.RED,
        f"no-role {mask_set.role}",
        f"An account of this target logs in as {mask_set.role}, and the server has no such role, so nothing is made "
        f"for it; CREATE ROLE {quoted(mask_set.role)} LOGIN would mend that, or another credential of the account.",
        withheld=True,
    )
