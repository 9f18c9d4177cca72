"""`hoopproxy policy test`: whether a policy decides a list of cases as people expect it to. Knows no gateway."""

import tomllib
from pathlib import Path
from typing import Annotated, Any, Literal

import click
from pydantic import AfterValidator, Field, model_validator

from hoopproxy.cli.answers import Mistake, Negative, config_option, json_option, print_json
from hoopproxy.cli.explain import answer, client_zones, groups_of, moment
from hoopproxy.cli.policies import policy_of
from hoopproxy.config.model import Config
from hoopproxy.config.sentences import checked, dotted
from hoopproxy.config.tables import Name, Table, Text
from hoopproxy.disk.policies import read
from hoopproxy.errors import ConfigError


def _is_moment(text: str) -> str:
    moment(text)
    return text


class Case(Table):
    """One [[case]]: who wants to go where, from where and when, and what should come of it."""

    expect: Literal["allow", "deny"]
    target: Name
    groups: frozenset[Text] = frozenset()
    identity: Text | None = None
    account: str = ""
    country: Text | None = None
    zones: frozenset[Text] = frozenset()
    at: Annotated[str, AfterValidator(_is_moment)]
    grant: Name | None = Field(None, description="By which grant, where it is allowed.")

    @model_validator(mode="after")
    def _says_where_and_who(self) -> "Case":
        if bool(self.country) == bool(self.zones):
            raise ValueError("wanted is exactly one of country and zones, where the client is")
        if self.identity is not None and self.groups:
            raise ValueError("wanted is one of identity and groups")
        return self


@click.command("test")
@click.argument("policy", metavar="FILE", type=click.Path(path_type=Path))
@click.option(
    "--cases", "cases_file", type=click.Path(path_type=Path), required=True, help="TOML with [[case]] tables."
)
@config_option
@json_option
def test(policy: Path, cases_file: Path, config_file: Path, as_json: bool) -> None:
    """Decide each case by the policy in FILE (its text, or a bundle) and compare; exits 1 when one differs."""
    config = policy_of(config_file, policy)
    results = [_result(config, number, case) for number, case in enumerate(_cases(cases_file))]
    wrong = [each for each in results if each["found"] != each["expected"]]
    if as_json:
        print_json(results)
    else:
        for each in wrong:
            click.echo(f"case[{each['case']}]: expected {each['expected']}, found {each['found']}: {each['why']}")
        click.echo(f"{len(results) - len(wrong)} of {len(results)} cases are as expected.")
    if wrong:
        raise SystemExit(Negative.exit_code)


def _cases(path: Path) -> list[Case]:
    """@raise Mistake: with all that is wrong."""
    try:
        tables = tomllib.loads(read(path).decode())
    except OSError as why:
        raise Mistake(f"{path}: {why.strerror}.") from why
    except (UnicodeDecodeError, tomllib.TOMLDecodeError) as why:
        raise Mistake(f"{path}: {why}; wanted is TOML.") from why
    cases: list[Case] = []
    problems: list[str] = []
    for number, raw in enumerate(tables.get("case", [])):
        try:
            cases.append(checked(Case, raw, path.name, ("case", number)))
        except ConfigError as why:
            problems.extend(why.problems)
    problems += [f"{path.name}: {dotted((key,))} is not a setting." for key in tables if key != "case"]
    if problems or not cases:
        raise Mistake("\n".join(problems) or f"{path.name}: there is no [[case]].")
    return cases


def _result(config: Config, number: int, case: Case) -> dict[str, Any]:
    at_s = moment(case.at)
    groups = groups_of(config, case.identity) if case.identity else case.groups
    places = client_zones(config, case.country, case.zones, at_s)
    found = answer(config, groups, case.target, case.account, places, at_s)
    said = f"allow by {found.grant}" if found.is_allowed and case.grant else "allow" if found.is_allowed else "deny"
    expected = f"allow by {case.grant}" if case.expect == "allow" and case.grant else case.expect
    refusals = "; ".join(f"{step.rule}: {step.why}" for step in found.steps if step.outcome == "no")
    why = f"by grant {found.grant}" if found.is_allowed else refusals
    return {"case": number, "expected": expected, "found": said, "why": why}
