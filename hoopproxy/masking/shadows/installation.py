"""Carries a plan out at a desk, in one transaction that proves itself before it counts. Knows no target.

Either all of it stands afterwards, and no masked session can read what it must not, or nothing was changed.
"""

from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial

from hoopproxy.errors import SqlFailed
from hoopproxy.masking.shadows import answers
from hoopproxy.masking.shadows.findings import Finding
from hoopproxy.masking.shadows.inquiries import inquiry
from hoopproxy.masking.shadows.installed import leaks
from hoopproxy.masking.shadows.inventory import Inventory
from hoopproxy.masking.shadows.locks import LOCK_PAUSE_S, LOCKED, blocked, unhurried
from hoopproxy.masking.shadows.plan import Plan, uninstall
from hoopproxy.masking.shadows.shared_desk import sense_wanted
from hoopproxy.masking.shadows.steps import BEGIN, COMMIT, Step
from hoopproxy.masks import MaskSet
from hoopproxy.rooms import IDesk, Rows

type Planning = Callable[[Inventory], Plan]


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


async def taken(desk: IDesk, roles: Iterable[str]) -> Inventory:
    """The inventory of a database, in nobody's way. @raise Blocked, SqlFailed, SessionError"""
    pause = partial(desk.ask, f"SELECT pg_catalog.pg_sleep({LOCK_PAUSE_S})")
    return _read(await unhurried(desk.ask, inquiry(roles), pause))


async def install(desk: IDesk, sets: Sequence[MaskSet], planning: Planning) -> Installed:
    """Make what `planning` says of the database.

    @raise Leaking, Blocked, SqlFailed, SessionError: nothing was changed
    """
    roles = sorted({each.role for each in sets})
    async with _transaction(desk):
        inventory = _read(await desk.ask(inquiry(roles)))
        plan = planning(inventory)
        failed = await _done(desk, plan.steps)
        if plan.steps:
            inventory = _read(await desk.ask(inquiry(roles)))
        if found := tuple(leak for one in plan.sets.values() for leak in leaks(inventory, one)):
            raise Leaking((*found, *plan.blocking))
    return Installed(plan, inventory, failed)


async def remove(desk: IDesk) -> tuple[Inventory, tuple[Step, ...]]:
    """Take all of it away; what there was, and what was said. @raise Blocked, SqlFailed, SessionError: nothing was
    changed."""
    async with _transaction(desk):
        inventory = _read(await desk.ask(inquiry(())))
        steps = uninstall(inventory)
        await _done(desk, steps)
    return inventory, steps


@asynccontextmanager
async def _transaction(desk: IDesk) -> AsyncIterator[None]:
    """All that is done within, or nothing. @raise Blocked: it would have had to wait for somebody for too long."""
    try:
        await desk.ask("; ".join(BEGIN))
        yield
        await desk.ask(COMMIT)
    except BaseException as why:
        await _back(desk)
        if isinstance(why, SqlFailed) and why.sqlstate in LOCKED:
            raise await blocked(desk.ask, why) from why
        raise


def _read(answer: tuple[Rows, ...]) -> Inventory:
    with sense_wanted():
        return answers.read(answer)


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
    """Why they could not all be done, "" when they were. @raise SqlFailed: somebody else's lock was in the way."""
    try:
        said = "; ".join(statement.rstrip().rstrip(";") for step in steps for statement in step.said)
        await desk.ask(f"SAVEPOINT hoopproxy; {said}; RELEASE hoopproxy")
    except SqlFailed as why:
        if why.sqlstate in LOCKED:  # that is nothing about the object, and passes
            raise
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
