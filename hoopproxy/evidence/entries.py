"""The closed set of what the log may say, and how each is written down: canonical JSON without personal data.

Pure. People and their addresses are held in clear only until `leaf` replaces them by pseudonyms; statement texts,
sentences and values have no field here. Knows neither the chain nor where leaves are kept.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from enum import Enum, IntEnum
from types import MappingProxyType
from typing import Any, ClassVar, get_args

import orjson

from hoopproxy.errors import AddonFailure, Cause, LimitReached, ProtocolViolation, Refused, SessionError
from hoopproxy.evidence.chain import LEAF_BYTES_MAX
from hoopproxy.evidence.decisions import (
    ACTOR,
    CLIENT,
    TARGET,
    AccessStep,
    AdminAction,
    PolicyApplied,
    StatementVote,
    Untold,
)
from hoopproxy.evidence.pseudonyms import Pseudonyms
from hoopproxy.masks import Entrance
from hoopproxy.model import Arrival, Finding, Identity, Manifest, Passage, Permit, SubjectKind, Tally, Verdict

TEXT_CHARS_MAX = 200
"""Longer texts are cut. The longest that is meant is a data source's name with its digest."""

ENVELOPE = frozenset({"at_ms", "gateway", "index", "kind", "prev"})
"""What the ledger adds to each entry."""


def _person(identity: Identity | None) -> tuple[str, ...]:
    return () if identity is None else (identity.issuer, identity.subject)


def _distinct(verdicts: tuple[Verdict, ...]) -> tuple[Verdict, ...]:
    """Equal verdicts once: a target with sixteen addresses in one country says the same thing sixteen times."""
    return tuple(dict.fromkeys(verdicts))


def _ms(at_s: float) -> int:
    return round(at_s * 1000)


@dataclass(frozen=True, slots=True)
class GatewayStarted:
    """A gateway begins; `addons` are (name, distribution and version, SHA-256 of the module's file)."""

    kind: ClassVar[str] = "gateway-started"
    gateway: str
    zone: str
    config_sha256: str
    policy_revision: str
    zones_revision: str
    addons: tuple[tuple[str, str, str], ...]


@dataclass(frozen=True, slots=True)
class GatewayStopped:
    """A gateway ends in order."""

    kind: ClassVar[str] = "gateway-stopped"
    reason: str


@dataclass(frozen=True, slots=True)
class Permitted:
    """Who, may and where were answered with yes; durable before the target is reached.

    `parent` is the session that the connection came through, "" for one of its own.
    """

    kind: ClassVar[str] = "permitted"
    session_id: str
    connection_id: str
    listener: str
    protocol: str
    client: tuple[str, ...] = field(repr=False, metadata=CLIENT)
    arrived_at_ms: int
    parent: str
    actor: tuple[str, ...] = field(repr=False, metadata=ACTOR)
    method: str
    target: str
    target_asked: tuple[str, ...] = field(repr=False, metadata=TARGET)
    verdicts: tuple[Verdict, ...]
    account: str
    database: str
    roles: tuple[str, ...]
    grant_id: str
    zone: str
    client_zones: tuple[str, ...]
    not_after_ms: int

    @classmethod
    def of(cls, permit: Permit) -> "Permitted":
        """The entry for a permit."""
        return cls(
            **_arrived(permit.session_id, permit.arrival),
            actor=_person(permit.identity),
            method=permit.identity.method,
            target=permit.target.name,
            target_asked=(permit.target.name,),
            verdicts=_distinct(permit.verdicts),
            account=permit.account,
            database=permit.database,
            roles=tuple(sorted(permit.roles)),
            grant_id=permit.grant.grant_id,
            zone=permit.grant.zone,
            client_zones=tuple(sorted(permit.client_zones)),
            not_after_ms=_ms(permit.not_after_s),
        )


@dataclass(frozen=True, slots=True)
class Confirmed:
    """The target proved itself where it is allowed to be; durable before a secret is shown to it.

    `treatment` is what becomes of the bytes, as the protocol's machine says it: "not parsed, not masked", say.
    """

    kind: ClassVar[str] = "confirmed"
    session_id: str
    connection_id: str
    peer: str
    spki_sha256: str
    tcp_rtt_us: int | None
    verdicts: tuple[Verdict, ...]
    treatment: str

    @classmethod
    def of(cls, passage: Passage, treatment: str) -> "Confirmed":
        """The entry for a passage."""
        return cls(
            session_id=passage.session_id,
            connection_id=passage.permit.arrival.connection_id,
            peer=str(passage.peer),
            spki_sha256=passage.measurements.spki_sha256,
            tcp_rtt_us=passage.measurements.tcp_rtt_us,
            verdicts=_distinct(passage.verdicts),
            treatment=treatment,
        )


@dataclass(frozen=True, slots=True)
class MasksKept:
    """The target keeps the masks of a connection itself; durable before the gateway logs in.

    `mask_set` names what was made there; `accepted` are findings of its audit that somebody took responsibility for.
    """

    kind: ClassVar[str] = "masks-kept"
    session_id: str
    connection_id: str
    mask_set: str
    accepted: tuple[str, ...]

    @classmethod
    def of(cls, passage: Passage, entrance: Entrance) -> "MasksKept":
        """The entry for a connection that enters so."""
        permit = passage.permit
        return cls(permit.session_id, permit.arrival.connection_id, entrance.mask_set, entrance.accepted)


@dataclass(frozen=True, slots=True)
class LookedUp:
    """Somebody is about to learn which rows hold a value that they may not see; durable before they do.

    `column` is `schema.table.column`; the value stands in the sealed part of the recording, with the statement.
    """

    kind: ClassVar[str] = "looked-up"
    session_id: str
    connection_id: str
    column: str

    @classmethod
    def of(cls, passage: Passage, column: str) -> "LookedUp":
        """The entry for one look-up."""
        return cls(passage.session_id, passage.permit.arrival.connection_id, column)


@dataclass(frozen=True, slots=True)
class Denied:
    """A connection ended before anything was relayed. What was known by then has the fields of `Permitted`.

    `target` is set once the router knew the name (a verdict was made about it); until then the name is what a stranger
    typed, and only its pseudonym is kept.
    """

    kind: ClassVar[str] = "denied"
    session_id: str
    connection_id: str
    listener: str
    protocol: str
    client: tuple[str, ...] = field(repr=False, metadata=CLIENT)
    arrived_at_ms: int
    parent: str
    actor: tuple[str, ...] = field(repr=False, metadata=ACTOR)
    method: str
    target: str
    target_asked: tuple[str, ...] = field(repr=False, metadata=TARGET)
    verdicts: tuple[Verdict, ...]
    code: str
    reason: str
    limit: str
    addon: str
    side: str

    @classmethod
    def of(
        cls,
        session_id: str,
        arrival: Arrival,
        identity: Identity | None,
        target_name: str,
        why: SessionError,
        verdicts: tuple[Verdict, ...] = (),
    ) -> "Denied":
        """The entry for a connection that did not get in; `target_name` is "" when none was named yet."""
        judged = (verdict.name for verdict in verdicts if verdict.subject is SubjectKind.DESTINATION)
        return cls(
            **_arrived(session_id, arrival),
            actor=_person(identity),
            method=identity.method if identity else "",
            target=next(judged, ""),
            target_asked=(target_name,) if target_name else (),
            verdicts=_distinct(verdicts),
            code=why.code,
            reason=why.reason if isinstance(why, Refused) else "",
            limit=why.limit if isinstance(why, LimitReached) else "",
            addon=f"{why.addon}.{why.call}" if isinstance(why, AddonFailure) else "",
            side=why.side if isinstance(why, ProtocolViolation) else "",
        )


@dataclass(frozen=True, slots=True)
class Ended:
    """A connection that was let in is over. `recording` None: its recording has no end, which is part of the proof.

    `cause` says of the reason "revoked" which right ended.
    """

    kind: ClassVar[str] = "ended"
    session_id: str
    connection_id: str
    reason: str
    cause: Cause
    tally: Tally
    recording: Manifest | None

    @classmethod
    def of(
        cls, passage: Passage, tally: Tally, manifest: Manifest | None, reason: str, cause: Cause = Cause.NONE
    ) -> "Ended":
        """The entry for the end of a passage."""
        return cls(passage.session_id, passage.permit.arrival.connection_id, reason, cause, tally, manifest)


@dataclass(frozen=True, slots=True)
class Crashed:
    """The gateway's own mistake ended a connection; the traceback is in the operator's log."""

    kind: ClassVar[str] = "crashed"
    session_id: str
    connection_id: str
    listener: str
    protocol: str
    client: tuple[str, ...] = field(repr=False, metadata=CLIENT)
    arrived_at_ms: int
    parent: str

    @classmethod
    def of(cls, session_id: str, arrival: Arrival) -> "Crashed":
        """The entry for a crash."""
        return cls(**_arrived(session_id, arrival))


@dataclass(frozen=True, slots=True)
class Chunk:
    """A recording is durable up to its chunk `number` (0: its header); `sha256` is over everything up to there."""

    kind: ClassVar[str] = "chunk"
    session_id: str
    connection_id: str
    number: int
    sha256: str


type Entry = (
    GatewayStarted
    | GatewayStopped
    | Permitted
    | Confirmed
    | MasksKept
    | LookedUp
    | Denied
    | Ended
    | Crashed
    | Chunk
    | AdminAction
    | PolicyApplied
    | AccessStep
    | Untold
    | StatementVote
)

KINDS: Mapping[str, type[Entry]] = MappingProxyType({kind.kind: kind for kind in get_args(Entry.__value__)})
"""All kinds. docs/evidence.md has the same table; a test compares them."""

CLOSING = frozenset({GatewayStopped.kind, Denied.kind, Ended.kind, Crashed.kind, AdminAction.kind})
"""Kinds that let nothing in. They may still be written from the reserve when the disk is full."""


def leaf(entry: Entry, envelope: Mapping[str, Any], pseudonyms: Pseudonyms) -> dict[str, Any]:
    """The entry as the log keeps it. @raise ValueError: it does not fit into a leaf even with findings as digests."""
    written = {one.name: _written(entry, one, pseudonyms) for one in fields(entry)}
    written |= {"kind": entry.kind, **envelope}
    if len(encoded(written)) > LEAF_BYTES_MAX and "verdicts" in written:
        written["verdicts"] = [_abridged(verdict) for verdict in written["verdicts"]]
    if (size := len(encoded(written))) > LEAF_BYTES_MAX:
        raise ValueError(f"a {entry.kind} entry of {size} bytes does not fit into a leaf of {LEAF_BYTES_MAX}")
    return written


def encoded(written: Mapping[str, Any]) -> bytes:
    """Canonical JSON: sorted keys, no spaces, no floats."""
    return orjson.dumps(written, option=orjson.OPT_SORT_KEYS)


def _arrived(session_id: str, arrival: Arrival) -> dict[str, Any]:
    return {
        "session_id": session_id,
        "connection_id": arrival.connection_id,
        "listener": arrival.listener,
        "protocol": arrival.protocol,
        "client": (str(arrival.client.address),),
        "arrived_at_ms": _ms(arrival.at_s),
        "parent": arrival.parent,
    }


def _written(entry: Entry, one: Any, pseudonyms: Pseudonyms) -> Any:
    value = getattr(entry, one.name)
    if kind := one.metadata.get("pseudonym"):
        parts = (value,) if isinstance(value, str) else value
        return pseudonyms.of(kind, *parts) if parts else ""
    return _plain(value)


def _plain(value: Any) -> Any:
    """JSON without floats. Anything that is not listed here is a mistake in an entry, so it raises."""
    match value:
        case IntEnum():
            return value.name.lower()
        case Enum():
            return value.value
        case None | bool() | int():
            return value
        case str():
            return cleaned(value)
        case Verdict() | Finding():
            return _judged(value)
        case Tally() | Manifest():
            return {one.name: _plain(getattr(value, one.name)) for one in fields(value)}
        case tuple():
            return [_plain(item) for item in value]
    raise TypeError(f"the log has no way to write a {type(value).__name__}")


def _judged(value: Verdict | Finding) -> dict[str, Any]:
    """A verdict or finding without its prose: sentences and notes may quote the address that was looked at."""
    if isinstance(value, Finding):
        age_ms = None if value.age_s is None else _ms(value.age_s)
        return {"age_ms": age_ms} | {
            name: _plain(getattr(value, name)) for name in ("method", "support", "country", "assurance", "source")
        }
    names = ("subject", "name", "zone", "zone_revision", "decision", "code", "required", "achieved", "country")
    return {name: _plain(getattr(value, name)) for name in (*names, "findings")}


def _abridged(verdict: dict[str, Any]) -> dict[str, Any]:
    """Bulk goes by hash: the findings' digest takes their place."""
    findings = orjson.dumps(verdict["findings"], option=orjson.OPT_SORT_KEYS)
    return {name: value for name, value in verdict.items() if name != "findings"} | {
        "findings_sha256": hashlib.sha256(findings).hexdigest()
    }


def cleaned(text: str) -> str:
    """At most `TEXT_CHARS_MAX` printable characters: no control, no bidi override, no lone surrogate."""
    return "".join(char if char.isprintable() else "\N{REPLACEMENT CHARACTER}" for char in text[:TEXT_CHARS_MAX])
