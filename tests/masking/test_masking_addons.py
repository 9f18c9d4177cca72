"""The three addons: which masks a session gets, what is let through, which kinds are refused."""

from collections.abc import Coroutine
from ipaddress import ip_address
from typing import Any

import pytest
from pydantic import ValidationError
from zope.interface.verify import verifyClass, verifyObject

from hoopproxy.access.policy import MaskRule, Policy, Reveal
from hoopproxy.addons import statement_kinds, wire_enforcement
from hoopproxy.addons.column_masks import ColumnMasks
from hoopproxy.addons.statement_kinds import StatementKinds
from hoopproxy.addons.wire_enforcement import WireEnforcement
from hoopproxy.errors import Refused
from hoopproxy.events import Action, Field, Format, Forward, Shape, Statement
from hoopproxy.interfaces import IAddonFactory, IEnforcement, IMasker, IStatementGuard
from hoopproxy.masks import Catalog, KeyedHash, Redact, Relation
from hoopproxy.model import (
    Allow,
    Arrival,
    Endpoint,
    Grant,
    Identity,
    Measurements,
    Passage,
    Permit,
    Refuse,
    Seal,
    Target,
    UpstreamTls,
)

HERE = ip_address("127.0.0.1")
TARGET = Target("ledger", "postgres", "h", 5432, "EU", "DE", UpstreamTls("h", None), {"reader": "r"})
EMAIL, SSN = "public.customers.email", "public.customers.ssn"
CATALOG = Catalog({1: Relation(1, "public", "customers", {3: EMAIL})}, {}, frozenset({1}), frozenset({"mine"}))
EMPTY = Catalog({}, {}, frozenset({1}), frozenset())


def answered(work: Coroutine[Any, Any, Any]) -> Any:
    """The result of a coroutine that waits for nothing."""
    with pytest.raises(StopIteration) as ended:
        work.send(None)
    return ended.value.value


def passage(*roles: str, zones: frozenset[str] = frozenset({"EU"}), database: str = "ledger") -> Passage:
    grant = Grant("g", frozenset(roles), "ledger", frozenset({"reader"}), "EU", ("EU",), {}, 9e9)
    permit = Permit(
        session_id="s",
        arrival=Arrival("c", "pg", "postgres", Endpoint(HERE, 1), 0.0),
        identity=Identity("i", "s", "Ada", frozenset(), 9e9, "test"),
        roles=frozenset(roles),
        target=TARGET,
        account="reader",
        database=database,
        parameters={},
        grant=grant,
        addresses=(HERE,),
        client_zones=zones,
        verdicts=(),
        not_after_s=9e9,
        seal=Seal(),
    )
    return Passage(permit, Endpoint(HERE, 5432), Measurements(Endpoint(HERE, 5432), ""), (), Seal())


@pytest.fixture(autouse=True)
def threads(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """No reactor here: what goes to a thread runs at once, and the list says that it went."""
    roles: list[str] = []

    async def in_thread(role: str, function: Any, *args: Any) -> Any:
        roles.append(role)
        return function(*args)

    monkeypatch.setattr(wire_enforcement, "in_thread", in_thread)
    monkeypatch.setattr(statement_kinds, "in_thread", in_thread)
    return roles


def statement(text: str) -> Statement:
    return Statement(1, Action.QUERY, text)


def test_they_are_what_they_say() -> None:
    for factory, interface in (
        (ColumnMasks, IMasker),
        (WireEnforcement, IEnforcement),
        (StatementKinds, IStatementGuard),
    ):
        assert verifyObject(IAddonFactory, factory)
        assert verifyClass(interface, factory)


# column-masks ---------------------------------------------------------------------------------------------------------

MASKS = Policy(
    "0" * 64,
    (),
    (),
    (
        MaskRule("ledger", frozenset(), EMAIL, Redact(), (Reveal(frozenset({"analyst"}), frozenset({"EU"})),)),
        MaskRule("ledger", frozenset({"ledger"}), SSN, KeyedHash(b"k"), ()),
        MaskRule("ledger", frozenset(), SSN, Redact(), ()),
        MaskRule("other", frozenset(), "public.x.y", Redact(), ()),
    ),
)


def test_the_mask_set_follows_from_role_and_client_zone() -> None:
    masks = ColumnMasks("columns", MASKS)
    assert answered(masks.protects(passage("analyst").permit)) == {SSN}
    assert answered(masks.protects(passage("support").permit)) == {SSN, EMAIL}
    assert answered(masks.protects(passage("analyst", zones=frozenset({"US"})).permit)) == {SSN, EMAIL}


def test_fields_are_masked_by_origin_and_the_first_rule_counts() -> None:
    masks = ColumnMasks("columns", MASKS)
    shape = Shape(tuple(Field("email", path, 1, 1, 25, -1, Format.TEXT) for path in ("", EMAIL, SSN, "public.x.y")))
    assert answered(masks.plan(passage("support"), shape)) == {1: Redact(), 2: KeyedHash(b"k")}
    assert answered(masks.plan(passage("analyst"), shape)) == {2: KeyedHash(b"k")}
    assert answered(masks.plan(passage("analyst", database="crm"), shape)) == {2: Redact()}


def test_an_unnamed_database_has_the_rules_of_all() -> None:
    policy = Policy("0" * 64, (), (), (MaskRule("ledger", frozenset({"crm"}), SSN, Redact(), ()),))
    assert answered(ColumnMasks("columns", policy).protects(passage("analyst", database="").permit)) == {SSN}
    assert not answered(ColumnMasks("columns", policy).protects(passage("analyst").permit))


# wire-enforcement -----------------------------------------------------------------------------------------------------


def enforcement(**keys: Any) -> WireEnforcement:
    return WireEnforcement("wire", wire_enforcement.Settings(**keys))


def rewritten(wire: WireEnforcement, asked: Statement, catalog: Catalog) -> str:
    """What goes in place of a statement of a connection that has just begun."""
    forward = answered(wire.begin(passage(), catalog).rewrite(asked))
    assert isinstance(forward, Forward) and not forward.edits
    return forward.text


def test_it_enters_as_the_account() -> None:
    assert answered(enforcement().enter(passage(), "reader", NotImplemented)) is None


def test_what_can_be_masked_passes_unchanged() -> None:
    text = "select  email /* as it is */ from customers;"
    assert rewritten(enforcement(), statement(text), CATALOG) == text


@pytest.mark.parametrize("times", [1, 2])
def test_what_cannot_is_refused_with_a_sentence(times: int) -> None:
    wire = enforcement()
    for _ in range(times):
        with pytest.raises(Refused, match=EMAIL) as refused:
            rewritten(wire, statement("SELECT upper(email) FROM customers"), CATALOG)
    assert refused.value.reason == "statement"


def test_the_operator_learns_why_a_text_cannot_be_read() -> None:
    with pytest.raises(Refused) as refused:
        rewritten(enforcement(), statement("SELEC 1"), CATALOG)
    assert "syntax error" in refused.value.detail


def test_a_session_that_protects_nothing_passes_whole() -> None:
    for text in ("SELECT upper(email) FROM customers", "DROP TABLE x", "no SQL at all"):
        assert rewritten(enforcement(), statement(text), EMPTY) == text


def test_a_verdict_is_remembered_for_its_own_catalog_alone() -> None:
    wire = enforcement()
    other = Catalog({1: Relation(1, "public", "other", {3: "public.other.x"})}, {}, frozenset({1}), frozenset())
    text = "SELECT upper(email) FROM customers"
    assert rewritten(wire, statement(text), other) == text
    with pytest.raises(Refused):
        rewritten(wire, statement(text), CATALOG)
    assert rewritten(wire, statement(text), other) == text


def test_a_long_text_is_read_in_a_thread(threads: list[str]) -> None:
    long = statement(f"SELECT upper(email) FROM customers -- {'x' * 5000}")
    with pytest.raises(Refused, match=EMAIL):
        rewritten(enforcement(), long, CATALOG)
    assert answered(kinds(deny=["DROP"]).examine(passage(), long)) == Allow()
    assert isinstance(answered(kinds(deny=["SELECT"]).examine(passage(), long)), Refuse)
    assert threads == ["statements"] * 3


def test_its_settings_are_folded_and_bounded() -> None:
    wire = enforcement(safe_functions=["Mine"], statement_bytes_max=2048)
    assert rewritten(wire, statement("SELECT mine(1)"), CATALOG)
    with pytest.raises(Refused, match="2048 bytes"):
        rewritten(wire, statement(f"SELECT '{'x' * 2048}'"), CATALOG)
    for keys in ({"safe_functionz": []}, {"statement_bytes_max": 1}, {"statement_bytes_max": 1 << 30}):
        with pytest.raises(ValidationError):
            wire_enforcement.Settings(**keys)  # type: ignore[arg-type] # that is the test


# statement-kinds ------------------------------------------------------------------------------------------------------


class Gateway:
    """The part of ISetting that the addon asks."""

    targets = {"ledger": TARGET}  # noqa: RUF012


def kinds(**keys: Any) -> StatementKinds:
    return StatementKinds.build("kinds", statement_kinds.Settings(**keys), Gateway())  # type: ignore[arg-type] # a part


@pytest.mark.parametrize(
    "text",
    [
        "DROP TABLE x",
        "drop/**/table x",
        "SELECT 1; DROP ROLE x",
        "DELETE FROM x",
        "WITH gone AS (DELETE FROM x RETURNING *) SELECT * FROM gone",
        "EXPLAIN ANALYZE DELETE FROM x",
        "PREPARE p AS DELETE FROM x",
        "COPY (DELETE FROM x RETURNING *) TO STDOUT",
        "CREATE SCHEMA s CREATE TABLE t (a int); DROP SCHEMA s",
        "DO $$ BEGIN DROP TABLE x; END $$",
        "CREATE FUNCTION f() RETURNS void LANGUAGE sql AS 'DROP TABLE x'",
    ],
)
def test_a_denied_kind_is_refused_wherever_it_stands(text: str) -> None:
    answer = answered(kinds(deny=["drop", "DELETE  without where"]).examine(passage(), statement(text)))
    assert isinstance(answer, Refuse)
    assert "ledger" in answer.sentence


@pytest.mark.parametrize(
    "text",
    ["SELECT 'DROP TABLE x'", 'SELECT "drop" FROM x -- DROP', "DELETE FROM x WHERE id = 1", "", "SELECT $$DROP$$"],
)
def test_other_kinds_pass_whatever_their_words(text: str) -> None:
    assert answered(kinds(deny=["DROP", "DELETE WITHOUT WHERE"]).examine(passage(), statement(text))) == Allow()


@pytest.mark.parametrize(
    "text",
    [
        "SET standard_conforming_strings = off",
        "SELECT set_config('standard_conforming_strings', 'off', false)",
        "UPDATE pg_settings SET setting = 'off' WHERE name = 'standard_conforming_strings'",
        "DO $$ BEGIN SET LOCAL backslash_quote = on; END $$",
    ],
)
def test_nothing_may_have_the_server_read_otherwise_what_follows(text: str) -> None:
    answer = answered(kinds(deny=["DROP"]).examine(passage(), statement(text)))
    assert isinstance(answer, Refuse)
    assert "must read a statement alike" in answer.sentence
    assert answered(kinds().examine(passage(), statement(text))) == Allow()


def test_a_rule_binds_by_target_and_role() -> None:
    rule = {"deny": ["UPDATE"], "targets": ["ledger"], "except_roles": ["dba"], "sentence": "No {kind} on {target}."}
    guard = kinds(rule=[rule, {"deny": ["DELETE"], "roles": ["analyst"]}])
    update, delete = statement("UPDATE x SET a = 1"), statement("DELETE FROM x")
    assert answered(guard.examine(passage("analyst"), update)) == Refuse("No UPDATE on ledger.")
    assert answered(guard.examine(passage("dba"), update)) == Allow()
    assert isinstance(answered(guard.examine(passage("analyst"), delete)), Refuse)
    assert answered(guard.examine(passage("dba"), delete)) == Allow()


def test_what_it_cannot_read_it_refuses_where_a_rule_binds() -> None:
    assert isinstance(answered(kinds(deny=["DROP"]).examine(passage(), statement("SELEC 1"))), Refuse)
    long = statement(f"SELECT '{'x' * 2048}'")
    assert isinstance(answered(kinds(deny=["DROP"], statement_bytes_max=1024).examine(passage(), long)), Refuse)
    assert answered(kinds().examine(passage(), statement("SELEC 1"))) == Allow()


def test_its_settings_name_what_is_wrong() -> None:
    with pytest.raises(ValidationError, match="'DORP' is no kind of statement: wanted is one of ALTER, "):
        statement_kinds.Settings(deny=["DORP"])  # type: ignore[arg-type] # as TOML gives it
    with pytest.raises(ValidationError, match="no other braces"):
        statement_kinds.Settings(sentence="{who}")
    with pytest.raises(ValueError, match="'crm'"):
        kinds(rule=[{"deny": ["DROP"], "targets": ["crm"]}])
