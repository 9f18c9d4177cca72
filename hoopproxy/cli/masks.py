"""`hoopproxy masks`: what makes a database keep masks itself: planned, installed, audited, and taken away again."""

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from datetime import UTC, date, datetime
from functools import partial
from pathlib import Path
from typing import Any

import click

from hoopproxy.access.mask_sets import TooManySets, databases_of, sets_of
from hoopproxy.cli.answers import Mistake, Negative, config_option, json_option, print_json, printable
from hoopproxy.cli.configured import configuration
from hoopproxy.cli.desks import Visit, visited
from hoopproxy.config.model import Config
from hoopproxy.errors import ConfigError, SessionError
from hoopproxy.masking.shadows import plan as planning
from hoopproxy.masking.shadows.drift import changes
from hoopproxy.masking.shadows.findings import Finding, Severity
from hoopproxy.masking.shadows.installation import Leaking, remove, taken
from hoopproxy.masking.shadows.installation import install as carried_out
from hoopproxy.masking.shadows.installed import leaks
from hoopproxy.masking.shadows.inventory import Inventory
from hoopproxy.masking.shadows.plan import Plan
from hoopproxy.masking.shadows.quoting import quoted
from hoopproxy.masking.shadows.steps import script
from hoopproxy.masks import MaskSet
from hoopproxy.model import Target
from hoopproxy.residency.zones import Zones

type Answer = dict[str, Any]
"""What a verb found in one database, as JSON says it."""


@click.group()
def masks() -> None:
    """Masks that databases keep themselves: plan, install, audit, drift, uninstall.

    The order of things: plan shows what would be made, install makes it, audit says what it holds against, drift what
    has changed since. All go to the target's databases as the provisioner that targets.toml names.

    Exit codes: 0 done, or all is well; 1 not done, or masked sessions are kept out of a database, or something has
    drifted; 2 a mistake in usage or configuration.
    """


def target_options(command: Callable[..., None]) -> Callable[..., None]:
    """What all of them take."""
    target = click.option("--target", "target_name", required=True, help="A target with [target.masks] provisioner.")
    database = click.option("--database", help="One of its databases, instead of all.")
    return config_option(target(database(json_option(command))))


@masks.command()
@target_options
@click.option("--keys", "with_secrets", is_flag=True, help="Print the keys of hashes and tokens, too.")
def plan(config_file: Path, target_name: str, database: str | None, as_json: bool, with_secrets: bool) -> None:
    """Print the SQL that install would run, for `psql -f`; change nothing.

    Keys of hashes and tokens are shown by their digest, so that the output may be passed on; where there are any, only
    what --keys prints can be run. Exits 0 whatever it finds.
    """
    stand = Stand(config_file, target_name)

    async def work(visit: Visit) -> Answer:
        found = stand.plan(visit, await taken(visit.desk, visit.roles))
        return {
            "database": visit.database,
            **_told(found, stand),
            "sql": script(found.steps, with_secrets=with_secrets) if found.steps else "",
        }

    for answer in stand.answers(database, work, as_json):
        click.echo(f"-- Database {answer['database']}")
        for finding in answer["findings"]:
            click.echo(f"-- {_line(finding)}")
        if answer["sql"]:
            click.echo(f"\\connect {quoted(answer['database'])}")
        click.echo(answer["sql"] or "-- Nothing is to be done.")


@masks.command()
@target_options
def install(config_file: Path, target_name: str, database: str | None, as_json: bool) -> None:
    """Make all that the masks of the policy need, in one transaction for each database.

    What stands already stays as it is; sessions of a set that is made anew are ended. Exits 1 when nothing could be
    changed, or when findings keep masked sessions out of a database.
    """
    stand = Stand(config_file, target_name)

    async def work(visit: Visit) -> Answer:
        done = await carried_out(visit.desk, stand.sets(visit), partial(stand.plan, visit))
        failed = [{"object": name, "error": why} for name, why in done.failed]
        return {"database": visit.database, **_told(done.plan, stand), "failed": failed}

    answers = stand.answers(database, work, as_json)
    for answer in answers:
        click.echo(f"{answer['database']}: {_counted(answer)}")
        for failed in answer["failed"]:
            click.echo(printable(f"  not made: {failed['object']}: {failed['error']}"))
        _print_findings(answer)
    _stay_closed(stand, answers)


@masks.command()
@target_options
def audit(config_file: Path, target_name: str, database: str | None, as_json: bool) -> None:
    """Say what would break masks, and what is kept from masked sessions; change nothing.

    What is red closes the database until it is mended; so does what is amber, unless it is accepted by its name, with a
    reason, in targets.toml; what is withheld is kept from masked sessions alone. Exits 1 when something keeps masked
    sessions out.
    """
    stand = Stand(config_file, target_name)

    async def work(visit: Visit) -> Answer:
        inventory = await taken(visit.desk, visit.roles)
        found = stand.plan(visit, inventory)
        leaking = [leak for one in found.sets.values() for leak in leaks(inventory, one)]
        withheld = {
            name: {".".join(named): reason for named, reason in sorted(one.withheld.items())}
            for name, one in found.sets.items()
        }
        told = _told(found, stand, leaking)
        return {"database": visit.database, **told, "withheld": withheld}

    answers = stand.answers(database, work, as_json)
    for answer in answers:
        click.echo(f"{answer['database']}: {'open' if answer['open'] else 'closed to masked sessions'}")
        _print_findings(answer)
        for name, reasons in answer["withheld"].items():
            for what, reason in reasons.items():
                click.echo(printable(f"  withheld  {name}: {what}: {reason}"))
    _stay_closed(stand, answers)


@masks.command()
@target_options
def drift(config_file: Path, target_name: str, database: str | None, as_json: bool) -> None:
    """Say what has changed since install, and so what it would make otherwise now. Exits 1 when something has."""
    stand = Stand(config_file, target_name)

    async def work(visit: Visit) -> Answer:
        inventory = await taken(visit.desk, visit.roles)
        return {"database": visit.database, "changes": changes(inventory, stand.plan(visit, inventory))}

    answers = stand.answers(database, work, as_json)
    for answer in answers:
        for sentence in answer["changes"] or ["Nothing has changed since the masks were installed."]:
            click.echo(printable(f"{answer['database']}: {sentence}"))
    if any(answer["changes"] for answer in answers):
        raise SystemExit(1)


@masks.command()
@target_options
def uninstall(config_file: Path, target_name: str, database: str | None, as_json: bool) -> None:
    """Take away all that was made for masks, roles and their logins included, and give PUBLIC back what it had."""
    stand = Stand(config_file, target_name)

    async def work(visit: Visit) -> Answer:
        inventory, steps = await remove(visit.desk)
        return {
            "database": visit.database,
            "mask_sets": sorted(inventory.installed),
            "statements": [statement for step in steps for statement in step.statements],
        }

    for answer in stand.answers(database, work, as_json):
        names = ", ".join(answer["mask_sets"])
        said = f"the mask sets {names} were taken away." if names else "no masks were installed."
        click.echo(f"{answer['database']}: {said}")
        for statement in answer["statements"]:
            click.echo(printable(f"  {statement}"))


class Stand:
    """A target and what the policy has masked in it. @raise Mistake: it keeps no masks itself."""

    def __init__(self, config_file: Path, target_name: str) -> None:
        self.config: Config = configuration(config_file)
        found = self.config.targets.get(target_name)
        if found is None:
            raise Mistake(f"There is no target {target_name!r}; targets.toml has {', '.join(self.config.targets)}.")
        if found.masks is None:
            raise Mistake(
                f"The target {target_name} keeps no masks itself; wanted is [target.masks] with a provisioner in "
                "targets.toml."
            )
        self.target: Target = found
        self.accepted: Mapping[str, str] = found.masks.accepted

    def sets(self, visit: Visit) -> tuple[MaskSet, ...]:
        """All that can occur. @raise TooManySets"""
        zones = _zones(self.config.zones, datetime.now(UTC).date())
        return sets_of(self.config.policy, zones, self.target, visit.database, visit.roles)

    def plan(self, visit: Visit, inventory: Inventory) -> Plan:
        """What install does."""
        return planning.plan(inventory, self.sets(visit), frozenset(self.accepted))

    def answers(self, database: str | None, work: Callable[[Visit], Awaitable[Answer]], as_json: bool) -> list[Answer]:
        """What `work` found in each database; printed, and none, where JSON is wanted. @raise Negative, Mistake"""
        databases, done = self._databases(database), list[str]()

        async def counted(visit: Visit) -> Answer:
            answer = await work(visit)
            done.append(visit.database)
            return answer

        try:
            answers = visited(self.config, self.target, databases, counted)
        except (ConfigError, TooManySets) as why:
            raise Mistake(str(why)) from why
        except Leaking as why:
            raise Negative(f"{_stopped(databases, done)}, because masks would not have held. {why}") from why
        except SessionError as why:
            raise Negative(f"{_stopped(databases, done)}. {why.sentence}\n{why.detail}") from why
        if as_json:
            print_json(answers)
            if any(answer.get("changes") or not answer.get("open", True) for answer in answers):
                raise SystemExit(1)
            return []
        return answers

    def _databases(self, wanted: str | None) -> tuple[str, ...]:
        known = self.target.databases
        if wanted is not None and known and wanted not in known:
            raise Mistake(f"The target {self.target.name} has no database {wanted!r}; it has {', '.join(known)}.")
        found = (wanted,) if wanted is not None else known or databases_of(self.config.policy, self.target)
        if not found:
            raise Mistake(f"The target {self.target.name} names no databases; say which one with --database.")
        return found


def _zones(zones: Zones, today: date) -> Iterable[frozenset[str]]:
    """The zones of each country, today and on every later day on which they change."""
    spans = [span for zone in zones.zones.values() for held in zone.members.values() for span in held]
    days = {today, *(span.first for span in spans if span.first > today)}
    days |= {date.fromordinal(span.last.toordinal() + 1) for span in spans if today <= span.last < date.max}
    countries = {country for zone in zones.zones.values() for country in zone.members}
    return {zones.containing(country, day) for country in countries for day in days}


def _told(plan: Plan, stand: Stand, more: Iterable[Finding] = ()) -> Answer:
    leaking = tuple(more)
    return {
        "made": plan.made,
        "dropped": plan.dropped,
        "open": plan.is_open and not leaking,
        "findings": [_finding(each, stand.accepted) for each in (*leaking, *plan.findings)],
    }


def _finding(finding: Finding, accepted: Mapping[str, str]) -> Answer:
    is_accepted = finding.severity is Severity.AMBER and finding.name in accepted
    return {
        "severity": "accepted" if is_accepted else finding.severity.value,
        "name": finding.name,
        "sentence": finding.sentence,
        "withheld": finding.withheld and not is_accepted,
        "reason": accepted[finding.name] if is_accepted else "",
    }


def _line(finding: Answer) -> str:
    how = "withheld" if finding["withheld"] else finding["severity"]
    because = f" (accepted: {finding['reason']})" if finding["reason"] else ""
    return printable(f"{how:9} {finding['name']}: {finding['sentence']}{because}").replace("\n", " ")


def _print_findings(answer: Answer) -> None:
    for finding in answer["findings"]:
        click.echo(f"  {_line(finding)}")


def _stopped(databases: Sequence[str], done: Sequence[str]) -> str:
    """Each database is a transaction of its own, and those before the one that failed stay as they became."""
    before = f" ({', '.join(done)} came before, and went well)" if done else ""
    return f"Nothing was changed in {databases[len(done)]}{before}"


def _counted(answer: Answer) -> str:
    made, dropped = len(answer["made"]), len(answer["dropped"])
    if not made and not dropped:
        return "all mask sets stand as they should."
    return f"mask sets made: {made}, taken away: {dropped}."


def _stay_closed(stand: Stand, answers: Iterable[Answer]) -> None:
    """@raise Negative: a database stays closed."""
    if closed := [answer["database"] for answer in answers if not answer["open"]]:
        raise Negative(
            f"Masked sessions can't enter {', '.join(closed)}: mend what is red; what is amber may instead be accepted "
            f"by its name, with a reason, in [target.masks] of {stand.target.name} in targets.toml."
        )
