"""`hoopproxy sessions`: who is here now, what was done, and the way out. Knows the gateway's control socket."""

from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click

from hoopproxy.cli import films
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
from hoopproxy.cli.archives import archive, written
from hoopproxy.cli.configured import configuration, recordings_directory
from hoopproxy.cli.new_files import write_new
from hoopproxy.cli.recorded import Recorded, readable, recordings
from hoopproxy.cli.transcript import Page
from hoopproxy.cli.watch import watch as shown_live
from hoopproxy.control.client import ControlClient
from hoopproxy.control.lines import ControlError

TITLES = ("session", "who", "target", "account", "client", "zones", "since", "connections", "statements", "rows")


@click.group()
def sessions() -> None:
    """Sessions: list, show, watch, follow, kill, recheck, and films and HTTP archives of what was done."""


def control_options(command: Callable[..., None]) -> Callable[..., None]:
    """`--config`, or `--socket` in its place."""
    socket = click.option(
        "--socket",
        "socket",
        type=click.Path(path_type=Path),
        help="The gateway's control socket, instead of what the configuration says.",
    )
    return config_option(socket(command))


def asked(
    config_file: Path, socket: Path | None, command: str, *, timeout_s: float = 10.0, **arguments: object
) -> dict[str, Any]:
    """What the gateway answers. @raise Negative: it says no. @raise Unreachable: it says nothing."""
    try:
        return ControlClient(_socket(config_file, socket), timeout_s).call(command, **arguments)
    except ControlError as why:
        raise _no(why) from why


def followed(config_file: Path, socket: Path | None, stream: str, **arguments: object) -> Iterator[dict[str, Any]]:
    """What the gateway tells, until there is no more. @raise Negative: it says no. @raise Unreachable."""
    try:
        yield from ControlClient(_socket(config_file, socket)).follow(stream, **arguments)
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
def recheck(config_file: Path, socket: Path | None, as_json: bool) -> None:
    """Judge all live sessions again now, and end those that have lost their right."""
    counts = asked(config_file, socket, "recheck")
    if as_json:
        print_json(counts)
    else:
        click.echo(
            "{checked} sessions were judged, {ended} have ended, {unchecked} could not be told.".format(**counts)
        )


@sessions.command()
@control_options
@json_option
def follow(config_file: Path, socket: Path | None, as_json: bool) -> None:
    """Print what happens as it happens, until Ctrl-C."""
    out = console()
    for event in followed(config_file, socket, "follow"):
        if as_json:
            print_json(event)
        else:
            rest = "  ".join(f"{name}={value}" for name, value in event.items() if name != "event")
            out.print(f"{event.get('event', '')}  {printable(rest)}", markup=False)


@sessions.command()
@click.argument("session_id", metavar="ID")
@control_options
@json_option
def watch(session_id: str, config_file: Path, socket: Path | None, as_json: bool) -> None:
    """Watch session ID: what is asked, and what is shown, as it happens, until it ends or Ctrl-C.

    You see what a reviewer may read: outlines of statements, and output as the client sees it. The log notes that you
    watch before you see anything. The session neither waits for you nor notices you.
    """
    events = followed(config_file, socket, "watch", id=session_id)
    if as_json:
        for event in events:
            print_json(event | {"line": readable(event["line"])})
    else:
        shown_live(events)


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
        for recorded in _recordings(config_file, session_id, zone_key, sealed_key):
            _show_recording(session_id, recorded, as_json)
    elif sealed_key is not None:
        raise Mistake("--sealed-key opens nothing without --zone-key.")
    else:
        _show_live(session_id, asked(config_file, socket, "session", id=session_id)["session"], as_json)


@sessions.command()
@click.argument("session_id", metavar="ID")
@config_option
@click.option("--zone-key", type=click.Path(path_type=Path), required=True, help="Private key file.")
@click.option("--sealed-key", type=click.Path(path_type=Path), help="The second one: what was typed and asked, too.")
@click.option("--connection", help="Which of the session's connections, if there are several.")
@click.option("--statement", type=int, help="Which of the statements that ran, if there are several.")
@click.option("--raw", is_flag=True, help="Leave in what does more to a terminal than to show: for sandboxes only.")
@click.option("--output", type=click.Path(path_type=Path), required=True, help="The file to write; it must be new.")
@json_option
def cast(
    session_id: str,
    config_file: Path,
    zone_key: Path,
    sealed_key: Path | None,
    connection: str | None,
    statement: int | None,
    raw: bool,
    output: Path,
    as_json: bool,
) -> None:
    """Write what a command or shell of session ID showed as a film: an asciicast v3, for asciinema and its players.

    It is derived from the recording: the same keys make the same film, always.
    """
    found = _recordings(config_file, session_id, zone_key, sealed_key)
    recorded, number, title = films.chosen(found, connection, statement)
    films.write(recorded, number, output, raw=raw)
    if as_json:
        told = {"connection_id": recorded.connection_id, "statement": number, "title": title}
        print_json({"output": output.absolute(), **told})
    else:
        click.echo(f"{output}: #{number} {printable(title)}")


@sessions.command()
@click.argument("session_id", metavar="ID")
@config_option
@click.option("--zone-key", type=click.Path(path_type=Path), required=True, help="Private key file.")
@click.option("--sealed-key", type=click.Path(path_type=Path), help="The second one: addresses and what was sent, too.")
@click.option("--connection", help="Only that one of the session's connections.")
@click.option("--output", type=click.Path(path_type=Path), help="The file to write, which must be new; or to stdout.")
@json_option
def har(
    session_id: str,
    config_file: Path,
    zone_key: Path,
    sealed_key: Path | None,
    connection: str | None,
    output: Path | None,
    as_json: bool,
) -> None:
    """Write the HTTP exchanges of session ID as a HAR 1.2, which browsers' developer tools open.

    It is derived from the recording: the same keys make the same HAR, always.
    """
    found = archive(session_id, _recordings(config_file, session_id, zone_key, sealed_key), connection)
    if output is None:
        click.echo(written(found), nl=False)
        return
    write_new(output, [written(found)])
    count = len(found["log"]["entries"])
    if as_json:
        print_json({"output": output.absolute(), "entries": count})
    else:
        click.echo(f"{output}: {count} {'request' if count == 1 else 'requests'}")


def _recordings(config_file: Path, session_id: str, zone_key: Path, sealed_key: Path | None) -> list[Recorded]:
    return recordings(recordings_directory(configuration(config_file)), session_id, zone_key, sealed_key)


def _show_recording(session_id: str, recorded: Recorded, as_json: bool) -> None:
    ids = {"session_id": session_id, "connection_id": recorded.connection_id}
    if as_json:
        print_json({**ids, "lines": [*recorded.lines()]})
        return
    console().print(f"[bold]session {session_id}[/], connection {recorded.connection_id}")
    Page().show(recorded.lines())


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
        print_fields({"": ""} | connection | {name: moment(connection[name]) for name in ("since_s", "not_after_s")})


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
    told["since_s"] = moment(session["since_s"])
    return told


def moment(at_s: float) -> str:
    """A time as people read it, UTC."""
    return f"{datetime.fromtimestamp(at_s, UTC):%Y-%m-%d %H:%M:%SZ}"
