"""`hoopproxy access webhooks`: how far each webhook was told, for the operator. Knows the gateway's control socket."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from hoopproxy.cli.answers import json_option, print_json, print_table
from hoopproxy.cli.sessions import asked, control_options, moment

TITLES = ("webhook", "told last", "waiting", "tries", "next try", "given up", "error")


@click.command()
@control_options
@json_option
def webhooks(config_file: Path, socket: Path | None, as_json: bool) -> None:
    """List the webhooks: what waits to be told, what was given up, and why the last try failed."""
    found = asked(config_file, socket, "webhooks")["webhooks"]
    if as_json:
        print_json(found)
    else:
        print_table(TITLES, map(_row, found), "The configuration names no webhooks.")


def _row(found: Mapping[str, Any]) -> tuple[object, ...]:
    return (
        found["name"],
        moment(found["told_at_s"]) if found["told_at_s"] else "",
        found["waiting"],
        found["tries"],
        moment(found["next_at_s"]) if found["next_at_s"] else "",
        found["given_up"],
        found["error"],
    )
