"""What the operator decides about accounts: administrators, who comes in no more, and the way in without a provider."""

import json

import psycopg
import pytest

from hoopproxy.disk.segments import segment_paths
from hoopproxy.evidence.framing import frames
from hoopproxy.testing.three_files import ISSUER_URL

from .conftest import Desk


def test_the_first_administrator_is_appointed_by_a_local_command(desk: Desk) -> None:
    request_id = desk.asked("lars")
    unseen = desk.run("ivo", "show", request_id)
    assert unseen.returncode == 1
    desk.said(None, "appoint", ISSUER_URL, "ivo", verb="accounts")
    assert desk.said("ivo", "whoami")["is_administrator"] is True
    assert desk.said("ivo", "show", request_id)["request"]["id"] == request_id
    none_of_his = desk.run("ivo", "approve", request_id)
    assert none_of_his.returncode == 1 and "not among those who decide" in none_of_his.stderr
    desk.said("lena", "approve", request_id)
    assert desk.said("ivo", "suspend", request_id, "--reason", "Wait.")["phase"] == "suspended"
    assert desk.said("ivo", "resume", request_id)["phase"] == "approved"
    assert desk.said("ivo", "revoke", request_id, "--reason", "Cleaning up")["phase"] == "revoked"
    desk.said(None, "dismiss", ISSUER_URL, "ivo", verb="accounts")
    assert desk.said("ivo", "whoami")["is_administrator"] is False


def test_a_disabled_account_comes_in_nowhere_and_its_sessions_end(desk: Desk) -> None:
    with psycopg.connect(desk.dsn("ada"), autocommit=True) as connection:
        assert connection.execute("SELECT 1").fetchone() == (1,)
        desk.said(None, "disable", ISSUER_URL, "ada", "--reason", "Lost her laptop", verb="accounts")
        with pytest.raises(psycopg.OperationalError, match="disabled at this gateway: Lost her laptop"):
            connection.execute("SELECT pg_sleep(60)")
    with pytest.raises(psycopg.OperationalError, match="disabled at this gateway"):
        psycopg.connect(desk.dsn("ada"))
    asked = desk.run("ada", "whoami")
    assert asked.returncode == 1 and "disabled" in asked.stderr
    (listed,) = [each for each in desk.said(None, "list", verb="accounts") if each["subject"] == "ada"]
    assert listed["is_disabled"] and listed["why"] == "Lost her laptop"
    desk.said(None, "enable", ISSUER_URL, "ada", verb="accounts")
    with psycopg.connect(desk.dsn("ada")) as connection:
        assert connection.execute("SELECT 1").fetchone() == (1,)


def test_the_votes_of_a_disabled_account_do_not_let_anybody_in(desk: Desk) -> None:
    request_id = desk.asked("ivo")
    desk.said("lena", "approve", request_id)
    desk.said(None, "disable", ISSUER_URL, "lena", "--reason", "Left", verb="accounts")
    with pytest.raises(psycopg.OperationalError, match="Too few of those who approved"):
        psycopg.connect(desk.dsn("ivo"))
    desk.said(None, "enable", ISSUER_URL, "lena", verb="accounts")
    with psycopg.connect(desk.dsn("ivo")) as connection:
        assert connection.execute("SELECT 1").fetchone() == (1,)
    desk.said("ivo", "give-up", request_id)


def test_who_is_locked_out_is_let_in_by_the_operator_and_the_log_has_it(desk: Desk) -> None:
    words = ("let-in", ISSUER_URL, "gus", "--group", "analysts", "--for", "10m", "--reason", "The provider is down")
    done = desk.run(None, *words, verb="accounts")
    assert done.returncode == 0, done.stderr
    with psycopg.connect(desk.stand.dsn(None, "ledger", token=done.stdout.strip())) as connection:
        assert connection.execute("SELECT 1").fetchone() == (1,)
    log = desk.stand.log_directory
    leaves = [
        json.loads(each) for path in segment_paths(log) for frame in frames(path.read_bytes()) for each in frame.leaves
    ]
    (noted,) = [each for each in leaves if each["kind"] == "access-step" and each["step"] == "let-in"]
    assert noted["account"].startswith("actor") and "gus" not in json.dumps(noted)


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("appoint", "two words", "x"), "An account is an issuer"),
        (("let-in", ISSUER_URL, "gus", "--for", "9h", "--reason", "x"), "one minute to 8 hours"),
        (("let-in", ISSUER_URL, "gus", "--for", "1h", "--reason", " "), "Wanted are a reason"),
    ],
)
def test_mistakes_are_said_in_a_sentence(desk: Desk, words: tuple[str, ...], sentence: str) -> None:
    done = desk.run(None, *words, verb="accounts")
    assert done.returncode == 1 and sentence in done.stderr
