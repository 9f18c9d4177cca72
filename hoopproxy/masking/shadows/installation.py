"""Carries a plan out at a desk, in one transaction that proves itself before it counts. Knows no target.

Either all of it stands afterwards, and no masked session can read what it must not, or nothing was changed.
"""

from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from hoopproxy.errors import SqlFailed
from hoopproxy.masking.shadows import answers
from hoopproxy.masking.shadows.findings import Finding
from hoopproxy.masking.shadows.inquiries import inquiry
from hoopproxy.masking.shadows.installed import leaks
from hoopproxy.masking.shadows.inventory import Inventory
from hoopproxy.masking.shadows.plan import Plan, uninstall
from hoopproxy.masking.shadows.steps import BEGIN, COMMIT, Step
from hoopproxy.masks import MaskSet
from hoopproxy.rooms import IDesk

type Planning = Callable[[Inventory], Plan]

type Elsewhere = Callable[..., Awaitable[Any]]
"""Calls a function with its arguments where it holds up nobody."""


class Leaking(Exception):
    """What was made would not have held, so it was not kept. `findings` say where, and what keeps it from holding."""

    def __init__(self, findings: tuple[Finding, ...]) -> None:
        super().__init__(" ".join(each.sentence for each in findings))
        self.findings = findings


@dataclass(frozen=True, slots=True)
class Installed:
    """What was done, and what stands afterwards. `failed` names what could not be made, with the server's words."""

    plan: Plan
    inventory: Inventory
    failed: tuple[tuple[str, str], ...] = ()


async def directly(function: Callable[..., Any], *arguments: Any) -> Any:
    """Calls a function here and now: for those who hold up nobody."""
    return function(*arguments)


async def taken(desk: IDesk, roles: Iterable[str], elsewhere: Elsewhere = directly) -> Inventory:
    """The inventory of a database. @raise SqlFailed, SessionError"""
    found: Inventory = await elsewhere(answers.read, await desk.ask(inquiry(roles)))
    return found


async def install(
    desk: IDesk, sets: Sequence[MaskSet], planning: Planning, elsewhere: Elsewhere = directly
) -> Installed:
    """Make what `planning` says of the database. @raise Leaking, SqlFailed, SessionError: nothing was changed."""
    roles = sorted({each.role for each in sets})
    await desk.ask("; ".join(BEGIN))
    try:
        inventory = await taken(desk, roles, elsewhere)
        plan: Plan = await elsewhere(planning, inventory)
        failed = await _done(desk, plan.steps)
        if plan.steps:
            inventory = await taken(desk, roles, elsewhere)
        if found := tuple(leak for one in plan.sets.values() for leak in leaks(inventory, one)):
            raise Leaking((*found, *plan.blocking))
        await desk.ask(COMMIT)
    except BaseException:
        await _back(desk)
        raise
    return Installed(plan, inventory, failed)


async def remove(desk: IDesk, elsewhere: Elsewhere = directly) -> tuple[Inventory, tuple[Step, ...]]:
    """Take all of it away; what there was, and what was said. @raise SqlFailed, SessionError: nothing was changed."""
    await desk.ask("; ".join(BEGIN))
    try:
        inventory = await taken(desk, (), elsewhere)
        steps = uninstall(inventory)
        await _done(desk, steps)
        await desk.ask(COMMIT)
    except BaseException:
        await _back(desk)
        raise
    return inventory, steps


async def _done(desk: IDesk, steps: Sequence[Step]) -> tuple[tuple[str, str], ...]:
    """What could not be made, and why. @raise SqlFailed: of what must be made something could not."""
    failed: list[tuple[str, str]] = []
    for some in _runs(steps):
        if not some[0].withholds:
            await desk.ask("; ".join(statement for step in some for statement in step.said))
        elif await _tried(desk, some):
            for step in some:  # one of them fails: which one is told by itself
                if why := await _tried(desk, [step]):
                    failed.append((step.withholds, why))
    return tuple(failed)


async def _tried(desk: IDesk, steps: Sequence[Step]) -> str:
    """Why they could not all be done, "" when they were."""
    try:
        said = "; ".join(statement.rstrip().rstrip(";") for step in steps for statement in step.said)
        await desk.ask(f"SAVEPOINT hoopproxy; {said}; RELEASE hoopproxy")
    except SqlFailed as why:
        await desk.ask("ROLLBACK TO hoopproxy; RELEASE hoopproxy")
        return why.message
    return ""


def _runs(steps: Sequence[Step]) -> list[list[Step]]:
    """Steps that follow each other and may all fail, or all not."""
    runs: list[list[Step]] = []
    for step in steps:
        if not runs or bool(runs[-1][0].withholds) != bool(step.withholds):
            runs.append([])
        runs[-1].append(step)
    return runs


async def _back(desk: IDesk) -> None:
    try:
        await desk.ask("ROLLBACK")
    except Exception:  # noqa: BLE001 # the connection is gone, and the transaction with it
        desk.close()
