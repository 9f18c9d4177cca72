"""Everything nasty that a schema can hold, on real servers: what shows a secret is found out by changing the secrets.

A statement carries a secret if the account sees something else once the secrets are others. A masked session must see
the same both times, whether its statements are rewritten or not; and of what carries none it should be able to use all.
"""

import asyncio
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest
from psycopg.conninfo import make_conninfo

from hoopproxy.errors import Refused
from hoopproxy.masking.shadows import installed
from hoopproxy.masking.shadows.installation import install, remove
from hoopproxy.masking.shadows.places import Places
from hoopproxy.masking.shadows.plan import plan
from hoopproxy.masking.shadows.rewriting import rewritten
from hoopproxy.masks import MaskSet, Redact, Shadow
from hoopproxy.testing.masks import PsycopgDesk
from hoopproxy.testing.postgres import PostgresCluster
from tests.shadows import nasty_objects as nasty
from tests.shadows.closure_stand import Seen, seen

VERSIONS = (15, 17)

# Functions behind casts and CHECKs are called without being named: while these are not proven, nothing is.
CALM = tuple(each for each in nasty.OBJECTS if each.name not in ("cast", "domain"))

# What carries no secret and masked sessions still see otherwise, or not at all.
NOT_THE_SAME = {
    "v_having": "it compares masked values",
    "v_exists": "it compares masked values",
    "v_using_secret": "it joins by masked values",
    "v_natural": "it joins by masked values",
    "v_invoker_ledger": "the message names the clone",
    "foreign": "another server's rows are withheld",
    "dblink": "it opens connections",
    "secured": "the policy asks who the session is",
    "stats": "statistics of columns that it can't read are not shown",
}


@dataclass(frozen=True)
class Two:
    """What was seen with one set of secrets and with another."""

    first: Seen
    other: Seen

    @property
    def is_same(self) -> bool:
        return self.first == self.other


class Stand:
    """One database with the objects, installed masks, and what account and session see of each."""

    def __init__(self, cluster: PostgresCluster, name: str, objects: Sequence[nasty.Nasty]) -> None:
        self._cluster, self._name = cluster, name
        cluster.create_database(name)
        self.dsn = make_conninfo(cluster.admin_dsn, dbname=name)
        for sql in (nasty.BASE, *(each.sql for each in objects), nasty.GRANTS):
            cluster.execute(sql, name)
        self.account = self._twice("app", [each.probe for each in objects])
        self.mask_set = MaskSet(name, "app", {path: Redact() for path in nasty.PROTECTED})
        self.desk = PsycopgDesk(self.dsn)
        sets = [self.mask_set]
        self.installed = asyncio.run(install(self.desk, sets, lambda inventory: plan(inventory, sets, frozenset())))
        self.shadow: Shadow = installed.shadow(self.installed.inventory, self.installed.plan.sets[self.mask_set.name])
        login = f"{self.mask_set.name}_{'0' * 16}"
        cluster.execute(f'CREATE ROLE "{login}" LOGIN IN ROLE "{self.mask_set.name}"', name)
        self.raw = self._twice(login, [each.probe for each in objects])
        self.session = self._twice(login, [self._rewritten(each.probe) for each in objects])

    def _twice(self, role: str, probes: Sequence[str]) -> list[Two]:
        first, other = [self._once(role, probes, secrets) for secrets in (nasty.FIRST_SECRETS, nasty.OTHER_SECRETS)]
        return [Two(*each) for each in zip(first, other, strict=True)]

    def _once(self, role: str, probes: Sequence[str], secrets: str) -> list[Seen]:
        self._cluster.execute(secrets, self._name)
        for view in self._cluster.execute("SELECT matviewname FROM pg_matviews", self._name) or ():
            self._cluster.execute(f"REFRESH MATERIALIZED VIEW {view[0]}", self._name)
        self._cluster.execute("ANALYZE", self._name)
        return seen(self.dsn, role, probes)

    def _rewritten(self, text: str) -> str:
        try:
            return rewritten(text, self.shadow, Places.of(self.shadow)).text
        except Refused:
            return "DO $$BEGIN RAISE EXCEPTION 'refused'; END$$"


@pytest.fixture(scope="module", params=VERSIONS)
def cluster(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[PostgresCluster]:
    directory: Path = tmp_path_factory.mktemp(f"closure-{request.param}")
    with PostgresCluster(directory, version=request.param) as cluster:
        cluster.execute("CREATE ROLE app LOGIN; CREATE ROLE other LOGIN")
        yield cluster


@pytest.fixture(scope="module")
def stand(cluster: PostgresCluster) -> Iterator[Stand]:
    stand = Stand(cluster, "nasty", nasty.OBJECTS)
    yield stand
    stand.desk.close()


@pytest.fixture(scope="module")
def calm(cluster: PostgresCluster) -> Iterator[Stand]:
    stand = Stand(cluster, "calm", CALM)
    yield stand
    stand.desk.close()


def test_no_secret_makes_a_difference_to_a_masked_session(stand: Stand) -> None:
    leaking = [
        (each.name, way, two.first, two.other)
        for way, twos in (("as it is", stand.raw), ("rewritten", stand.session))
        for each, two in zip(nasty.OBJECTS, twos, strict=True)
        if not two.is_same
    ]
    assert leaking == []


def test_no_secret_makes_a_difference_where_definers_are_granted(calm: Stand) -> None:
    assert [
        each.name
        for each, raw, session in zip(CALM, calm.raw, calm.session, strict=True)
        if not (raw.is_same and session.is_same)
    ] == []


def test_what_carries_no_secret_is_seen_as_the_account_sees_it(stand: Stand) -> None:
    others = {
        each.name
        for each, account, session in zip(nasty.OBJECTS, stand.account, stand.session, strict=True)
        if account.is_same and session.first != account.first
    }
    assert others <= NOT_THE_SAME.keys()


def test_most_of_what_carries_secrets_has_a_clone(stand: Stand, capsys: pytest.CaptureFixture[str]) -> None:
    counts: Counter[tuple[str, str]] = Counter()
    for account, raw, session in zip(stand.account, stand.raw, stand.session, strict=True):
        carries = "clean" if account.is_same else "carries secrets"
        way = (
            "granted" if raw.first == account.first else "denied" if session.first.error else "through a twin or clone"
        )
        counts[carries, way] += 1
    with capsys.disabled():
        sys.stdout.writelines(f"\n  {carries}, {way}: {count}" for (carries, way), count in sorted(counts.items()))
    assert len(nasty.OBJECTS) >= 90
    assert counts["carries secrets", "granted"] == 0
    assert counts["clean", "granted"] >= 23
    assert counts["carries secrets", "through a twin or clone"] >= 45


@pytest.mark.parametrize("name", ["f_label_guarded", "f_atomic_plain", "f_label", "m_names", "f_name", "v_digest"])
def test_proven_definers_and_materialised_views_are_granted_as_they_are(calm: Stand, name: str) -> None:
    at = [each.name for each in CALM].index(name)
    assert calm.raw[at].first == calm.account[at].first


def test_no_clone_lends_what_the_account_may_not_read(stand: Stand) -> None:
    at = [each.name for each in nasty.OBJECTS].index("v_invoker_ledger")
    assert stand.account[at].first.error.startswith("42501")
    assert stand.session[at].first.error.startswith("42501")


def test_what_was_everybodys_is_still_every_other_roles(stand: Stand) -> None:
    for role, may in (("other", True), (stand.mask_set.name, False)):
        answer = stand.desk.now(f"SELECT has_function_privilege('{role}', 'f_card(int)', 'EXECUTE')")
        assert answer == ((("t" if may else "f",),),)


def test_uninstall_gives_public_back_what_it_had(calm: Stand) -> None:
    """The last one: it takes the masks away."""
    assert calm.desk.now("SELECT has_function_privilege('public', 'f_card(int)', 'EXECUTE')") == ((("f",),),)
    asyncio.run(remove(calm.desk))
    changed = calm.desk.now("""
        SELECT oid::regprocedure FROM pg_proc WHERE proacl IS NOT NULL AND pronamespace = 'public'::regnamespace
        AND ARRAY(SELECT x::text FROM aclexplode(proacl) x ORDER BY 1)
            <> ARRAY(SELECT x::text FROM aclexplode(acldefault('f', proowner)) x ORDER BY 1)""")
    assert changed == ((),)
    assert calm.desk.now("SELECT count(*) FROM pg_default_acl") == ((("0",),),)
