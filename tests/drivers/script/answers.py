"""What comes back: nothing, little, much, wide, and every type. Knows no driver."""

from .steps import Step, ask, int_, run, text
from .values import TYPES, selecting, through_text


def answers() -> list[Step]:
    """Of statements without parameters."""
    wide = ", ".join(f"{number} AS c{number}" for number in range(1600))
    return [
        Step("nothing to do", [run(""), run(";"), run("-- nothing"), ask(""), ask("SELECT 1")]),
        Step("rows without columns", [way("SELECT FROM generate_series(1, 3)") for way in (run, ask)]),
        Step("no rows", [run("SELECT 1 AS a WHERE false"), ask("SELECT 1 AS a, 'b' AS b WHERE $1::int = 2", int_(1))]),
        Step("names", [ask('SELECT 1 AS "Spalte ä", 2 AS "Spalte ä", 3 AS "a""b", 4 AS ' + "x" * 63)]),
        Step("several statements", [
            run("SELECT 1; SELECT 2, 'b'; CREATE TEMP TABLE m (); DROP TABLE m; SELECT 3"),
            run("SELECT 1;; SELECT 2;"),
            run("SELECT 1; SELECT 1/0; SELECT 2", fails="22012"),
            run("BEGIN; SELECT 1; COMMIT; SELECT 4"),
            ask("SELECT 'on'"),
        ]),
        Step("a cell of a megabyte", [ask("SELECT repeat('x', 1000000), repeat('ä', 600000)", digest=True)]),
        Step("a hundred thousand rows", [ask("SELECT g, md5(g::text) FROM generate_series(1, 100000) g", digest=True)]),
        Step("as many columns as there may be", [way(f"SELECT {wide}", digest=True) for way in (run, ask)]),
        Step("functions and procedures", [
            ask("SELECT nothing(), pairs(), says(7)"),
            ask("SELECT * FROM pairs(), several()"),
            ask("SELECT several(), ROW(1, 'a', NULL), ARRAY[ROW(2, 'b')]"),
            run("CALL commits(1)"),
            ask("CALL commits($1)", int_(1)),
            run("DO $$ BEGIN PERFORM 1; END $$"),
            run("EXPLAIN (COSTS OFF) SELECT 1"),
            ask("EXPLAIN (FORMAT JSON, COSTS OFF) SELECT 1"),
        ]),
        Step("large objects", [
            run("SELECT lo_from_bytea(424242, '\\x00ff41')"),
            ask("SELECT lo_get(424242), length(lo_get(424242, 1, 1))"),
            ask("SELECT lo_unlink(424242)"),
            ask("SELECT lo_get(424242)", fails="42704"),
        ]),
    ]  # fmt: skip


def types() -> list[Step]:
    """Values of all types."""
    return [
        Step(family, [
            run(selecting(family)),
            ask(selecting(family)),
            ask(selecting(family), keep=family),
            ask(through_text(family), *(text(values[0]) for values in types.values())),
        ])
        for family, types in TYPES.items()
    ]  # fmt: skip
