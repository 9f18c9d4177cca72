"""Providers, portals and other pages in the browser that mean the command line ill."""

import base64
import json
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, parse_qsl, urlsplit

import httpx
import pytest
from click.testing import Result

from hoopproxy.cli.answers import Negative
from hoopproxy.cli.loopback import loopback

type Run = Callable[..., Result]
type Answers = dict[str, Any]

CLAIMS = {"iss": "", "aud": "cli", "sub": "ada", "nonce": "", "exp": 4_000_000_000}


class Hostile(ThreadingHTTPServer):
    """A provider of which everything can be changed: `pages` by path, each a document, or `(status, bytes)`."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Request)
        self.issuer = f"http://127.0.0.1:{self.server_address[1]}"
        self.forms: list[dict[str, str]] = []
        self.metadata: Answers = {
            "issuer": self.issuer,
            "code_challenge_methods_supported": ["S256"],
            "authorization_response_iss_parameter_supported": True,
            **{
                f"{name}_endpoint": f"{self.issuer}/{name}"
                for name in ("authorization", "token", "device_authorization", "revocation")
            },
        }
        self.pages: dict[str, Any] = {"/.well-known/openid-configuration": self.metadata}
        self.tokens: list[Any] = []


class _Request(BaseHTTPRequestHandler):
    server: Hostile

    def do_GET(self) -> None:
        self._say(self.server.pages.get(self.path, (404, b"")))

    def do_POST(self) -> None:
        form = dict(parse_qsl(self.rfile.read(int(self.headers["Content-Length"])).decode()))
        self.server.forms.append(form)
        page = self.server.tokens.pop(0) if self.path == "/token" else self.server.pages.get(self.path, (404, b""))
        self._say(page)

    def _say(self, page: Any) -> None:
        status, body = page if isinstance(page, tuple) else (200, json.dumps(page).encode())
        self.send_response(status)
        if 300 <= status < 400:
            self.send_header("Location", "http://127.0.0.1:1/elsewhere")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        try:
            self.wfile.write(body)
        except OSError:
            pass

    def log_message(self, *_: Any) -> None:
        """Nothing."""


@pytest.fixture
def hostile() -> Iterator[Hostile]:
    with Hostile() as serving:
        thread = threading.Thread(target=serving.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield serving
        serving.shutdown()
        thread.join()


def jwt(**claims: Any) -> str:
    payload = base64.urlsafe_b64encode(json.dumps(claims).encode()).decode().rstrip("=")
    return f"e30.{payload}.x"


def comes_back(monkeypatch: pytest.MonkeyPatch, hostile: Hostile, **changes: str | None) -> None:
    """The browser that is opened brings a code back, or what `changes` make of that."""

    def browse(url: str) -> None:
        asked = {name: values[0] for name, values in parse_qs(urlsplit(url).query).items()}
        brought = {"code": "c", "state": asked["state"], "iss": hostile.issuer, **changes}
        httpx.get(asked["redirect_uri"], params={name: value for name, value in brought.items() if value is not None})

    monkeypatch.setattr("webbrowser.open", browse)


def login(run: Run, hostile: Hostile, *more: str) -> Result:
    return run("login", "--issuer", hostile.issuer, "--client-id", "cli", *more)


# Providers ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"issuer": "https://other.example"}, "does not tell of the issuer"),
        ({"code_challenge_methods_supported": ["plain"]}, "does not support PKCE with S256"),
        ({"code_challenge_methods_supported": 7}, "does not support PKCE with S256"),
        ({"authorization_endpoint": "http://id.example/auth"}, "names no authorization_endpoint with https://"),
        ({"authorization_endpoint": "file:///etc/passwd"}, "names no authorization_endpoint"),
        ({"authorization_endpoint": None}, "names no authorization_endpoint"),
    ],
)
def test_metadata_that_can_not_be_trusted_ends_it(
    run: Run, hostile: Hostile, monkeypatch: pytest.MonkeyPatch, changes: Answers, said: str
) -> None:
    opened: list[str] = []
    monkeypatch.setattr("webbrowser.open", opened.append)
    hostile.metadata.update(changes)
    result = login(run, hostile)
    assert (result.exit_code, result.stdout, opened) == (1, "", [])
    assert said in result.stderr


@pytest.mark.parametrize(
    "page",
    [(302, b""), (500, b"x"), (200, b"[]"), (200, b"\xff"), (200, b"{" + b" " * 2_000_000 + b"}"), (200, b"[" * 99999)],
    ids=["redirect", "500", "array", "bytes", "long", "deep"],
)
def test_answers_that_are_none_are_said_to_be(run: Run, hostile: Hostile, page: tuple[int, bytes]) -> None:
    hostile.pages["/.well-known/openid-configuration"] = page
    result = login(run, hostile)
    assert result.exit_code in (1, 3)
    assert len(result.stderr.splitlines()) == 1 and len(result.stderr) < 300


@pytest.mark.parametrize("iss", ["https://evil.example", None, ""])
def test_a_mix_up_of_providers_is_noticed(
    run: Run, hostile: Hostile, monkeypatch: pytest.MonkeyPatch, iss: str | None
) -> None:
    """RFC 9207: the code of another provider must not go to this one."""
    comes_back(monkeypatch, hostile, iss=iss)
    result = login(run, hostile)
    assert result.exit_code == 1
    assert "Another identity provider answered" in result.stderr
    assert hostile.forms == []


def test_what_the_provider_refuses_is_said_in_plain_characters(
    run: Run, hostile: Hostile, monkeypatch: pytest.MonkeyPatch
) -> None:
    comes_back(monkeypatch, hostile, code=None, error="access_denied", error_description="no\x1b]52;c;eA==\x07pe")
    result = login(run, hostile)
    assert result.exit_code == 1
    assert "\x1b" not in result.stderr and "\\x1b" in result.stderr


@pytest.mark.parametrize(
    "wrong", [{"nonce": "other"}, {"nonce": None}, {"aud": "other"}, {"iss": "https://evil.example"}]
)
def test_an_id_token_of_another_sign_in_is_none(
    run: Run, hostile: Hostile, monkeypatch: pytest.MonkeyPatch, wrong: Answers
) -> None:
    def browse(url: str) -> None:
        asked = {name: values[0] for name, values in parse_qs(urlsplit(url).query).items()}
        claims = {**CLAIMS, "iss": hostile.issuer, "nonce": asked["nonce"], **wrong}
        hostile.tokens = [{"access_token": jwt(exp=4e9), "id_token": jwt(**claims)}]
        httpx.get(asked["redirect_uri"], params={"code": "c", "state": asked["state"], "iss": hostile.issuer})

    monkeypatch.setattr("webbrowser.open", browse)
    result = login(run, hostile)
    assert result.exit_code == 1
    assert "another sign-in than this one" in result.stderr
    assert run("login", "--print").exit_code == 1


@pytest.mark.parametrize(
    "answer",
    [
        {},
        {"access_token": ""},
        {"access_token": 7},
        {"access_token": "a\x1b[2Jb"},
        {"access_token": "a\nb"},
        (400, b"?"),
    ],
    ids=str,
)
def test_what_is_no_token_is_not_kept(run: Run, hostile: Hostile, monkeypatch: pytest.MonkeyPatch, answer: Any) -> None:
    comes_back(monkeypatch, hostile)
    hostile.tokens = [answer]
    assert login(run, hostile).exit_code == 1
    assert run("login", "--print").exit_code == 1


# Devices --------------------------------------------------------------------------------------------------------------


DEVICE = {"device_code": "d", "user_code": "AB-12", "verification_uri": "https://id.example/d", "expires_in": 60}


def waits(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """How long was waited, without waiting."""
    waited: list[float] = []

    class Waiting:
        def wait(self, pause_s: float) -> None:
            waited.append(pause_s)

    monkeypatch.setattr("hoopproxy.cli.sign_in.Event", Waiting)
    return waited


def test_a_device_asks_as_often_as_it_may(run: Run, hostile: Hostile, monkeypatch: pytest.MonkeyPatch) -> None:
    """RFC 8628 §3.5."""
    waited = waits(monkeypatch)
    hostile.pages["/device_authorization"] = {**DEVICE, "interval": 2}
    pending, slow = ((400, json.dumps({"error": error}).encode()) for error in ("authorization_pending", "slow_down"))
    hostile.tokens = [pending, slow, pending, slow, {"access_token": jwt(exp=4e9)}]
    result = login(run, hostile, "--device", "--no-browser")
    assert result.exit_code == 0, result.output
    assert waited == [2, 2, 7, 7, 12]
    assert "https://id.example/d and type AB-12" in result.stderr
    assert {form["grant_type"] for form in hostile.forms[1:]} == {"urn:ietf:params:oauth:grant-type:device_code"}


@pytest.mark.parametrize("error", ["expired_token", "access_denied", "invalid_grant"])
def test_a_device_that_is_refused_gives_up(
    run: Run, hostile: Hostile, monkeypatch: pytest.MonkeyPatch, error: str
) -> None:
    waits(monkeypatch)
    hostile.pages["/device_authorization"] = DEVICE
    hostile.tokens = [(400, json.dumps({"error": error}).encode())]
    result = login(run, hostile, "--device", "--no-browser")
    assert result.exit_code == 1 and error in result.stderr


def test_a_device_gives_up_when_its_time_is_over(run: Run, hostile: Hostile, monkeypatch: pytest.MonkeyPatch) -> None:
    waits(monkeypatch)
    hostile.pages["/device_authorization"] = {**DEVICE, "expires_in": 3}
    result = login(run, hostile, "--device", "--no-browser")
    assert result.exit_code == 1 and "not typed in time" in result.stderr


@pytest.mark.parametrize("url", ["http://id.example/d", "javascript:alert(1)", "https://a\nb", "", 7])
def test_a_device_sends_nobody_to_an_unsafe_page(run: Run, hostile: Hostile, url: Any) -> None:
    hostile.pages["/device_authorization"] = {**DEVICE, "verification_uri": url}
    result = login(run, hostile, "--device", "--no-browser")
    assert result.exit_code == 1


# Pages in the same browser --------------------------------------------------------------------------------------------


def test_only_who_knows_the_state_is_listened_to() -> None:
    statuses: list[int] = []
    with loopback() as listening:

        def pages() -> None:
            for path, headers in (
                ("/", {}),
                ("/favicon.ico", {}),
                ("/?code=stolen&state=", {}),
                ("/?code=stolen&state=guess", {}),
                ("/other?code=c&state=right", {}),
                ("/?code=c&state=right", {"Host": "evil.example"}),
                ("/?" + "a=1&" * 50, {}),
                ("/?code=good&state=right", {}),
            ):
                statuses.append(httpx.get(f"http://127.0.0.1:{listening.port}{path}", headers=headers).status_code)

        asking = threading.Thread(target=pages)
        asking.start()
        codes: list[str] = []
        assert listening.wait("right", lambda brought: codes.append(brought["code"]) or "ada") == "ada"
        asking.join()
    assert statuses == [404] * 7 + [200]
    assert codes == ["good"]


def test_what_is_said_in_the_browser_is_text() -> None:
    pages: list[httpx.Response] = []
    with loopback() as listening:
        url = f"http://127.0.0.1:{listening.port}/"
        params = {"state": "right", "error": "x", "error_description": "<script>alert(1)</script>"}
        asking = threading.Thread(target=lambda: pages.append(httpx.get(url, params=params)))
        asking.start()
        with pytest.raises(Negative, match="script"):
            listening.wait("right", lambda _: "nobody")
        asking.join()
    assert "<script>" not in pages[0].text and "&lt;script&gt;" in pages[0].text


def test_nobody_who_comes_is_waited_for_forever(run: Run, hostile: Hostile, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hoopproxy.cli.loopback.WAIT_S_MAX", 0.05)
    monkeypatch.setattr("webbrowser.open", lambda _: None)
    result = login(run, hostile)
    assert result.exit_code == 1 and "in time" in result.stderr
