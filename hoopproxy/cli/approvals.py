"""`hoopproxy approvals`: statements that wait for a decision, and the decision. Knows the gateway's control socket."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import click

from hoopproxy.cli.answers import Negative, json_option, print_json, print_table
from hoopproxy.cli.sessions import asked, control_options, moment

TITLES = ("id", "session", "who", "target", "account", "since", "until", "why", "statement")


@click.group()
def approvals() -> None:
    """Approvals: list the statements that wait for one, approve, deny."""


@approvals.command("list")
@control_options
@json_option
def list_(config_file: Path, socket: Path | None, as_json: bool) -> None:
    """List the statements that wait, without their literals."""
    found = asked(config_file, socket, "approvals")["approvals"]
    if as_json:
        print_json(found)
        return
    print_table(TITLES, map(_row, found), "Nothing waits.")


def _decision(command: Callable[..., None]) -> Callable[..., None]:
    reason = click.option("--reason", default="", help="One sentence for the person.")
    return click.argument("approval_id", metavar="ID")(control_options(reason(json_option(command))))


@approvals.command()
@_decision
def approve(approval_id: str, config_file: Path, socket: Path | None, reason: str, as_json: bool) -> None:
    """Let statement ID run, once. Exits 1 when it does not wait any more."""
    _decide(approval_id, config_file, socket, reason, as_json, is_approved=True)


@approvals.command()
@_decision
def deny(approval_id: str, config_file: Path, socket: Path | None, reason: str, as_json: bool) -> None:
    """Refuse statement ID; its client is told why. Exits 1 when it does not wait any more."""
    _decide(approval_id, config_file, socket, reason, as_json, is_approved=False)


def _decide(
    approval_id: str, config_file: Path, socket: Path | None, reason: str, as_json: bool, *, is_approved: bool
) -> None:
    answer = asked(config_file, socket, "decide", id=approval_id, reason=reason, is_approved=is_approved)
    if as_json:
        print_json(answer)
    if not answer["decided"]:
        raise Negative(f"No statement {approval_id} waits for a decision.")
    if not as_json:
        click.echo(f"Statement {approval_id} was {'approved' if is_approved else 'denied'}.")


def _row(waiting: Mapping[str, Any]) -> tuple[object, ...]:
    return (
        waiting["approval_id"],
        waiting["session_id"],
        waiting["identity"],
        waiting["target"],
        waiting["account"],
        moment(waiting["since_s"]),
        moment(waiting["until_s"]),
        waiting["why"],
        waiting["statement"],
    )
