"""What somebody asks for: the terms of an access request, and the digest that votes are bound to.

Knows neither who may grant it nor what became of it.
"""

import hashlib
from dataclasses import dataclass, fields
from typing import Any

import orjson


@dataclass(frozen=True, slots=True)
class Terms:
    """All that an approver decides about, and so all that `digest` covers.

    `requester` is a person, not an account (`access.people`). `rule` is the [[request]] table that permits the asking,
    `policy_revision` the file it stood in, `target_pin` the target's key (hex SHA-256 of its SPKI, or "").
    `not_before_s` is POSIX time, 0.0 for "as soon as it is approved"; the end follows from `duration_s` when the last
    vote is cast, and does not move after that. `statement_sha256` binds it to one statement that may run once. A
    maximum of None: none but those of the gateway. `renews` is the id of the request that this one follows, "" if none.
    `nonce` keeps two requests in the same words apart.
    """

    requester: str
    rule: str
    target_name: str
    target_pin: str
    accounts: frozenset[str]
    zone: str
    client_zones: tuple[str, ...]
    reveals: frozenset[str]
    reason: str
    ticket: str
    duration_s: float
    policy_revision: str
    nonce: str
    not_before_s: float = 0.0
    sessions_max: int | None = None
    rows_max: int | None = None
    bytes_max: int | None = None
    statement_sha256: str = ""
    renews: str = ""

    @property
    def digest(self) -> str:
        """SHA-256 in hex of the terms as JSON with sorted keys and without floats: equal on each machine, for ever."""
        return hashlib.sha256(orjson.dumps(self.as_json(), option=orjson.OPT_SORT_KEYS)).hexdigest()

    def as_json(self) -> dict[str, Any]:
        """The terms as JSON has them: sets sorted, and times in whole milliseconds (`*_ms`)."""
        return dict(_written(field.name, getattr(self, field.name)) for field in fields(self))

    @classmethod
    def from_json(cls, said: dict[str, Any]) -> "Terms":
        """What `as_json` made.

        @raise KeyError, TypeError: it is something else.
        """
        return cls(**{field.name: _read(field.name, field.type, said) for field in fields(cls)})


def _written(name: str, value: Any) -> tuple[str, Any]:
    match value:
        case float():
            return f"{name[:-1]}ms", round(value * 1000)
        case frozenset():
            return name, sorted(value)
        case _:
            return name, value


def _read(name: str, kind: Any, said: dict[str, Any]) -> Any:
    if kind is float:
        return said[f"{name[:-1]}ms"] / 1000
    value = said[name]
    if kind == frozenset[str]:
        return frozenset(value)
    if kind == tuple[str, ...]:
        return tuple(value)
    return value
