"""Install and uninstall on real servers: one transaction, idempotent, nothing left behind, whoever provisions."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator

import psycopg
import pytest

from hoopproxy.errors import Refused, SqlFailed
from hoopproxy.masking.shadows.drift import changes
from hoopproxy.masking.shadows.installation import Leaking
from hoopproxy.masking.shadows.installed import leaks
from hoopproxy.masking.shadows.places import Places
from hoopproxy.masking.shadows.plan import plan
from hoopproxy.masking.shadows.rewriting import rewritten
from hoopproxy.masking.shadows.steps import script
from hoopproxy.masks import ColumnMask, KeyedHash, MaskSet, Nullify, Partial, Redact
from hoopproxy.testing.postgres import PostgresCluster
from tests.shadows.installed_stand import VERSIONS, House

SHOP = """
CREATE SCHEMA sales;
CREATE TABLE customers(id int PRIMARY KEY, name text NOT NULL, email text UNIQUE, card varchar(19), ssn text);
CREATE TABLE sales.orders(id serial PRIMARY KEY, customer int REFERENCES customers, iban text, at date NOT NULL);
CREATE TABLE countries(code char(2) PRIMARY KEY, label text);
CREATE VIEW mails AS SELECT id, email FROM customers;
CREATE VIEW names AS SELECT id, name FROM customers;
CREATE FUNCTION card_of(int) RETURNS text LANGUAGE sql SECURITY DEFINER SET search_path = public
    AS 'SELECT card FROM customers WHERE id = $1';
CREATE FUNCTION hello() RETURNS text LANGUAGE sql AS $$SELECT 'hello'$$;
INSERT INTO customers VALUES (1, 'Ada', 'ada@corp.test', '4539578763621486', '519-45-6781');
INSERT INTO sales.orders(customer, iban, at) VALUES (1, 'DE08370400440532013100', '2026-01-02');
INSERT INTO countries VALUES ('DE', 'Germany');
GRANT SELECT ON customers, mails TO PUBLIC;
GRANT SELECT (iban) ON sales.orders TO PUBLIC
"""
MASKS: dict[str, ColumnMask] = {
    "public.customers.email": KeyedHash(b"k" * 32),
    "public.customers.card": Partial(0, 4),
    "public.customers.ssn": Redact(),
    "sales.orders.iban": Nullify(),
}

PSQL = shutil.which("psql") or "these tests want psql: install postgresql-client"

type Make = Callable[..., House]


@pytest.fixture(scope="module", params=[VERSIONS[-1]])
def cluster(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[PostgresCluster]:
    """The newest, but for tests that say otherwise."""
    with PostgresCluster(tmp_path_factory.mktemp(f"install-{request.param}"), version=request.param) as cluster:
        yield cluster


@pytest.fixture
def make(cluster: PostgresCluster) -> Iterator[Make]:
    """A database for this test."""
    made: list[House] = []

    def build(sql: str = SHOP, *, superuser: bool = True) -> House:
        made.append(House(cluster, sql, MASKS, superuser=superuser))
        return made[-1]

    yield build
    for house in made:
        house.close()


@pytest.mark.parametrize("cluster", VERSIONS, indirect=True)
@pytest.mark.parametrize("superuser", [True, False], ids=["superuser", "nobody-special"])
def test_uninstall_leaves_no_object_no_role_and_every_right_as_it_was(make: Make, superuser: bool) -> None:
    house = make(superuser=superuser)
    before = house.catalog()
    done = house.install()
    assert done.failed == ()
    house.run(f'CREATE ROLE "{house.mask_set.name}_0123456789abcdef" LOGIN IN ROLE "{house.mask_set.name}"')
    assert {row[1] for row in house.catalog() if row[0] == "role"} > {row[1] for row in before if row[0] == "role"}
    if not superuser:  # whoever made the login may take it away
        house.run(f'GRANT "{house.mask_set.name}_0123456789abcdef" TO {house.provisioner} WITH ADMIN OPTION')
    house.uninstall()
    assert house.catalog() == before


@pytest.mark.parametrize("cluster", VERSIONS, indirect=True)
@pytest.mark.parametrize("superuser", [True, False], ids=["superuser", "nobody-special"])
def test_sessions_see_masks_and_nothing_else(make: Make, superuser: bool) -> None:
    house = make(superuser=superuser)
    assert house.install().failed == ()
    shadow = house.shadow()
    twin = shadow.relations["public", "customers"]
    orders = shadow.relations["sales", "orders"]
    with house.session() as session:

        def ask(sql: str) -> object:
            return session.execute(sql.encode()).fetchall()

        ((_, _, email, card, ssn),) = session.execute(f"SELECT * FROM {twin.schema}.customers".encode()).fetchall()
        assert (card, ssn) == ("************1486", "***")
        assert len(email) == 64
        assert ask(f"SELECT iban FROM {orders.schema}.orders") == [(None,)]
        assert ask("SELECT id, name FROM customers") == [(1, "Ada")]
        assert ask("SELECT * FROM names") == [(1, "Ada")]
        assert ask("SELECT * FROM countries") == [("DE", "Germany")]
        assert ask("SELECT hello()") == [("hello",)]
        for sql in (
            "SELECT ssn FROM customers",
            "SELECT * FROM mails",
            "SELECT iban FROM sales.orders",
            "SELECT card_of(1)",
            "UPDATE customers SET ssn = ''",
            "INSERT INTO customers(id, name, email) VALUES (2, 'B', 'ada@corp.test')",
            "INSERT INTO customers(id, name, ssn) VALUES (2, 'B', 'x')",  # who may update writes none
            "TRUNCATE countries",
            "CREATE TABLE here(id int REFERENCES countries)",
            "CREATE VIEW here AS SELECT 1",
            f"CREATE VIEW {twin.schema}.here AS SELECT 1",
        ):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                session.execute(sql.encode())
        assert ask("UPDATE customers SET name = 'Eva' WHERE id = 1 RETURNING name") == [("Eva",)]
        assert ask(f"UPDATE {twin.schema}.customers SET name = 'Ida' RETURNING name, ssn") == [("Ida", "***")]
        assert ask("INSERT INTO customers(id, name) VALUES (3, 'C') RETURNING id") == [(3,)]
        assert ask("INSERT INTO sales.orders(at) VALUES ('2026-02-01') RETURNING id") == [(2,)]
        assert ask("DELETE FROM customers WHERE id = 3 RETURNING name") == [("C",)]
    with house.session(house.account) as direct:
        assert direct.execute("SELECT card_of(1)").fetchall() == [("4539578763621486",)]
    with house.session(house.owner) as somebody:
        assert somebody.execute("SELECT email FROM mails").fetchall() == [("ada@corp.test",)]


def test_what_everybody_had_stays_everybodys_but_masked_sessions(make: Make) -> None:
    house = make()
    house.run("CREATE ROLE bystander")
    house.install()
    with house.session("bystander") as bystander:
        assert bystander.execute("SELECT email FROM mails").fetchall() == [("ada@corp.test",)]
        assert bystander.execute("SELECT card_of(1)").fetchall() == [("4539578763621486",)]
    house.run("CREATE ROLE latecomer")
    done = house.install()
    assert done.plan.made == ()
    with house.session("latecomer") as latecomer:
        assert latecomer.execute("SELECT card_of(1)").fetchall() == [("4539578763621486",)]
    house.uninstall()
    house.run("DROP ROLE bystander; DROP ROLE latecomer")


def test_a_function_that_is_made_later_is_not_everybodys(make: Make) -> None:
    house = make()
    house.install()
    house.run(
        f"SET ROLE {house.owner}; CREATE FUNCTION late() RETURNS text LANGUAGE sql SECURITY DEFINER "
        "AS 'SELECT ssn FROM public.customers'"
    )
    with house.session() as session, pytest.raises(psycopg.errors.InsufficientPrivilege):
        session.execute("SELECT late()")
    with house.session(house.account) as direct:
        assert direct.execute("SELECT late()").fetchall() == [("519-45-6781",)]


BAD = "CREATE FUNCTION bad() RETURNS text LANGUAGE sql SECURITY DEFINER AS 'SELECT ssn FROM public.customers'"
EVERYBODYS = "GRANT EXECUTE ON FUNCTION bad() TO PUBLIC"


@pytest.mark.parametrize("superuser", [True, False], ids=["superuser", "nobody-special"])
@pytest.mark.parametrize("again", [EVERYBODYS, f"REVOKE ALL ON FUNCTION bad() FROM PUBLIC; {EVERYBODYS}", "SELECT 1"])
def test_a_function_that_a_migration_makes_again_is_taken_again(make: Make, superuser: bool, again: str) -> None:
    """Whether it says who may call it, or leaves that to the default privileges, which install moved as well."""
    house = make(f"{SHOP}; {BAD}", superuser=superuser)
    house.run(f"GRANT EXECUTE ON FUNCTION bad() TO {house.account}")
    before = house.catalog()
    house.install()
    for _ in range(2):
        house.run(f"SET ROLE {house.owner}; DROP FUNCTION bad() CASCADE; {BAD}; {again}")
        house.run(f"GRANT EXECUTE ON FUNCTION bad() TO {house.account}")
        assert house.install().failed == ()
        with house.session() as session, pytest.raises(psycopg.errors.InsufficientPrivilege):
            session.execute("SELECT bad()")
        with house.session(house.account) as direct:
            assert direct.execute("SELECT bad()").fetchall() == [("519-45-6781",)]
        assert house.install().plan.steps == ()
    house.uninstall()
    assert house.catalog() == before


def test_what_everybody_is_granted_again_is_taken_again(make: Make) -> None:
    house = make(f"{SHOP}; {BAD}")
    before = house.catalog()
    house.install()
    house.run(f"{EVERYBODYS}; GRANT SELECT ON customers TO PUBLIC; GRANT SELECT (iban) ON sales.orders TO PUBLIC")
    house.install()
    with house.session() as session:
        for text in ("SELECT bad()", "SELECT ssn FROM customers", "SELECT iban FROM sales.orders"):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                session.execute(text.encode())
    house.uninstall()
    assert house.catalog() == before


def test_a_table_that_is_made_again_or_changed_keeps_what_its_migration_said(make: Make) -> None:
    house = make()
    house.install()
    made = "CREATE TABLE customers(id int PRIMARY KEY, name text, email text, card varchar(19), ssn text)"
    house.run(f"SET ROLE {house.owner}; DROP TABLE customers CASCADE; {made}; GRANT SELECT ON customers TO PUBLIC")
    house.run("ALTER TABLE sales.orders RENAME iban TO account")
    before = house.catalog()
    house.install()
    with house.session() as session, pytest.raises(psycopg.errors.InsufficientPrivilege):
        session.execute("SELECT ssn FROM customers")
    house.uninstall()
    told = {row for row in before if "customers" in row[1]}
    assert told & house.catalog() == told


def test_what_a_migration_keeps_from_everybody_stays_so(make: Make) -> None:
    """Its rights are no longer those that install gave: nothing of them is turned round."""
    house = make(f"{SHOP}; {BAD}")
    house.run(f"CREATE ROLE bystander; GRANT EXECUTE ON FUNCTION bad() TO {house.account}")
    house.install()
    hardened = (
        f"REVOKE ALL ON FUNCTION bad() FROM PUBLIC, bystander; GRANT EXECUTE ON FUNCTION bad() TO {house.account}"
    )
    house.run(f"SET ROLE {house.owner}; DROP FUNCTION bad(); {BAD}; {hardened}")
    house.install()
    house.uninstall()
    with house.session("bystander") as session, pytest.raises(psycopg.errors.InsufficientPrivilege):
        session.execute("SELECT bad()")
    with house.session(house.account) as direct:
        assert direct.execute("SELECT bad()").fetchall() == [("519-45-6781",)]
    house.run("DROP ROLE bystander")


def test_a_role_keeps_its_own_right_to_a_column_that_is_everybodys_too(make: Make) -> None:
    house = make()
    house.run("CREATE ROLE bystander; GRANT SELECT (iban) ON sales.orders TO bystander")
    before = house.catalog()
    house.install()
    house.run(f"GRANT SELECT ON countries TO {house.owner}")
    house.install()
    house.uninstall()
    assert house.catalog() == before
    house.run("DROP OWNED BY bystander; DROP ROLE bystander")


TELLS = "CREATE FUNCTION tells() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RAISE NOTICE ''%'', NEW; RETURN NEW; END'"


def test_who_may_not_change_rows_because_of_a_trigger_hears_so(make: Make) -> None:
    house = make(
        f"{SHOP}; {TELLS}; CREATE TRIGGER loud AFTER UPDATE ON customers FOR EACH ROW EXECUTE FUNCTION tells();"
        "REVOKE DELETE ON customers FROM PUBLIC"
    )
    house.install()
    shadow = house.shadow()
    assert shadow.silenced == {("public", "customers"): {"UPDATE"}}
    values = "INSERT INTO customers(id, name) VALUES (1, 'B')"
    with house.session() as session:
        for text in (
            "UPDATE customers SET name = 'B'",
            "WITH a AS (UPDATE public.customers SET name = 'B') SELECT 1",
            f"{values} ON CONFLICT (id) DO UPDATE SET name = 'C'",
            "MERGE INTO customers USING countries ON true WHEN MATCHED THEN UPDATE SET name = 'B'",
        ):
            with pytest.raises(
                Refused, match=r"^Rows of public\.customers can't be changed so in this session, because"
            ):
                rewritten(text, shadow, Places.of(shadow))
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                session.execute(text.encode())
        for text in (
            f"{values} ON CONFLICT (id) DO NOTHING",
            "DELETE FROM customers WHERE id = 9",
            "COPY customers(id) FROM STDIN",
        ):
            assert rewritten(text, shadow, Places.of(shadow)).text == text
    again = house.install(accepted=["trigger public.customers.loud"])
    assert again.plan.made == (house.mask_set.name,) and not again.plan.sets[house.mask_set.name].silenced


def test_keys_of_tables_are_known_to_sessions_where_they_are_shown(make: Make) -> None:
    house = make(
        f"{SHOP}; CREATE TABLE parent(id int PRIMARY KEY, ssn text); CREATE TABLE child() INHERITS (parent);"
        "CREATE TABLE parted(id int, at date, ssn text, PRIMARY KEY (at, id)) PARTITION BY RANGE (at);"
        "CREATE TABLE part PARTITION OF parted DEFAULT; CREATE TABLE hidden(ssn text PRIMARY KEY, name text)"
    )
    house.masks = {**MASKS, **{f"public.{name}.ssn": Redact() for name in ("parent", "parted", "hidden")}}
    house.install()
    shadow = house.shadow()
    keys = {name: shadow.relations["public", name].primary_key for name in ("customers", "parent", "parted", "hidden")}
    assert keys == {"customers": ("id",), "parent": (), "parted": ("at", "id"), "hidden": ()}
    text = (
        "SELECT c.*, count(o.id) AS orders FROM customers c LEFT JOIN sales.orders o ON o.customer = c.id "
        "GROUP BY c.id ORDER BY c.name"
    )
    with house.session() as session:
        found = session.execute(rewritten(text, shadow, Places.of(shadow)).text.encode()).fetchall()
        assert [(row[0], row[1], row[-2:]) for row in found] == [(1, "Ada", ("***", 1))]


def test_a_second_install_does_nothing(make: Make) -> None:
    house = make()
    first = house.install()
    before = house.catalog()
    again = house.install()
    assert (first.plan.made, again.plan.made) == ((house.mask_set.name,), ())
    assert again.plan.steps == ()
    assert house.catalog() == before
    assert changes(house.inventory(), house.planned()) == ()


def test_a_changed_catalog_makes_the_set_anew_and_keeps_its_logins(make: Make) -> None:
    house = make()
    house.install()
    login = f"{house.mask_set.name}_0123456789abcdef"
    house.run(f'CREATE ROLE "{login}" LOGIN IN ROLE "{house.mask_set.name}"')
    house.run(f"ALTER TABLE customers ADD phone text DEFAULT '1'; GRANT SELECT ON customers TO {house.account}")
    house.run(f"CREATE TABLE fresh(id int); GRANT SELECT ON fresh TO {house.account}")
    told = changes(house.inventory(), house.planned())
    assert "public.customers has the new column phone, which masked sessions don't see." in told
    assert any("public.fresh" in sentence for sentence in told)
    assert house.install().plan.made == (house.mask_set.name,)
    with house.session(login) as session:
        twin = house.shadow().relations["public", "customers"]
        assert session.execute(f"SELECT phone, ssn FROM {twin.schema}.customers".encode()).fetchall() == [("1", "***")]
        assert session.execute("SELECT * FROM fresh").fetchall() == []
    assert changes(house.inventory(), house.planned()) == ()


def test_sets_that_policy_no_longer_has_are_taken_away(make: Make) -> None:
    house = make()
    before = house.catalog()
    other = MaskSet(house.database, house.account, {"public.customers.ssn": Redact()})
    house.install(house.mask_set, other)
    assert set(house.inventory().installed) == {house.mask_set.name, other.name}
    done = house.install(other)
    assert (done.plan.made, done.plan.dropped) == ((), (house.mask_set.name,))
    assert set(house.inventory().installed) == {other.name}
    inventory = house.inventory()
    nothing = plan(inventory, (), frozenset())
    assert nothing.dropped == (other.name,)
    house.uninstall()
    assert house.catalog() == before


def test_what_fails_in_the_middle_changes_nothing(make: Make) -> None:
    house = make()
    house.run(f'CREATE SCHEMA "{house.mask_set.name}_is"')  # somebody else's
    before = house.catalog()
    with pytest.raises(SqlFailed) as failed:
        house.install()
    assert "already exists" in failed.value.message
    assert house.catalog() == before
    assert house.desk.now("SELECT 1") == ((("1",),),)  # no transaction is left open


def test_what_would_leak_is_not_kept(make: Make) -> None:
    house = make()
    house.run(
        f'CREATE ROLE "{house.mask_set.name}"; CREATE ROLE reader_of_all; GRANT SELECT ON customers TO reader_of_all'
    )
    house.run(f'GRANT reader_of_all TO "{house.mask_set.name}"')
    before = house.catalog()
    with pytest.raises(Leaking, match=r"can read public\.customers\.card itself"):
        house.install()
    assert house.catalog() == before
    house.run(f'DROP OWNED BY reader_of_all; DROP ROLE reader_of_all; DROP ROLE "{house.mask_set.name}"')


def test_a_right_that_the_account_lost_is_told(make: Make) -> None:
    house = make()
    house.install()
    house.run(f"REVOKE ALL ON countries FROM {house.account}")
    told = changes(house.inventory(), house.planned())
    assert any("may SELECT public.countries, and their account" in each for each in told), told
    house.install()
    with house.session() as session, pytest.raises(psycopg.errors.InsufficientPrivilege):
        session.execute("SELECT * FROM countries")


@pytest.mark.parametrize("cluster", VERSIONS, indirect=True)
def test_a_right_that_was_harmless_when_it_was_given_is_told_when_it_no_longer_is(make: Make) -> None:
    house = make(
        "CREATE TABLE customers(id int PRIMARY KEY, no serial, name text, email text, card text, ssn text);"
        "CREATE TABLE notes(id int GENERATED ALWAYS AS IDENTITY, said text);"
        "CREATE FUNCTION tell() RETURNS trigger LANGUAGE plpgsql AS "
        "'BEGIN RAISE NOTICE $n$%$n$, NEW; RETURN NEW; END';"
        "GRANT SELECT ON SEQUENCE notes_id_seq TO PUBLIC"
    )
    house.masks = {"public.customers.ssn": Redact(), "public.customers.no": Redact()}

    def told() -> set[str]:
        inventory = house.inventory()
        one = plan(inventory, [house.mask_set], frozenset()).sets[house.mask_set.name]
        return {each.name for each in leaks(inventory, one)}

    assert house.install().failed == () and told() == set()
    with house.session() as session:
        assert session.execute("SELECT last_value FROM notes_id_seq").fetchall() == [(1,)]
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            session.execute("SELECT last_value FROM customers_no_seq")
    for made, name, where in (
        ("TRIGGER t", "TRIGGER t ON customers", "BEFORE UPDATE ON customers FOR EACH ROW EXECUTE FUNCTION tell()"),
        ("UNIQUE INDEX u", "INDEX u", "ON customers (lower(coalesce(name, ssn)))"),
        ("INDEX o", "INDEX o", "ON notes (said)"),
    ):
        house.run(f"CREATE {made} {where}")
        assert told() == ({"telling public.customers"} if "customers" in where else set()), made
        house.run(f"DROP {name}")
    house.run("GRANT SELECT ON SEQUENCE customers_no_seq TO PUBLIC")
    assert told() == {"telling public.customers_no_seq"}
    house.install()
    assert told() == set()


def test_the_script_does_the_same_in_psql(make: Make) -> None:
    house = make()
    text = script(house.planned().steps, with_secrets=True)
    done = subprocess.run([PSQL, "-X", "-q", "-d", house.dsn], input=text, text=True, capture_output=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert house.install().plan.steps == ()


def test_keys_are_told_by_their_digest_alone(make: Make) -> None:
    steps = make().planned().steps
    assert (b"k" * 32).hex() not in script(steps) + repr(steps)


def test_an_object_that_cant_be_made_is_withheld_alone(make: Make) -> None:
    house = make(
        SHOP + "; CREATE FUNCTION lost() RETURNS text LANGUAGE sql AS 'SELECT ssn FROM customers';"
        "CREATE VIEW doomed AS SELECT id, lost() AS lost FROM customers"
    )
    done = house.install()
    assert "lost" not in str(done.failed)
    assert house.shadow().relations["public", "customers"].protected == {"card", "email", "ssn"}


def test_a_provisioner_is_told_what_it_lacks_and_how_to_mend_it(cluster: PostgresCluster, make: Make) -> None:
    house = make("CREATE TABLE customers(id int, email text); CREATE TABLE countries(code text)", superuser=False)
    cluster.execute(f"REVOKE {house.owner} FROM {house.provisioner}")
    cluster.execute(f"REVOKE CREATE ON DATABASE {house.database} FROM {house.provisioner}")
    cluster.execute(f"ALTER ROLE {house.provisioner} NOCREATEROLE")
    sentences = " ".join(each.sentence for each in house.planned().blocking + house.planned().findings)
    for mend in (
        f'ALTER ROLE "{house.provisioner}" CREATEROLE would mend that',
        f'GRANT CREATE ON DATABASE "{house.database}" TO "{house.provisioner}" would mend that',
        f'GRANT "{house.owner}" TO "{house.provisioner}" would mend that',
    ):
        assert mend in sentences
    cluster.execute(f"ALTER ROLE {house.provisioner} CREATEROLE")
    cluster.execute(f"GRANT CREATE ON DATABASE {house.database} TO {house.provisioner}")
    done = house.install()  # what it may not lend is kept from masked sessions, and the rest stands
    assert (
        "public.customers can't be used in this session"
        in done.plan.sets[house.mask_set.name].withheld["public", "customers"]
    )
    assert not done.plan.is_open
    house.uninstall()


def test_an_account_that_is_no_role_is_said(make: Make) -> None:
    house = make()
    ghost = MaskSet(house.database, "ghost", house.masks)
    (finding,) = [each for each in house.planned(house.mask_set, ghost).findings if each.name == "no-role ghost"]
    assert 'CREATE ROLE "ghost" LOGIN would mend that' in finding.sentence
    assert house.install(house.mask_set, ghost).plan.made == (house.mask_set.name,)


def test_plans_do_not_depend_on_how_a_process_hashes(make: Make) -> None:
    """Else the next install would make sets anew, and end their sessions."""
    house = make()
    one = MaskSet(house.database, house.account, {"public.customers.ssn": Redact()})
    program = (
        "from tests.shadows.installed_stand import MaskSet, PsycopgDesk, now, plan, taken\n"
        "from hoopproxy.masks import Redact\n"
        f"inventory = now(taken(PsycopgDesk({house.dsn!r}), [{house.account!r}]))\n"
        f"one = {one!r}\n"
        "print(plan(inventory, [one], frozenset()).sets[one.name].digest)\n"
    )
    environment = os.environ | {"PYTHONHASHSEED": "7"}
    done = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout == house.planned(one).sets[one.name].digest + "\n"
