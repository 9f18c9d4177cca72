"""`hoopproxy policy`: what another policy would change, signing one, putting it in force, and which one is.

Knows the gateway's control socket; what is said of a file is said without a gateway, too.
"""

from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path

import click

from hoopproxy.access.changes import CHANGED, NARROWER, Change, changes
from hoopproxy.cli.answers import (
    Unreachable,
    config_option,
    console,
    json_option,
    print_fields,
    print_json,
    print_table,
    printable,
)
from hoopproxy.cli.configured import configuration
from hoopproxy.cli.policies import policy_of
from hoopproxy.cli.policy_cases import test
from hoopproxy.cli.sessions import asked, control_options
from hoopproxy.cli.signing import keygen, sign

APPLY_S_MAX = 120.0
"""All live sessions are judged before it is answered."""

_COLOURS = {NARROWER: "yellow", CHANGED: "magenta", "removed": "yellow"}


@click.group()
def policy() -> None:
    """Policy: plan, compare and test a change, sign it, apply it, show what is in force."""


policy.add_command(keygen)
policy.add_command(sign)
policy.add_command(test)


@policy.command()
@click.argument("file", metavar="FILE", type=click.Path(path_type=Path))
@control_options
@json_option
def plan(file: Path, config_file: Path, socket: Path | None, as_json: bool) -> None:
    """Say what would change for whom if FILE (a text, or a bundle) were in force, and which live sessions would end."""
    found = changes(configuration(config_file).policy, policy_of(config_file, file).policy)
    try:
        ends = asked(config_file, socket, "policy-plan", file=str(file.absolute()))["ends"]
    except Unreachable:
        ends = None
    if as_json:
        print_json({"changes": [asdict(each) for each in found], "ends": ends})
        return
    _show(found)
    if ends is None:
        click.echo("No gateway answers, so it can't be told which live sessions would end.")
    else:
        rows = [(each["session_id"], each["identity"], each["target"], each["account"], each["why"]) for each in ends]
        print_table(("would end", "who", "target", "account", "because"), rows, "No live session would end.")


@policy.command()
@click.argument("old", metavar="OLD", type=click.Path(path_type=Path))
@click.argument("new", metavar="NEW", type=click.Path(path_type=Path))
@config_option
@json_option
def diff(old: Path, new: Path, config_file: Path, as_json: bool) -> None:
    """Say what lets people do more or less in NEW than in OLD, each a text or a bundle. Asks no gateway."""
    found = changes(policy_of(config_file, old).policy, policy_of(config_file, new).policy)
    print_json([asdict(each) for each in found]) if as_json else _show(found)


@policy.command()
@click.argument("bundle", metavar="BUNDLE", type=click.Path(path_type=Path))
@control_options
@json_option
def apply(bundle: Path, config_file: Path, socket: Path | None, as_json: bool) -> None:
    """Put BUNDLE in force in the running gateway, which verifies it; exits 1 when it does not count.

    Live sessions that would have less by it end; the others live on.
    """
    answer = asked(config_file, socket, "policy-apply", timeout_s=APPLY_S_MAX, file=str(bundle.absolute()))
    if as_json:
        print_json(answer)
    else:
        click.echo(
            f"Revision {answer['revision']} is in force, signed by {', '.join(answer['signers'])}; "
            f"{answer['ended']} live sessions have ended, {answer['live']} live on."
        )


@policy.command()
@control_options
@json_option
def show(config_file: Path, socket: Path | None, as_json: bool) -> None:
    """Show which policy is in force: its revision, its SHA-256, and who has signed it."""
    try:
        answer = asked(config_file, socket, "policy")
    except Unreachable:
        config = configuration(config_file)
        signed_by = sorted(config.bundle.signatures) if config.bundle else []
        answer = {"revision": config.policy.number, "sha256": config.policy.revision, "signers": signed_by}
    if as_json:
        print_json(answer)
    else:
        signers = ", ".join(answer["signers"]) or "nobody"
        print_fields(
            {"revision": answer["revision"] or "not numbered", "sha256": answer["sha256"], "signed by": signers}
        )


def _show(found: Iterable[Change]) -> None:
    out, is_any = console(), False
    for each in found:
        is_any = True
        who = f" (for {', '.join(each.who)})" if each.who and each.rule != "role" else ""
        details = f": {'; '.join(each.details)}" if each.details else ""
        colour = _COLOURS.get(each.effect, "green")
        text = printable(f"{each.rule} {each.name}{who}{details}").replace("[", r"\[")
        out.print(f"[{colour}]{each.effect:8}[/]", text)
    if not is_any:
        out.print("Nothing would change.")
