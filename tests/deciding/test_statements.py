"""Statements that people decide about: psycopg, ssh and curl wait, others vote, and what was approved runs once."""

import subprocess
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from click.testing import CliRunner, Result

from hoopproxy.cli.main import main
from hoopproxy.control.client import ControlClient
from hoopproxy.control.lines import ControlError

from .conftest import Town, token_file

DELETE = "DELETE FROM notes"
UPDATE = "UPDATE notes SET note = %s"


class Waiting:
    """Something that waits in a thread; `result` is what came of it."""

    def __init__(self, town: Town, work: Callable[[], Any]) -> None:
        self._town, self._work = town, work
        self.failed: BaseException | None = None
        self.result: Any = None
        before = {each["approval_id"] for each in self._listed()}
        self._thread = threading.Thread(target=self._run)
        self._thread.start()
        while not (found := [each for each in self._listed() if each["approval_id"] not in before]):
            assert self._thread.is_alive(), self.failed or self.result
        self.approval_id = str(found[0]["approval_id"])

    def _listed(self) -> Any:
        return ControlClient(self._town.control_socket).call("approvals")["approvals"]

    def _run(self) -> None:
        try:
            self.result = self._work()
        except psycopg.Error as why:
            self.failed = why

    def vote(self, person: str, verb: str = "approve-statement", **more: str) -> dict[str, Any]:
        """As they do who have read it."""
        seen = self._town.said(person, "statement", id=self.approval_id)["approval"]
        told = {"statement": seen["statement_sha256"], **more}
        answer: dict[str, Any] = self._town.said(person, verb, id=self.approval_id, **told)["approval"]
        return answer

    def over(self) -> "Waiting":
        self._thread.join(30)
        assert not self._thread.is_alive()
        return self


@pytest.fixture
def connection(town: Town) -> Iterator[psycopg.Connection]:
    """Of lars', who is a lead himself."""
    with psycopg.connect(town.way_in("lars")) as connected:
        yield connected
        connected.rollback()


@pytest.fixture
def told(connection: psycopg.Connection) -> list[str]:
    """What the client is told while it waits."""
    said: list[str] = []
    connection.add_notice_handler(lambda notice: said.append(notice.message_primary or ""))
    return said


def test_another_person_approves_and_it_runs_once(town: Town, connection: psycopg.Connection, told: list[str]) -> None:
    waiting = Waiting(town, lambda: connection.execute(DELETE).rowcount)
    assert told == [
        "On plain, DELETE without WHERE needs an approval. It waits for somebody who may decide it (lead) to run: "
        f"hoopproxy approvals approve {waiting.approval_id}. Cancel it if you do not want to wait."
    ]
    assert waiting.vote("lena")["is_approved"] is True
    assert waiting.over().result == 20
    again = Waiting(town, lambda: connection.execute(DELETE).rowcount)
    assert again.approval_id != waiting.approval_id
    again.vote("lena", "deny-statement", note="Once is enough.")
    assert "Somebody who may denied this statement: Once is enough." in str(again.over().failed)
    log = town.log()
    assert log.count(b'"statement-vote"') >= 2 and b'"outcome":"approved"' in log and b'"outcome":"denied"' in log
    assert DELETE.encode() not in log


def test_nobody_decides_about_their_own_and_others_do_not_see_it(town: Town, connection: psycopg.Connection) -> None:
    waiting = Waiting(town, lambda: connection.execute(DELETE))
    seen = town.said("lena", "statement", id=waiting.approval_id)["approval"]
    own = {"id": waiting.approval_id, "statement": seen["statement_sha256"]}
    with pytest.raises(ControlError, match="Nobody can decide about a statement of their own"):
        town.said("lars", "approve-statement", **own)
    with pytest.raises(ControlError, match="No such statement waits for a decision, or it is not for you"):
        town.said("ivo", "approve-statement", **own)
    assert town.said("lars", "statements")["approvals"] == town.said("ivo", "statements")["approvals"] == []
    with pytest.raises(ControlError, match="People decide about statement"):
        ControlClient(town.control_socket).call("decide", id=waiting.approval_id, is_approved=True, reason="")
    with pytest.raises(ControlError, match="not the statement that you read"):
        town.said("lena", "approve-statement", id=waiting.approval_id, statement="0" * 64)
    connection.cancel_safe(timeout=20)
    assert isinstance(waiting.over().failed, psycopg.errors.QueryCanceled)
    assert town.said("lena", "statements")["approvals"] == []


def test_an_account_of_the_same_person_is_that_person(town: Town) -> None:
    with psycopg.connect(town.way_in("lena-admin")) as connection:
        waiting = Waiting(town, lambda: connection.execute(DELETE))
        with pytest.raises(ControlError, match="Nobody can decide about a statement of their own"):
            waiting.vote("lena")
        waiting.vote("lars", "deny-statement")
        assert waiting.over().failed is not None


def test_two_people_and_not_two_accounts_have_to_approve(town: Town) -> None:
    with psycopg.connect(town.way_in("ada")) as connection:
        waiting = Waiting(town, lambda: connection.execute(UPDATE, ("x'y",)).rowcount)
        seen = town.said("lena", "statement", id=waiting.approval_id)["approval"]
        assert (seen["statement"], seen["parameters"]) == ("UPDATE notes SET note = $1", ["x'y"])
        assert waiting.vote("lena")["is_approved"] is None
        with pytest.raises(ControlError, match="You have voted already"):
            waiting.vote("lena-admin")
        assert waiting.vote("lars")["is_approved"] is True
        assert waiting.over().result == 20
        waiting = Waiting(town, lambda: connection.execute(UPDATE, ("z",)).rowcount)  # the same text, another value
        assert waiting.vote("lena")["is_approved"] is None
        assert waiting.vote("lars", "deny-statement")["is_approved"] is False
        assert waiting.over().failed is not None
        connection.rollback()


def test_what_is_prepared_waits_each_time_it_runs(town: Town, connection: psycopg.Connection) -> None:
    connection.prepare_threshold = 0
    for _ in range(2):
        waiting = Waiting(town, lambda: connection.execute(DELETE, prepare=True).rowcount)
        waiting.vote("lena")
        assert waiting.over().failed is None
    assert waiting.result == 0


def test_who_decides_is_shown_what_was_set_before(town: Town, connection: psycopg.Connection) -> None:
    connection.execute("SELECT 1")
    connection.execute("SET search_path = archive")
    waiting = Waiting(town, lambda: connection.execute(DELETE).rowcount)
    seen = town.said("lena", "statement", id=waiting.approval_id)["approval"]
    assert seen["settings"] == ["SET search_path = archive"]
    waiting.vote("lena")
    assert waiting.over().result == 0


def test_the_operator_decides_where_no_people_are_named(town: Town, connection: psycopg.Connection) -> None:
    waiting = Waiting(town, lambda: connection.execute("INSERT INTO notes VALUES (21, 'secret')").rowcount)
    (listed,) = ControlClient(town.control_socket).call("approvals")["approvals"]
    assert "secret" not in listed["statement"] and listed["decided_by"] == "operator"
    assert town.said("lena", "statements")["approvals"] == []
    decided = ControlClient(town.control_socket).call("decide", id=waiting.approval_id, is_approved=True, reason="")
    assert decided == {"decided": True}
    assert waiting.over().result == 1


def test_the_command_line_shows_all_of_it_and_votes(town: Town, tmp_path: Path, connection: psycopg.Connection) -> None:
    def hoopproxy(*words: str) -> Result:
        mine = ("--config", str(town.config), "--token-file", str(token_file(town, "lena", tmp_path)))
        return CliRunner().invoke(main, ["approvals", *words, *mine])

    connection.execute("SELECT 1")
    waiting = Waiting(town, lambda: connection.execute("DELETE FROM notes -- all\n;", prepare=False).rowcount)
    assert "DELETE FROM notes -- all" in hoopproxy("list").output
    approved = hoopproxy("approve", waiting.approval_id)
    assert "query: DELETE FROM notes -- all\n       ;" in approved.output
    assert approved.output.endswith(f"Statement {waiting.approval_id} was approved.\n")
    assert waiting.over().result == 20
    assert hoopproxy("deny", waiting.approval_id).exit_code == 1


def test_psql_shows_what_it_waits_for_and_goes_on(town: Town) -> None:
    command = ["psql", "-XAtq", town.way_in("ada"), "-c", DELETE, "-c", "SELECT count(*) FROM notes"]
    waiting = Waiting(town, lambda: subprocess.run(command, capture_output=True, text=True, timeout=60, check=False))
    waiting.vote("lena")
    ran = waiting.over().result
    assert ran.stdout == "0\n"
    assert ran.stderr.startswith("NOTICE:  On plain, DELETE without WHERE needs an approval. It waits for somebody")


def test_ssh_waits_for_a_command_to_be_approved(town: Town, tmp_path: Path) -> None:
    way, file = town.ssh_way("ada"), tmp_path / "made"
    waiting = Waiting(town, lambda: way.ssh(f"touch {file}"))
    assert not file.exists()
    seen = town.said("lena", "statement", id=waiting.approval_id)["approval"]
    assert (seen["action"], seen["statement"]) == ("run", f"exec touch {file}")
    waiting.vote("lena")
    assert waiting.over().result.code == 0 and file.exists()
    waiting = Waiting(town, lambda: way.ssh(f"touch {file}-2"))
    waiting.vote("lars", "deny-statement", note="Not that one.")
    ran = waiting.over().result
    assert ran.code != 0 and b"Not that one." in ran.err and not Path(f"{file}-2").exists()


def test_curl_waits_for_a_request_to_be_approved(town: Town) -> None:
    way = town.http_way("ada")
    delete = ("/customers/2", "--request", "DELETE", "--write-out", "%{http_code}", "--output", "/dev/null")
    waiting = Waiting(town, lambda: way.curl(*delete).out.decode())
    seen = town.said("lena", "statement", id=waiting.approval_id)["approval"]
    assert seen["statement"] == "DELETE /customers/2"
    assert town.tokens["ada"] not in str(seen)
    waiting.vote("lena")
    assert waiting.over().result not in ("403", "000")
    waiting = Waiting(town, lambda: way.curl("/customers/2", "--request", "DELETE").out)
    waiting.vote("lena", "deny-statement", note="Keep her.")
    assert b"Keep her." in waiting.over().result
