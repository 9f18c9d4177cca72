"""`hoopproxy access explain`: each rule that lets somebody in or keeps him out, by the configuration files alone.

What it says of a client's place at an address comes from the residency checks of the configuration; opens nothing but
their files.
"""

from collections.abc import Collection
from dataclasses import asdict
from datetime import UTC, datetime
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import click
from pydantic import ValidationError
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock

from hoopproxy.access.binding import Binding
from hoopproxy.access.explaining import NO, NOTE, YES, Explanation, Guard, Question
from hoopproxy.access.explaining import explain as explained
from hoopproxy.cli.answers import Mistake, Negative, config_option, console, json_option, print_json, printable
from hoopproxy.cli.configured import configuration
from hoopproxy.config.model import Config
from hoopproxy.errors import ConfigError
from hoopproxy.model import Assurance, Finding, Place, SubjectKind
from hoopproxy.registry import build
from hoopproxy.residency.verdict import judge, zones_of
from hoopproxy.scheduler import TwistedScheduler

_MARKS = {YES: "[green]yes[/]", NO: "[red]no[/] ", NOTE: "[dim]–[/]  "}


class Moment(click.ParamType[float]):
    """A point in time, ISO 8601 with its offset from UTC; in POSIX seconds."""

    name = "time"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """@raise click.BadParameter"""
        if isinstance(value, float):
            return value
        try:
            return moment(value)
        except ValueError as why:
            self.fail(str(why), param, ctx)


def moment(text: str) -> float:
    """POSIX time. @raise ValueError: it is no time, or nobody knows where it is that time."""
    try:
        at = datetime.fromisoformat(text)
    except ValueError as why:
        raise ValueError(f"{text!r} is no time; wanted is one such as 2026-11-25T09:30+01:00.") from why
    if at.tzinfo is None:
        raise ValueError(f"{text!r} says not where it is that time; wanted is one such as 2026-11-25T09:30+01:00.")
    return at.timestamp()


@click.command("explain")
@config_option
@click.option("--identity", metavar="ISSUER/SUBJECT", help="Somebody in a list of known identities.")
@click.option("--groups", metavar="GROUP,…", default="", help="The groups of somebody, as the provider says them.")
@click.option("--target", "target_name", required=True, help="Where to.")
@click.option("--account", default="", help="As whom; without it the one that the gateway picks.")
@click.option("--from", "address", metavar="ADDRESS", help="From where: the client's address.")
@click.option("--country", metavar="CODE", help="Or the country that it is in.")
@click.option("--zone", "zones", metavar="ZONE", multiple=True, help="Or the zones that it lies in.")
@click.option("--at", "at_s", type=Moment(), metavar="TIME", help="When; without it, now.")
@json_option
def explain(
    config_file: Path,
    identity: str | None,
    groups: str,
    target_name: str,
    account: str,
    address: str | None,
    country: str | None,
    zones: tuple[str, ...],
    at_s: float | None,
    as_json: bool,
) -> None:
    """Say by which rules somebody may reach a target, or why not.

    Goes through the policy in force in the order in which the gateway does: roles by groups; each grant with its role,
    target, account, places and hours; what may be asked for; what would be hidden; which guards would watch. Without
    --from, --country and --zone nothing is said of the client's place. Exits 1 when the answer is no.
    """
    config = configuration(config_file)
    at_s = datetime.now(UTC).timestamp() if at_s is None else at_s
    if sum(map(bool, (address, country, zones))) > 1:
        raise Mistake("Say once where the client is: --from, --country or --zone.")
    if (identity is None) == (not groups):
        raise Mistake("Say who it is: --identity or --groups.")
    places = client_zones(config, country, zones, at_s)
    if address:
        places = {SubjectKind.CLIENT: zones_at(config, address, at_s)}
    in_groups = groups_of(config, identity) if identity else frozenset(filter(None, groups.split(",")))
    found = answer(config, in_groups, target_name, account, places, at_s)
    if as_json:
        print_json(asdict(found) | {"roles": sorted(found.roles)})
    else:
        _show(found, target_name)
    if not found.is_allowed:
        raise SystemExit(Negative.exit_code)


def answer(
    config: Config,
    groups: frozenset[str],
    target_name: str,
    account: str,
    client: dict[SubjectKind, frozenset[str]],
    at_s: float,
) -> Explanation:
    """What the policy of a configuration says. `client` is where it lies, empty where nobody said so."""
    target, on = config.targets.get(target_name), datetime.fromtimestamp(at_s, UTC).date()
    places = {
        **client,
        SubjectKind.GATEWAY: config.zones.containing(config.gateway.country, on),
        SubjectKind.STORAGE: config.zones.containing(config.storage_country, on),
    }
    if target is not None:
        places[SubjectKind.DESTINATION] = config.zones.containing(target.country, on)
    return explained(config.policy, Question(groups, target, account, places, at_s), _guards(config))


def client_zones(
    config: Config, country: str | None, zones: Collection[str], at_s: float
) -> dict[SubjectKind, frozenset[str]]:
    """Where the client lies: by its country, by name, or nobody said so. @raise Mistake: there is no such place."""
    if country:
        found = config.zones.containing(country, datetime.fromtimestamp(at_s, UTC).date())
        if not found:
            raise Mistake(f"No zone holds the country {country!r}; wanted is an ISO 3166-1 code such as DE.")
        return {SubjectKind.CLIENT: found}
    for zone in zones:
        if zone not in config.zones.names:
            raise Mistake(f"There is no zone {zone!r}; there are {', '.join(sorted(config.zones.names))}.")
    return {SubjectKind.CLIENT: frozenset(zones)} if zones else {}


def zones_at(config: Config, address: str, at_s: float) -> frozenset[str]:
    """The zones that an address surely lies in, by the residency checks of the configuration. @raise Mistake"""
    try:
        place = Place(SubjectKind.CLIENT, "client", ip_address(address), None)
    except ValueError as why:
        raise Mistake(f"{address!r} is no IP address.") from why
    clock = Clock()
    clock.advance(at_s)
    try:
        checks = build(config, TwistedScheduler(clock)).residency
    except ConfigError as why:
        raise Mistake(str(why)) from why
    findings: list[Finding] = []
    for check in checks:
        found: list[Finding] = []
        Deferred.fromCoroutine(check.examine(place)).addCallbacks(found.append, lambda _: None)
        if not found:
            raise Mistake(f"{check.name} did not say where {address} is; say --country.")
        findings += found
    wanted = sorted(config.zones.names)
    return zones_of(judge(place, wanted, Assurance.DECLARED, config.zones, findings, at_s), config.zones, at_s)


def groups_of(config: Config, identity: str) -> frozenset[str]:
    """The groups of somebody who stands in a list. @raise Mistake: the provider alone knows them."""
    for name in config.roles.authenticators:
        addon = config.addons[name]
        for known in addon.raw.get("identity", ()) if addon.use == "known-identities" else ():
            if identity == f"known:{name}/{known.get('subject')}":
                return frozenset(known.get("groups", ()))
    raise Mistake(f"No list of known identities has {identity!r}; only its provider knows its groups: say --groups.")


def _guards(config: Config) -> tuple[Guard, ...]:
    """The statement guards, each with the keys of its rules that say whom they bind."""
    found = []
    for name in config.roles.guards:
        addon, bindings = config.addons[name], []
        for rule in addon.raw.get("rule", ()):
            keys = {key: frozenset(rule[key]) for key in Binding.model_fields if key in rule}
            try:
                bindings.append(Binding(**keys))
            except ValidationError:
                continue  # another addon's own idea of these words
        found.append(Guard(name, addon.use, tuple(bindings)))
    return tuple(found)


def _show(found: Explanation, target_name: str) -> None:
    out = console()
    for step in found.steps:
        text = printable(f"{step.rule}: {step.why}").replace("[", r"\[")
        out.print(_MARKS[step.outcome], text)
    if found.is_allowed:
        out.print(f"[bold green]yes[/] {printable(target_name)} as {printable(found.account)}, by {found.grant}")
    else:
        ask = f"; it may be asked for under {', '.join(found.requests)}" if found.requests else ""
        out.print(f"[bold red]no[/] {printable(target_name)}{ask}")
