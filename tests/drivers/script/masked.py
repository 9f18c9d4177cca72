"""What every driver does to a database with masked columns: the second script. Knows no driver."""

from .steps import Step, ask, begin, copy_out, cursor, int_, pipeline, rollback, run

CARDS = "SELECT id, email, card, ssn, balance FROM customers ORDER BY id"
CARD = "SELECT email, card FROM customers WHERE id = $1"
NAME = "SELECT name, country FROM customers WHERE id = $1"
ALL = ("a**************", "************1111", "***", "b**************", "************5559")
ADA = ("a**************", "************1111")

REFUSED = (
    "SELECT upper(email) FROM customers",
    "SELECT id FROM customers WHERE email LIKE 'a%'",
    "SELECT c FROM customers c",
    "SELECT email FROM customers UNION SELECT 'x'",
    "DO $$ BEGIN RAISE NOTICE '%', (SELECT email FROM customers LIMIT 1); END $$",
    "CREATE TEMP TABLE t AS SELECT * FROM customers",
)

MASKED: tuple[Step, ...] = (
    Step("masked however one asks", [
        run(CARDS),
        ask(CARDS, shows=ALL),
        *[ask(CARDS, keep="cards", shows=ALL)] * 7,
        *[ask(CARD, int_(1), shows=ADA)] * 7,
        run(f"SELECT 1; {CARDS}; SELECT 2"),
    ]),
    Step("masked when executed by turns", [
        op
        for _ in range(7)
        for op in (ask(CARD, int_(1), keep="card", shows=ADA), ask(NAME, int_(1), keep="name", shows=("Ada", "DE")))
    ]),
    Step("masked through cursors", [
        begin(),
        cursor(CARDS, 1, shows=ALL),
        run("DECLARE c SCROLL CURSOR FOR SELECT email, card FROM customers ORDER BY id"),
        ask("FETCH 1 FROM c", shows=ADA),
        ask("SELECT name FROM customers WHERE id = 2", shows=("Bob",)),
        ask("FETCH FIRST FROM c", shows=ADA),
        rollback(),
    ]),
    Step("masked in pipelines", [
        pipeline(*[ask(CARD, int_(1)), ask(NAME, int_(2)), ask(CARD, int_(2))] * 3, shows=(*ADA, "Bob", ALL[3])),
        pipeline(ask(CARD, int_(1)), ask("SELECT upper(email) FROM customers"), ask(CARD, int_(2))),
    ]),
    Step("refused, and on it goes", [
        *(way(sql, fails="42501") for sql in REFUSED for way in (run, ask)),
        copy_out("SELECT email FROM customers", fails="42501"),
        copy_out("SELECT id FROM customers"),
        ask(CARD, int_(1), shows=ADA),
        begin(),
        ask(REFUSED[0], fails="42501"),
        ask("SELECT 1", fails="25P02"),
        rollback(),
    ]),
    Step("errors quote no row", [
        ask("UPDATE customers SET balance = -1 WHERE id = $1", int_(1)),
        run("UPDATE customers SET balance = -1"),
        ask("UPDATE customers SET country = country WHERE id = $1 RETURNING email, card", int_(1)),
        ask(CARD, int_(1), shows=ADA),
    ]),
)  # fmt: skip
