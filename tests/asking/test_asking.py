"""People ask for access, others decide, and sessions follow: psycopg and the command line at a real gateway."""

import threading

import psycopg
import pytest

from .conftest import Desk

CARD = "SELECT card FROM customers ORDER BY id LIMIT 1"


def test_who_asks_is_approved_connects_and_is_revoked(desk: Desk) -> None:
    with pytest.raises(psycopg.OperationalError, match="hoopproxy access request ledger"):
        psycopg.connect(desk.dsn("ivo"))
    request_id = desk.asked("ivo", "--ticket", "OPS-7")
    assert desk.said("lena", "approve", request_id)["phase"] == "approved"
    with psycopg.connect(desk.dsn("ivo"), autocommit=True) as connection:
        assert connection.execute("SELECT 1").fetchone() == (1,)
        assert desk.said("ivo", "show", request_id)["request"]["phase"] == "active"
        failed: list[psycopg.Error] = []
        began = threading.Event()

        def sleeping() -> None:
            try:
                began.set()
                connection.execute("SELECT pg_sleep(60)")
            except psycopg.Error as why:
                failed.append(why)

        thread = threading.Thread(target=sleeping)
        thread.start()
        began.wait()
        assert desk.said("lena", "revoke", request_id, "--reason", "The customer hung up")["phase"] == "revoked"
        thread.join(30)
    assert f"the access {request_id} that it came in by was revoked: The customer hung up." in str(failed[0])
    assert failed[0].sqlstate == "57P01"
    with pytest.raises(psycopg.OperationalError, match="You have no access"):
        psycopg.connect(desk.dsn("ivo"))
    steps = [each["step"] for each in desk.said("ivo", "show", request_id)["history"]]
    assert steps == ["requested", "voted", "approved", "used", "revoked"]


def test_who_waits_at_the_door_is_told_and_comes_in_when_it_is_approved(desk: Desk) -> None:
    request_id = desk.asked("ivo")
    told: list[str] = []
    done = threading.Event()

    def connect() -> None:
        with psycopg.connect(desk.dsn("ivo"), autocommit=True) as connection:
            told.append(str(connection.execute("SELECT 'in'").fetchone()))
        done.set()

    thread = threading.Thread(target=connect)
    thread.start()
    assert not done.wait(0.5)
    desk.said("lars", "approve", request_id)
    thread.join(30)
    assert told == ["('in',)"]
    assert desk.said("ivo", "give-up", request_id)["phase"] == "given up"


def test_two_of_several_must_approve_and_two_accounts_of_one_person_are_one(desk: Desk) -> None:
    request_id = desk.asked("ada", "--rule", "cards", "--ticket", "OPS-1")
    assert desk.said("lena", "approve", request_id)["phase"] == "requested"
    again = desk.run("lena-admin", "approve", request_id)
    assert again.returncode == 1 and "You have voted already" in again.stderr
    with psycopg.connect(desk.dsn("ada")) as connection:
        assert connection.execute(CARD).fetchone() == ("************1111",)
    assert desk.said("lars", "approve", request_id)["phase"] == "approved"
    with psycopg.connect(desk.dsn("ada")) as connection:
        assert connection.execute(CARD).fetchone() == ("4111111111111111",)
    desk.said("lars", "revoke", request_id, "--reason", "Done")


def test_nobody_decides_about_their_own_and_strangers_see_nothing(desk: Desk) -> None:
    request_id = desk.asked("lars")
    own = desk.run("lars", "approve", request_id)
    assert own.returncode == 1 and "Nobody can decide about a request of their own" in own.stderr
    other = desk.run("ivo", "show", request_id)
    assert other.returncode == 1 and "There is no such request, or it is not for you to see." in other.stderr
    desk.said("lars", "withdraw", request_id)


def test_an_edit_takes_the_votes_with_it(desk: Desk) -> None:
    request_id = desk.asked("ada", "--rule", "cards", "--ticket", "OPS-2")
    terms = desk.said("lena", "show", request_id)["request"]["terms_sha256"]
    desk.said("ada", "edit", request_id, "ledger", "--for", "2h", "--reason", "Longer.", "--ticket", "OPS-2")
    stale = desk.run("lena", "approve", request_id, "--terms", terms)
    assert stale.returncode == 1 and "was changed since you read it" in stale.stderr
    desk.said("ada", "withdraw", request_id)


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("--for", "8h", "--reason", "x"), "'help-out' is for 2 h at most"),
        (("--for", "1h", "--reason", " "), "A request needs a reason"),
        (("--for", "1h", "--reason", "x", "--account", "root"), "You may not ask"),
        (("--for", "1h", "--reason", "x", "--break-glass"), "You may not ask at once, in an emergency,"),
    ],
)
def test_what_may_not_be_asked_for_is_said_in_a_sentence(desk: Desk, words: tuple[str, ...], sentence: str) -> None:
    done = desk.run("ivo", "request", "ledger", *words)
    assert done.returncode == 1 and sentence in done.stderr and "Traceback" not in done.stderr


def test_unknown_and_forbidden_targets_sound_alike(desk: Desk) -> None:
    told = {
        name: desk.run("ivo", "request", name, "--for", "1h", "--reason", "x").stderr.replace(name, "X")
        for name in ("vault", "plain")
    }
    assert told["vault"] == told["plain"]


def test_broken_glass_holds_at_once_and_has_to_be_reviewed_by_somebody_else(desk: Desk) -> None:
    words = ("request", "ledger", "--for", "5m", "--reason", "It burns.", "--break-glass")
    request_id = desk.said("lena", *words)["id"]
    with psycopg.connect(desk.dsn("lena")) as connection:
        assert connection.execute("SELECT 1").fetchone() == (1,)
    assert desk.said("lena", "give-up", request_id)["phase"] == "review due"
    own = desk.run("lena", "review", request_id, "--in-order", "--note", "Fine.")
    assert own.returncode == 1
    reviewed = desk.said("lars", "review", request_id, "--in-order", "--note", "It did burn.")
    assert reviewed["phase"] == "reviewed, in order"


def test_the_operator_sees_and_revokes_and_approves_nothing(desk: Desk) -> None:
    request_id = desk.asked("ivo")
    assert request_id in [each["id"] for each in desk.said(None, "list")]
    done = desk.run(None, "approve", request_id)
    assert done.returncode == 2 and "--token-file" in done.stderr
    desk.said("lena", "approve", request_id)
    assert desk.said(None, "revoke", request_id, "--reason", "Audit.")["phase"] == "revoked"
