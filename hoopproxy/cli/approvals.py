"""`hoopproxy approvals`: statements that wait for a decision, and the decision: people's, or the operator's.

Knows the gateway's portal, and on the gateway's own machine its control socket.
"""

from collections.abc import Callable, Mapping
from typing import Any

import click

from hoopproxy.cli.answers import Negative, console, print_fields, print_json, print_table, printable
from hoopproxy.cli.counters import Counter, at_the_counter
from hoopproxy.cli.sessions import asked, moment

TITLES = ("id", "session", "who", "target", "account", "since", "until", "votes", "why", "statement")


@click.group()
def approvals() -> None:
    """Approvals: list the statements that wait for one, approve, deny.

    Where a rule names approvers, they act by their own token: the one that `hoopproxy login` keeps, or --token-file.
    On the gateway's machine its operator decides about the rest, without one.
    """


@approvals.command("list")
@at_the_counter
def list_(counter: Counter, as_json: bool) -> None:
    """List the statements that wait: those that you may decide about, or without a token all, but no literals."""
    if _is_operator(counter):
        found = asked(counter.config_file, counter.socket, "approvals")["approvals"]
    else:
        found = counter.asked("statements")["approvals"]
    if as_json:
        print_json(found)
        return
    print_table(TITLES, map(_row, found), "Nothing waits.")


def _decision(command: Callable[..., None]) -> Callable[..., None]:
    reason = click.option("--reason", default="", help="One sentence for the person.")
    statement = click.option(
        "--statement", default="", metavar="SHA256", help="Decide about exactly this, without a look."
    )
    return click.argument("approval_id", metavar="ID")(reason(statement(at_the_counter(command))))


@approvals.command()
@_decision
def approve(counter: Counter, approval_id: str, reason: str, statement: str, as_json: bool) -> None:
    """Let statement ID run, once. You are shown what it is. Exits 1 when it does not wait any more."""
    _decide(counter, approval_id, reason, statement, as_json, is_approved=True)


@approvals.command()
@_decision
def deny(counter: Counter, approval_id: str, reason: str, statement: str, as_json: bool) -> None:
    """Refuse statement ID; its client is told why. Exits 1 when it does not wait any more."""
    _decide(counter, approval_id, reason, statement, as_json, is_approved=False)


def _is_operator(counter: Counter) -> bool:
    return counter.gateway is None and counter.token_file is None


def _decide(
    counter: Counter, approval_id: str, reason: str, statement: str, as_json: bool, *, is_approved: bool
) -> None:
    if not _is_operator(counter):
        _vote(counter, approval_id, reason, statement, as_json, is_approved=is_approved)
        return
    answer = asked(
        counter.config_file, counter.socket, "decide", id=approval_id, reason=reason, is_approved=is_approved
    )
    if as_json:
        print_json(answer)
    if not answer["decided"]:
        raise Negative(f"No statement {approval_id} waits for a decision.")
    if not as_json:
        click.echo(f"Statement {approval_id} was {'approved' if is_approved else 'denied'}.")


def _vote(counter: Counter, approval_id: str, reason: str, statement: str, as_json: bool, *, is_approved: bool) -> None:
    if not statement:
        found = counter.asked("statement", id=approval_id)["approval"]
        if not as_json:
            _show(found)
        statement = found["statement_sha256"]
    verb = "approve-statement" if is_approved else "deny-statement"
    answer = counter.asked(verb, id=approval_id, statement=statement, note=reason)["approval"]
    if as_json:
        print_json(answer)
    elif answer["is_approved"] is None:
        click.echo(f"Your vote counts; {answer['votes']} of {answer['votes_min']} are for statement {approval_id}.")
    else:
        click.echo(f"Statement {approval_id} was {'approved' if answer['is_approved'] else 'denied'}.")


def _show(found: Mapping[str, Any]) -> None:
    """Exactly what would run: each line by itself, so that none looks like another's part."""
    print_fields(
        {name: found[name] for name in ("identity", "issuer", "subject", "target", "account", "database", "why")}
    )
    for each in found["settings"]:
        _print("before it: ", each)
    _print(f"{found['action']}: ", found["statement"])
    for number, value in enumerate(found["parameters"], 1):
        _print(f"${number} = ", "NULL" if value is None else repr(value))
    for name, value in found["headers"]:
        _print(f"{name}: ", value)


def _print(head: str, text: str) -> None:
    for line in text.split("\n"):
        console().print(printable(head + line), markup=False, highlight=False, soft_wrap=True)
        head = " " * len(head)


def _row(waiting: Mapping[str, Any]) -> tuple[object, ...]:
    return (
        waiting["approval_id"],
        waiting["session_id"],
        waiting["identity"],
        waiting["target"],
        waiting["account"],
        moment(waiting["since_s"]),
        moment(waiting["until_s"]),
        f"{waiting['votes']} of {waiting['votes_min']}" if waiting["votes_min"] else "",
        waiting["why"],
        waiting["statement"],
    )
