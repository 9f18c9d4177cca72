"""psql through a gateway of its own process, by name and password in a real directory."""

import subprocess
from collections.abc import Iterator

import psycopg
import pytest

from hoopproxy.testing.certificates import Authority
from hoopproxy.testing.postgres import PostgresCluster
from hoopproxy.testing.stand import ACCOUNT, Stand
from hoopproxy.testing.three_files import More

from .slapd import ACCOUNT as LOOKS_UP
from .slapd import ACCOUNT_PASSWORD, GROUPS, PEOPLE, Slapd, private_file

MAIN = """
[addon.people]
use = "ldap"
servers = ["{ldaps}"]
ca_file = "{ca_file}"
account = "{account}"
password_file = "{password_file}"
base = "{people}"
group_base = "{groups}"
"""
TABLES = "CREATE TABLE notes (id int); INSERT INTO notes VALUES (1), (2);"
LIMITS = "recheck_s = 5\nunchecked_s_max = 10\n"


@pytest.fixture(scope="module")
def cluster(authority: Authority, tmp_path_factory: pytest.TempPathFactory) -> Iterator[PostgresCluster]:
    leaf = authority.issue("database-directory", dns=("localhost",), ips=("127.0.0.1",))
    certificate = leaf.certificate_file, leaf.key_file
    with PostgresCluster(tmp_path_factory.mktemp("pg"), certificate=certificate) as running:
        yield running


@pytest.fixture(scope="module")
def stand(
    cluster: PostgresCluster, authority: Authority, slapd: Slapd, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Stand]:
    secrets = tmp_path_factory.mktemp("ldap")
    main = MAIN.format(
        ldaps=slapd.urls[0],
        ca_file=authority.ca_file,
        account=LOOKS_UP,
        password_file=private_file(secrets / "ldap.password", ACCOUNT_PASSWORD),
        people=PEOPLE,
        groups=GROUPS,
    )
    with Stand(
        tmp_path_factory.mktemp("stand"),
        cluster,
        authority,
        {"notes": TABLES},
        masks="",
        limits=LIMITS,
        more=More(main=main, authenticators=("people",)),
    ) as running:
        yield running


def psql(stand: Stand, secret: str, *words: str) -> subprocess.CompletedProcess[str]:
    dsn = stand.dsn(None, "notes", ACCOUNT, token=secret)
    return subprocess.run(
        ["psql", "-XAtc", "SELECT count(*) FROM notes", *words, dsn],
        capture_output=True,
        text=True,
        timeout=60,
        env={"PATH": stand.direct("notes").path, "PGCONNECT_TIMEOUT": "30"},
        check=False,
    )


def test_psql_comes_in_by_name_and_password(stand: Stand) -> None:
    done = psql(stand, "ada:lovelace")
    assert (done.stdout, done.stderr) == ("2\n", "")


def test_who_gives_a_wrong_password_is_told_what_to_do(stand: Stand) -> None:
    done = psql(stand, "ada:guess")
    assert done.returncode == 2 and not done.stdout
    assert "Your name and password are not right; give both as NAME:PASSWORD and connect again." in done.stderr
    assert "lovelace" not in stand.gateway.log() and "ada:guess" not in stand.gateway.log()
    assert stand.gateway.heard("denied", holding="wrong password for 'ada'")


def test_tokens_are_still_the_issuer_s(stand: Stand) -> None:
    assert psql(stand, stand.tokens["ada"]).stdout == "2\n"
    assert "Your token is not valid here" in psql(stand, "no-token-at-all").stderr


def test_who_leaves_a_group_loses_the_session_that_came_by_it(stand: Stand, slapd: Slapd) -> None:
    """The one who is taken out, and not the one who stays."""
    group, bob = f"cn=analysts,{GROUPS}", slapd.add_person("bob", "builder")
    slapd.join(group, bob)
    with (
        psycopg.connect(stand.dsn(None, "notes", ACCOUNT, token="ada:lovelace")) as stays,
        psycopg.connect(stand.dsn(None, "notes", ACCOUNT, token="bob:builder")) as leaves,
    ):
        slapd.leave(group, bob)
        with pytest.raises(psycopg.OperationalError, match="session has ended"):
            leaves.execute("SELECT pg_sleep(60)")
        assert stays.execute("SELECT count(*) FROM notes").fetchone() == (2,)
    assert "You have no access to target" in psql(stand, "bob:builder").stderr
