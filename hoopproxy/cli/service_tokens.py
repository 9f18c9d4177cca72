"""`hoopproxy service-tokens`: makes, lists and revokes tokens for services. Knows the gateway's control socket."""

from pathlib import Path
from typing import Any

import click

from hoopproxy.cli.answers import Negative, json_option, print_json, print_table
from hoopproxy.cli.sessions import asked, control_options, moment

TITLES = ("id", "service", "groups", "made", "expires", "last used", "state", "note")

addon_option = click.option("--addon", default="", help="Which one, where a gateway has several that make tokens.")


@click.group("service-tokens")
def service_tokens() -> None:
    """Tokens for services and scripts: create, list, revoke."""


@service_tokens.command()
@click.argument("subject")
@control_options
@click.option("--group", "groups", multiple=True, help="A group that it is in; policy.toml makes roles of them.")
@click.option("--days", type=click.FloatRange(0, 366, min_open=True), default=30, show_default=True, help="Its life.")
@click.option("--note", default="", help="What it is for, for whoever lists them.")
@addon_option
@json_option
def create(
    subject: str,
    config_file: Path,
    socket: Path | None,
    groups: tuple[str, ...],
    days: float,
    note: str,
    addon: str,
    as_json: bool,
) -> None:
    """Make a token for the service SUBJECT and print it.

    It is shown this once: the gateway keeps its digest alone.
    """
    made = asked(
        config_file,
        socket,
        "service-token-create",
        subject=subject,
        groups=groups,
        lifetime_s=days * 86400,
        note=note,
        addon=addon,
    )
    if as_json:
        print_json(made)
        return
    click.echo(
        f"Token {made['id']} for {subject} counts until {moment(made['expires_s'])}; it is shown once:", err=True
    )
    click.echo(made["token"])


@service_tokens.command("list")
@control_options
@addon_option
@json_option
def list_(config_file: Path, socket: Path | None, addon: str, as_json: bool) -> None:
    """List all tokens, the newest first, without what is secret of them."""
    found = asked(config_file, socket, "service-tokens", addon=addon)["tokens"]
    if as_json:
        print_json(found)
        return
    print_table(TITLES, map(_row, found), "There are no service tokens.")


@service_tokens.command()
@click.argument("token_id", metavar="ID")
@control_options
@addon_option
@json_option
def revoke(token_id: str, config_file: Path, socket: Path | None, addon: str, as_json: bool) -> None:
    """Revoke token ID; sessions that came in by it end at once. Exits 1 when no such token counts."""
    answer = asked(config_file, socket, "service-token-revoke", id=token_id, addon=addon)
    if as_json:
        print_json(answer)
    if not answer["revoked"]:
        raise Negative(f"No token {token_id} counts.")
    if not as_json:
        click.echo(f"Token {token_id} was revoked; {answer['ended']} sessions have ended.")


def _row(token: dict[str, Any]) -> tuple[object, ...]:
    used = moment(token["used_s"]) if token["used_s"] else "never"
    state = f"revoked {moment(token['revoked_s'])}" if token["revoked_s"] else ""
    times = moment(token["created_s"]), moment(token["expires_s"]), used
    return token["id"], token["subject"], ", ".join(token["groups"]), *times, state, token["note"]
