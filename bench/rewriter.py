"""Measures what the rewriter of `server` mode costs: a statement that is new to it, and one that comes again.

README.md tells how to read the numbers.
"""

import statistics
import sys
import time
from collections.abc import Callable, Coroutine
from functools import partial

from hoopproxy.events import Action, Statement
from hoopproxy.masking.shadows.connections import Rewritings
from hoopproxy.masking.shadows.places import Places
from hoopproxy.masking.shadows.rewriting import rewritten
from hoopproxy.masks import Shadow, Shadowed

TITLE = "rewriter"
ROUNDS = 7
NEW, AGAIN = 300, 20_000
"""How many in a round."""

TABLES = ("customers", "payments", "orders")
COLUMNS = ("id", "name", "email", "card", "amount")

STATEMENTS = {
    "one row by its key": "SELECT id, name, email FROM customers WHERE id = $1",
    "a join with a group": """
        SELECT c.name, count(*), sum(p.amount) FROM customers c JOIN public.payments p ON p.customer_id = c.id
        WHERE c.id > 5 AND p.kind IN (SELECT o.kind FROM orders o WHERE o.day = p.day) GROUP BY c.name ORDER BY 1""",
    "a report with CTEs": """
        WITH monthly AS (
            SELECT c.id, c.name, date_trunc('month', p.paid_at) AS month, sum(p.amount) AS total, count(*) AS payments
            FROM customers c
            JOIN payments p ON p.customer_id = c.id
            LEFT JOIN refunds r ON r.payment_id = p.id AND r.state <> 'cancelled'
            WHERE p.paid_at >= now() - interval '12 months' AND p.kind IN ('card', 'transfer', 'debit') AND r.id IS NULL
            GROUP BY c.id, c.name, date_trunc('month', p.paid_at)
        ), ranked AS (
            SELECT m.*, rank() OVER (PARTITION BY m.month ORDER BY m.total DESC) AS place,
                lag(m.total) OVER (PARTITION BY m.id ORDER BY m.month) AS before
            FROM monthly m
        ), pending AS (
            SELECT o.customer_id, count(*) AS orders, string_agg(DISTINCT o.kind, ', ' ORDER BY o.kind) AS kinds
            FROM orders o
            WHERE o.state = 'open' AND NOT EXISTS (SELECT FROM holds h WHERE h.order_id = o.id AND h.lifted_at IS NULL)
            GROUP BY o.customer_id
        )
        SELECT r.month, r.place, r.name, c.email, r.total, r.payments, coalesce(e.orders, 0) AS orders, e.kinds,
            coalesce(round(100.0 * (r.total - r.before) / nullif(r.before, 0), 1), 0) AS change,
            CASE WHEN r.total > 10000 THEN 'large' WHEN r.total > 1000 THEN 'medium' ELSE 'small' END AS size,
            (SELECT a.city FROM addresses a WHERE a.customer_id = r.id ORDER BY a.created_at DESC LIMIT 1) AS city
        FROM ranked r
        JOIN customers c ON c.id = r.id
        LEFT JOIN pending e ON e.customer_id = r.id
        WHERE r.place <= 10 AND (c.email IS NOT NULL OR e.orders > 0)
            AND c.id NOT IN (SELECT b.customer_id FROM blocked b WHERE b.until > now())
        ORDER BY r.month DESC, r.place LIMIT 200""",
    "an ORM's page": "SELECT "
    + ", ".join(f'"customers"."column_{number}" AS "t0_c{number}"' for number in range(60))
    + ' FROM "customers" LEFT OUTER JOIN "payments" ON ("customers"."id" = "payments"."customer_id") LIMIT 20',
    "an insert of 50 rows": "INSERT INTO orders (id, kind) VALUES "
    + ", ".join(f"({number}, 'kind {number}')" for number in range(50)),
    "nothing masked in it": "SELECT a.id, b.label FROM plain a JOIN other b USING (id) WHERE a.id = 7",
}


def shadow() -> Shadow:
    """Three tables with twins, in a database of one schema."""
    return Shadow(
        mask_set="hp_0123456789ab",
        path=("public",),
        bearers={name: frozenset({"public"}) for name in TABLES},
        calls={},
        relations={
            ("public", name): Shadowed("hp_0123456789ab_1", name, COLUMNS, frozenset({"email", "card"}), True, True)
            for name in TABLES
        },
        functions={},
        withheld={},
        origins={},
        tripwire={},
    )


def main() -> None:
    """Print a line for each statement."""
    known = shadow()
    begins = Places.of(known)

    async def again(text: str) -> None:
        rewriting = Rewritings(_never).begin(known)
        statement = Statement(1, Action.QUERY, text)
        for _ in range(AGAIN):
            await rewriting.rewrite(statement)

    def new(text: str) -> None:
        for _ in range(NEW):
            rewritten(text, known, begins)

    def asked(text: str) -> None:
        _run(again(text))

    print(f"{TITLE}: medians of {ROUNDS} rounds, Python {sys.version.split()[0]}")
    print(f"{'':32}{'characters':>12}{'new, CPU µs':>14}{'again, CPU µs':>15}")
    for name, text in STATEMENTS.items():
        fresh_us = statistics.median(_cpu_us(NEW, partial(new, text)) for _ in range(ROUNDS))
        known_us = statistics.median(_cpu_us(AGAIN, partial(asked, text)) for _ in range(ROUNDS))
        print(f"{name:32}{len(text):12}{fresh_us:14.0f}{known_us:15.2f}")


def _cpu_us(count: int, work: Callable[[], object]) -> float:
    begin = time.process_time()
    work()
    return (time.process_time() - begin) / count * 1e6


def _run(work: Coroutine[object, object, None]) -> None:
    """A coroutine that waits for nothing."""
    try:
        work.send(None)
    except StopIteration:
        return
    raise AssertionError("it waits")


async def _never(*_: object) -> None:
    raise AssertionError("a short statement went to a thread")


if __name__ == "__main__":
    main()
