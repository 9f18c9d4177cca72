"""Errors, what transactions make of them, and sessions that end. Knows no driver."""

from .steps import Step, ask, begin, int_, run, text
from .streams import LATE_FAILURE


def failures() -> list[Step]:
    """Of one connection."""
    child = "INSERT INTO children VALUES ($1, $2, $3, '[20,30)')"
    failing = (
        ("SELEC", "42601"),
        ("SELECT 1 FROM no_such_table", "42P01"),
        ("SELECT nam FROM customers", "42703"),
        ("SELECT no_such_function(1)", "42883"),
        ("SELECT 'x'::int", "22P02"),
        ("SELECT 2147483647 + 1", "22003"),
        ("SELECT (-1)::positive", "23514"),
        ("SELECT fails(3)", "P0123"),
        ("INSERT INTO customers (id, name) VALUES (9, 'x')", "42501"),
        ("INSERT INTO accounts VALUES (1, 1)", "23505"),
        ("INSERT INTO children VALUES (2, 1, 5, '[5,7)')", "23P01"),
        ("DELETE FROM parents WHERE id = 1", "23503"),
    )
    return [
        Step("errors with all their fields", [way(sql, fails=state) for sql, state in failing for way in (run, ask)]),
        Step("errors of parameters", [
            ask(child, int_(1), int_(1), int_(1), fails="23505"),
            ask(child, int_(2), int_(9), int_(1), fails="23503"),
            ask(child, int_(2), int_(1), int_(0), fails="23514"),
            ask(child, int_(2), int_(1), int_(None), fails="23502"),
            ask("SELECT $1::text::int", text("seven"), fails="22P02"),
            ask("SELECT 1 / $1::int", int_(0), fails="22012"),
            ask("SELECT 1 / $1::int", int_(1)),
        ]),
        Step("an error after rows", [
            run("SELECT 10 / (5 - g) FROM generate_series(1, 10) g", fails="22012"),
            ask(LATE_FAILURE, fails="22012"),
            run(LATE_FAILURE, fails="22012"),
            ask("SELECT 'on'"),
        ]),
        Step("errors in a transaction", [
            run("BEGIN"),
            ask("SELECT 1 / 0", fails="22012"),
            ask("SELECT 1", fails="25P02"),
            run("SELECT 1; SELECT 2", fails="25P02"),
            run("COMMIT"),
            run("BEGIN"),
            run("INSERT INTO accounts VALUES (3, 300)"),
            run("SAVEPOINT s"),
            ask("INSERT INTO accounts VALUES ($1, 0)", int_(1), fails="23505"),
            run("ROLLBACK TO s"),
            ask("SELECT * FROM accounts ORDER BY id"),
            run("RELEASE s"),
            run("RELEASE s", fails="3B001"),
            run("ROLLBACK"),
            run("ROLLBACK"),
            ask("SELECT count(*) FROM accounts"),
        ]),
        Step("time limits", [
            run("SET statement_timeout = '30ms'"),
            ask("SELECT pg_sleep(60)", fails="57014"),
            run("SELECT 1; SELECT pg_sleep(60)", fails="57014"),
            run("RESET statement_timeout"),
            ask("SELECT 'on'"),
        ]),
        Step("a session that the server ends", [run("SELECT pg_terminate_backend(pg_backend_pid())")], fresh=True),
        Step("a session that the server ends amid a transaction", [
            begin(),
            ask("SELECT n FROM accounts WHERE id = $1 FOR UPDATE", int_(1)),
            ask("SELECT pg_terminate_backend(pg_backend_pid())"),
        ], fresh=True),
    ]  # fmt: skip
