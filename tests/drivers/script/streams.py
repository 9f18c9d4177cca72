"""What goes by in pieces: cursors and COPY. Knows no driver."""

import struct

from .steps import Step, ask, begin, commit, copy_in, copy_out, cursor, rollback, run

TICKS = "SELECT g, 'row ' || g AS said FROM generate_series(1, 40) g"
LATE_FAILURE = "SELECT g, 1 / (5000 - g) FROM generate_series(1, 10000) g"
"""Fails when rows are out already."""


def cursors() -> list[Step]:
    """The driver's and SQL's."""
    return [
        Step("cursors of the driver", [
            begin(),
            cursor(TICKS, 7),
            cursor(TICKS, 7, 10),
            cursor(TICKS, 40),
            cursor("SELECT 1 WHERE false", 3),
            commit(),
        ]),
        Step("two cursors over much", [
            begin(),
            cursor("SELECT g, md5(g::text) FROM generate_series(1, 5000) g", 999, digest=True),
            cursor("SELECT * FROM customers ORDER BY id", 1),
            rollback(),
        ]),
        Step("a cursor that fails on its way", [
            begin(),
            cursor(LATE_FAILURE, 500, digest=True, fails="22012"),
            rollback(),
        ]),
        Step("cursors of SQL", [
            begin(),
            run(f"DECLARE c SCROLL CURSOR WITH HOLD FOR {TICKS}"),
            ask("FETCH 4 FROM c"),
            run("FETCH BACKWARD 2 FROM c"),
            ask("FETCH ABSOLUTE 30 FROM c"),
            ask("FETCH RELATIVE -5 FROM c"),
            run("MOVE 3 FROM c"),
            run("FETCH LAST FROM c; FETCH NEXT FROM c; FETCH PRIOR FROM c"),
            commit(),
            ask("FETCH FIRST FROM c"),
            run("CLOSE c"),
            run("FETCH NEXT FROM c", fails="34000"),
        ]),
        Step("a cursor of a function", [
            begin(),
            ask("SELECT opens()"),
            ask('FETCH 2 FROM "opened"'),
            run("CLOSE ALL"),
            commit(),
        ]),
    ]  # fmt: skip


def _binary(*rows: tuple[int, bytes | None]) -> bytes:
    """COPY's binary format (SQL Commands, COPY, "Binary Format") of rows of int4 and text."""
    out = b"PGCOPY\n\xff\r\n\x00" + struct.pack("!ii", 0, 0)
    for number, said in rows:
        out += struct.pack("!hii", 2, 4, number)
        out += struct.pack("!i", -1) if said is None else struct.pack("!i", len(said)) + said
    return out + struct.pack("!h", -1)


def copies() -> list[Step]:
    """In and out, and what goes wrong."""
    lines = b"".join(b"%d\t%s\n" % (n, b"row %d\\twith marks" % n if n % 3 else rb"\N") for n in range(5000))
    table = run("CREATE TEMP TABLE bulk (a int, b text)")
    gone = run("DROP TABLE bulk")
    return [
        Step("copy in and out", [
            table,
            copy_in("bulk", b""),
            copy_in("bulk", lines),
            copy_in("bulk", '7,"a ""quoted"", ä\nline"\n8,\n9,""\n'.encode(), "csv"),
            copy_in("bulk", _binary((10, "zehn ä".encode()), (11, None), (12, b"")), "binary"),
            *(copy_out("SELECT * FROM bulk", form) for form in ("text", "csv", "binary")),
            copy_out("SELECT 1 WHERE false"),
            copy_out("SELECT g, repeat('x', g % 200) FROM generate_series(1, 9000) g"),
            ask("SELECT count(*), count(b), sum(a) FROM bulk"),
            gone,
        ]),
        Step("copies that fail", [
            table,
            copy_in("bulk", b"1\tone\nnot a number\ttwo\n3\tthree\n", fails="22P02"),
            copy_in("bulk", lines + b"too\tmany\tcolumns\n" + lines, fails="22P04"),
            copy_in("bulk", b"1\n", fails="22P04"),
            copy_in("bulk", b"not binary", "binary", fails="22P04"),
            copy_in("no_such_table", b"1\n", fails="42P01"),
            copy_in("bulk", lines, abandon=True),
            copy_out("SELECT 1 / (500 - g) FROM generate_series(1, 1000) g", fails="22012"),
            ask("SELECT count(*) FROM bulk"),
            gone,
        ]),
        Step("a copy that fails in a transaction", [
            table,
            run("BEGIN"),
            copy_in("bulk", b"1\tone\n"),
            copy_in("bulk", b"x\n", fails="22P02"),
            ask("SELECT 1", fails="25P02"),
            copy_in("bulk", b"1\tone\n", fails="25P02"),
            run("ROLLBACK"),
            ask("SELECT count(*) FROM bulk"),
            gone,
        ]),
    ]  # fmt: skip
