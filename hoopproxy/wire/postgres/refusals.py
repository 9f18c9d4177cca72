"""How a client's message is refused so that answers stay in order: by another one that can't be parsed.

A refused message is not swallowed but replaced: the server fails, skips until Sync and rolls back by itself, so that
every transaction status is the server's own. Knows no reason for a refusal.
"""

from typing import NamedTuple

from hoopproxy.events import Faulted
from hoopproxy.wire.postgres import messages, pending, requests
from hoopproxy.wire.postgres.draft import Draft
from hoopproxy.wire.postgres.pending import Queue

OURS = "hoopproxy"
"""What a Parse is called that never succeeds. A refused Parse keeps its name: a failed one of "" takes "" with it."""

LIMIT_EXCEEDED = "53400"

_POISON = "refused by hoopproxy"
"""No SQL begins so. The server's log shows it where a statement was refused."""


class Complaint(NamedTuple):
    """What is wrong with a message of an extended query, and its SQLSTATE."""

    sentence: str
    code: str


TOO_MANY_STATEMENTS = Complaint(
    "Too many or too long prepared statements; close some (limits.prepared_statements_max, limits.prepared_bytes_max).",
    LIMIT_EXCEEDED,
)
TOO_MANY_PORTALS = Complaint(
    "Too many or too long portals; close some (limits.prepared_statements_max, limits.prepared_bytes_max).",
    LIMIT_EXCEEDED,
)


def no_statement(name: str) -> Complaint:
    """As the server says it."""
    what = f'prepared statement "{name}"' if name else "unnamed prepared statement"
    return Complaint(f"{what} does not exist", "26000")


def no_portal(name: str) -> Complaint:
    """As the server says it."""
    return Complaint(f'portal "{name}" does not exist', "34000")


def poison(name: str | None) -> bytes:
    """A simple query, or with a `name` a Parse, that fails."""
    return requests.query(_POISON) if name is None else requests.Parse(name, _POISON.encode()).encode()


def refuse(
    queue: Queue, error: bytes, number: int, name: str | None, draft: Draft, faults: tuple[Faulted, ...] = ()
) -> None:
    """Put poison in the place of a message: a simple query, or with a `name` a Parse.

    Where the effect on the server is known beforehand to be none, it need not even know.
    """
    if queue.skipping:
        return
    if name is None and queue.settled in (b"I", b"E"):
        draft.to_client += [error, messages.ready_for_query(queue.settled)]
        return
    draft.to_server.append(poison(name))
    queue.add(pending.Poison(number, error, faults, simple=name is None))
    queue.skipping = name is not None


def complain(queue: Queue, complaint: Complaint, number: int, draft: Draft) -> None:
    """Refuse a part of an extended query by an error that the server would have found too, or by a limit."""
    sentence, code = complaint
    refuse(queue, messages.error(sentence, code), number, OURS, draft, (Faulted(number, code, sentence),))
