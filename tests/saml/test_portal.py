"""The whole way: a command, a browser, SimpleSAMLphp, the portal of a real gateway, a token, and psql with it."""

import ssl
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
from click.testing import CliRunner

from hoopproxy.cli.main import main
from hoopproxy.testing.certificates import Authority
from hoopproxy.testing.installations import installed
from hoopproxy.testing.postgres import PostgresCluster
from hoopproxy.testing.stand import Stand
from hoopproxy.testing.three_files import More
from tests.sign_in.conftest import free_port

from .simplesamlphp import SimpleSamlPhp, sign_in

SERVICE = "https://gateway.example/saml"

MORE = """
[portal]
addresses = ["127.0.0.1"]
port = {port}
url = "{url}"
certificate = "{stand}/secrets/gateway.crt"
key = "{stand}/secrets/gateway.key"

[addon.staff]
use = "saml"
entity_id = "{service}"
acs_url = "{url}/sign-in/staff/return"
metadata_file = "{metadata}"

[addon.here]
use = "signed-in"
"""

POLICY = """
[[role]]
name = "engineer"
groups = ["engineers"]

[[grant]]
name = "engineers"
roles = ["engineer"]
targets = ["plain"]
accounts = ["reader"]
zone = "EU"
client_zones = ["EU"]
duration_s_max = 3600
"""


@dataclass
class Gateway:
    """A gateway that people of SimpleSAMLphp sign in at."""

    stand: Stand
    url: str


@pytest.fixture(scope="module")
def gateway(authority: Authority, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    directory, port = tmp_path_factory.mktemp("gateway"), free_port()
    url = f"https://localhost:{port}"
    provider = SimpleSamlPhp(tmp_path_factory.mktemp("simplesamlphp"), f"{url}/sign-in/staff/return")
    metadata = directory / "metadata.xml"
    metadata.write_bytes(provider.metadata)
    main_toml = MORE.format(port=port, url=url, stand=directory / "stand", service=SERVICE, metadata=metadata)
    more = More(main=main_toml, policy=POLICY, authenticators=("staff", "here"))
    leaf = authority.issue("database", dns=("localhost",), ips=("127.0.0.1",))
    try:
        with (
            PostgresCluster(
                directory / "pg", version=max(installed()), certificate=(leaf.certificate_file, leaf.key_file)
            ) as cluster,
            Stand(directory / "stand", cluster, authority, {"plain": ""}, masks="", more=more) as stand,
        ):
            yield Gateway(stand, url)
    finally:
        provider.stop()


def test_who_signs_in_by_browser_uses_psql(
    gateway: Gateway, authority: Authority, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trust = ssl.create_default_context(cafile=authority.ca_file)

    def go(url: str) -> bool:
        """What a person's browser does there, to the page of the command that waits for it."""
        with httpx.Client(follow_redirects=True, verify=trust) as browser:
            brought = sign_in(url, "alice", browser)
            page = browser.post(f"{gateway.url}/sign-in/staff/return", data=brought)
            assert page.status_code == 200, page.text
        return True

    monkeypatch.setattr("webbrowser.open", go)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    done = CliRunner().invoke(main, ["login", "--gateway", gateway.url, "--ca", str(authority.ca_file)])
    assert done.exit_code == 0, done.output
    assert "You are signed in as Alice until" in done.stderr
    token = CliRunner().invoke(main, ["login", "--print"]).stdout.strip()

    door = gateway.stand.direct("plain")
    dsn = gateway.stand.dsn(None, "plain", token=token)
    command = ["psql", "-X", "-At", "-c", "SELECT current_user, 6 * 7", dsn]
    asked = subprocess.run(command, capture_output=True, text=True, timeout=60, env={"PATH": door.path}, check=False)
    assert (asked.returncode, asked.stdout) == (0, "reader|42\n"), asked.stderr


def test_a_browser_that_did_not_begin_does_not_end(gateway: Gateway, authority: Authority) -> None:
    """Login CSRF: somebody's own response, sent by another's browser."""
    trust = ssl.create_default_context(cafile=authority.ca_file)
    asked = "port=4711&challenge=" + "c" * 43 + "&state=" + "s" * 16
    with httpx.Client(follow_redirects=True, verify=trust) as attacker, httpx.Client(verify=trust) as victim:
        brought = sign_in(f"{gateway.url}/sign-in/staff?{asked}", "bob", attacker)
        page = victim.post(f"{gateway.url}/sign-in/staff/return", data=brought)
    assert page.status_code == 403 and "was not begun in this browser" in page.text
