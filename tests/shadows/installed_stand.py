"""A database of one test in a real server, its account and its provisioner, and the real install at a desk."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from itertools import count
from typing import Any

import psycopg
from psycopg.conninfo import make_conninfo

from hoopproxy.masking.shadows.installation import Installed, install, remove, taken
from hoopproxy.masking.shadows.installed import leaks, shadow
from hoopproxy.masking.shadows.inventory import Inventory
from hoopproxy.masking.shadows.plan import Plan, plan
from hoopproxy.masks import ColumnMask, MaskSet, Shadow
from hoopproxy.testing.masks import PsycopgDesk, now
from hoopproxy.testing.postgres import PostgresCluster

VERSIONS = (15, 17)
_numbers = count(1)

CATALOG = """
SELECT 'relation', c.oid::regclass::text, c.relkind::text, pg_get_userbyid(c.relowner),
    (SELECT array_agg(x::text ORDER BY x::text) FROM unnest(coalesce(c.relacl, acldefault('r', c.relowner))) x)::text
FROM pg_class c
    WHERE c.relnamespace::regnamespace::text !~ '^"?pg_(toast|temp)' AND c.relkind IN ('r', 'v', 'p', 'm', 'f')
UNION ALL SELECT 'column', attrelid::regclass::text, attname, '',
    (SELECT array_agg(x::text ORDER BY x::text) FROM unnest(attacl) x)::text FROM pg_attribute
    WHERE attacl IS NOT NULL AND attacl <> '{}'
UNION ALL SELECT 'routine', p.oid::regprocedure::text, '', pg_get_userbyid(proowner),
    (SELECT array_agg(x::text ORDER BY x::text) FROM unnest(coalesce(proacl, acldefault('f', proowner))) x)::text
FROM pg_proc p
UNION ALL SELECT 'schema', nspname, '', pg_get_userbyid(nspowner),
    (SELECT array_agg(x::text ORDER BY x::text) FROM unnest(coalesce(nspacl, acldefault('n', nspowner))) x)::text
FROM pg_namespace WHERE nspname !~ '^pg_(toast_)?temp'
UNION ALL SELECT 'database', datname, '', pg_get_userbyid(datdba),
    (SELECT array_agg(x::text ORDER BY x::text) FROM unnest(coalesce(datacl, acldefault('d', datdba))) x)::text
FROM pg_database
UNION ALL SELECT 'default', pg_get_userbyid(defaclrole), defaclobjtype::text, '', defaclacl::text FROM pg_default_acl
UNION ALL SELECT 'role', rolname, '', '', '' FROM pg_roles
UNION ALL SELECT 'member', roleid::regrole::text, member::regrole::text, '', '' FROM pg_auth_members
UNION ALL SELECT 'type', t.oid::regtype::text, '', pg_get_userbyid(typowner), typacl::text FROM pg_type t
    WHERE t.typnamespace::regnamespace::text !~ '^"?pg_(toast|temp)'
UNION ALL SELECT 'comment', classoid::regclass::text, description, '', '' FROM pg_shdescription
"""
"""All that install could leave behind; no ACL counts as what it stands for."""


class House:
    """One database. `account` is a role that may read and write all of it; `sql` is run as `owner`, who owns it."""

    def __init__(self, cluster: PostgresCluster, sql: str, masks: Mapping[str, ColumnMask], *, superuser: bool = True):
        number = next(_numbers)
        self.cluster, self.database, self.masks = cluster, f"house{number}", masks
        self.owner, self.account, self.provisioner = f"owner{number}", f"account{number}", f"provisioner{number}"
        cluster.execute(
            f"CREATE ROLE {self.owner}; CREATE ROLE {self.account} LOGIN; "
            f"CREATE ROLE {self.provisioner} LOGIN {'SUPERUSER' if superuser else 'CREATEROLE'}"
        )
        cluster.create_database(self.database)
        cluster.execute(f"ALTER DATABASE {self.database} OWNER TO {self.owner}")
        if not superuser:
            cluster.execute(f"GRANT {self.owner} TO {self.provisioner}")
            cluster.execute(f"GRANT CREATE ON DATABASE {self.database} TO {self.provisioner}")
        self.dsn = make_conninfo(cluster.admin_dsn, dbname=self.database)
        self.run(f"SET ROLE {self.owner}; {sql}; RESET ROLE; {self.grants}")
        self.desk = PsycopgDesk(make_conninfo(self.dsn, user=self.provisioner))

    @property
    def grants(self) -> str:
        """What the account gets."""
        return f"""DO $$ DECLARE s name; BEGIN
            FOR s IN SELECT nspname FROM pg_namespace
                WHERE nspowner = '{self.owner}'::regrole OR nspname = 'public' LOOP
                EXECUTE format('GRANT USAGE ON SCHEMA %I TO {self.account}', s);
                EXECUTE format('GRANT ALL ON ALL TABLES IN SCHEMA %I TO {self.account}', s);
                EXECUTE format('GRANT ALL ON ALL SEQUENCES IN SCHEMA %I TO {self.account}', s);
            END LOOP; END $$"""

    @property
    def mask_set(self) -> MaskSet:
        """The one of all masks."""
        return MaskSet(self.database, self.account, self.masks)

    def run(self, sql: str) -> list[tuple[Any, ...]]:
        """SQL of several statements as the superuser; the rows of the last."""
        with psycopg.connect(self.dsn, autocommit=True) as connection:
            cursor = connection.execute(sql.encode())
            while cursor.nextset():
                pass
            return cursor.fetchall() if cursor.description else []

    def install(self, *sets: MaskSet, accepted: Sequence[str] = ()) -> Installed:
        """The install of these sets, without any of the one."""
        wanted = sets or (self.mask_set,)
        return now(install(self.desk, wanted, partial(plan, sets=wanted, accepted=frozenset(accepted))))

    def planned(self, *sets: MaskSet) -> Plan:
        """What install would do."""
        return plan(self.inventory(), sets or (self.mask_set,), frozenset())

    def inventory(self) -> Inventory:
        """What there is."""
        return now(taken(self.desk, [self.account]))

    def uninstall(self) -> None:
        """All away."""
        now(remove(self.desk))

    def shadow(self) -> Shadow:
        """Of the installed one set; nothing leaks."""
        inventory = self.inventory()
        one = plan(inventory, [self.mask_set], frozenset()).sets[self.mask_set.name]
        assert list(leaks(inventory, one)) == []
        return shadow(inventory, one)

    def catalog(self) -> set[tuple[Any, ...]]:
        """What could be left behind."""
        return set(self.run(CATALOG))

    @contextmanager
    def session(self, role: str = "") -> Iterator[psycopg.Connection]:
        """As the group role, or another."""
        with psycopg.connect(self.dsn, autocommit=True) as connection:
            connection.execute(f'SET SESSION AUTHORIZATION "{role or self.mask_set.name}"'.encode())
            yield connection

    def close(self) -> None:
        """Leaves the desk; the cluster ends by itself."""
        self.desk.close()
