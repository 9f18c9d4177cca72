"""The journal of access: what a store keeps of requests and accounts, and how an entry is written down.

Knows no store: `hoopproxy.store` has them.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, get_args

import orjson
from pydantic import TypeAdapter
from zope.interface import Interface

from hoopproxy.access.steps import AccountStep, Entry, Step
from hoopproxy.errors import SessionError

# mypy: disable-error-code="empty-body"
# zope.interface bodies are docstrings: there is nothing to return.

KINDS: dict[str, type[Step | AccountStep]] = {
    kind.kind: kind for kind in (*get_args(Step.__value__), *get_args(AccountStep.__value__))
}

BODY_BYTES_MAX = 16384
"""No step is longer than a leaf of the log may be: a reason is a sentence."""


class Overtaken(Exception):
    """Somebody else has taken the next step of that history already: read it, and decide again."""


class StoreUnavailable(SessionError):
    """The store can't be reached, so nobody knows what was revoked."""

    code = "store-unavailable"

    def __init__(self, detail: str) -> None:
        super().__init__(
            "The gateway can't reach the store of its grants, so nobody comes in now and nothing can be decided; try "
            "again in a minute, or tell the operator of the gateway.",
            detail=detail,
        )


@dataclass(frozen=True, slots=True)
class Row:
    """A history in a line, for lists: what it has come to with its entry `count - 1`.

    `state` is a request's `Phase`, or an account's. `is_open`: it can still change, and is kept in memory.
    """

    key: str
    count: int
    state: str
    is_open: bool
    person: str
    target_name: str
    not_after_s: float


@dataclass(frozen=True, slots=True)
class News:
    """What came since: `position` is where to go on."""

    position: int
    entries: tuple[Entry, ...]


class IJournal(Interface):
    """Where entries are kept. All gateways of a zone may share one."""

    async def append(entries: Sequence[Entry], rows: Sequence[Row]) -> None:
        """Keep all of them or none, and what their histories have come to; they are durable when it returns.

        @raise Overtaken: one of them is there. @raise StoreUnavailable: they were not kept, or nobody knows.
        """

    async def opening() -> News:
        """All entries of histories that are open, in the order in which they were kept. @raise StoreUnavailable"""

    async def since(position: int) -> News:
        """All entries behind that, in the order in which they were kept. @raise StoreUnavailable"""

    async def history(key: str) -> tuple[Entry, ...]:
        """One history, open or not; () when there is none. @raise StoreUnavailable"""

    async def rows(only_open: bool, most: int) -> tuple[Row, ...]:
        """The newest histories. @raise StoreUnavailable"""

    async def unnoted(gateway: str) -> tuple[Entry, ...]:
        """Entries of that gateway's that are not known to be in its log, the oldest first. @raise StoreUnavailable"""

    async def noted(entries: Sequence[Entry]) -> None:
        """They are in the log. @raise StoreUnavailable"""


def written(entry: Entry) -> bytes:
    """A step as JSON, the same on each machine. @raise ValueError: it is too long."""
    body = orjson.dumps(entry.step, default=sorted, option=orjson.OPT_SORT_KEYS)  # sets have no order of their own
    if len(body) > BODY_BYTES_MAX:
        raise ValueError(f"a step of {len(body)} bytes is longer than {BODY_BYTES_MAX}")
    return body


def read(kind: str, body: bytes) -> Any:
    """The step again. @raise ValueError, KeyError: it was written by something else."""
    return _ADAPTERS[kind].validate_json(body)


def digest(entry: Entry) -> str:
    """SHA-256 in hex of what is kept of an entry: the log names it, so that the store can't be changed behind it."""
    head = f"{entry.key}\n{entry.number}\n{round(entry.at_s * 1000)}\n{entry.step.kind}\n"
    return hashlib.sha256(head.encode() + written(entry)).hexdigest()


_ADAPTERS = {name: TypeAdapter[Any](kind) for name, kind in KINDS.items()}
