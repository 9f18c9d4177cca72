"""Entries: complete, canonical, and without anything personal."""

import re
from dataclasses import fields, replace
from pathlib import Path

import orjson
import pytest

from hoopproxy.errors import AddonFailure, LimitReached, ProtocolViolation, Refused
from hoopproxy.evidence.chain import LEAF_BYTES_MAX
from hoopproxy.evidence.decisions import AccessStep, AdminAction, PolicyApplied, StatementVote, Untold
from hoopproxy.evidence.entries import (
    CLOSING,
    ENVELOPE,
    KINDS,
    Chunk,
    Confirmed,
    Crashed,
    Denied,
    Ended,
    Entry,
    GatewayStarted,
    GatewayStopped,
    LookedUp,
    MasksKept,
    Permitted,
    encoded,
    leaf,
)
from hoopproxy.evidence.pseudonyms import Pseudonyms
from hoopproxy.masks import NO_CATALOG, Entrance
from hoopproxy.model import Arrival, Decision, Identity, Manifest, Passage, Permit, SubjectKind, Tally
from hoopproxy.proofs import Secret, TargetSecret

from .conftest import PERSONAL, verdict

DOCUMENT = Path(__file__).parents[2] / "docs" / "evidence.md"
ENVELOPED = {"at_ms": 1, "gateway": "gw-1", "index": 0, "prev": "0" * 64}


def every(permit: Permit, passage: Passage) -> list[Entry]:
    arrival, identity = permit.arrival, permit.identity
    why = Refused("S3cret sentence for Ada Lovelace", reason="grant", detail="198.51.100.9")
    return [
        GatewayStarted("gw-1", "EU", "c" * 64, "p" * 64, "z", (("log", "hoopproxy==1", "d" * 64),)),
        GatewayStopped("stopped by its operator"),
        Permitted.of(permit),
        Confirmed.of(passage, "not parsed, not masked"),
        MasksKept.of(
            passage, Entrance(TargetSecret("hp_1", Secret("S3cret")), NO_CATALOG, "hp_0", ("trigger public.t",))
        ),
        LookedUp.of(passage, "public.customers.email"),
        Denied.of("s1", arrival, identity, "tell-nobody", why),
        Ended.of(passage, Tally(statements=2), Manifest("s1/c1.hprec", 3, "e" * 64, 900), "client left"),
        Crashed.of("s1", arrival),
        Chunk("s1", "c1", 4, "f" * 64),
        AdminAction("kill", "ada@corp.example", "s1"),
        PolicyApplied(7, "a" * 64, ("b" * 64, "c" * 64)),
        AccessStep("r1", (), 3, "voted", (identity.issuer, identity.subject), 1, "ledger", "a" * 64, 2, "b" * 64),
        Untold("chat", "r1", 3, 12),
        StatementVote(
            approval_id="a1",
            session_id="s1",
            connection_id="c1",
            target="ledger",
            statement=("c" * 64,),
            actor=(identity.issuer, identity.subject),
            vote="for",
            outcome="approved",
            votes_for=1,
            votes_min=1,
        ),
    ]


def test_every_kind_is_canonical_json_without_anything_personal(
    permit: Permit, passage: Passage, pseudonyms: Pseudonyms
) -> None:
    entries = every(permit, passage)
    assert {type(entry) for entry in entries} == set(KINDS.values())
    for entry in entries:
        data = encoded(leaf(entry, ENVELOPED, pseudonyms))
        told = orjson.loads(data)
        assert orjson.dumps(told, option=orjson.OPT_SORT_KEYS) == data
        assert set(told) == ENVELOPE | {one.name for one in fields(entry)}
        assert not [word for word in PERSONAL if word.encode() in data], entry.kind
        assert not re.search(rb"[\d]\.\d+[,}\]]", data), "a float"
        assert not [word for word in PERSONAL if word in repr(entry) and entry.kind not in ("permitted", "confirmed")]


def test_people_and_addresses_are_recognised_again_under_one_key_only(
    arrival: Arrival, identity: Identity, permit: Permit, pseudonyms: Pseudonyms
) -> None:
    denied = leaf(Denied.of("s2", arrival, identity, "ledger", AddonFailure("a", "b", "c")), ENVELOPED, pseudonyms)
    permitted = leaf(Permitted.of(permit), ENVELOPED, pseudonyms)
    for name in ("actor", "client", "target_asked"):
        assert denied[name] == permitted[name]
        assert re.fullmatch(r"[a-z]+-[0-9a-f]{32}", denied[name])
    other = leaf(Permitted.of(permit), ENVELOPED, Pseudonyms(b"o" * 32))
    assert other["actor"] != permitted["actor"]


def test_pseudonyms_do_not_collide_by_cutting(pseudonyms: Pseudonyms) -> None:
    assert pseudonyms.of("actor", "ab", "c") != pseudonyms.of("actor", "a", "bc")
    assert pseudonyms.of("actor", "a") != pseudonyms.of("client", "a")
    assert pseudonyms.of("actor", "\ud800")
    with pytest.raises(ValueError, match="32 or more"):
        Pseudonyms(b"short")


def test_a_denial_logs_the_fields_of_a_permit_as_far_as_they_are_known() -> None:
    known_later = {"account", "database", "roles", "grant_id", "zone", "client_zones", "not_after_ms"}
    names = [{one.name for one in fields(kind)} for kind in (Permitted, Denied)]
    assert names[0] - names[1] == known_later


def test_a_denial_tells_why_and_by_what(arrival: Arrival, pseudonyms: Pseudonyms) -> None:
    def told(why: Exception) -> dict[str, str]:
        assert isinstance(why, Refused | LimitReached | AddonFailure | ProtocolViolation)
        written = leaf(Denied.of("s1", arrival, None, "", why), ENVELOPED, pseudonyms)
        return {name: written[name] for name in ("code", "reason", "limit", "addon", "side") if written[name]}

    assert told(Refused("No.", reason="grant")) == {"code": "refused", "reason": "grant"}
    assert told(LimitReached("No.", limit="limits.x")) == {"code": "limit-reached", "limit": "limits.x"}
    assert told(AddonFailure("corp", "identify", "x")) == {"code": "addon-failure", "addon": "corp.identify"}
    assert told(ProtocolViolation("client", "No.")) == {"code": "protocol-violation", "side": "client"}


def test_a_denied_target_is_named_only_once_the_router_knew_it(arrival: Arrival, pseudonyms: Pseudonyms) -> None:
    why = Refused("No.", reason="residency")
    denial = verdict(SubjectKind.DESTINATION, "ledger", Decision.DENY)
    known = leaf(Denied.of("s1", arrival, None, "ledger", why, (denial,)), ENVELOPED, pseudonyms)
    unknown = leaf(Denied.of("s1", arrival, None, "my-password", why), ENVELOPED, pseudonyms)
    assert known["target"] == "ledger"
    assert unknown["target"] == ""
    assert b"my-password" not in encoded(unknown)
    assert leaf(Denied.of("s1", arrival, None, "", why), ENVELOPED, pseudonyms)["target_asked"] == ""


def test_equal_verdicts_are_written_once(permit: Permit) -> None:
    assert len(permit.verdicts) == 3
    assert len(Permitted.of(permit).verdicts) == 2


def test_texts_are_cut_and_cleaned(passage: Passage, pseudonyms: Pseudonyms) -> None:
    hostile = Ended.of(passage, Tally(), None, "a\r\nb\u202e\ud800\x1b[0m" + "x" * 300)
    reason = leaf(hostile, ENVELOPED, pseudonyms)["reason"]
    assert reason.startswith("a\ufffd\ufffdb\ufffd\ufffd\ufffd[0m")
    assert len(reason) == 200
    encoded(leaf(hostile, ENVELOPED, pseudonyms))


def test_what_is_too_large_goes_by_hash(permit: Permit, pseudonyms: Pseudonyms) -> None:
    many = tuple(verdict(SubjectKind.DESTINATION, f"t{n}", source=f"{n}-" + "x" * 180) for n in range(40))
    written = leaf(replace(Permitted.of(permit), verdicts=many), ENVELOPED, pseudonyms)
    assert len(encoded(written)) <= LEAF_BYTES_MAX
    assert all(re.fullmatch("[0-9a-f]{64}", one["findings_sha256"]) for one in written["verdicts"])
    with pytest.raises(ValueError, match="does not fit"):
        leaf(replace(Permitted.of(permit), roles=tuple("x" * 200 for _ in range(99))), ENVELOPED, pseudonyms)


def test_the_log_has_no_way_to_write_a_float(pseudonyms: Pseudonyms) -> None:
    with pytest.raises(TypeError, match="float"):
        leaf(Chunk("s1", "c1", 1.5, "f"), ENVELOPED, pseudonyms)  # type: ignore[arg-type] # that is the mistake


def test_only_kinds_that_let_nothing_in_may_use_the_reserve() -> None:
    letting_in = {"gateway-started", "permitted", "confirmed", "masks-kept", "looked-up", "chunk", "policy-applied"}
    deciding = {"access-step", "statement-vote", "untold"}
    assert set(KINDS) - CLOSING == letting_in | deciding


def test_the_documentation_lists_exactly_these_kinds_and_fields() -> None:
    table = DOCUMENT.read_text().partition("**No personal data.**")[0]
    rows = re.findall(r"^\| `([a-z-]+)` \| ([^|]+) \|", table, re.MULTILINE)
    documented = {kind: set(re.findall(r"`(\w+)`", names)) for kind, names in rows}
    assert documented == {kind: {one.name for one in fields(entry)} for kind, entry in KINDS.items()}
