"""What an approval is for: any change of the statement, its values, what was set before it or whose it is voids it."""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.task import Clock

from hoopproxy.access.request import ApprovalRule
from hoopproxy.events import Action, Format, Omitted, Parameter, Statement
from hoopproxy.model import Allow, Passage, Pending, Refuse
from hoopproxy.relay.approvals import Approvals, binding
from hoopproxy.relay.footing import SAID_MAX, Footing
from hoopproxy.relay.showing import whole
from hoopproxy.requests import HttpRequest
from hoopproxy.scheduler import TwistedScheduler
from hoopproxy.settings import Limits
from tests.masking.test_masking_addons import passage

HERE = passage()
PEOPLE = ApprovalRule(frozenset({"lead"}), 1)

values = st.none() | st.binary(max_size=4) | st.builds(Omitted, st.integers(0, 9), st.sampled_from(("aa", "bb")))
parameters = st.lists(st.builds(Parameter, values, st.sampled_from(Format)), max_size=3).map(tuple)
texts = st.text("ab';\0\udce9\n", max_size=4)
requests = st.none() | st.builds(HttpRequest, texts, texts, texts, texts, st.just("HTTP/1.1"), texts)
statements = st.builds(
    Statement,
    st.integers(1, 3),
    st.sampled_from(Action),
    texts,
    parameters=parameters,
    http=requests,
    settings=st.lists(texts, max_size=3).map(tuple),
)


def of(session_id: str = "", connection_id: str = "") -> Passage:
    """The same, in another session or connection."""
    permit = HERE.permit
    arrival = replace(permit.arrival, connection_id=connection_id or permit.arrival.connection_id)
    return replace(HERE, permit=replace(permit, session_id=session_id or permit.session_id, arrival=arrival))


@given(statements, statements)
def test_two_statements_have_one_digest_only_if_nothing_differs(one: Statement, other: Statement) -> None:
    assert (binding(HERE, one) == binding(HERE, other)) == (one == other)


@given(statements)
def test_a_digest_is_of_one_connection_of_one_session(statement: Statement) -> None:
    bound = {binding(where, statement) for where in (HERE, of(session_id="s2"), of(connection_id="c2"))}
    assert len(bound) == 3
    assert binding(of(), statement) == binding(HERE, statement)


@given(statements, statements)
def test_a_yes_is_for_that_statement_and_once(one: Statement, other: Statement) -> None:
    approvals = waiting()
    first = approvals.answer(HERE, one, "It needs one.", PEOPLE)
    if isinstance(first, Refuse):
        return  # it can't be shown
    (request,) = approvals.waiting()
    request.is_approved = True
    if other != one:
        assert not isinstance(approvals.answer(HERE, other, "It needs one.", PEOPLE), Allow)
    assert not isinstance(approvals.answer(of(session_id="s2"), one, "It needs one.", PEOPLE), Allow)
    assert approvals.answer(HERE, one, "It needs one.", PEOPLE) == Allow()
    assert isinstance(approvals.answer(HERE, one, "It needs one.", PEOPLE), Pending)


def waiting() -> Approvals:
    ids = iter(f"{number:08}" for number in range(100))
    return Approvals(TwistedScheduler(Clock()), Limits(), ids.__next__)


def statement(text: str = "DELETE FROM notes", **more: Any) -> Statement:
    return Statement(1, Action.EXECUTE, text, text, **more)


@pytest.mark.parametrize(
    ("unseen", "why"),
    [
        ({"parameters": (Parameter(Omitted(9, "aa"), Format.TEXT),)}, "one of its values is too long"),
        ({"parameters": (Parameter(b"x" * 65536, Format.TEXT),)}, "it is too long"),
        ({"secret": True}, "it holds a password"),
        ({"settings": ("x",) * (SAID_MAX + 1)}, "has changed its settings too often"),
    ],
)
def test_what_nobody_can_be_shown_has_no_approval(unseen: dict[str, Any], why: str) -> None:
    approvals = waiting()
    answer = approvals.answer(HERE, statement(**unseen), "It needs one.", PEOPLE)
    assert isinstance(answer, Refuse) and why in answer.sentence
    assert approvals.waiting() == ()


def test_who_decides_sees_values_as_they_are_and_no_secret() -> None:
    approvals = waiting()
    headers = (("X-Reason", "INC-7"), ("X-Api-Key", "hidden"), ("Cookie", "hidden"))
    seen = statement(
        parameters=(
            Parameter(b"text", Format.TEXT),
            Parameter(b"\xff", Format.TEXT),
            Parameter(b"\0\1", Format.BINARY),
            Parameter(None, Format.TEXT),
        ),
        http=HttpRequest("DELETE", "a", "/x", "", "HTTP/1.1", "", headers),
        settings=("SET ROLE boss",),
    )
    approvals.answer(HERE, seen, "It needs one.", PEOPLE)
    shown = whole(approvals.waiting()[0])
    assert shown["parameters"] == ["text", "\\xff", "\\x0001", None]
    assert shown["settings"] == ["SET ROLE boss"]
    assert "INC-7" in str(shown["headers"]) and "hidden" not in str(shown)


# What a connection stands on ------------------------------------------------------------------------------------------


def said(*texts: str, action: Action = Action.QUERY) -> tuple[str, ...]:
    footing = Footing()
    for number, text in enumerate(texts, 1):
        footing.went(Statement(number, action, text))
    return footing.said


@pytest.mark.parametrize(
    "text",
    [
        "SET search_path = archive",
        "set SEARCH_PATH to archive; SELECT 1",
        "BEGIN; SET LOCAL search_path = x; SELECT 1/0",
        'SET "search_path" = x',
        "SET ROLE boss",
        "SET SESSION AUTHORIZATION boss",
        "RESET ALL",
        "RESET search_path",
        "DISCARD ALL",
        "SELECT set_config('sea' || 'rch_path', 'x', false)",
        "SELECT pg_catalog.set_config('role', 'x', false)",
        'SET U&"\\0073earch_path" = x',
        "UPDATE pg_settings SET setting = 'x' WHERE name = 'search_path'",
        "DO $$ BEGIN PERFORM set_config('search_path', 'x', false); END $$",
        "SELECT search_path FROM FROM",
        "SELECT 1 /* search_path */" + " " * 5000,
    ],
)
def test_what_may_change_what_a_name_means_is_kept(text: str) -> None:
    assert said("SELECT 1", text, "SELECT 2") == (text,)


@pytest.mark.parametrize(
    "text", ["SELECT 1", "UPDATE t SET role = 'x'", "SELECT * FROM roles", "BEGIN", "DELETE FROM t"]
)
def test_what_changes_none_is_not(text: str) -> None:
    assert said(text) == ()


def test_what_is_prepared_changes_something_when_it_runs() -> None:
    assert said("SET ROLE boss", action=Action.PREPARE) == ()
    assert said("SET ROLE boss", action=Action.EXECUTE) == ("SET ROLE boss",)
    assert said("env BASH_ENV=x", "pty-req xterm 80x24", action=Action.REQUEST) == ("env BASH_ENV=x",)


def test_the_last_word_is_last_and_too_many_are_never_forgotten() -> None:
    assert said("RESET ALL", "SET ROLE a", "RESET ALL") == ("SET ROLE a", "RESET ALL")
    assert len(said(*(f"SET ROLE r{number}" for number in range(99)))) == SAID_MAX + 1


def test_what_the_client_chose_at_its_start_is_part_of_it() -> None:
    assert Footing({"search_path": "archive", "application_name": "psql"}).said == (
        "at the start: search_path = archive",
    )
