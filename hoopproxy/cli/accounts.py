"""`hoopproxy accounts`: what the gateway's operator decides about accounts, whatever their identity provider says.

Knows the gateway's control socket.
"""

from collections.abc import Callable, Mapping
from functools import wraps
from pathlib import Path
from typing import Any

import click

from hoopproxy.cli.answers import json_option, print_json, print_table, printable
from hoopproxy.cli.sessions import asked, control_options
from hoopproxy.cli.token import Lifetime

TITLES = ("issuer", "subject", "administrator", "disabled", "why")


@click.group()
def accounts() -> None:
    """Accounts: list, appoint and dismiss administrators, disable and enable. Each step is in the log.

    The first administrator is appointed here, on the gateway's machine: there is no account and no password before.
    """


@accounts.command("list")
@control_options
@json_option
def list_(config_file: Path, socket: Path | None, as_json: bool) -> None:
    """List the accounts of which something was decided."""
    found = asked(config_file, socket, "accounts")["accounts"]
    if as_json:
        print_json(found)
        return
    rows = (
        (each["issuer"], each["subject"], each["is_administrator"], each["is_disabled"], each["why"]) for each in found
    )
    print_table(TITLES, rows, "Nothing was decided about any account.")


def _step(name: str, said: str) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """A command that takes a step on one account."""

    def wrapped(command: Callable[..., None]) -> Callable[..., None]:
        @wraps(command)
        def take(
            issuer: str, subject: str, config_file: Path, socket: Path | None, as_json: bool, reason: str = ""
        ) -> None:
            words: dict[str, Any] = {"step": name, "issuer": issuer, "subject": subject, "reason": reason}
            _told(asked(config_file, socket, "account", **words), said, as_json)

        options = control_options(json_option(take))
        return click.argument("issuer")(click.argument("subject")(options))

    return wrapped


def _told(account: Mapping[str, Any], said: str, as_json: bool) -> None:
    if as_json:
        print_json(account)
    else:
        click.echo(f"{printable(account['subject'])} of {printable(account['issuer'])} {said}.")


@accounts.command("let-in")
@click.argument("issuer")
@click.argument("subject")
@click.option("--group", "groups", multiple=True, help="A group that they are in; as often as you like.")
@click.option("--for", "duration_s", type=Lifetime(), default="1h", show_default=True, help="How long: up to 8h.")
@click.option("--reason", required=True, help="One line for the log.")
@control_options
@json_option
def let_in(
    issuer: str,
    subject: str,
    groups: tuple[str, ...],
    duration_s: float,
    reason: str,
    config_file: Path,
    socket: Path | None,
    as_json: bool,
) -> None:
    """Vouch for SUBJECT of ISSUER when their identity provider can't: prints a token of the gateway's own.

    For the day on which the provider is down, or its settings here are wrong. It needs an addon with use = "signed-in".
    """
    words: dict[str, Any] = {
        "issuer": issuer,
        "subject": subject,
        "groups": groups,
        "duration_s": duration_s,
        "reason": reason,
    }
    answer = asked(config_file, socket, "let-in", **words)
    if as_json:
        print_json(answer)
    else:
        click.echo(answer["token"])


@accounts.command()
@_step("appoint", "is an administrator now")
def appoint() -> None:
    """Make SUBJECT of ISSUER an administrator, who sees and revokes everybody's access, but approves as others do."""


@accounts.command()
@_step("dismiss", "is no administrator any more")
def dismiss() -> None:
    """Take that away from SUBJECT of ISSUER."""


@accounts.command()
@click.option("--reason", required=True, help="One line for the person and for the log.")
@_step("disable", "is disabled now; all their sessions end")
def disable() -> None:
    """Let SUBJECT of ISSUER in no more, and end all their sessions."""


@accounts.command()
@_step("enable", "may come in again")
def enable() -> None:
    """Let SUBJECT of ISSUER in again."""
