"""What takes two connections: locks, deadlocks, notifications, cancelling. Knows no driver."""

from .steps import Step, ask, begin, cancel, hear, int_, join, listen, rollback, run, text


def pairs() -> list[Step]:
    """Of a driver with itself."""
    locking = "SELECT n FROM accounts WHERE id = $1 FOR UPDATE"
    return [
        Step("locks", [
            begin(on="b"),
            ask(locking, int_(1), on="b"),
            ask(f"{locking} NOWAIT", int_(1), fails="55P03"),
            ask(f"{locking} SKIP LOCKED", int_(1)),
            run("SET lock_timeout = '30ms'"),
            ask(locking, int_(1), fails="55P03"),
            run("RESET lock_timeout"),
            rollback(on="b"),
            ask(locking, int_(1)),
        ]),
        Step("a deadlock", [
            begin(),
            begin(on="b"),
            ask("SELECT patient()", on="b"),
            ask(locking, int_(1)),
            ask(locking, int_(2), on="b"),
            ask(locking, int_(1), on="b", wait=False),
            ask("SELECT wait_for_lock()"),
            ask(locking, int_(2), fails="40P01"),
            rollback(),
            join("b"),
            rollback(on="b"),
        ]),
        Step("serialization", [
            begin("REPEATABLE READ"),
            ask("SELECT sum(n) FROM accounts"),
            run("UPDATE accounts SET n = n WHERE id = 1", on="b"),
            run("UPDATE accounts SET n = n WHERE id = 1", fails="40001"),
            rollback(),
        ]),
        Step("notifications", [
            listen("news"),
            listen('"Old News"'),
            run("NOTIFY news, 'one'", on="b"),
            ask("SELECT pg_notify('Old News', $1)", text("zwei ä"), on="b"),
            run(f"NOTIFY news, '{'x' * 7999}'", on="b"),
            run("BEGIN; NOTIFY news, 'never'; ROLLBACK", on="b"),
            run("BEGIN; NOTIFY news, 'twice'; NOTIFY news, 'twice'; NOTIFY news; COMMIT", on="b"),
            hear(5),
            run("UNLISTEN *"),
        ], fresh=True),
        Step("notifications to oneself", [
            listen("own"),
            run("NOTIFY own, 'to myself'"),
            hear(1),
            run("UNLISTEN *"),
        ]),
        Step("a cancelled statement", [
            ask("SELECT pg_advisory_lock(1)", on="b"),
            ask("SELECT pg_advisory_lock(1)", wait=False),
            ask("SELECT wait_for_lock()", on="b"),
            cancel("a"),
            join("a"),
            ask("SELECT 'on'"),
        ], fresh=True),
        Step("a statement cancelled in a transaction", [
            ask("SELECT pg_advisory_lock(1)", on="b"),
            run("BEGIN"),
            ask("SELECT pg_advisory_lock(1)", wait=False, keep="lock"),
            ask("SELECT wait_for_lock()", on="b"),
            cancel("a"),
            join("a"),
            ask("SELECT 1"),
            run("ROLLBACK"),
            ask("SELECT 'on'"),
        ], fresh=True),
    ]  # fmt: skip
