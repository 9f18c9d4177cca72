"""Real clients, a real PostgreSQL, and a gateway of its own process between them."""

from collections.abc import Iterator

import pytest

from hoopproxy.testing.bare_client import BareClient
from hoopproxy.testing.certificates import Authority
from hoopproxy.testing.installations import installed
from hoopproxy.testing.postgres import PostgresCluster
from hoopproxy.testing.stand import Door, Stand
from hoopproxy.testing.three_files import More
from tests.people import PEOPLE

from .hostile import bystander, kept_unharmed

__all__ = ["Door", "Stand"]

CUSTOMERS = f"""
{PEOPLE}CREATE TABLE orders (id int PRIMARY KEY, customer_id int REFERENCES customers, note text);
INSERT INTO orders SELECT g, g % 3 + 1, 'note ' || g FROM generate_series(1, 50) g;
CREATE VIEW emails AS SELECT id, email FROM customers;
CREATE TABLE payments (id int, card text, at date) PARTITION BY RANGE (at);
CREATE TABLE payments_2025 PARTITION OF payments FOR VALUES FROM ('2025-01-01') TO ('2026-01-01');
INSERT INTO payments VALUES (1, '4111111111111111', '2025-05-05');
CREATE FUNCTION reads_email() RETURNS text LANGUAGE sql AS 'SELECT email FROM customers LIMIT 1';
"""
MASKS = """
[[mask]]
target = "ledger"
column = "public.customers.email"
mask = { partial = { first = 1, last = 0 } }
reveal = [{ roles = ["fraud"], client_zones = ["EU"] }]

[[mask]]
target = "ledger"
column = "public.customers.card"
mask = { partial = { first = 0, last = 4 } }
reveal = [{ roles = ["fraud"], client_zones = ["EU"] }]

[[mask]]
target = "ledger"
column = "public.customers.ssn"
mask = "redact"

[[mask]]
target = "ledger"
column = "public.payments.card"
mask = "nullify"
"""


@pytest.fixture(scope="session", params=sorted(installed()), ids=lambda version: f"pg{version}")
def cluster(
    request: pytest.FixtureRequest, authority: Authority, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[PostgresCluster]:
    """Each PostgreSQL that is installed, with TLS."""
    leaf = authority.issue(f"database-{request.param}", dns=("localhost",), ips=("127.0.0.1",))
    certificate = leaf.certificate_file, leaf.key_file
    directory = tmp_path_factory.mktemp("pg")
    with PostgresCluster(directory, version=request.param, certificate=certificate) as running:
        yield running


@pytest.fixture(scope="session")
def stand(cluster: PostgresCluster, authority: Authority, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stand]:
    """A gateway before two databases: `plain`, in which nothing is masked, and `ledger`."""
    databases = {"plain": CUSTOMERS, "ledger": CUSTOMERS}
    with Stand(tmp_path_factory.mktemp("stand"), cluster, authority, databases, masks=MASKS) as running:
        yield running


KEPT = """
watch_s = 0.2

[[addon.enforcement.lookup]]
column = "public.customers.email"
roles = ["analyst"]
client_zones = ["EU"]
per_minute = 5

[[addon.enforcement.lookup]]
column = "public.payments.card"
roles = ["analyst"]
client_zones = ["EU"]
"""
MORE_ROLES = """
[[role]]
name = "auditor"
groups = ["auditors"]

[[grant]]
name = "audit"
roles = ["auditor"]
targets = ["ledger"]
accounts = ["reader"]
zone = "EU"
client_zones = ["EU"]
duration_s_max = 28800
reveals = ["public.customers.card"]

[[role]]
name = "guest"
groups = ["guests"]

[[grant]]
name = "a-moment"
roles = ["guest"]
targets = ["ledger"]
accounts = ["reader"]
zone = "EU"
client_zones = ["EU"]
duration_s_max = 3
reveals = ["public.customers.ssn", "public.customers.card"]
"""


@pytest.fixture(scope="module", params=sorted({min(installed()), max(installed())}), ids=lambda each: f"pg{each}")
def kept(
    request: pytest.FixtureRequest, authority: Authority, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Stand]:
    """A gateway before three databases: `ledger` keeps its masks itself, `bare` should and has none yet, `wired` is
    masked on the way."""
    leaf = authority.issue(f"keeping-{request.param}", dns=("localhost",), ips=("127.0.0.1",))
    certificate = leaf.certificate_file, leaf.key_file
    masks = "".join(MASKS.replace('"ledger"', f'"{name}"') for name in ("ledger", "bare", "wired"))
    with (
        PostgresCluster(tmp_path_factory.mktemp("pg"), version=request.param, certificate=certificate) as cluster,
        Stand(
            tmp_path_factory.mktemp("kept"),
            cluster,
            authority,
            dict.fromkeys(("ledger", "bare", "wired"), CUSTOMERS),
            masks=masks,
            kept=("ledger", "bare"),
            masked=False,
            enforcement=KEPT,
            more=More(policy=MORE_ROLES),
        ) as running,
    ):
        running.mask("ledger")
        yield running


@pytest.fixture(scope="module")
def other(stand: Stand) -> Iterator[BareClient]:
    """Somebody whose session lives through all of a module's attacks."""
    with bystander(stand) as client:
        yield client


@pytest.fixture
def unharmed(stand: Stand, other: BareClient) -> Iterator[None]:
    """After each attack, the gateway and `other` are as before."""
    with kept_unharmed(stand, other):
        yield
