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
