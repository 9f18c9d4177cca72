"""Connections share what was read, and nothing else."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from hoopproxy.errors import Refused
from hoopproxy.events import Action, Forward, Statement
from hoopproxy.interfaces import IRewriting
from hoopproxy.masking.memory import SHORT_CHARACTERS_MAX
from hoopproxy.masking.shadows.connections import LONG_CHARACTERS_MAX, PREPARED_MAX, Rewritings, ShadowRewriting
from tests.shadows.masked_sample import SHADOW

PUBLIC, APP = '"hp_7a_1"."people"', '"hp_7a_0"."people"'


class Elsewhere:
    """Calls at once, and counts."""

    def __init__(self) -> None:
        self.calls = 0

    async def __call__(self, function: Callable[..., Any], *arguments: Any) -> Any:
        self.calls += 1
        return function(*arguments)


@pytest.fixture
def elsewhere() -> Elsewhere:
    return Elsewhere()


@pytest.fixture
def rewritings(elsewhere: Elsewhere) -> Rewritings:
    return Rewritings(elsewhere)


def sent(rewriting: ShadowRewriting, text: str, action: Action = Action.QUERY) -> Forward:
    return asyncio.run(rewriting.rewrite(Statement(1, action, text)))


def prepared(rewriting: ShadowRewriting, text: str) -> Forward:
    return sent(rewriting, text, Action.PREPARE)


def ran(rewriting: ShadowRewriting, text: str) -> None:
    rewriting.ran(Statement(2, Action.EXECUTE, text))


def test_each_connection_has_its_own_search_path(rewritings: Rewritings) -> None:
    first, second = rewritings.begin(SHADOW), rewritings.begin(SHADOW)
    assert IRewriting.providedBy(first)
    sent(first, "SET search_path = app")
    assert sent(first, "TABLE people").text == f"TABLE {APP}"
    assert sent(second, "TABLE people").text == f"TABLE {PUBLIC}"
    assert sent(first, "RESET search_path; TABLE people").text == f"RESET search_path; TABLE {PUBLIC}"
    first.end()


def test_a_search_path_chosen_at_the_start_is_what_reset_brings_back(rewritings: Rewritings) -> None:
    rewriting = rewritings.begin(SHADOW, '"app", public')
    for text in ("SET search_path = public", "RESET search_path", "SET search_path = archive", "DISCARD ALL"):
        sent(rewriting, text)
    assert sent(rewriting, "TABLE people").text == f"TABLE {APP}"


def test_what_was_read_once_is_the_same_for_all(rewritings: Rewritings) -> None:
    first, second = rewritings.begin(SHADOW), rewritings.begin(SHADOW)
    assert sent(first, "TABLE people") is sent(second, "TABLE people", Action.PREPARE)
    sent(second, "BEGIN")
    sent(second, "SAVEPOINT any_name")
    assert sent(second, "TABLE people") is sent(first, "TABLE people")


def test_long_texts_are_read_elsewhere_and_the_longest_not_at_all(rewritings: Rewritings, elsewhere: Elsewhere) -> None:
    rewriting = rewritings.begin(SHADOW)
    long = "SET search_path = app; TABLE people --" + "x" * SHORT_CHARACTERS_MAX
    assert sent(rewriting, long).text == long.replace("people", APP)
    assert elsewhere.calls == 1
    assert sent(rewriting, "TABLE people").text == f"TABLE {APP}"
    longest = "TABLE people --" + "x" * LONG_CHARACTERS_MAX
    assert sent(rewriting, longest) == Forward(longest)
    assert elsewhere.calls == 1


def test_a_refused_text_changes_nothing(rewritings: Rewritings) -> None:
    rewriting = rewritings.begin(SHADOW)
    with pytest.raises(Refused, match=r"^The vault is closed in this session\.$"):
        sent(rewriting, "SET search_path = app; TABLE public.vault")
    assert sent(rewriting, "TABLE people").text == f"TABLE {PUBLIC}"


def test_what_is_prepared_counts_whenever_it_runs_and_not_before(rewritings: Rewritings) -> None:
    """As drivers prepare BEGIN, COMMIT and SET once, and run them again and again."""
    rewriting = rewritings.begin(SHADOW)
    begin, local, commit = "BEGIN", "SET LOCAL search_path = app", "COMMIT"
    for text in (begin, local, commit):
        assert prepared(rewriting, text).text == text
    assert prepared(rewriting, "TABLE people").text == f"TABLE {PUBLIC}"
    for _ in range(2):
        for text, twin in ((local, PUBLIC), (begin, PUBLIC), ("TABLE people", PUBLIC), (local, APP), (commit, PUBLIC)):
            ran(rewriting, text)
            assert prepared(rewriting, "TABLE people").text == f"TABLE {twin}", text


def test_a_long_text_counts_when_it_runs_as_well(rewritings: Rewritings, elsewhere: Elsewhere) -> None:
    rewriting = rewritings.begin(SHADOW)
    long = "SELECT set_config('search_path', 'app', false) FROM people --" + "x" * SHORT_CHARACTERS_MAX
    assert prepared(rewriting, long).text == long.replace("people", PUBLIC)
    assert sent(rewriting, "TABLE people").text == f"TABLE {PUBLIC}"
    ran(rewriting, long)
    assert elsewhere.calls == 1
    assert sent(rewriting, "TABLE people").text == f"TABLE {APP}"


def test_what_runs_and_was_never_prepared_here_changes_nothing(rewritings: Rewritings) -> None:
    first, second = rewritings.begin(SHADOW), rewritings.begin(SHADOW)
    prepared(first, "SET search_path = app")
    ran(second, "SET search_path = app")
    assert sent(second, "TABLE people").text == f"TABLE {PUBLIC}"


def test_several_statements_cant_be_prepared_as_one(rewritings: Rewritings) -> None:
    """PostgreSQL says so."""
    rewriting, text = rewritings.begin(SHADOW), "SET search_path = app; TABLE people"
    assert prepared(rewriting, text) == Forward(text)
    ran(rewriting, text)
    assert sent(rewriting, "TABLE people").text == f"TABLE {PUBLIC}"


def test_of_very_many_that_are_prepared_the_last_are_remembered(rewritings: Rewritings) -> None:
    rewriting = rewritings.begin(SHADOW)
    prepared(rewriting, "SET search_path = archive")
    for number in range(PREPARED_MAX):
        prepared(rewriting, f"SET search_path = app /* {number} */")
    ran(rewriting, "SET search_path = archive")
    assert sent(rewriting, "TABLE people").text == f"TABLE {PUBLIC}"
    ran(rewriting, "SET search_path = app /* 0 */")
    assert sent(rewriting, "TABLE people").text == f"TABLE {APP}"
