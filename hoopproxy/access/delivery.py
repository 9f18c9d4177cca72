"""What a webhook is told of a step: the JSON, its signature, and how long after a failure it is told again. Pure.

Signed as Standard Webhooks has it (https://www.standardwebhooks.com, specification 1.0). Knows no network and no store.
"""

import base64
import binascii
import hashlib
import hmac
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, get_args

import orjson

from hoopproxy.access.request import AccessRequest, begun
from hoopproxy.access.steps import Entry, Spent, Step, actor_of

KINDS: frozenset[str] = frozenset(kind.kind for kind in get_args(Step.__value__))
"""Of steps on requests: all that a webhook may be told of."""

USUAL = KINDS - {Spent.kind}
"""What it is told of when nothing is said: everything but the counting of rows."""

FIRST_PAUSE_S = 1.0
PAUSE_S_MAX = 3600.0

SECRET_BYTES_MIN = 24
"""Standard Webhooks has 24 to 64 bytes."""

_PREFIX = b"whsec_"


def secret_of(data: bytes) -> bytes:
    """The key in a file: its bytes as they are, or what `whsec_` and Base64 say, as receivers hand it out.

    @raise ValueError: it is said wrong, or too short.
    """
    if not data.startswith(_PREFIX):
        return data
    try:
        secret = base64.b64decode(data.strip().removeprefix(_PREFIX), validate=True)
    except binascii.Error as why:
        raise ValueError("what follows whsec_ is no Base64") from why
    if len(secret) < SECRET_BYTES_MIN:
        raise ValueError(f"it holds {len(secret)} bytes")
    return secret


def then(history: Sequence[Entry], number: int) -> AccessRequest:
    """The request as it was once its step `number` was kept. @raise ValueError: this is no history."""
    request = begun(history[0])
    for entry in history[1 : number + 1]:
        request = request.after(entry.step)  # type: ignore[arg-type] # a request's history holds a request's steps
    return request


def delivery_id(entry: Entry) -> str:
    """The same however often it is told; without a full stop, which the signature needs."""
    return f"{entry.key}-{entry.number}"


def told(entry: Entry, request: AccessRequest, link: str) -> bytes:
    """The JSON of a step, the same each time. `request` is as the step has left it; `link` "" when nobody can vote."""
    terms = request.terms
    body = {
        "type": f"access.{entry.step.kind}",
        "timestamp": datetime.fromtimestamp(entry.at_s, UTC).isoformat(timespec="milliseconds"),
        "id": delivery_id(entry),
        "gateway": entry.gateway,
        "data": {
            "request": request.request_id,
            "number": entry.number,
            "step": entry.step.kind,
            "by": _person(" ".join(actor_of(entry) or ())),
            "note": getattr(entry.step, "note", "") or getattr(entry.step, "why", ""),
            "phase": request.phase.value,
            "requester": _person(terms.requester),
            "target": terms.target_name,
            "accounts": sorted(terms.accounts),
            "rule": terms.rule,
            "reason": terms.reason,
            "ticket": terms.ticket,
            "duration_s": terms.duration_s,
            "not_before_s": request.not_before_s or terms.not_before_s,
            "not_after_s": request.not_after_s,
            "pending_until_s": request.pending_until_s,
            "is_break_glass": request.is_break_glass,
            "terms_sha256": terms.digest,
            "link": link,
        },
    }
    return orjson.dumps(body)


def headers(secret: bytes, name: str, at_s: float, body: bytes) -> Mapping[str, str]:
    """Who is told can see by these that it was us, now. `name` is the delivery's id."""
    timestamp = str(int(at_s))
    signed = hmac.digest(secret, f"{name}.{timestamp}.".encode() + body, hashlib.sha256)
    return {
        "Content-Type": "application/json",
        "User-Agent": "hoopproxy",
        "webhook-id": name,
        "webhook-timestamp": timestamp,
        "webhook-signature": f"v1,{base64.b64encode(signed).decode()}",
    }


def pause_s(tries: int, chance: float) -> float:
    """How long after so many failed tries (from 1) the next is made: twice as long each time, and by `chance` (0 to 1)
    up to a half less, so that many that failed at once don't come back at once."""
    return min(FIRST_PAUSE_S * 2.0 ** min(tries - 1, 32), PAUSE_S_MAX) * (1 - chance / 2)


def _person(person: str) -> Mapping[str, Any] | None:
    issuer, space, subject = person.partition(" ")
    return {"issuer": issuer, "subject": subject} if space else None
