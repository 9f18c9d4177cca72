"""Statements that live on, and statements sent in groups. Knows no driver."""

from .steps import Op, Step, ask, begin, int_, many, pipeline, rollback, run, text


def prepared() -> list[Step]:
    """Prepared statements come, go and change."""

    def churn(number: int) -> Op:
        return ask(f"SELECT {number} AS n{number}, $1::int8 + {number}, 'x'", int_(number), keep=f"churn {number}")

    other = ask("SELECT $1::text || 's' AS plural", text("cat"), keep="other")
    table = ask("SELECT * FROM shape WHERE a = $1::int", int_(1), keep="shape")
    return [
        Step("prepared in great number", [churn(number) for number in (*range(120), *range(20))], fresh=True),
        Step("asked often", [ask("SELECT $1::int AS v, 'x' AS x", int_(number)) for number in range(20)]),
        Step("executed by turns", [op for _ in range(7) for op in (churn(1), other)]),
        Step("prepared over a changed table", [
            run("CREATE TEMP TABLE shape AS SELECT 1 AS a, 'one'::text AS b"),
            *[table] * 7,
            run("ALTER TABLE shape ADD c int DEFAULT 3"),
            *[table] * 3,
            run("ALTER TABLE shape DROP b"),
            *[table] * 3,
            run("ALTER TABLE shape ALTER c TYPE text"),
            begin(),
            table,
            table,
            rollback(),
            run("DROP TABLE shape"),
            table,
        ], fresh=True),
        Step("prepared and all thrown away", [
            *[other] * 7,
            run("DEALLOCATE ALL"),
            *[other] * 3,
            ask("DEALLOCATE ALL"),
            *[other] * 3,
            run("DISCARD ALL"),
            *[other] * 3,
            run("DISCARD PLANS"),
            other,
        ], fresh=True),
        Step("prepared by SQL", [
            run("PREPARE twice(int) AS SELECT $1 * 2"),
            run("EXECUTE twice(21)"),
            ask("EXECUTE twice(4)"),
            run("PREPARE twice AS SELECT 1", fails="42P05"),
            ask("SELECT name, statement, parameter_types FROM pg_prepared_statements WHERE name = 'twice'"),
            run("DEALLOCATE twice"),
            run("EXECUTE twice(1)", fails="26000"),
        ]),
        Step("prepared in vain", [
            ask("SELECT $1::int FROM no_such_table", int_(1), keep="vain", fails="42P01"),
            ask("SELECT $1::int FROM no_such_table", int_(1), keep="vain"),
            other,
        ]),
    ]  # fmt: skip


def groups() -> list[Step]:
    """Batches and pipelines."""
    numbered = "INSERT INTO batch (id, said) VALUES ($1, $2)"
    rows = [(int_(number), text(f"row {number}")) for number in range(100)]
    table = run("CREATE TEMP TABLE batch (n int GENERATED ALWAYS AS IDENTITY, id int PRIMARY KEY, said text)")
    doubles = [ask("SELECT $1::int * 2", int_(number)) for number in range(30)]
    mixed = [ask("SELECT $1::text, NULL, now() = now()", text("ä")), ask("SHOW TimeZone"), ask("SELECT FROM customers")]
    divide = ask("SELECT 1 / $1::int", int_(0))
    return [
        Step("batches", [
            table,
            many(numbered, rows),
            many(numbered, [(int_(number), text("new")) for number in (200, 7, 201)], fails="23505"),
            ask("SELECT count(*), max(id) FROM batch"),
            many(f"{numbered} RETURNING n, said", [(int_(n), text(None)) for n in (300, 301)], keys=True),
            many("UPDATE batch SET said = $1 WHERE id < $2", [(text("ä"), int_(3)), (text("ö"), int_(50))]),
            ask("SELECT said, count(*) FROM batch GROUP BY said HAVING count(*) > 1 ORDER BY said"),
            run("DROP TABLE batch"),
        ]),
        Step("pipelines", [pipeline(*doubles), pipeline(*mixed, *doubles, *mixed), ask("SELECT 'on'")]),
        Step("a pipeline with a failure", [
            pipeline(*doubles[:3], divide, *doubles[3:6]),
            ask("SELECT 'on'"),
            pipeline(divide),
            pipeline(*mixed),
        ]),
    ]  # fmt: skip
