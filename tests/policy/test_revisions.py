"""A signed policy in the running gateway: what counts and what does not, who may stay, what a restart comes up with."""

import json
from pathlib import Path
from typing import Any

import orjson
import psycopg
import pytest

from hoopproxy.disk.policies import BUNDLE, HIGHEST
from hoopproxy.disk.segments import segment_paths
from hoopproxy.evidence.framing import frames
from hoopproxy.testing.process import GatewayFailed

from .conftest import SignedStand, hoopproxy

LONGER = ("duration_s_max = 3600", "duration_s_max = 7200")


def alive(connection: psycopg.Connection) -> bool:
    try:
        return connection.execute("SELECT 1").fetchone() == (1,)
    except psycopg.Error:
        return False


def connected(signed: SignedStand, person: str, target: str = "plain") -> psycopg.Connection:
    return psycopg.connect(signed.dsn(person, target), autocommit=True)


def entries(signed: SignedStand, kind: str) -> list[dict[str, Any]]:
    """Those of the log, of that kind."""
    read = (frames(path.read_bytes()) for path in segment_paths(signed.log_directory))
    leaves = (orjson.loads(leaf) for each in read for frame in each for leaf in frame.leaves)
    return [leaf for leaf in leaves if leaf["kind"] == kind]


def test_who_would_have_less_is_ended_and_all_others_live_on(signed: SignedStand) -> None:
    with connected(signed, "gast") as guest, connected(signed, "ada") as analyst:
        done = signed.changed(LONGER)
        assert done.exit_code == 0, done.output
        assert "0 live sessions have ended, 2 live on" in done.output
        assert alive(guest) and alive(analyst)
        done = signed.changed()
        assert "1 live sessions have ended, 1 live on" in done.output
        assert alive(analyst)
        with pytest.raises(psycopg.errors.AdminShutdown, match="the grant that it came in by allows less"):
            guest.execute("SELECT 1")
    with connected(signed, "gast") as guest:
        assert alive(guest)


def test_a_role_a_grant_or_a_mask_that_is_gone_or_another_ends_whom_it_concerns(signed: SignedStand) -> None:
    masks = 'column = "public.customers.ssn"\nmask = "redact"', 'column = "public.customers.ssn"\nmask = "nullify"'
    for change, ends, stays in (
        (('groups = ["guests"]', 'groups = ["others"]'), ("gast", "plain"), ("ada", "plain")),
        (("guests-come-by", "guests-go"), ("gast", "plain"), ("ada", "plain")),
        (masks, ("ada", "ledger"), ("ada", "plain")),
    ):
        with connected(signed, *ends) as ended, connected(signed, *stays) as staying:
            assert signed.changed(change).exit_code == 0
            assert alive(staying)
            assert not alive(ended)
        assert signed.changed().exit_code == 0


def test_what_is_hidden_follows_the_policy_of_now(signed: SignedStand) -> None:
    change = "first = 0, last = 4", "first = 4, last = 0"
    query = "SELECT card FROM customers WHERE id = 1"
    with connected(signed, "ada", "ledger") as connection:
        assert connection.execute(query).fetchone() == ("************1111",)
    assert signed.changed(change).exit_code == 0
    with connected(signed, "ada", "ledger") as connection:
        assert connection.execute(query).fetchone() == ("4111************",)


def test_a_plan_says_whom_it_concerns_and_which_sessions_would_end_and_ends_none(signed: SignedStand) -> None:
    text = signed.policy.read_text()
    with connected(signed, "gast") as guest, connected(signed, "ada") as analyst:
        signed.policy.write_text(
            text.replace("duration_s_max = 3600", "duration_s_max = 60").replace('"EU", "CH"', '"EU"')
        )
        planned = signed.call("plan", signed.policy)
        found = json.loads(signed.call("plan", signed.policy, "--json").output)
        assert alive(guest) and alive(analyst)
    signed.policy.write_text(text)
    assert "narrower grant guests-come-by (for guest): duration_s_max 3600 → 60" in planned.output
    assert "narrower grant read-from-europe (for analyst, fraud): client_zones without CH" in planned.output
    assert [(each["identity"], each["why"]) for each in found["ends"]] == [
        ("Gast", "the grant that it came in by allows less")
    ]
    assert "Nothing would change." in signed.call("plan", signed.policy).output


def test_one_signature_of_two_is_not_enough_and_the_second_makes_it_count(signed: SignedStand) -> None:
    before = signed.shown()
    signed.write(before["revision"] + 1, signed.base)
    signed.sign("ada")
    done = signed.call("apply", signed.bundle)
    assert done.exit_code == 1
    assert "is signed by 1 of the 2 people that it needs" in done.output
    signed.sign("ada")
    assert signed.call("apply", signed.bundle).exit_code == 1
    assert signed.shown() == before
    signed.sign("bob")
    assert signed.call("apply", signed.bundle).exit_code == 0
    assert signed.shown()["signers"] == ["ada", "bob"]


def test_what_was_in_force_never_comes_back(signed: SignedStand, tmp_path: Path) -> None:
    old = tmp_path / "old.bundle"
    old.write_bytes(signed.bundle.read_bytes())
    for _ in range(2):
        assert signed.changed().exit_code == 0
    for bundle in (old, signed.bundle):
        done = signed.call("apply", bundle)
        assert done.exit_code == 1
        assert "an older policy never comes back" in done.output


def test_a_policy_that_does_not_fit_the_rest_stays_out_whoever_signed_it(signed: SignedStand) -> None:
    before = signed.shown()
    done = signed.changed(('targets = ["plain"]', 'targets = ["plan"]'))
    assert done.exit_code == 1
    assert "did you mean plain?" in done.output
    assert signed.shown() == before


def test_the_log_knows_each_revision_before_it_is_in_force(signed: SignedStand) -> None:
    assert signed.changed().exit_code == 0
    shown = signed.shown()
    found = entries(signed, "policy-applied")
    assert [each["revision"] for each in found] == list(range(1, shown["revision"] + 1))
    assert found[-1]["sha256"] == shown["sha256"]
    assert len(set(found[-1]["signers"])) == 2
    revoked = [each["cause"] for each in entries(signed, "ended") if each["reason"] == "revoked"]
    assert set(revoked) <= {"policy-changed"}


def test_what_the_gateway_can_not_read_is_said(signed: SignedStand, tmp_path: Path) -> None:
    done = signed.call("apply", tmp_path / "nothing")
    assert (done.exit_code, "The gateway can't read" in done.output) == (1, True)
    (tmp_path / "noise").write_bytes(b"{}")
    done = signed.call("apply", tmp_path / "noise")
    assert (done.exit_code, done.output) == (1, "This is no bundle of a policy, or it was changed.\n")


def test_a_restart_comes_up_with_what_was_applied_whatever_stands_in_the_files(signed: SignedStand) -> None:
    assert signed.changed(LONGER).exit_code == 0
    shown = signed.shown()
    signed.policy.write_text("revision = 1\n")
    signed.bundle.write_text("none")
    signed.gateway.stop()
    assert signed.shown() == shown  # without a gateway, too
    signed.start()
    assert signed.shown() == shown
    with connected(signed, "gast") as guest:
        assert alive(guest)


def test_no_gateway_starts_when_what_it_kept_is_missing_older_or_changed(signed: SignedStand) -> None:
    older = signed.bundle.read_bytes()
    assert signed.changed().exit_code == 0
    kept = signed.state / "policy" / BUNDLE
    newest, highest = kept.read_bytes(), (kept.parent / HIGHEST).read_text()
    signed.gateway.stop()
    for data, says in (
        (older, "an older policy never comes back"),
        (newest.replace(b'"keyid":"ada"', b'"keyid":"abe"'), "is none of its signers"),
        (newest.replace(b"signatures", b"Signatures"), "no bundle of a policy"),
        (None, f"is missing, and revision {highest.strip()} was applied"),
    ):
        kept.unlink() if data is None else kept.write_bytes(data)
        checked = hoopproxy("check", "--config", signed.config)
        assert (checked.exit_code, says in checked.output) == (2, True), checked.output
    with pytest.raises(GatewayFailed, match="is missing, and revision"):
        signed.start()
    kept.write_bytes(newest)
    signed.start()
