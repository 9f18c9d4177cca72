"""`hoopproxy access`: ask for access, decide about it, give it up, take it away. Each person by a token of their own.

Knows the gateway's portal, and on the gateway's own machine its control socket.
"""

from collections.abc import Callable, Mapping
from typing import Any

import click

from hoopproxy.cli.answers import Mistake, console, print_fields, print_json, print_table, printable
from hoopproxy.cli.counters import Counter, at_the_counter
from hoopproxy.cli.explain import explain
from hoopproxy.cli.sessions import moment
from hoopproxy.cli.token import Lifetime
from hoopproxy.cli.webhooks import webhooks

TITLES = ("id", "state", "who", "target", "accounts", "for", "until", "votes", "reason")


@click.group()
def access() -> None:
    """Access: ask for it, approve, deny, revoke, give up, and see why somebody has it or not.

    People act by their own token: the one that `hoopproxy login` keeps, or --token-file. On the gateway's machine its
    operator may list, show and revoke without one, and nothing else.
    """


access.add_command(explain)
access.add_command(webhooks)


def _terms(command: Callable[..., None]) -> Callable[..., None]:
    """What can be asked for."""
    options = (
        click.option("--for", "duration_s", type=Lifetime(), required=True, help="How long: 30m, 1h, 2d."),
        click.option("--reason", required=True, help="One line for those who decide."),
        click.option(
            "--account", "accounts", multiple=True, help="Target account; as often as you like. Default: all."
        ),
        click.option("--ticket", default="", help="The number of a ticket, where one is needed."),
        click.option("--rule", default="", help="Under which [[request]] of the policy. Default: the first that fits."),
        click.option("--sessions", "sessions_max", type=click.IntRange(1), help="For so many sessions at most."),
        click.option("--rows", "rows_max", type=click.IntRange(1), help="For so many rows at most."),
        click.option("--bytes", "bytes_max", type=click.IntRange(1), help="For so many bytes shown at most."),
    )
    for option in reversed(options):
        command = option(command)
    return command


@access.command()
@click.argument("target")
@_terms
@click.option("--renews", default="", metavar="ID", help="The request that this one follows; renewing is asking anew.")
@click.option("--break-glass", is_flag=True, help="Take it at once, in an emergency; somebody reviews it afterwards.")
@at_the_counter
def request(counter: Counter, as_json: bool, **terms: Any) -> None:
    """Ask for access to TARGET. With --break-glass it holds at once, where the policy lets you."""
    _told(counter.asked("request", **terms), as_json)


@access.command()
@click.argument("request_id", metavar="ID")
@click.argument("target")
@_terms
@at_the_counter
def edit(counter: Counter, as_json: bool, request_id: str, **terms: Any) -> None:
    """Ask otherwise with request ID, before it is decided: whoever has voted has to vote again."""
    _told(counter.asked("edit", id=request_id, **terms), as_json)


@access.command("list")
@click.option("--all", "is_all", is_flag=True, help="Those that are over, too.")
@at_the_counter
def list_(counter: Counter, as_json: bool, is_all: bool) -> None:
    """List the requests that are yours, or yours to decide."""
    found = counter.asked("list", all=is_all)["requests"]
    if as_json:
        print_json(found)
    else:
        print_table(TITLES, map(_row, found), "There are no requests.")


@access.command()
@click.argument("request_id", metavar="ID")
@at_the_counter
def show(counter: Counter, as_json: bool, request_id: str) -> None:
    """Show request ID: its terms, its votes, and all that has happened to it."""
    answer = counter.asked("show", id=request_id)
    if as_json:
        print_json(answer)
        return
    print_fields(_fields(answer["request"]))
    for step in answer.get("history", ()):
        words = (moment(step["at_s"]), step["step"], step["by"], step["note"])
        console().print(printable("  ".join(word for word in words if word)), markup=False)


def _vote(command: Callable[..., None]) -> Callable[..., None]:
    note = click.option("--note", default="", help="One line for the log and for the person.")
    terms = click.option("--terms", default="", metavar="SHA256", help="Vote for exactly these terms, without a look.")
    return click.argument("named", metavar="ID|LINK")(note(terms(at_the_counter(command))))


@access.command()
@_vote
def approve(counter: Counter, as_json: bool, named: str, note: str, terms: str) -> None:
    """Approve request ID, or what LINK is to. You are shown what you approve; when it is changed, your vote is void."""
    _decide(counter, "approve", named, note, terms, as_json)


@access.command()
@_vote
def deny(counter: Counter, as_json: bool, named: str, note: str, terms: str) -> None:
    """Vote against request ID, or what LINK is to; where the policy says so, one such vote is enough."""
    _decide(counter, "deny", named, note, terms, as_json)


def _decide(counter: Counter, verb: str, named: str, note: str, terms: str, as_json: bool) -> None:
    if is_link := named.startswith("https://"):
        counter = counter.of_link(named)
        if terms:
            raise Mistake("A link says which terms it is for; leave out --terms.")
    known = {"link": named} if is_link else {"id": named}
    if not terms:
        found = counter.asked("show", **known)["request"]
        if not as_json:
            print_fields(_fields(found))
        terms = found["terms_sha256"]
    _told(counter.asked(verb, **known, **({} if is_link else {"terms": terms}), note=note), as_json)


@access.command()
@click.argument("request_id", metavar="ID")
@at_the_counter
def withdraw(counter: Counter, as_json: bool, request_id: str) -> None:
    """Take back request ID, which nobody has approved yet."""
    _told(counter.asked("withdraw", id=request_id), as_json)


@access.command("give-up")
@click.argument("request_id", metavar="ID")
@at_the_counter
def give_up(counter: Counter, as_json: bool, request_id: str) -> None:
    """Give up what request ID gave you; your sessions by it end."""
    _told(counter.asked("give-up", id=request_id), as_json)


@access.command()
@click.argument("request_id", metavar="ID")
@click.option("--reason", required=True, help="One line for the person and for the log.")
@at_the_counter
def revoke(counter: Counter, as_json: bool, request_id: str, reason: str) -> None:
    """Take away what request ID gave; all sessions by it end."""
    _told(counter.asked("revoke", id=request_id, reason=reason), as_json)


@access.command()
@click.argument("request_id", metavar="ID")
@click.option("--reason", required=True, help="One line for the person and for the log.")
@at_the_counter
def suspend(counter: Counter, as_json: bool, request_id: str, reason: str) -> None:
    """Take away for the time being what request ID gave; its clock goes on."""
    _told(counter.asked("suspend", id=request_id, reason=reason), as_json)


@access.command()
@click.argument("request_id", metavar="ID")
@at_the_counter
def resume(counter: Counter, as_json: bool, request_id: str) -> None:
    """Give back what was suspended, as far as there is time left."""
    _told(counter.asked("resume", id=request_id), as_json)


@access.command()
@click.argument("request_id", metavar="ID")
@click.option("--in-order/--violation", "is_in_order", default=None, required=True, help="What you think of it.")
@click.option("--note", required=True, help="One line for the log.")
@at_the_counter
def review(counter: Counter, as_json: bool, request_id: str, is_in_order: bool, note: str) -> None:
    """Say what you think of what was done in an emergency by request ID."""
    _told(counter.asked("review", id=request_id, violation=not is_in_order, note=note), as_json)


@access.command()
@at_the_counter
def whoami(counter: Counter, as_json: bool) -> None:
    """Say who you are to the gateway, and what roles you have."""
    answer = counter.asked("whoami")
    if as_json:
        print_json(answer)
    else:
        print_fields({name: ", ".join(value) if isinstance(value, list) else value for name, value in answer.items()})


def _told(answer: Mapping[str, Any], as_json: bool) -> None:
    found = answer["request"]
    if as_json:
        print_json(found)
        return
    until = f" until {moment(found['not_after_s'])}" if found["not_after_s"] else ""
    click.echo(f"Request {found['id']} for {printable(found['target'])} is {found['phase']}{until}.")
    if found["phase"] == "requested":
        named = f"'{found['link']}'" if found["link"] else found["id"]
        click.echo(f"Somebody who may approve it runs: hoopproxy access approve {printable(named)}")


def _fields(found: Mapping[str, Any]) -> dict[str, object]:
    told: dict[str, object] = {
        name: ", ".join(value) if isinstance(value, list) else value
        for name, value in found.items()
        if value not in ("", None, [], 0, 0.0, False) and name != "votes"
    }
    for name in ("pending_until_s", "not_before_s", "not_after_s"):
        if name in told:
            told[name] = moment(found[name])
    for vote in found["votes"]:
        told[f"vote of {vote['person']}"] = f"{'for it' if vote['is_for'] else 'against it'} {vote['note']}".strip()
    return told


def _row(found: Mapping[str, Any]) -> tuple[object, ...]:
    return (
        found["id"],
        found["phase"],
        found["requester"],
        found["target"],
        ", ".join(found["accounts"]),
        f"{round(found['duration_s'] / 60)} min",
        moment(found["not_after_s"]) if found["not_after_s"] else "",
        sum(vote["is_for"] for vote in found["votes"]),
        found["reason"],
    )
