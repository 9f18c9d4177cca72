"""`hoopproxy sessions`: who is here now, what was done, and the way out. Knows the gateway's control socket."""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click

from hoopproxy.cli import transcript
from hoopproxy.cli.answers import (
    Mistake,
    Negative,
    Unreachable,
    config_option,
    console,
    json_option,
    print_fields,
    print_json,
    print_table,
    printable,
)
from hoopproxy.cli.configured import configuration, recordings_directory
from hoopproxy.control import ControlClient, ControlError

TITLES = ("session", "who", "target", "account", "client", "zones", "since", "connections", "statements", "rows")


@click.group()
def sessions() -> None:
    """Sessions: list, show, follow, kill."""


def control_options(command: Callable[..., None]) -> Callable[..., None]:
    """`--config`, or `--socket` in its place."""
    socket = click.option(
        "--socket",
        "socket",
        type=click.Path(path_type=Path),
        help="The gateway's control socket, instead of what the configuration says.",
    )
    return config_option(socket(command))


def asked(config_file: Path, socket: Path | None, command: str, **arguments: object) -> dict[str, Any]:
    """What the gateway answers. @raise Negative: it says no. @raise Unreachable: it says nothing."""
    try:
        return ControlClient(_socket(config_file, socket)).call(command, **arguments)
    except ControlError as why:
        raise _no(why) from why


@sessions.command("list")
@control_options
@json_option
def list_(config_file: Path, socket: Path | None, as_json: bool) -> None:
    """List the sessions that are alive."""
    found = asked(config_file, socket, "sessions")["sessions"]
    if as_json:
        print_json(found)
        return
    print_table(TITLES, map(_row, found), "Nobody is here.")


@sessions.command()
@click.argument("session_id", metavar="ID")
@control_options
@click.option("--reason", required=True, help="One sentence for the person and for the log.")
@json_option
def kill(session_id: str, config_file: Path, socket: Path | None, reason: str, as_json: bool) -> None:
    """End session ID now; its client is told why. Exits 1 when there is no such session."""
    answer = asked(config_file, socket, "kill", id=session_id, reason=reason)
    if as_json:
        print_json(answer)
    if not answer["ended"]:
        raise Negative(f"No session {session_id} is alive.")
    if not as_json:
        click.echo(f"Session {session_id} has ended.")


@sessions.command()
@control_options
@json_option
def follow(config_file: Path, socket: Path | None, as_json: bool) -> None:
    """Print what happens as it happens, until Ctrl-C."""
    out = console()
    try:
        for event in ControlClient(_socket(config_file, socket)).follow():
            if as_json:
                print_json(event)
            else:
                rest = "  ".join(f"{name}={value}" for name, value in event.items() if name != "event")
                out.print(f"{event.get('event', '')}  {printable(rest)}", markup=False)
    except ControlError as why:
        raise _no(why) from why


@sessions.command()
@click.argument("session_id", metavar="ID")
@control_options
@click.option("--zone-key", type=click.Path(path_type=Path), help="Private key file: read the recording, masked.")
@click.option("--sealed-key", type=click.Path(path_type=Path), help="The second one: statements and values, too.")
@json_option
def show(
    session_id: str,
    config_file: Path,
    socket: Path | None,
    zone_key: Path | None,
    sealed_key: Path | None,
    as_json: bool,
) -> None:
    """Show session ID: with a zone key its recording, otherwise what the gateway knows of it while it is alive.

    A recording lies in the directory of the configured recorder. The zone key opens what reviewers may see: outlines
    of statements, and rows as the client saw them. With the sealed key as well, statements and bind values are whole.
    """
    if zone_key is not None:
        directory = recordings_directory(configuration(config_file))
        transcript.show(directory, session_id, zone_key, sealed_key, as_json)
    elif sealed_key is not None:
        raise Mistake("--sealed-key opens nothing without --zone-key.")
    else:
        _show_live(session_id, asked(config_file, socket, "session", id=session_id)["session"], as_json)


def _show_live(session_id: str, found: dict[str, Any] | None, as_json: bool) -> None:
    if found is None:
        raise Negative(
            f"No session {session_id} is alive; with --zone-key the recording of one that has ended is shown."
        )
    if as_json:
        print_json(found)
        return
    held = found.pop("held")
    print_fields(_told(found))
    for connection in held:
        print_fields({"": ""} | connection | {name: _at(connection[name]) for name in ("since_s", "not_after_s")})


def _socket(config_file: Path, socket: Path | None) -> Path:
    return socket or configuration(config_file).gateway.control_socket


def _no(why: ControlError) -> Negative:
    """The gateway's own no has no cause; a socket that does not answer is the cause of the other kind."""
    return Unreachable(str(why)) if isinstance(why.__cause__, OSError) else Negative(str(why))


def _row(session: Mapping[str, Any]) -> tuple[object, ...]:
    told = _told(session)
    return tuple(told[name] for name in _NAMES)


_NAMES = (
    "session_id",
    "identity",
    "target",
    "account",
    "client",
    "client_zones",
    "since_s",
    "connections",
    "statements",
    "rows",
)


def _told(session: Mapping[str, Any]) -> dict[str, object]:
    """The answer's fields as people read them."""
    told = dict(session)
    told["client_zones"] = ", ".join(session["client_zones"])
    told["since_s"] = _at(session["since_s"])
    return told


def _at(at_s: float) -> str:
    return f"{datetime.fromtimestamp(at_s, UTC):%Y-%m-%d %H:%M:%SZ}"
