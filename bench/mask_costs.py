"""Measures what each mask costs PostgreSQL itself, where it keeps the masks: CPU of a backend for each row and column.

README.md tells how to read the numbers.
"""

import statistics
import tempfile
from pathlib import Path
from secrets import token_bytes

import psycopg

from hoopproxy.testing.certificates import Authority
from hoopproxy.testing.postgres import PostgresCluster
from hoopproxy.testing.stand import Stand
from hoopproxy.testing.vitals import Vitals

ROUNDS = 5
DATABASE = "costs"
TITLE = "mask costs"
WHOLE, QUICK = 200_000, 20_000

MASKS = {
    "redacted": '"redact"',
    "nullified": '"nullify"',
    "ends": "{{ partial = {{ first = 0, last = 4 }} }}",
    "year": '{{ truncate = "year" }}',
    "rounded": "{{ generalise = {{ step = 1000 }} }}",
    "document": '{{ json = {{ show = ["$.a", "$.b.c"] }} }}',
    "hashed": '{{ hash = {{ key_file = "{key}" }} }}',
    "token": '{{ token = {{ key_file = "{key}" }} }}',
}
"""Each is the name of a column, too."""

DATA = """
CREATE EXTENSION pgcrypto;
CREATE UNLOGGED TABLE people (
    id int PRIMARY KEY, redacted text, nullified text, ends text, year date, rounded int, document jsonb, hashed text,
    token text
);
INSERT INTO people SELECT n, 'secret ' || n, 'secret ' || n, lpad(n::text, 16, '4'), date '1960-01-01' + n % 20000,
    n, '{{"a": 1, "b": {{"c": 2, "d": 3}}, "e": [1, 2, 3]}}', 'person.' || n || '@example.com', lpad(n::text, 9, '5')
    FROM generate_series(1, {rows}) n;
"""

SETTINGS = {"autovacuum": "off", "max_parallel_workers_per_gather": "0", "jit": "off", "shared_buffers": "256MB"}


def main(rows: int) -> None:
    """Print a line for each mask."""
    with tempfile.TemporaryDirectory(prefix="hoopproxy-bench-") as name:
        room = Path(name)
        authority = Authority(room / "ca", "bench")
        leaf = authority.issue("database", dns=("localhost",), ips=("127.0.0.1",))
        certificate, key = (leaf.certificate_file, leaf.key_file), room / "mask.key"
        key.write_bytes(token_bytes(32))
        key.chmod(0o600)
        masks = "".join(
            f'\n[[mask]]\ntarget = "{DATABASE}"\ncolumn = "public.people.{column}"\nmask = {mask.format(key=key)}\n'
            for column, mask in MASKS.items()
        )
        data = {DATABASE: DATA.format(rows=rows)}
        with (
            PostgresCluster(room / "postgres", certificate=certificate, settings=SETTINGS) as cluster,
            Stand(room / "stand", cluster, authority, data, masks=masks, kept=(DATABASE,)),
        ):
            cluster.execute("VACUUM (FREEZE, ANALYZE)", database=DATABASE)
            with psycopg.connect(cluster.admin_dsn, dbname=DATABASE, autocommit=True) as connection:
                _measure(connection, rows)


def _measure(connection: psycopg.Connection, rows: int) -> None:
    (twin,) = connection.execute(
        "SELECT relnamespace::regnamespace FROM pg_class WHERE relname = 'people' AND relkind = 'v'"
    )
    backend = Vitals(connection.info.backend_pid)
    for column in ("hashed", "token"):  # without what it needs, such a mask is `redact`
        ((shown,),) = connection.execute(f"SELECT count(DISTINCT {column}) FROM (TABLE {twin[0]}.people LIMIT 9) few")
        assert shown == 9, f"the mask of the column {column} isn't the one to be measured"

    def cpu_us(column: str, schema: str) -> float:
        before_s = backend.cpu_s
        # A length is asked of each value, so that it has to be there; NULL has none.
        connection.execute(f"SELECT sum(length({column}::text)) FROM {schema}.people")
        return (backend.cpu_s - before_s) / rows * 1e6

    print(f"{TITLE}: medians of {ROUNDS} rounds over {rows} rows, PostgreSQL {connection.info.server_version // 10000}")
    print(f"{'mask':16}{'µs/row unmasked':>18}{'µs/row masked':>16}{'mask, µs':>12}")
    for column in MASKS:
        pairs = [(cpu_us(column, "public"), cpu_us(column, twin[0])) for _ in range(ROUNDS + 1)][1:]
        bare, masked = (statistics.median(each) for each in zip(*pairs, strict=True))
        print(f"{column:16}{bare:18.2f}{masked:16.2f}{masked - bare:12.2f}")


if __name__ == "__main__":
    main(WHOLE)
