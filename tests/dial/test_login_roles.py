"""Login roles in real PostgreSQL, made by a provisioner that is no superuser and by one that is."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import psycopg
import pytest
from twisted.internet.defer import Deferred, DeferredLock, gatherResults

from hoopproxy.errors import SqlFailed, UpstreamRefused
from hoopproxy.masking.shadows import fingerprint, logins
from hoopproxy.masking.shadows.login_roles import LoginRoles
from hoopproxy.masking.shadows.logins import Kind, Logins
from hoopproxy.masking.shadows.shared_desk import SharedDesk
from hoopproxy.model import Identity
from hoopproxy.proofs import Secret, TargetSecret
from hoopproxy.scheduler import TwistedScheduler
from hoopproxy.testing.postgres import PostgresCluster
from tests.conftest import Spin

from .conftest import PASSWORD, Way
from .test_desk import desk_of, passage_of

GROUP, OTHER = "hp_3f9ac01b77de", "hp_000000000000"
KIND = Kind.of(GROUP, ("Odd schema", "public"), ("work_mem=1MB", "role=reader", "datestyle=ISO, DMY"))
IDLE_S = 7200.0
MADE = Logins(bytes(range(32)), "ledger", lambda count: b"salt" * (count // 4))


@pytest.fixture(params=["CREATEROLE", "SUPERUSER"])
def provisioner(request: pytest.FixtureRequest, cluster: PostgresCluster) -> Iterator[TargetSecret]:
    """Who made two groups, as install does."""
    cluster.execute(f"CREATE ROLE maker LOGIN {request.param} PASSWORD '{PASSWORD}'")
    cluster.execute(f"SET ROLE maker; CREATE ROLE {GROUP}; CREATE ROLE {OTHER}", database="books")
    yield TargetSecret("maker", Secret(PASSWORD))
    roles = cluster.execute("SELECT rolname FROM pg_roles WHERE rolname ~ '^hp_'")
    names = ", ".join(name for (name,) in [*(roles or ()), ("maker",)])
    cluster.execute(f"DROP OWNED BY {names}; DROP ROLE {names}", database="books")


def person(name: str) -> Identity:
    return Identity("https://id.example", name, name, frozenset(), 9e9, "oidc")


class Making:
    """Login roles over a desk of the provisioner."""

    def __init__(self, way: Way, provisioner: TargetSecret, reactor: Any) -> None:
        self.way, self.provisioner = way, provisioner
        self.desk = SharedDesk(DeferredLock())
        self.roles = LoginRoles(MADE, self.desk, TwistedScheduler(reactor), IDLE_S)
        self.opened: list[Any] = []

    async def open(self) -> Any:
        self.opened.append(await self.way.dialer.desk(await passage_of(self.way), self.provisioner))
        return self.opened[-1]

    async def __aenter__(self) -> "Making":
        self.desk.reach(self.open)
        return self

    async def __aexit__(self, *_: object) -> None:
        self.desk.close()
        for each in self.opened:
            await each._connection.lost.wait()


def rows(cluster: PostgresCluster, sql: str) -> list[tuple[Any, ...]]:
    return cluster.execute(sql, database="books") or []


def test_a_role_is_made_used_mended_and_reaped(
    spin: Spin, ledger: Way, cluster: PostgresCluster, provisioner: TargetSecret, reactor: Any
) -> None:
    secret = MADE.secret(GROUP, person("ada"))
    name = secret.username

    def groups() -> list[str]:
        found = rows(
            cluster,
            "SELECT g.rolname FROM pg_auth_members m JOIN pg_roles g ON g.oid = m.roleid JOIN pg_roles r ON "
            f"r.oid = m.member WHERE r.rolname = '{name}' ORDER BY 1",
        )
        return [group for (group,) in found]

    async def visit() -> None:
        async with Making(ledger, provisioner, reactor) as making:
            before, _ = await making.desk.asked(fingerprint.QUESTION, fingerprint.read)
            await making.roles.provide(secret, KIND)
            async with desk_of(ledger, secret) as session:
                (((who, login, work_mem, style, path),),) = await session.ask(
                    "SELECT current_user, session_user, current_setting('work_mem'), current_setting('datestyle'), "
                    "(SELECT reset_val FROM pg_settings WHERE name = 'search_path')"
                )
                assert (who, login, work_mem, style, path) == (name, name, "1MB", "ISO, DMY", '"Odd schema", public')
                # In use, whatever its time says.
                cluster.execute(f"ALTER ROLE {name} VALID UNTIL '2001-01-01'")
                await making.roles.reap(frozenset({GROUP}))
            assert groups() == [GROUP]
            after, spoiled = await making.desk.asked(fingerprint.QUESTION, fingerprint.read)
            assert (after, spoiled) == (before, frozenset())

            cluster.execute(f"ALTER ROLE {name} CREATEDB")
            cluster.execute(f"SET ROLE maker; GRANT {OTHER} TO {name}; REVOKE {GROUP} FROM {name}")
            changed, spoiled = await making.desk.asked(fingerprint.QUESTION, fingerprint.read)
            assert (changed, spoiled) == (before, frozenset({name}))
            cluster.execute(f"ALTER ROLE {name} NOCREATEDB PASSWORD 'x'")
            making.roles._proving[name] = float("-inf")
            await making.roles.provide(secret, KIND)
            assert groups() == [GROUP]
            async with desk_of(ledger, secret):
                pass

            cluster.execute(
                f"CREATE TABLE made (id int); ALTER TABLE made OWNER TO maker; GRANT SELECT ON made TO {name}",
                database="books",
            )
            await making.desk.ask(logins.reaping(name))
            assert rows(cluster, f"SELECT 1 FROM pg_roles WHERE rolname = '{name}'") == []

    spin(visit())


def test_nobody_enters_as_a_role_with_rights_that_the_provisioner_cannot_take_away(
    spin: Spin, ledger: Way, cluster: PostgresCluster, provisioner: TargetSecret, reactor: Any
) -> None:
    secret = MADE.secret(GROUP, person("ada"))

    async def visit() -> None:
        async with Making(ledger, provisioner, reactor) as making:
            await making.roles.provide(secret, KIND)
            cluster.execute(f"ALTER ROLE {secret.username} BYPASSRLS")
            with pytest.raises(SqlFailed):
                await making.roles.provide(secret, KIND)

    if rows(cluster, "SELECT 1 FROM pg_roles WHERE rolname = 'maker' AND NOT rolsuper"):
        spin(visit())


def test_what_somebody_owns_is_not_reaped(
    spin: Spin, ledger: Way, cluster: PostgresCluster, provisioner: TargetSecret, reactor: Any
) -> None:
    names = [MADE.secret(GROUP, person(each)).username for each in ("ada", "bob", "eve")]

    async def visit() -> None:
        async with Making(ledger, provisioner, reactor) as making:
            for each in ("ada", "bob", "eve"):
                await making.roles.provide(MADE.secret(GROUP, person(each)), KIND)
            cluster.execute(f"CREATE TABLE work (id int); ALTER TABLE work OWNER TO {names[0]}", database="books")
            cluster.execute("; ".join(f"ALTER ROLE {name} VALID UNTIL '2001-01-01'" for name in names[:2]))
            await making.roles.reap(frozenset({OTHER}))
            making.roles._reaped_s = float("-inf")
            await making.roles.reap(frozenset({GROUP, OTHER}))

    spin(visit())
    left = rows(cluster, "SELECT rolname FROM pg_roles WHERE rolname ~ '^hp_.*_'")
    assert {name for (name,) in left} == {names[0], names[2]}


def test_two_hundred_people_log_in_for_the_first_time_at_once(
    spin: Spin, ledger: Way, cluster: PostgresCluster, provisioner: TargetSecret, reactor: Any
) -> None:
    async def visit() -> None:
        async with Making(ledger, provisioner, reactor) as one, Making(ledger, provisioner, reactor) as another:
            people = [MADE.secret(GROUP, person(f"p{number}")) for number in range(200)]
            work = [each.roles.provide(secret, KIND) for secret in people for each in (one, another)]
            await gatherResults([Deferred.fromCoroutine(each) for each in work], consumeErrors=True)

    spin(visit())
    counted = rows(
        cluster,
        "SELECT count(DISTINCT m.member), count(*), count(DISTINCT m.roleid) FROM pg_auth_members m JOIN pg_roles r "
        f"ON r.oid = m.member WHERE r.rolname ~ '^{GROUP}_'",
    )
    assert counted == [(200, 200, 1)]


CHANGES = (
    "CREATE TABLE more (id int)",
    "ALTER TABLE more ADD COLUMN name text",
    "GRANT SELECT (name) ON more TO PUBLIC",
    "CREATE FUNCTION leak() RETURNS int LANGUAGE sql SECURITY DEFINER AS 'SELECT 1'",
    "REVOKE EXECUTE ON FUNCTION leak FROM PUBLIC",
    "CREATE VIEW seen AS SELECT id FROM more",
    "CREATE OR REPLACE VIEW seen AS SELECT id + 1 - 1 AS id FROM more",
    "ALTER TABLE more ENABLE ROW LEVEL SECURITY",
    "CREATE POLICY mine ON more USING (true)",
    f"COMMENT ON ROLE {GROUP} IS 'hoopproxy 1234'",
    f"GRANT pg_read_all_data TO {GROUP}",
    "ALTER ROLE reader SET search_path = public",
    "ALTER DEFAULT PRIVILEGES GRANT SELECT ON TABLES TO PUBLIC",
    "CREATE TABLE child () INHERITS (more)",
    "ALTER ROLE reader RESET search_path",
    "DROP VIEW seen; DROP TABLE more CASCADE; DROP FUNCTION leak; "
    "ALTER DEFAULT PRIVILEGES REVOKE SELECT ON TABLES FROM PUBLIC",
)


def test_the_fingerprint_sees_what_matters_and_nothing_else(
    spin: Spin, ledger: Way, cluster: PostgresCluster, provisioner: TargetSecret, reactor: Any
) -> None:
    async def visit() -> None:
        async with Making(ledger, provisioner, reactor) as making:

            async def mark() -> str:
                return (await making.desk.asked(fingerprint.QUESTION, fingerprint.read))[0]

            seen = [await mark()]
            for change in CHANGES:
                cluster.execute(change, database="books")
                seen.append(await mark())
            assert len(set(seen)) == len(CHANGES) + 1, seen
            with psycopg.connect(cluster.admin_dsn, dbname="books", autocommit=True) as other:
                other.execute("CREATE TEMP TABLE passing (id serial PRIMARY KEY, name text CHECK (name <> ''))")
                other.execute("CREATE TEMP VIEW glimpse AS SELECT id FROM passing")
                other.execute("INSERT INTO customers VALUES (2, 'Bob', '5')")
                other.execute("ANALYZE customers")
                other.execute("VACUUM customers")
                await making.roles.provide(MADE.secret(GROUP, person("ada")), KIND)
                assert await mark() == seen[-1]

    spin(visit())


def test_a_login_role_must_be_that_of_the_key(
    spin: Spin, ledger: Way, cluster: PostgresCluster, provisioner: TargetSecret, reactor: Any
) -> None:
    secret = MADE.secret(GROUP, person("ada"))

    async def visit() -> None:
        async with Making(ledger, provisioner, reactor) as making:
            await making.roles.provide(secret, KIND)
            with pytest.raises(UpstreamRefused):
                async with desk_of(ledger, replace(secret, password=Secret("f" * 64))):
                    pass

    spin(visit())
