"""From laptops, over the portal: ask, read the link, decide by it, connect, revoke; and what is wrong with a link."""

import hashlib
import hmac
import json
import ssl
import subprocess
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import psycopg
import pytest

from hoopproxy.access.links import Links
from hoopproxy.testing.certificates import Authority
from hoopproxy.testing.postgres import PostgresCluster
from hoopproxy.testing.stand import Stand
from hoopproxy.testing.three_files import More
from tests.asking.conftest import GROUPS, POLICY
from tests.people import PEOPLE

from .conftest import SECRET, portal, private
from .laptops import Laptop
from .receiver import Receiver

HOSTILE = """<script>alert(1)</script><img src=x onerror=alert(2)>"'&amp;"""


@dataclass
class Place:
    """A gateway with a portal, and the laptops of people who are signed in at it."""

    stand: Stand
    url: str
    laptops: dict[str, Laptop]
    tokens: dict[str, str]
    client: httpx.Client

    @property
    def links(self) -> Links:
        """With the gateway's own key."""
        return Links(self.url, hmac.digest(SECRET, b"hoopproxy access links", hashlib.sha256))

    def asked(self, who: str = "ivo", reason: str = "A customer calls.") -> dict[str, str]:
        """A new request."""
        words = ("request", "ledger", "--for", "1h", "--reason", reason, "--gateway", self.url)
        found: dict[str, str] = self.laptops[who].said(*words)
        return found

    def withdraw(self, request: dict[str, str], who: str = "ivo") -> None:
        self.laptops[who].said("withdraw", request["id"], "--gateway", self.url)


@pytest.fixture(scope="module")
def place(cluster: PostgresCluster, authority: Authority, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    directory = tmp_path_factory.mktemp("place")
    table, url = portal(authority, directory, "127.0.0.63")
    main = f"{table}link_key = {json.dumps(str(private(directory / 'link.key', SECRET)))}\n"
    ca_file = Path(authority.ca_file)
    trust = ssl.create_default_context(cafile=ca_file)
    with (
        Stand(
            directory / "stand", cluster, authority, {"ledger": PEOPLE}, more=More(policy=POLICY, main=main)
        ) as stand,
        httpx.Client(verify=trust, trust_env=False) as client,
    ):
        tokens = {name: stand.issuer.issue(name, groups, name=name.title()) for name, groups in GROUPS.items()}
        laptops = {name: Laptop(directory / name) for name in tokens}
        for name, laptop in laptops.items():
            laptop.sign_in(url, tokens[name], ca_file)
        yield Place(stand, url, laptops, tokens, client)


def test_from_laptops_who_asks_is_approved_by_the_link_connects_and_is_revoked(place: Place) -> None:
    ivo, lena = place.laptops["ivo"], place.laptops["lena"]
    asked = ivo.run("request", "ledger", "--for", "1h", "--reason", "A customer calls.", "--gateway", place.url)
    assert asked.exit_code == 0, asked.output
    link = asked.stdout.split("hoopproxy access approve '")[1].split("'")[0]
    request_id = link.removeprefix(f"{place.url}/access/").split("?")[0]
    dsn = place.stand.dsn(None, "ledger", token=place.tokens["ivo"])
    psql = ["psql", "-X", "-A", "-t", "-c", "SELECT 'in'", dsn]
    with subprocess.Popen(psql, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as client:
        assert client.stderr is not None and client.stdout is not None
        told = client.stderr.readline()
        assert f"hoopproxy access approve '{link}'" in told
        approved = lena.run("approve", link)
        assert approved.exit_code == 0, approved.output
        assert "A customer calls." in approved.stdout and "is approved until" in approved.stdout
        assert client.stdout.read().strip() == "in"
        client.stderr.read()
    with psycopg.connect(dsn, autocommit=True) as connection:
        assert connection.execute("SELECT 1").fetchone() == (1,)
        failed: list[psycopg.Error] = []

        def sleeping() -> None:
            try:
                connection.execute("SELECT pg_sleep(60)")
            except psycopg.Error as why:
                failed.append(why)

        thread = threading.Thread(target=sleeping)
        thread.start()
        revoked = lena.said("revoke", request_id, "--reason", "Enough", "--gateway", place.url)
        assert revoked["phase"] == "revoked"
        thread.join(30)
    assert "was revoked: Enough" in str(failed[0])
    page = place.client.get(link)
    assert page.status_code == 200 and "The request is revoked" in page.text and "approve" not in page.text


def test_a_page_shows_what_is_asked_for_whatever_stands_in_it_and_decides_nothing(place: Place) -> None:
    request = place.asked(reason=HOSTILE)
    page = place.client.get(request["link"])
    assert page.status_code == 200 and page.headers["content-type"] == "text/html; charset=utf-8"
    assert "<script" not in page.text and "<img" not in page.text and "onerror=alert(2)&gt;" in page.text
    assert "script-src" not in (policy := page.headers["content-security-policy"]) and "default-src 'none'" in policy
    assert page.headers["referrer-policy"] == "no-referrer" and page.headers["cache-control"] == "no-store"
    for text in ("ivo", "ledger", "reader", "60 min", request["terms_sha256"], "hoopproxy access approve &#x27;"):
        assert text in page.text
    for method in ("POST", "PUT", "DELETE", "HEAD", "PATCH"):
        assert place.client.request(method, request["link"]).status_code == 405
    shown = place.laptops["ivo"].said("show", request["id"], "--gateway", place.url)
    assert [each["step"] for each in shown["history"]] == ["requested"]
    place.withdraw(request)


def test_a_link_denies_too(place: Place) -> None:
    request = place.asked()
    assert place.laptops["lars"].said("deny", request["link"], "--note", "No.")["phase"] == "denied"


def test_a_link_does_on_the_machine_of_the_gateway_too(place: Place, tmp_path: Path) -> None:
    request = place.asked()
    token = private(tmp_path / "token", place.tokens["lena"].encode())
    said = Laptop(tmp_path).said("deny", request["link"], "--config", place.stand.config, "--token-file", token)
    assert (said["phase"], said["link"]) == ("denied", "")


def test_a_link_lets_nobody_decide_who_may_not(place: Place) -> None:
    request = place.asked("lars")
    own = place.laptops["lars"].run("approve", request["link"])
    assert own.exit_code == 1 and "Nobody can decide about a request of their own" in own.output
    other = place.laptops["ivo"].run("approve", request["link"])
    assert other.exit_code == 1 and "There is no such request, or it is not for you to see." in other.output
    nobody = place.client.post(f"{place.url}/api/approve", json={"link": request["link"]})
    assert nobody.status_code == 401
    place.withdraw(request, "lars")


def refused(place: Place, link: str, sentence: str, status: int = 403) -> None:
    """Before somebody has signed in, and after."""
    page = place.client.get(link)
    assert (page.status_code, sentence in page.text, "customer" in page.text) == (status, True, False), page.text
    for verb in ("approve", "deny"):
        headers = {"Authorization": f"Bearer {place.tokens['lena']}"}
        answer = place.client.post(f"{place.url}/api/{verb}", json={"link": link}, headers=headers)
        assert answer.status_code == 409
        if status == 403:
            assert sentence in answer.json()["error"]
    done = place.laptops["lena"].run("approve", link)
    assert done.exit_code == 1 and "Traceback" not in done.output


def test_a_changed_link_is_refused_wherever_it_is_changed(place: Place) -> None:
    request, other = place.asked(), place.asked(reason="Another customer calls.")
    link = request["link"]
    forged = "This is no link of this gateway"
    refused(place, link.replace(request["terms_sha256"], other["terms_sha256"]), forged)
    refused(place, link.replace(request["id"], other["id"]), forged)
    refused(place, link.replace("&until=1", "&until=2"), forged)
    refused(place, link + "&more=1", forged)
    refused(place, link[:-1] + chr(ord(link[-1]) ^ 1), forged)
    assert place.laptops["lena"].said("show", request["id"], "--gateway", place.url)["request"]["votes"] == []
    place.withdraw(request)
    place.withdraw(other)


def test_a_link_of_another_key_and_one_that_has_expired_are_refused(place: Place) -> None:
    request = place.asked()
    known = request["id"], request["terms_sha256"]
    until = request["link"].split("&until=")[1].split("&")[0]
    assert place.links._made(*known, until) == request["link"]
    refused(place, place.links._made(*known, "1000000000"), "This link has expired")
    refused(place, Links(place.url, b"k" * 32)._made(*known, until), "signed with a key that this gateway does not")
    place.withdraw(request)


def test_a_link_is_to_the_terms_that_it_was_made_for(place: Place) -> None:
    request = place.asked()
    words = ("ledger", "--for", "2h", "--reason", "Longer, for no customer.", "--gateway", place.url)
    edited = place.laptops["ivo"].said("edit", request["id"], *words)
    page = place.client.get(request["link"])
    assert page.status_code == 409 and "was changed since this link was made" in page.text
    assert "Longer" not in page.text
    done = place.laptops["lena"].run("approve", request["link"])
    assert done.exit_code == 1 and "was changed since you read it" in done.output
    assert edited["link"] != request["link"] and place.client.get(edited["link"]).status_code == 200
    place.withdraw(request)


def test_a_link_to_elsewhere_gets_nobodys_token(place: Place) -> None:
    request = place.asked()
    with Receiver() as thief:
        there = thief.url.replace("http://", "https://").removesuffix("/hook")
        done = place.laptops["lena"].run("approve", request["link"].replace(place.url, there))
        assert done.exit_code == 1 and "You are not signed in" in done.output and thief.told == []
    done = place.laptops["lena"].run("approve", request["link"], "--terms", request["terms_sha256"])
    assert done.exit_code == 2 and "A link says which terms it is for" in done.output
    place.withdraw(request)


def test_a_portal_that_can_not_be_asked_is_said_in_a_sentence(place: Place, tmp_path: Path) -> None:
    laptop = Laptop(tmp_path)
    stranger = laptop.run("list", "--gateway", place.url)
    assert stranger.exit_code == 1 and "You are not signed in" in stranger.output
    laptop.sign_in(place.url, place.tokens["ivo"], None)
    untrusted = laptop.run("list", "--gateway", place.url)
    assert untrusted.exit_code == 3 and "can't be reached: [SSL: CERTIFICATE_VERIFY_FAILED]" in untrusted.output
    trusted = laptop.run("list", "--gateway", place.url, "--ca", place.stand.ca_file)
    assert trusted.exit_code == 0, trusted.output
    away = laptop.run("list", "--gateway", "https://127.0.0.63:1", "--token-file", private(tmp_path / "t", b"x"))
    assert away.exit_code == 3 and "127.0.0.63 can't be reached" in away.output
    wrong = laptop.run("list", "--gateway", place.url, "--ca", place.stand.ca_file, "--token-file", tmp_path / "t")
    assert wrong.exit_code == 1 and wrong.output.count("\n") == 1 and "Traceback" not in wrong.output
    missing = laptop.run("list", "--gateway", place.url, "--token-file", tmp_path / "missing")
    assert missing.exit_code == 2 and "can't be read as a token" in missing.output
