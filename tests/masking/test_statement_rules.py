"""What statements do, in the words of rules; and what rules make of it."""

from collections.abc import Coroutine
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError
from zope.interface.verify import verifyClass, verifyObject

from hoopproxy.access.policy import Policy, Role
from hoopproxy.addons import statement_rules
from hoopproxy.addons.statement_rules import Rule, Settings, StatementRules
from hoopproxy.events import Action, Format, Forward, Parameter, Statement
from hoopproxy.interfaces import IAddonFactory, IApprovals, IAsksPeople, IStatementGuard
from hoopproxy.masking.deeds import WORDS, deeds
from hoopproxy.masking.memory import SHORT_CHARACTERS_MAX
from hoopproxy.masking.syntax import Unreadable
from hoopproxy.model import Allow, Answer, Passage, Pending, Refuse
from hoopproxy.relay.approvals import GONE_S, Approvals
from hoopproxy.settings import Limits

from .test_masking_addons import answered, passage

BODY = "DO $$ DECLARE n int; BEGIN {} END $$"

DOES = {
    "ddl": [
        "CREATE TABLE t (a int)",
        "alter/**/table t add b int",
        "DROP VIEW v",
        "GRANT SELECT ON t TO x",
        "SELECT 1 INTO t",
        "CREATE TABLE t AS SELECT 1",
        "COMMENT ON TABLE t IS 'x'",
        "SELECT 1; REVOKE ALL ON t FROM x",
        BODY.format("DROP TABLE t;"),
        "REFRESH MATERIALIZED VIEW m",
        "EXPLAIN CREATE TABLE t AS SELECT 1",
    ],
    "delete-without-where": [
        "DELETE FROM t",
        "DELETE FROM t WHERE true",
        "DELETE FROM t WHERE 1 = 1",
        "DELETE FROM t USING u",
        "WITH d AS (DELETE FROM t RETURNING *) SELECT * FROM d",
        "EXPLAIN ANALYZE DELETE FROM t",
        "PREPARE p AS DELETE FROM t",
        "COPY (DELETE FROM t RETURNING *) TO STDOUT",
        BODY.format("DELETE FROM t;"),
        "CREATE FUNCTION f() RETURNS void LANGUAGE sql AS 'DELETE FROM t'",
        "CREATE FUNCTION f() RETURNS void BEGIN ATOMIC DELETE FROM t; END",
        "MERGE INTO t USING s ON true WHEN MATCHED THEN DELETE",
        "CREATE RULE r AS ON INSERT TO a DO DELETE FROM t",
        BODY.format("IF n > 1 THEN NULL; ELSE DELETE FROM t RETURNING a INTO STRICT n; END IF;"),
        BODY.format("FOR n IN SELECT 1 LOOP DELETE FROM t; END LOOP;"),
        BODY.format("DELETE FROM t RETURNING a, b INTO n, m.b[1];"),
        "DO LANGUAGE sql 'DELETE FROM t'",
    ],
    "update-without-where": [
        "UPDATE t SET a = 1",
        "UPDATE t SET a = 1 WHERE $1",
        "MERGE INTO t USING s ON 1 = 1 WHEN MATCHED THEN UPDATE SET a = 1",
    ],
    "truncate": ["TRUNCATE t", BODY.format("TRUNCATE t;"), "SELECT 1; truncate only t"],
    "copy-program": ["COPY t TO PROGRAM 'cat'", "COPY t FROM PROGRAM 'x'", BODY.format("COPY t TO PROGRAM 'x';")],
    "copy-file": ["COPY t TO '/tmp/x'", "COPY t FROM '/tmp/x'"],
    "dblink": [
        "SELECT * FROM dblink('x', 'y') AS t(a int)",
        "SELECT ext.dblink_exec('x')",
        "SELECT dblink_connect_u('x')",
        BODY.format("PERFORM dblink('x', 'y');"),
        BODY.format("n := (SELECT a FROM ext.dblink('x') AS t(a int));"),
    ],
    "file-functions": [
        "SELECT pg_read_file('x')",
        "SELECT pg_catalog.pg_ls_dir('x')",
        "SELECT lo_import('x')",
        "SELECT lo_export(1, 'x')",
        "SELECT * FROM pg_hba_file_rules",
        "SELECT * FROM pg_catalog.pg_file_settings",
        BODY.format("n := length(pg_read_file('x'));"),
    ],
    "large-objects": [
        "SELECT lo_get(1)",
        "SELECT loread(1, 2)",
        "SELECT * FROM pg_largeobject",
        "ALTER LARGE OBJECT 1 OWNER TO x",
    ],
    "set-role": [
        "SET ROLE x",
        "RESET ROLE",
        "SET SESSION AUTHORIZATION x",
        "SET LOCAL role = x",
        "SELECT set_config('role', 'x', true)",
        "SELECT set_config($1, 'x', true)",
        "ALTER ROLE a SET role = b",
        "UPDATE pg_settings SET setting = 'x'",
        "CREATE FUNCTION f() RETURNS int LANGUAGE sql SET role = x AS 'SELECT 1'",
        BODY.format("SET ROLE x;"),
    ],
    "sql-from-text": [
        "SELECT query_to_xml('SELECT 1', true, true, '')",
        "SELECT table_to_xmlschema('t', true, true, '')",
        "SELECT ts_stat('SELECT 1')",
        "SELECT * FROM crosstab('x') AS t(a int)",
    ],
    "unbounded-select": [
        "SELECT * FROM t",
        "TABLE t",
        "SELECT a FROM t LIMIT ALL",
        "SELECT a, count(*) FROM t GROUP BY a",
        "SELECT count(*) OVER () FROM t",
        "COPY t TO STDOUT",
        "COPY (SELECT * FROM t) TO STDOUT",
        "PREPARE p AS SELECT * FROM t",
        "DECLARE c CURSOR FOR SELECT * FROM t",
        "SELECT 1 UNION SELECT a FROM t",
        "SELECT * FROM (SELECT * FROM t) s",
        "WITH c AS (SELECT * FROM t) SELECT * FROM c",
        "SELECT * FROM t JOIN pg_class c ON true",
        "SELECT 1; SELECT * FROM t",
        "SELECT * FROM t TABLESAMPLE bernoulli (1)",
        "WITH t AS (SELECT 1) SELECT * FROM public.t",
        "WITH RECURSIVE c AS (SELECT 1 UNION ALL SELECT * FROM c) SELECT * FROM c",
    ],
}
DOES_NOT = {
    "ddl": ["SELECT 'DROP TABLE x'", 'SELECT "drop" FROM t -- DROP', BODY.format("SELECT a INTO n FROM t;")],
    "delete-without-where": [
        "DELETE FROM t WHERE id = 1",
        "DELETE FROM t WHERE CURRENT OF c",
        "DELETE FROM t WHERE EXISTS (SELECT 1)",
        "MERGE INTO t USING s ON t.a = s.a WHEN MATCHED THEN DELETE",
        BODY.format("DELETE FROM t WHERE id = n;"),
    ],
    "update-without-where": [
        "UPDATE t SET a = 1 WHERE id = 1",
        "INSERT INTO t VALUES (1) ON CONFLICT (a) DO UPDATE SET a = 2",
    ],
    "truncate": ["SELECT truncate FROM t"],
    "copy-program": ["COPY t TO STDOUT", "COPY t FROM STDIN", "COPY t TO '/program'"],
    "copy-file": ["COPY t TO STDOUT", "COPY t TO PROGRAM 'x'"],
    "dblink": ["SELECT dblink FROM t", "SELECT t.dblink_count FROM t"],
    "file-functions": ["SELECT pg_size_pretty(1)", "SELECT t.pg_read_file FROM t"],
    "large-objects": ["SELECT t.lo_price FROM t", "SELECT lower('x')"],
    "set-role": ["SET search_path = a", "SELECT set_config('work_mem', $1, true)", "SHOW role"],
    "sql-from-text": ["SELECT xmlelement(name a)", "SELECT to_tsvector('x')"],
    "unbounded-select": [
        "SELECT 1",
        "SELECT * FROM t LIMIT 5",
        "SELECT * FROM t FETCH FIRST ROW ONLY",
        "SELECT count(*) FROM t",
        "SELECT sum(a) FILTER (WHERE b) + 1 FROM t",
        "SELECT my_sum(DISTINCT a) FROM t",
        "SELECT * FROM pg_catalog.pg_class",
        "SELECT * FROM information_schema.tables",
        "SELECT * FROM pg_class",
        "VALUES (1), (2)",
        "EXPLAIN SELECT * FROM t",
        "WITH c AS (SELECT * FROM t LIMIT 1) SELECT * FROM c",
        "SELECT * FROM (SELECT * FROM t LIMIT 1) s",
        "COPY t FROM STDIN",
        "INSERT INTO t SELECT * FROM u",
        "(SELECT * FROM t) UNION (SELECT * FROM u) LIMIT 3",
        "COPY (SELECT * FROM t LIMIT 1) TO STDOUT",
        "SELECT * FROM generate_series(1, 3)",
    ],
}


def words(text: str) -> set[str]:
    return {word for each in deeds(text) for word in each.words}


def test_each_word_has_its_cases() -> None:
    assert set(DOES) == set(DOES_NOT) == set(WORDS)


@pytest.mark.parametrize(("word", "text"), [(word, text) for word in DOES for text in DOES[word]])
def test_a_deed_is_found_wherever_it_stands(word: str, text: str) -> None:
    assert word in words(text)


@pytest.mark.parametrize(("word", "text"), [(word, text) for word in DOES_NOT for text in DOES_NOT[word]])
def test_what_only_looks_like_it_is_none(word: str, text: str) -> None:
    assert word not in words(text)


@pytest.mark.parametrize(
    "text",
    [
        "SELEC 1",
        BODY.format("EXECUTE 'DROP TABLE t';"),
        BODY.format("FOR n IN EXECUTE 'SELECT 1' LOOP NULL; END LOOP;"),
        "DO $$ BEGIN RETURN QUERY EXECUTE 'x'; END $$",
        "DO LANGUAGE plpython3u $$ x $$",
        "CREATE FUNCTION f() RETURNS int LANGUAGE c AS 'lib', 'f'",
        BODY.format("DELETE FORM t;"),
        "CREATE FUNCTION f() RETURNS int LANGUAGE sql AS 'SELEC 1'",
        "DO $$ BEGIN 'unfinished",
    ],
)
def test_what_cannot_be_read_says_so(text: str) -> None:
    with pytest.raises(Unreadable):
        deeds(text)


@given(st.text("begin;$'\"()selct drop into:=.,[]exu\n", max_size=60))
def test_no_body_breaks_the_reading(body: str) -> None:
    quoted = body.replace("$", "")
    try:
        deeds(f"DO $${quoted}$$")
    except Unreadable:
        pass


# Rules ----------------------------------------------------------------------------------------------------------------


class Gateway:
    """The part of ISetting that the addon asks."""

    targets = {"ledger": None}  # noqa: RUF012
    policy = Policy("r", (Role("lead", frozenset()),), (), ())


def rules(*tables: dict[str, Any], **keys: Any) -> StatementRules:
    return StatementRules.build("rules", Settings(rule=tables, **keys), Gateway())  # type: ignore[arg-type] # a part


HERE = {roles: passage(*roles) for roles in ((), ("analyst",))}


def asked(guard: StatementRules, text: str, *roles: str, action: Action = Action.QUERY, number: int = 1) -> Answer:
    found: Answer = answered(guard.examine(HERE[roles], statement(text, action, number)))
    return found


def statement(text: str, action: Action = Action.QUERY, number: int = 1, *parameters: Parameter) -> Statement:
    return Statement(number, action, text, text, parameters)


def test_it_is_what_it_says() -> None:
    assert verifyObject(IAddonFactory, StatementRules)
    assert verifyClass(IStatementGuard, StatementRules) and verifyClass(IAsksPeople, StatementRules)
    assert verifyClass(IApprovals, Approvals)


DENY: dict[str, Any] = {"effect": "deny", "sentence": "No {what} on {target}."}


@pytest.mark.parametrize(
    ("rule", "text", "what"),
    [
        ({"match": ["truncate"]}, "TRUNCATE t", "TRUNCATE"),
        ({"kinds": ["drop"]}, "DROP TABLE t", "DROP"),
        ({"functions": ["pg_sleep"]}, "SELECT pg_catalog.pg_sleep(1)", "the function pg_sleep"),
        ({"functions": ["public.f"]}, "CALL F()", "the function public.f"),
        ({"functions": ["label"]}, "SELECT c.label FROM customers c", "the function label"),
        ({"functions": ["label"]}, "SELECT (c).label FROM customers c", "the function label"),
        ({"tables": ["public.payroll"]}, "SELECT * FROM Payroll LIMIT 1", "public.payroll"),
        ({"tables": ["payroll"]}, "DROP TABLE x.payroll", "payroll"),
        ({"tables": ["archive.*"]}, "TABLE archive.y", "archive.*"),
        ({"tables": ["archive.*"]}, "SET search_path = archive", "archive.*"),
        ({"tables": ["archive.*"]}, BODY.format("n := (SELECT 1 FROM archive.y);"), "archive.*"),
        ({"kinds": ["UPDATE"], "tables": ["a"]}, "SELECT 1; UPDATE a SET b = 1 WHERE c = 2", "UPDATE"),
    ],
)
def test_a_denied_deed_is_refused(rule: dict[str, Any], text: str, what: str) -> None:
    assert asked(rules(DENY | rule), text) == Refuse(f"No {what} on ledger.")
    assert asked(rules(DENY | rule), text, action=Action.PREPARE) == Refuse(f"No {what} on ledger.")


@pytest.mark.parametrize(
    ("rule", "text"),
    [
        ({"functions": ["public.f"]}, "SELECT other.f()"),
        ({"tables": ["public.payroll"]}, "SELECT * FROM other.payroll"),
        ({"tables": ["archive.*"]}, "SELECT * FROM payroll"),
        ({"kinds": ["UPDATE"], "tables": ["a"]}, "UPDATE b SET c = 1; SELECT * FROM a"),
        ({"match": ["truncate"], "roles": ["intern"]}, "TRUNCATE t"),
        ({"match": ["truncate"], "except_roles": ["analyst"]}, "TRUNCATE t"),
    ],
)
def test_other_statements_pass(rule: dict[str, Any], text: str) -> None:
    assert asked(rules(DENY | rule), text, "analyst") == Allow()


def test_other_protocols_are_not_its_matter() -> None:
    assert asked(rules(DENY | {"match": ["ddl"]}), "exec rm", action=Action.RUN) == Allow()


def test_all_rules_count_and_the_strictest_goes_first() -> None:
    warn = {"effect": "warn", "match": ["update-without-where"], "sentence": "One."}
    also = {"effect": "warn", "kinds": ["UPDATE"], "sentence": "Two."}
    approve = {"effect": "approve", "tables": ["payroll"]}
    limits = [{"effect": "limit", "rows_max": n} for n in (70, 50, 60)]
    guard = rules(warn, also, *limits, approve, DENY | {"tables": ["archive.*"]})
    guard.approvals = Approvals(Clock(), Limits(), iter("abcdefgh").__next__)  # type: ignore[arg-type] # a part
    assert asked(guard, "UPDATE t SET a = 1") == Allow("One. Two.", 50)
    assert isinstance(asked(guard, "UPDATE payroll SET a = 1"), Pending)
    assert isinstance(asked(guard, "UPDATE payroll SET a = (SELECT b FROM archive.x)"), Refuse)
    assert asked(guard, "UPDATE payroll SET a = 1", action=Action.PREPARE) == Allow()


LEADS = {"roles": ["lead"], "votes_min": 2}


def test_people_decide_where_a_rule_names_them_and_else_the_operator() -> None:
    guard = rules(
        {"effect": "approve", "kinds": ["UPDATE"]},
        {"effect": "approve", "tables": ["payroll"], "approvers": LEADS},
        {"effect": "approve", "commands": ["exec *"], "approvers": LEADS},
        {"effect": "deny", "commands": ["exec rm *", "shell"]},
        {"effect": "warn", "commands": ["subsystem *"]},
    )
    approvals = guard.approvals = Approvals(Clock(), Limits(), iter("abcdefgh").__next__)  # type: ignore[arg-type] # a part
    for number, text in enumerate(("UPDATE t SET a = 1", "UPDATE payroll SET a = 1", "TABLE payroll"), 1):
        assert isinstance(asked(guard, text, number=number), Pending)
    assert isinstance(asked(guard, "exec id", action=Action.RUN, number=4), Pending)
    assert [each.rule and each.rule.votes_min for each in approvals.waiting()] == [None, 2, 2, 2]
    assert approvals.decide("a", True, "") and not approvals.decide("b", True, "")
    assert isinstance(asked(guard, "exec rm x", action=Action.RUN), Refuse)
    assert isinstance(asked(guard, "shell", action=Action.RUN), Refuse)
    warned = asked(guard, "subsystem sftp", action=Action.RUN)
    assert isinstance(warned, Allow) and "subsystem sftp" in warned.warning
    assert asked(guard, "exec rm x", action=Action.REQUEST) == Allow()


@pytest.mark.parametrize(
    ("table", "problem"),
    [
        ({"effect": "deny", "kinds": ["DROP"], "approvers": LEADS}, "approvers belong to the effect approve"),
        ({"effect": "approve", "kinds": ["DROP"], "commands": ["shell"]}, "commands are of SSH, and stand alone"),
        ({"effect": "limit", "rows_max": 1, "commands": ["shell"]}, "commands are of SSH, and stand alone"),
        ({"effect": "approve", "kinds": ["DROP"], "approvers": {"roles": ["boss"]}}, "the role 'boss', which policy"),
    ],
)
def test_approvers_and_commands_in_the_wrong_place_are_mistakes(table: dict[str, Any], problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        rules(table)


def test_a_bound_holds_for_queries_that_stand_elsewhere() -> None:
    guard = rules({"effect": "limit", "match": ["unbounded-select"], "rows_max": 9})
    for text in ("SELECT * FROM t", "FETCH ALL FROM c", "EXECUTE p"):
        assert asked(guard, text) == Allow(rows_max=9)
    assert asked(guard, "SELECT * FROM t LIMIT 1") == Allow()


@pytest.mark.parametrize("text", ["SELEC 1", BODY.format("EXECUTE 'x';"), f"SELECT '{'x' * 2048}'"])
def test_what_it_cannot_read_it_refuses_where_it_could_be_refused(text: str) -> None:
    deny, approve = DENY | {"match": ["ddl"]}, {"effect": "approve", "match": ["ddl"]}
    warn, limit = {"effect": "warn", "match": ["ddl"]}, {"effect": "limit", "rows_max": 9}
    for strict in (deny, approve):
        refused = asked(rules(strict, warn, limit, statement_bytes_max=1024), text)
        assert isinstance(refused, Refuse) and "ledger" in refused.sentence
    assert asked(rules(warn, limit, statement_bytes_max=1024), text) == Allow(rows_max=9)
    assert asked(rules(deny | {"roles": ["x"]}), text) == Allow()


@pytest.mark.parametrize(
    "text",
    [
        "SET client_encoding = 'GBK'",
        "SET NAMES 'sjis'",
        "SELECT set_config('client_encoding', $1, false)",
        "SET standard_conforming_strings = off",
        "SET backslash_quote = on",
        BODY.format("SET standard_conforming_strings TO off;"),
    ],
)
def test_server_and_gateway_go_on_to_read_alike(text: str) -> None:
    assert isinstance(asked(rules(DENY | {"match": ["truncate"]}), text), Refuse)
    assert asked(rules({"effect": "warn", "match": ["truncate"]}), text) == Allow()


@pytest.mark.parametrize(
    "text", ["SET client_encoding = 'UTF8'", "SET NAMES 'latin1'", "SET standard_conforming_strings = on"]
)
def test_what_changes_nothing_of_that_passes(text: str) -> None:
    assert asked(rules(DENY | {"match": ["truncate"]}), text) == Allow()


def test_a_long_text_is_read_in_a_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    roles: list[str] = []

    async def in_thread(role: str, function: Any, *arguments: Any) -> Any:
        roles.append(role)
        return function(*arguments)

    monkeypatch.setattr(statement_rules, "in_thread", in_thread)
    long = f"TRUNCATE t -- {'x' * SHORT_CHARACTERS_MAX}"
    assert isinstance(asked(rules(DENY | {"match": ["truncate"]}), long), Refuse) and roles == ["statements"]


@pytest.mark.parametrize(
    ("table", "wrong"),
    [
        ({"effect": "deny", "match": ["dll"]}, "'dll' is no word: wanted is one of ddl, "),
        ({"effect": "deny", "kinds": ["DORP"]}, "'DORP' is no kind of statement"),
        ({"effect": "deny"}, "at least one of match, kinds, functions and tables"),
        ({"effect": "limit"}, "rows_max belongs to the effect limit"),
        ({"effect": "deny", "match": ["ddl"], "rows_max": 3}, "rows_max belongs to the effect limit"),
        ({"effect": "limit", "rows_max": 3, "sentence": "x"}, "the effect limit has no sentence"),
        ({"effect": "deny", "match": ["ddl"], "sentence": "{who}"}, "no other braces"),
        ({"effect": "deny", "tables": ["a.b.c"]}, "'a.b.c' is no name"),
        ({"effect": "deny", "tables": ["*"]}, "is no name"),
        ({"effect": "maybe", "match": ["ddl"]}, "deny"),
    ],
)
def test_its_settings_name_what_is_wrong(table: dict[str, Any], wrong: str) -> None:
    with pytest.raises(ValidationError, match=wrong.replace("*", r"\*")):
        Rule(**table)


def test_a_rule_for_a_target_that_is_none_stops_the_start() -> None:
    with pytest.raises(ValueError, match="'crm'"):
        rules(DENY | {"match": ["ddl"], "targets": ["crm"]})


# Approvals ------------------------------------------------------------------------------------------------------------


class Clock:
    """The part of IScheduler that approvals ask."""

    def __init__(self) -> None:
        self.at_s = 1000.0

    def now_s(self) -> float:
        return self.at_s

    def monotonic_s(self) -> float:
        return self.at_s


def approving() -> tuple[StatementRules, Approvals, Clock]:
    clock, guard = Clock(), rules({"effect": "approve", "match": ["truncate"]})
    guard.approvals = Approvals(clock, Limits(approval_s_max=60.0), iter("aabcdefgh").__next__)  # type: ignore[arg-type] # a part
    return guard, guard.approvals, clock


def test_a_yes_is_for_one_statement_and_used_up() -> None:
    guard, approvals, _ = approving()

    def ask(each: Statement, where: Passage = HERE[()]) -> Answer:
        found: Answer = answered(guard.examine(where, each))
        return found

    value, other = (Parameter(value, Format.TEXT) for value in (b"1", b"2"))
    first = statement("TRUNCATE t", Action.EXECUTE, 1, value)
    pending = ask(first)
    assert isinstance(pending, Pending) and pending.until_s == 1060.0 and "approve a" in pending.request
    assert ask(first) == pending
    for another in (
        statement("TRUNCATE t", Action.EXECUTE, 1, other),
        statement("TRUNCATE u", Action.EXECUTE, 1, value),
        statement("TRUNCATE t", Action.EXECUTE, 2, value),
    ):
        assert isinstance(ask(another), Pending)
    assert isinstance(ask(first, passage("other")), Pending)
    assert approvals.decide("a", True, "")
    assert not approvals.decide("a", True, "")
    assert ask(first) == Allow()
    assert isinstance(ask(first), Pending)
    assert len(approvals.waiting()) == 5


def test_a_no_says_why() -> None:
    guard, approvals, _ = approving()
    asked(guard, "TRUNCATE t")
    assert approvals.decide("a", False, "Ask Bo first.")
    assert asked(guard, "TRUNCATE t") == Refuse("An operator denied this statement: Ask Bo first.")


def test_what_nobody_waits_for_any_more_is_forgotten() -> None:
    guard, approvals, clock = approving()
    asked(guard, "TRUNCATE t")
    clock.at_s += GONE_S + 1
    assert approvals.waiting() == () and not approvals.decide("a", True, "")
    asked(guard, "TRUNCATE t")
    for _ in range(6):
        clock.at_s += 10
        asked(guard, "TRUNCATE t")
    assert [each.since_s for each in approvals.waiting()] == [clock.at_s]


def test_what_cannot_be_shown_to_somebody_or_kept_cannot_be_approved() -> None:
    guard, _, _ = approving()
    unseen = Statement(1, Action.QUERY, "TRUNCATE t", "")
    assert isinstance(answered(guard.examine(passage(), unseen)), Refuse)


def test_statements_without_rules_cost_nothing() -> None:
    work: Coroutine[Any, Any, Answer] = rules().examine(passage(), statement("SELEC 1"))
    assert answered(work) == Allow() and Forward("x").rows_max == 0
