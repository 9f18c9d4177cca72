"""From a sign-in to psql, through a real gateway: at a provider that its portal names, or by a token of its own."""

import os
import shutil
import ssl
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest
from click.testing import Result

from hoopproxy.cli.purse import opened
from hoopproxy.testing.certificates import Authority
from hoopproxy.testing.installations import installed
from hoopproxy.testing.postgres import PostgresCluster
from hoopproxy.testing.process import environment
from hoopproxy.testing.stand import Stand
from hoopproxy.testing.three_files import More

from ..identity.directory.slapd import ACCOUNT as LOOKS_UP
from ..identity.directory.slapd import ACCOUNT_PASSWORD, GROUPS, Slapd, private_file
from ..identity.directory.slapd import PEOPLE as PEOPLE_BASE
from .conftest import free_port
from .provider import PEOPLE, Browser, Provider

type Run = Callable[..., Result]

OPENS = """
import sys
from tests.sign_in.provider import Browser
with Browser() as browser:
    browser.go(sys.argv[1])
"""


def files(directory: Path, provider: Provider, slapd: Slapd, ca_file: Path, portal_port: int) -> str:
    return f"""
[addon.people]
use = "ldap"
servers = ["{slapd.urls[0]}"]
ca_file = "{ca_file}"
account = "{LOOKS_UP}"
password_file = "{private_file(directory / "ldap.password", ACCOUNT_PASSWORD)}"
base = "{PEOPLE_BASE}"
group_base = "{GROUPS}"

[addon.idp]
use = "oidc"
issuer = "{provider.issuer}"
audience = "hoopproxy"
introspection_client_id = "gateway"
introspection_secret_file = "{provider.secret_file}"

[addon.idp.sign_in]
client_id = "cli"

[addon.own]
use = "signed-in"
key_file = "{directory}/own.pem"

[portal]
addresses = ["127.0.0.1"]
port = {portal_port}
certificate = "{directory}/portal.crt"
key = "{directory}/portal.key"
url = "https://localhost:{portal_port}"
"""


@pytest.fixture(scope="module")
def portal_port() -> int:
    return free_port()


@pytest.fixture(scope="module")
def slapd(authority: Authority, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Slapd]:
    """Grace, who is an analyst."""
    leaf = authority.issue("directory-sign-in", ips=("127.0.0.1",))
    with Slapd(tmp_path_factory.mktemp("slapd"), leaf, authority.ca_file) as running:
        running.add_group("analysts", running.add_person("grace", "hopper", cn="Grace Hopper"))
        yield running


@pytest.fixture(scope="module")
def stand(
    provider: Provider, slapd: Slapd, portal_port: int, authority: Authority, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Stand]:
    directory = tmp_path_factory.mktemp("files")
    leaf = authority.issue("portal", dns=("localhost",))
    shutil.copy(leaf.certificate_file, directory / "portal.crt")
    shutil.copy(leaf.key_file, directory / "portal.key")
    key = ["openssl", "genpkey", "-algorithm", "ed25519", "-out", str(directory / "own.pem")]
    subprocess.run(key, check=True, capture_output=True)
    served = authority.issue("database-sign-in", dns=("localhost",), ips=("127.0.0.1",))
    with (
        PostgresCluster(
            tmp_path_factory.mktemp("pg"),
            version=max(installed()),
            certificate=(served.certificate_file, served.key_file),
        ) as cluster,
        Stand(
            tmp_path_factory.mktemp("stand"),
            cluster,
            authority,
            {"plain": "CREATE TABLE one (n int); INSERT INTO one VALUES (1);"},
            masks="",
            limits="recheck_s = 5\n",
            more=More(
                main=files(directory, provider, slapd, authority.ca_file, portal_port),
                authenticators=("idp", "people", "own"),
            ),
        ) as running,
    ):
        yield running


def psql(stand: Stand, token: str, sql: str = "SELECT n FROM one") -> "subprocess.CompletedProcess[str]":
    dsn = stand.dsn(None, "plain", token=token)
    command = ["psql", "-X", "-At", "-v", "ON_ERROR_STOP=1", "-c", sql, dsn]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, env=environment(), check=False)


def test_a_person_who_only_knows_the_gateway_gets_to_psql(
    stand: Stand, portal_port: int, home: Path, tmp_path: Path
) -> None:
    """The command as it is installed, a browser as the system names it, and what the page says to type."""
    opens = tmp_path / "browser.py"
    opens.write_text(OPENS)
    env = environment() | {"BROWSER": f"{sys.executable} {opens} %s"}
    env["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{env['PATH']}"
    login = ["hoopproxy", "login", "--gateway", f"https://localhost:{portal_port}", "--ca", str(stand.ca_file)]
    done = subprocess.run(login, capture_output=True, text=True, timeout=60, env=env, check=False)
    assert done.returncode == 0, done.stderr
    typed = f'PGPASSWORD="$(hoopproxy login --print)" psql -X -At -c "SELECT n FROM one" "{stand.dsn(None, "plain")}"'
    done = subprocess.run(["sh", "-c", typed], capture_output=True, text=True, timeout=60, env=env, check=False)
    assert (done.stdout, done.stderr) == ("1\n", "")


def test_a_session_ends_when_its_token_is_revoked_at_the_provider(
    stand: Stand, provider: Provider, portal_port: int, run: Run, browser: Browser
) -> None:
    gateway = ("--gateway", f"https://localhost:{portal_port}")
    assert run("login", *gateway, "--ca", stand.ca_file).exit_code == 0
    token = run("login", "--print").stdout.strip()
    dsn = stand.dsn(None, "plain", token=token)
    live = subprocess.Popen(
        ["psql", "-X", "-At", dsn], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert live.stdin is not None and live.stdout is not None and live.stderr is not None
    live.stdin.write("SELECT n FROM one;\n")
    live.stdin.flush()
    assert live.stdout.readline() == "1\n"
    assert run("logout").exit_code == 0
    live.stdin.write("SELECT pg_sleep(30), n FROM one;\n")
    live.stdin.flush()
    out, said = live.communicate(timeout=60)
    assert out == ""
    assert "this gateway does not know you any more" in said


def test_groups_that_the_provider_takes_away_are_gone_in_a_live_session(
    stand: Stand, provider: Provider, portal_port: int, run: Run, browser: Browser
) -> None:
    assert run("login", "--gateway", f"https://localhost:{portal_port}", "--ca", stand.ca_file).exit_code == 0
    token = run("login", "--print").stdout.strip()
    assert psql(stand, token).stdout == "1\n"
    provider.people({**PEOPLE, "ada": []})
    try:
        done = psql(stand, token, "SELECT pg_sleep(30)")
    finally:
        provider.people(PEOPLE)
    assert done.returncode != 0
    assert "no longer in a group that it needs" in done.stderr


def test_who_signed_in_by_a_password_is_looked_at_again_in_the_directory(
    stand: Stand, slapd: Slapd, portal_port: int, run: Run
) -> None:
    """The token says who it was that knew them: a token of the gateway's own outlives no right."""
    gateway = ("--gateway", f"https://localhost:{portal_port}", "--ca", stand.ca_file)
    signed_in = run("login", *gateway, "--with", "people", typed="grace\nhopper\n")
    assert "You are signed in as Grace Hopper" in signed_in.stderr
    token = run("login", "--print").stdout.strip()
    assert psql(stand, token).stdout == "1\n"
    slapd.leave(f"cn=analysts,{GROUPS}", f"uid=grace,{PEOPLE_BASE}")
    done = psql(stand, token, "SELECT pg_sleep(30)")
    assert done.returncode != 0
    assert "no longer in a group that it needs" in done.stderr
    assert "hopper" not in stand.gateway.log()


def test_services_come_in_by_client_credentials(stand: Stand, provider: Provider) -> None:
    done = psql(stand, provider.machine_token())
    assert "no access to target" in done.stderr  # known, and in no group of a grant


def test_the_portal_speaks_for_the_counter(stand: Stand, portal_port: int, run: Run, browser: Browser) -> None:
    gateway = f"https://localhost:{portal_port}"
    assert run("login", "--gateway", gateway, "--ca", stand.ca_file).exit_code == 0
    with opened() as purse:
        token = purse.kept[gateway]["token"]
    trust = ssl.create_default_context(cafile=stand.ca_file)
    headers = {"Authorization": f"Bearer {token}"}
    answer = httpx.post(f"{gateway}/api/list", json={}, headers=headers, verify=trust)
    assert answer.status_code == 200, answer.text
    nobody = httpx.post(f"{gateway}/api/list", json={}, headers={"Authorization": "Bearer x"}, verify=trust)
    assert nobody.status_code == 401
