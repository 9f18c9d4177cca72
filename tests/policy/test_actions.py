"""What a grant's `actions` let people do, through real clients; and that a limit nobody can keep stops the start."""

import json
import subprocess
from dataclasses import replace

import psycopg
import pytest

from hoopproxy.access.actions import WORDS
from hoopproxy.addons.grant_actions import GrantActions
from hoopproxy.events import Action, Statement
from hoopproxy.masking.actions import OF_KINDS, actions
from hoopproxy.masking.deeds import deeds
from hoopproxy.masking.kinds import KINDS
from hoopproxy.model import Allow, Answer, Refuse
from hoopproxy.requests import HttpRequest, KubernetesRequest
from hoopproxy.testing.conformance import a_passage, answered

from .conftest import LimitedStand, hoopproxy

NO = "Ask the owner of the data for a wider grant."


def said(limited: LimitedStand, person: str, script: str) -> tuple[list[str], list[str]]:
    """What psql prints, and its errors."""
    door = limited.through(person, "ledger")
    ran = subprocess.run(
        ["psql", "-XAtq", door.dsn], input=script, capture_output=True, text=True, timeout=60, env={"PATH": door.path}
    )
    return ran.stdout.split(), ran.stderr.splitlines()


def test_who_may_read_changes_nothing_and_goes_on(limited: LimitedStand) -> None:
    out, errors = said(
        limited,
        "eve",
        """\
SELECT count(*) FROM notes;
INSERT INTO notes VALUES (99);
WITH gone AS (DELETE FROM notes RETURNING id) SELECT * FROM gone;
COPY notes FROM STDIN;
COPY notes TO STDOUT;
EXPLAIN ANALYZE DELETE FROM notes;
DO $$ BEGIN DELETE FROM notes; END $$;
CREATE TABLE mine (id int);
SELECT id INTO mine FROM notes;
SELECT id FROM notes FOR UPDATE;
SET ROLE postgres;
PREPARE p AS UPDATE notes SET note = '';
SELECT count(*) FROM notes;
""",
    )
    assert out == ["20", "20"]
    assert errors[0] == f"ERROR:  Your access to ledger does not cover changing rows; it covers reading. {NO}"
    assert len(errors) == 11
    assert all(line.startswith("ERROR:  Your access to ledger does not cover ") for line in errors)


def test_who_may_write_and_copy_makes_no_tables(limited: LimitedStand) -> None:
    out, errors = said(
        limited,
        "carl",
        """\
BEGIN;
COPY notes FROM STDIN;
100\tone
101\ttwo
\\.
UPDATE notes SET note = 'x' WHERE id = 100;
DELETE FROM notes WHERE id > 99;
COMMIT;
COPY (SELECT 1) TO STDOUT;
CREATE TABLE mine (id int);
COPY notes TO PROGRAM 'cat';
SELECT pg_read_file('/etc/passwd');
SELECT 'alive';
""",
    )
    assert out == ["1", "alive"]
    assert [line.split("cover ", 1)[1].split(";")[0] for line in errors] == [
        "changing what the database is made of",
        "becoming another role, and what concerns the whole server",
        "becoming another role, and what concerns the whole server",
    ]


@pytest.mark.parametrize(
    ("person", "does", "does_not"),
    [("eve", "exec", ("shell", "sftp")), ("carl", "sftp", ("exec",))],
)
def test_ssh_does_what_the_grant_says(limited: LimitedStand, person: str, does: str, does_not: tuple[str, ...]) -> None:
    way = limited.ssh_way(person)
    runs = {
        "exec": lambda: way.ssh("echo done"),
        "shell": lambda: way.run("ssh", "-T", "target", stdin=b"echo done\n"),
        "sftp": lambda: way.run("sftp", "-b", "-", "target", stdin=b"pwd\n"),
    }
    assert runs[does]().code == 0
    for each in does_not:
        ran = runs[each]()
        assert ran.code != 0
        assert b"Your access to shell does not cover" in ran.err, ran


def test_curl_does_what_the_grant_says(limited: LimitedStand) -> None:
    way = limited.http_way("eve")
    assert way.fetch("/customers/1").status == 200
    assert way.fetch("/customers/1", "--head").status == 200
    for method in ("POST", "DELETE", "OPTIONS", "PROPFIND"):
        refused = way.fetch("/upload", "-X", method)
        assert refused.status == 403
        assert f"does not cover {method}".encode() in refused.body


def test_a_grant_without_actions_lets_all_be_done(limited: LimitedStand) -> None:
    assert said(limited, "ada", "INSERT INTO notes VALUES (200); DELETE FROM notes WHERE id = 200; SELECT 1;") == (
        ["1"],
        [],
    )


def test_a_gateway_without_signers_takes_no_bundle_and_still_plans(limited: LimitedStand) -> None:
    policy = limited.config.with_name("policy.toml")
    with psycopg.connect(limited.dsn("eve", "ledger")):
        done = hoopproxy("policy", "apply", policy, "--config", limited.config)
        assert (done.exit_code, "This gateway takes no signed policies" in done.output) == (1, True)
        narrower = policy.with_name("narrower.toml")
        narrower.write_text(policy.read_text().replace('"read", "exec", "GET"', '"exec", "GET"'))
        done = hoopproxy("policy", "plan", narrower, "--config", limited.config)
        assert (done.exit_code, "holds nothing that can be done on ledger" in done.output) == (2, True)
        narrower.write_text(policy.read_text().replace('"read", "exec", "GET"', '"copy", "exec", "GET"'))
        done = hoopproxy("policy", "plan", narrower, "--config", limited.config)
        assert "changed  grant look (for looker): actions GET, exec, read → GET, copy, exec" in done.output
        assert "the grant that it came in by allows less" in done.output
    assert json.loads(hoopproxy("policy", "show", "--config", limited.config, "--json").output)["revision"] == 0


def test_each_kind_of_statement_is_some_action_or_nothing_by_itself() -> None:
    assert set(OF_KINDS) == set(KINDS.values())
    assert set(OF_KINDS.values()) - {""} == WORDS["postgres"].keys()


@pytest.mark.parametrize(
    ("text", "does"),
    [
        ("SELECT 1; BEGIN; SET x.y = 1; SHOW x.y", {"read"}),
        ("COPY t TO STDOUT", {"copy", "read"}),
        ("COPY t FROM STDIN", {"copy", "write"}),
        ("COPY (DELETE FROM t RETURNING *) TO STDOUT", {"copy", "read", "write"}),
        ("MERGE INTO t USING s ON t.a = s.a WHEN MATCHED THEN DELETE", {"write"}),
        ("TRUNCATE t", {"write"}),
        ("CREATE FUNCTION f() RETURNS int LANGUAGE sql AS 'DELETE FROM t; SELECT 1'", {"ddl", "read", "write"}),
        ("CALL p()", {"call"}),
        ("SELECT dblink('', '')", {"read", "call"}),
        ("SELECT lo_unlink(1)", {"read", "write"}),
        ("SELECT set_config('role', 'x', false)", {"read", "admin"}),
        ("SELECT * FROM t FOR SHARE", {"read", "write"}),
        ("LOAD 'x'", {"admin"}),
        ("GRANT ALL ON t TO x", {"ddl"}),
    ],
)
def test_what_a_statement_does(text: str, does: set[str]) -> None:
    assert actions(deeds(text)) == does


def guarded(statement: Statement, protocol: str, *allowed: str) -> Answer:
    """What the addon says of a statement under a grant with these actions."""
    passage = a_passage()
    target = replace(passage.permit.target, name="t", protocol=protocol)
    grant = replace(passage.permit.grant, actions=frozenset(allowed))
    passage = replace(passage, permit=replace(passage.permit, target=target, grant=grant))
    addon = GrantActions("actions", 1024)
    answer: Answer = answered(addon.examine(passage, statement))
    return answer


def in_cluster(verb: str, subresource: str = "", action: Action = Action.CALL) -> Statement:
    asked = KubernetesRequest(verb, "", "v1", "pods", subresource, "shop", "web-0")
    return Statement(1, action, "GET /x", http=HttpRequest("GET", "prod", "/x", "", "HTTP/1.1"), kubernetes=asked)


@pytest.mark.parametrize(
    ("statement", "needs"),
    [
        (in_cluster("list"), "list"),
        (in_cluster("get", "log"), "get"),
        (in_cluster("get", "exec", Action.RUN), "exec"),
        (in_cluster("create", "attach", Action.RUN), "attach"),
        (in_cluster("get", "portforward"), "portforward"),
        (in_cluster("create", "proxy"), "proxy"),
    ],
)
def test_in_a_cluster_verbs_count_and_a_shell_is_no_mere_get(statement: Statement, needs: str) -> None:
    assert guarded(statement, "kubernetes", needs) == Allow()
    others = WORDS["kubernetes"].keys() - {needs}
    refused = guarded(statement, "kubernetes", *others)
    assert isinstance(refused, Refuse) and f"does not cover {needs};" in refused.sentence


@pytest.mark.parametrize(
    ("action", "text", "needs"),
    [
        (Action.OPEN, "session", ""),
        (Action.OPEN, "direct-tcpip db 5432", "forward"),
        (Action.RUN, "shell", "shell"),
        (Action.RUN, "exec shell", "exec"),
        (Action.RUN, "subsystem sftp", "sftp"),
        (Action.RUN, "subsystem netconf", "subsystem"),
        (Action.REQUEST, "signal TERM", ""),
    ],
)
def test_each_thing_that_ssh_can_ask_for_is_an_action(action: Action, text: str, needs: str) -> None:
    others = WORDS["ssh"].keys() - {needs}
    answer = guarded(Statement(1, action, text), "ssh", *others)
    assert isinstance(answer, Refuse) == bool(needs)
    assert guarded(Statement(1, action, text), "ssh", needs or "exec") == Allow()


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("SELECT 1 -- " + "x" * 1024, "A statement of more than 1024 bytes"),
        ("SELECT FROM WHERE", "can't read this statement"),
        ("SET backslash_quote = on", "must read a statement alike"),
    ],
)
def test_what_can_not_be_told_is_refused(text: str, says: str) -> None:
    refused = guarded(Statement(1, Action.QUERY, text), "postgres", "read")
    assert isinstance(refused, Refuse) and says in refused.sentence
    assert guarded(Statement(1, Action.QUERY, text), "postgres") == Allow()


def test_nothing_passes_on_a_target_of_which_nothing_can_be_told() -> None:
    assert isinstance(guarded(Statement(1, Action.OPEN, "tcp"), "tcp", "read"), Refuse)
