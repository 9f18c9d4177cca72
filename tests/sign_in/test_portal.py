"""The portal, as browsers, programs and attackers see it."""

import json
import socket
import ssl
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
from click.testing import Result

from hoopproxy.cli.oauth import Proof
from hoopproxy.testing.certificates import Authority

from .conftest import free_port
from .portals import PortalProcess, begun, code_of, returned

type Run = Callable[..., Result]

RELAXED = {"requests_per_minute": 10_000, "sign_ins_per_minute": 10_000}


@pytest.fixture(scope="module")
def portal(authority: Authority, tmp_path_factory: pytest.TempPathFactory) -> Iterator[PortalProcess]:
    with PortalProcess(tmp_path_factory.mktemp("portal"), authority, free_port(), **RELAXED) as running:
        yield running


@pytest.fixture
def client(portal: PortalProcess) -> Iterator[httpx.Client]:
    with portal.client() as ours:
        yield ours


@pytest.fixture
def stranger(portal: PortalProcess) -> Iterator[httpx.Client]:
    """Another browser."""
    with portal.client() as theirs:
        yield theirs


def redeemed(client: httpx.Client, code: str, verifier: str) -> httpx.Response:
    return client.post("/sign-in/token", json={"code": code, "verifier": verifier})


def token_of(client: httpx.Client, name: str = "ada") -> str:
    told = {"with": "people", "name": name, "password": "right"}
    return str(client.post("/sign-in/password", json=told).json()["token"])


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


# As people use it -----------------------------------------------------------------------------------------------------


def test_a_browser_signs_a_person_in_on_the_command_line(
    portal: PortalProcess, run: Run, monkeypatch: pytest.MonkeyPatch, client: httpx.Client
) -> None:
    def browse(url: str) -> None:
        """The identity provider is the test."""
        sent = client.get(url).headers["location"]
        assert sent.startswith("https://idp.test/")
        back = returned(client, parse_qs(urlsplit(sent).query)["RelayState"][0])
        page = httpx.get(back.headers["location"])
        assert "You are signed in." in page.text

    monkeypatch.setattr("webbrowser.open", browse)
    result = run("login", "--gateway", portal.url, "--with", "sso", "--ca", portal.ca_file)
    assert result.exit_code == 0, result.output
    assert "You are signed in as Ada" in result.stderr
    token = run("login", "--print").stdout.strip()
    answer = client.post("/api/who", json={}, headers=bearer(token)).json()
    assert (answer["issuer"], answer["subject"]) == ("https://sso.test", "id-of-ada")


def test_a_password_is_asked_for_and_not_shown(portal: PortalProcess, run: Run, client: httpx.Client) -> None:
    words = ("login", "--gateway", portal.url, "--with", "people", "--ca", portal.ca_file)
    result = run(*words, typed="ada\nright\n")
    assert result.exit_code == 0, result.output
    assert "right" not in result.output
    token = run("login", "--print").stdout.strip()
    assert client.post("/api/who", json={}, headers=bearer(token)).json()["issuer"] == "https://people.test"
    wrong = run(*words, typed="ada\nwrong\n")
    assert wrong.exit_code == 1
    assert wrong.stderr.endswith("Name or password is wrong.\n")


def test_whom_the_provider_refuses_is_told_in_the_terminal(
    portal: PortalProcess, run: Run, monkeypatch: pytest.MonkeyPatch, client: httpx.Client
) -> None:
    def browse(url: str) -> None:
        sent = client.get(url).headers["location"]
        httpx.get(returned(client, parse_qs(urlsplit(sent).query)["RelayState"][0], "mallory").headers["location"])

    monkeypatch.setattr("webbrowser.open", browse)
    result = run("login", "--gateway", portal.url, "--ca", portal.ca_file)
    assert result.exit_code == 1
    assert "Signing in with sso; --with chooses another of sso, people." in result.stderr
    assert "Mallory may not sign in here." in result.stderr


def test_what_can_be_done_here_is_told(portal: PortalProcess, client: httpx.Client, run: Run) -> None:
    known = client.get("/.well-known/hoopproxy").json()
    ways = [{"name": "sso", "kind": "browser"}, {"name": "people", "kind": "password"}]
    assert known == {"gateway": "gw", "url": portal.url, "ways": ways}
    assert f"hoopproxy login --gateway {portal.url}" in client.get("/").text
    unknown = run("login", "--gateway", portal.url, "--with", "magic", "--ca", portal.ca_file)
    assert unknown.exit_code == 2 and "it has sso, people" in unknown.stderr


def test_a_portal_that_is_not_trusted_or_not_there_is_said(portal: PortalProcess, run: Run) -> None:
    assert run("login", "--gateway", portal.url).exit_code == 3
    assert run("login", "--gateway", f"https://localhost:{free_port()}").exit_code == 3
    by_another_name = f"https://localhost.:{portal.port}"
    assert run("login", "--gateway", by_another_name, "--ca", portal.ca_file).exit_code in (1, 3)


# Against whom it stands (threats: session fixation, CSRF, login CSRF) -------------------------------------------------


def test_login_csrf_another_browser_can_not_finish_what_this_one_began(
    client: httpx.Client, stranger: httpx.Client
) -> None:
    """An attacker begins, signs in as themselves, and has the victim's browser post the answer."""
    relayed = begun(stranger, Proof())
    assert returned(client, relayed, "attacker").status_code == 403
    begun(client, Proof())  # even when the victim is amid a sign-in of their own
    assert returned(client, relayed, "attacker").status_code == 403
    assert returned(stranger, relayed).status_code == 303  # and it is not used up by that


def test_session_fixation_a_cookie_that_was_there_before_counts_for_nothing(client: httpx.Client) -> None:
    name = "__Host-hoopproxy-sign-in"
    chosen = f"{name}=chosen-by-an-attacker"
    asked = {"port": 7777, "challenge": Proof().challenge, "state": Proof().state}
    answer = client.get("/sign-in/sso", params=asked, headers={"Cookie": chosen})
    given = answer.headers["set-cookie"]
    assert "chosen" not in given
    assert set(given.partition(";")[2].replace(" ", "").split(";")) == {
        *("Path=/", "Secure", "HttpOnly", "SameSite=None", "Max-Age=600"),
    }
    relayed = parse_qs(urlsplit(answer.headers["location"]).query)["RelayState"][0]
    client.cookies.clear()
    assert returned(client, relayed, Cookie=chosen).status_code == 403


def test_a_sign_in_comes_back_once(client: httpx.Client) -> None:
    relayed = begun(client, Proof())
    cookie = client.cookies["__Host-hoopproxy-sign-in"]
    answer = returned(client, relayed)
    assert "Max-Age=0" in answer.headers["set-cookie"]
    again = returned(client, relayed, Cookie=f"__Host-hoopproxy-sign-in={cookie}")
    assert again.status_code == 403
    assert "run `hoopproxy login` again" in again.text.replace("&#x27;", "'")


def test_a_code_is_for_who_knows_the_verifier_and_once(client: httpx.Client) -> None:
    proof = Proof()
    answer = returned(client, begun(client, proof))
    sent = urlsplit(answer.headers["location"])
    assert (sent.scheme, sent.netloc, sent.path) == ("http", "127.0.0.1:7777", "/")
    assert parse_qs(sent.query)["state"] == [proof.state]
    code = code_of(answer)
    assert redeemed(client, code, Proof().verifier).status_code == 403
    assert redeemed(client, code, proof.verifier).status_code == 403, "a wrong try uses it up"
    code = code_of(returned(client, begun(client, proof)))
    assert redeemed(client, code, proof.verifier).json()["name"] == "Ada"
    assert redeemed(client, code, proof.verifier).status_code == 403


@pytest.mark.parametrize(
    "changed",
    [
        *({"port": value} for value in ("80", "0", "70000", "7777.evil.test", "", "07777")),
        *({"challenge": value} for value in ("", "short", "x" * 44)),
        *({"state": value} for value in ("", "short", "x" * 129, "a b c d e f g h i j k l")),
        {"redirect_uri": "https://evil.test", "port": ""},
    ],
    ids=str,
)
def test_a_browser_is_sent_to_this_machine_alone(client: httpx.Client, changed: dict[str, str]) -> None:
    asked = {"port": "7777", "challenge": Proof().challenge, "state": Proof().state, **changed}
    answer = client.get("/sign-in/sso", params=asked)
    assert answer.status_code == 400
    assert "location" not in answer.headers and "set-cookie" not in answer.headers


def test_a_field_that_is_there_twice_is_refused(client: httpx.Client) -> None:
    proof = Proof()
    query = f"port=7777&port=7778&challenge={proof.challenge}&state={proof.state}"
    assert client.get(f"/sign-in/sso?{query}").status_code == 400
    many = "&".join(f"a{number}=1" for number in range(30))
    assert client.get(f"/sign-in/sso?{many}").status_code == 400


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data", ""])
@pytest.mark.parametrize("path", ["/api/who", "/sign-in/token", "/sign-in/password"])
def test_csrf_what_a_page_can_post_unasked_is_no_request(client: httpx.Client, path: str, kind: str) -> None:
    """Other types need the permission of CORS (Fetch Standard, 2.2.2), and nobody is given that."""
    told = {"with": "people", "name": "ada", "password": "right", "code": "c", "verifier": "v"}
    headers = {"Content-Type": kind, **bearer(token_of(client))}
    answer = client.post(path, content=json.dumps(told), headers=headers)
    assert answer.status_code == 415
    preflight = client.options(path, headers={"Origin": "https://evil.test", "Access-Control-Request-Method": "POST"})
    assert preflight.status_code in (404, 405)
    assert not any(name.startswith("access-control") for name in preflight.headers)


def test_cookies_are_no_token(client: httpx.Client) -> None:
    token = token_of(client)
    answer = client.post("/api/who", json={}, headers={"Cookie": f"token={token}; Authorization=Bearer {token}"})
    assert answer.status_code == 401
    assert answer.headers["www-authenticate"] == "Bearer"


@pytest.mark.parametrize("path", ["/", "/nothing", "/sign-in/sso", "/api/who", "/.well-known/hoopproxy"])
def test_every_answer_is_kept_by_nobody_and_runs_nothing(client: httpx.Client, path: str) -> None:
    headers = client.get(path).headers
    policy = headers["content-security-policy"]
    assert policy.startswith("default-src 'none'") and "frame-ancestors 'none'" in policy and "unsafe" not in policy
    assert headers["cache-control"] == "no-store"
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "no-referrer"
    assert headers["strict-transport-security"] == "max-age=31536000"
    assert "server" not in headers


def test_what_people_bring_is_shown_as_text(client: httpx.Client) -> None:
    answer = client.get("/sign-in/x%3Cscript%3E")
    assert answer.status_code == 404 and "<script>" not in answer.text
    answer = client.get("/sign-in/nobody", params={"port": "<script>alert(1)</script>"})
    assert answer.status_code == 404 and "<script>" not in answer.text


@pytest.mark.parametrize("name", ["", "ada:right", "a\x00b", "x" * 2000, 7])
def test_names_that_could_be_read_in_two_ways_are_refused(client: httpx.Client, name: Any) -> None:
    told = {"with": "people", "name": name, "password": "right"}
    assert client.post("/sign-in/password", json=told).status_code == 400


@pytest.mark.parametrize("way", ["sso", "own", "nobody"])
def test_passwords_go_to_who_takes_them_alone(client: httpx.Client, way: str) -> None:
    told = {"with": way, "name": "ada", "password": "right"}
    assert client.post("/sign-in/password", json=told).status_code == 404
    assert client.get("/sign-in/people", params={"port": 7777}).status_code == 404


@pytest.mark.parametrize("body", ["", "{", "[]", "null", '"x"', '{"code": 1}', "[" * 10_000])
def test_what_is_no_document_is_refused(client: httpx.Client, body: str) -> None:
    answer = client.post("/sign-in/token", content=body, headers={"Content-Type": "application/json"})
    assert answer.status_code == 400
    assert set(answer.json()) == {"error"}


def test_what_breaks_is_told_to_the_operator_alone(authority: Authority, tmp_path: Path) -> None:
    with PortalProcess(tmp_path, authority, free_port()) as broken, broken.client() as client:
        token = token_of(client)
        answer = client.post("/api/who", json={"crash": True}, headers=bearer(token))
        assert answer.status_code == 500 and "bug" not in answer.text
        told = {"with": "people", "name": "broken", "password": "right"}
        answer = client.post("/sign-in/password", json=told)
        assert answer.status_code == 503 and "hunter2" not in answer.text
    assert "a bug" in broken.said and "on fire" in broken.said
    assert token not in broken.said


# Verbs ----------------------------------------------------------------------------------------------------------------


def test_verbs_are_asked_by_a_token(client: httpx.Client) -> None:
    headers = bearer(token_of(client))
    answer = client.post("/api/who", json={"a": 1}, headers=headers)
    assert answer.json()["told"] == {"a": 1} and answer.json()["listener"] == "portal"
    assert client.post("/api/who", json={}, headers=bearer("e30.e30.e30")).status_code == 401
    assert client.post("/api/what", json={}, headers=headers).status_code == 404
    assert client.get("/api/who", headers=headers).status_code == 405


# Floods ---------------------------------------------------------------------------------------------------------------


def test_one_address_asks_so_often_and_no_more(authority: Authority, tmp_path: Path) -> None:
    limits = {"requests_per_minute": 12, "sign_ins_per_minute": 3}
    with PortalProcess(tmp_path, authority, free_port(), **limits) as running, running.client() as client:
        told = {"with": "people", "name": "ada", "password": "wrong"}
        tries = [client.post("/sign-in/password", json=told).status_code for _ in range(5)]
        assert tries == [401, 401, 401, 429, 429]
        told["password"] = "right"
        assert client.post("/sign-in/password", json=told).status_code == 429
        assert [client.get("/").status_code for _ in range(8)] == [200] * 6 + [429] * 2


def _connection(portal: PortalProcess) -> ssl.SSLSocket:
    trust = ssl.create_default_context(cafile=portal.ca_file)
    plain = socket.create_connection(("127.0.0.1", portal.port), timeout=20)
    return trust.wrap_socket(plain, server_hostname="localhost")


@pytest.mark.parametrize(
    "head", ["Content-Length: 9999999999", "Transfer-Encoding: chunked"], ids=["announced", "chunked"]
)
def test_long_bodies_are_cut_off(portal: PortalProcess, head: str) -> None:
    with _connection(portal) as speaking:
        speaking.sendall(f"POST /sign-in/token HTTP/1.1\r\nHost: localhost\r\n{head}\r\n\r\n".encode())
        piece = b"10000\r\n" + b"x" * 65536 + b"\r\n"
        try:
            for _ in range(64):
                speaking.sendall(piece)
            assert speaking.recv(65536).startswith(b"HTTP/1.1 413 ")
        except (ConnectionError, ssl.SSLError):  # it has hung up, with the answer on its way
            pass
    with portal.client() as client:
        assert client.get("/").status_code == 200


def test_who_drips_is_ended_and_connections_are_counted(authority: Authority, tmp_path: Path) -> None:
    limits = {"connection_s_max": 1.5, "connections_per_address_max": 3}
    with PortalProcess(tmp_path, authority, free_port(), **limits) as running:
        held = [_connection(running) for _ in range(3)]
        with pytest.raises(OSError, match=r"EOF|reset"):
            _connection(running)
        held[0].sendall(b"GET / HTTP/1.1\r\nHost: ")
        for each in held:
            with each:
                try:
                    assert each.recv(1) == b""
                except ConnectionResetError:
                    pass
        with running.client() as client:
            assert client.get("/").status_code == 200


def test_old_tls_is_not_spoken(portal: PortalProcess) -> None:
    asked = ["openssl", "s_client", "-connect", f"127.0.0.1:{portal.port}", "-tls1_1"]
    done = subprocess.run(asked, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=30, check=False)
    assert "BEGIN CERTIFICATE" not in done.stdout
