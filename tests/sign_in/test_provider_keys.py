"""The `oidc` addon and the keys, words and outages of a real provider. Time is turned by hand."""

import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ipaddress import ip_address
from pathlib import Path
from types import MappingProxyType
from typing import Any

import httpx
import pytest
from twisted.internet.task import Clock
from zope.interface.verify import verifyObject

from hoopproxy.access.policy import Policy
from hoopproxy.addons.oidc import OidcAuthenticator, Settings
from hoopproxy.cli.oauth import OAuth, Proof, Tokens
from hoopproxy.cli.oauth import Provider as Named
from hoopproxy.errors import Refused
from hoopproxy.interfaces import INamesProvider, IRechecking
from hoopproxy.model import Arrival, Credentials, Endpoint
from hoopproxy.proofs import Secret
from hoopproxy.registry import Setting
from hoopproxy.scheduler import TwistedScheduler

from .provider import PEOPLE, Browser, Provider

ARRIVAL = Arrival("c1", "front", "postgres", Endpoint(ip_address("127.0.0.1"), 50000), 0.0)

type Spin = Callable[[Any], Any]


@pytest.fixture
def clock() -> Clock:
    """Begins now, since the provider has no other time."""
    made = Clock()
    made.advance(datetime.now(UTC).timestamp())
    return made


def addon(clock: Clock, issuer: str, **settings: Any) -> OidcAuthenticator:
    setting = Setting("gw", "EU", "", Policy("r", (), (), ()), MappingProxyType({}), TwistedScheduler(clock))
    return OidcAuthenticator.build("idp", Settings(issuer=issuer, audience="hoopproxy", **settings), setting)


def said(token: str) -> Credentials:
    return Credentials("ledger", "", "", Secret(token))


def is_known(spin: Spin, asked: OidcAuthenticator, token: str) -> bool:
    try:
        return spin(asked.identify(ARRIVAL, said(token))) is not None
    except Refused:
        return False


def signed_in(provider: Provider) -> Tokens:
    """As `hoopproxy login` does, without a command."""
    oauth, proof = OAuth(Named(provider.issuer, "cli")), Proof()
    with Browser() as ours, pytest.raises(httpx.ConnectError):  # nobody listens there: the code is in its address
        ours.go(oauth.authorization_url("http://127.0.0.1:9/", proof))
    code = httpx.URL(ours.seen[-1]).params["code"]
    return oauth.by_code(code, "http://127.0.0.1:9/", proof)


def test_keys_are_rotated_while_the_gateway_runs(provider: Provider, clock: Clock, spin: Spin) -> None:
    asked = addon(clock, provider.issuer)
    old = provider.machine_token()
    assert is_known(spin, asked, old)
    provider.rotate()
    new = provider.machine_token()
    clock.advance(61)  # unknown keys are asked for once a minute
    assert is_known(spin, asked, new)
    assert is_known(spin, asked, old), "the last key is still published"
    provider.withdraw()
    assert is_known(spin, asked, old), "until keys are read again"
    clock.advance(601)
    with pytest.raises(Refused) as caught:
        spin(asked.identify(ARRIVAL, said(old)))
    assert "publishes no key" in caught.value.detail


def test_an_outage_is_outlived_by_known_keys_for_so_long(provider: Provider, clock: Clock, spin: Spin) -> None:
    asked = addon(clock, provider.issuer, jwks_age_s_max=200)
    token = provider.machine_token()
    assert is_known(spin, asked, token)
    provider.stop()
    try:
        clock.advance(190)
        assert is_known(spin, asked, token)
        clock.advance(20)
        with pytest.raises(Refused, match="can't check tokens of your identity provider") as caught:
            spin(asked.identify(ARRIVAL, said(token)))
        assert "refused" in caught.value.detail
    finally:
        provider._start()


# Bad answers, over real connections -----------------------------------------------------------------------------------


class Odd(ThreadingHTTPServer):
    """Answers for a provider: with what it said, or oddly where `page` says so."""

    daemon_threads = True

    def __init__(self, real: str) -> None:
        super().__init__(("127.0.0.1", 0), _Odd)
        self.real, self.issuer = real, f"http://127.0.0.1:{self.server_address[1]}"
        self.page: tuple[int, bytes] | None = None
        self.sent_bytes = 0


class _Odd(BaseHTTPRequestHandler):
    server: Odd

    def do_GET(self) -> None:
        odd = self.server
        found = httpx.get(odd.real + self.path)
        status, body = found.status_code, found.content.replace(odd.real.encode(), odd.issuer.encode())
        if self.path == "/jwks" and odd.page is not None:
            status, body = odd.page
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        if 300 <= status < 400:
            self.send_header("Location", odd.real + "/jwks")
        self.end_headers()
        try:
            for at in range(0, len(body), 65536):
                self.wfile.write(body[at : at + 65536])
                odd.sent_bytes += 65536
        except OSError:  # it was not waited for
            pass

    def log_message(self, *_: Any) -> None:
        """Nothing."""


@pytest.fixture
def odd(provider: Provider) -> Iterator[Odd]:
    with Odd(provider.issuer) as serving:
        thread = threading.Thread(target=serving.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield serving
        serving.shutdown()
        thread.join()


@pytest.mark.parametrize(
    ("status", "body"),
    [(500, b"oops"), (302, b""), (200, b'{"keys": []}' + b" " * 10_000_000), (200, b"<html>")],
    ids=["500", "redirect", "10-mb", "html"],
)
def test_keys_that_come_oddly_are_no_keys(
    provider: Provider, odd: Odd, clock: Clock, spin: Spin, status: int, body: bytes
) -> None:
    odd.page = status, body
    asked = addon(clock, provider.issuer, jwks_url=f"{odd.issuer}/jwks")
    token = provider.machine_token()
    with pytest.raises(Refused, match="can't check tokens"):
        spin(asked.identify(ARRIVAL, said(token)))
    assert odd.sent_bytes < 8_000_000, "ten megabytes were not waited for"
    odd.page = None
    clock.advance(6)
    assert is_known(spin, asked, token)


# What a provider says of a token --------------------------------------------------------------------------------------


def introspecting(clock: Clock, provider: Provider, **settings: Any) -> OidcAuthenticator:
    named = {"introspection_client_id": "gateway", "introspection_secret_file": provider.secret_file, **settings}
    return addon(clock, provider.issuer, **named)


def test_without_a_client_of_its_own_nobody_is_asked(provider: Provider, clock: Clock) -> None:
    assert not IRechecking.providedBy(addon(clock, provider.issuer))
    asked = introspecting(clock, provider)
    assert verifyObject(IRechecking, asked)
    assert not INamesProvider.providedBy(asked)


def test_a_revoked_token_is_nobody_any_more(provider: Provider, clock: Clock, spin: Spin) -> None:
    asked: Any = introspecting(clock, provider)
    tokens = signed_in(provider)
    identity = spin(asked.identify(ARRIVAL, said(tokens.shown)))
    assert spin(asked.recheck(identity, said(tokens.shown))) == identity
    OAuth(Named(provider.issuer, "cli")).revoke(tokens.refresh)
    assert spin(asked.recheck(identity, said(tokens.shown))) is None


def test_groups_are_those_of_now(provider: Provider, clock: Clock, spin: Spin) -> None:
    asked: Any = introspecting(clock, provider)
    token = signed_in(provider).shown
    identity = spin(asked.identify(ARRIVAL, said(token)))
    assert identity.groups == {"analysts"}
    provider.people({**PEOPLE, "ada": ["fraud", "night-shift"]})
    try:
        assert spin(asked.recheck(identity, said(token))).groups == {"fraud", "night-shift"}
    finally:
        provider.people(PEOPLE)


@pytest.mark.parametrize("fault", ["secret", "unreadable", "away", "endpoint"])
def test_what_can_not_be_told_is_neither_yes_nor_no(
    provider: Provider, clock: Clock, spin: Spin, tmp_path: Path, fault: str
) -> None:
    secret = tmp_path / "secret"
    secret.touch(mode=0o600)
    secret.write_text("wrong" if fault == "secret" else provider.secret)
    settings: dict[str, Any] = {"introspection_secret_file": secret}
    match fault:
        case "unreadable":
            secret.chmod(0o644)
        case "away":
            settings["introspection_url"] = "http://127.0.0.1:9/introspect"
        case "endpoint":
            settings["introspection_url"] = f"{provider.issuer}/jwks"
    asked: Any = introspecting(clock, provider, **settings)
    token = signed_in(provider).shown
    identity = spin(asked.identify(ARRIVAL, said(token)))
    with pytest.raises(Exception) as caught:  # noqa: PT011 # whichever it is
        spin(asked.recheck(identity, said(token)))
    assert not isinstance(caught.value, Refused)
    assert token not in str(caught.value) and provider.secret not in str(caught.value)


@pytest.mark.parametrize(
    "settings",
    [
        {"introspection_client_id": "gateway"},
        {"introspection_secret_file": Path("secret")},
        {
            "introspection_client_id": "gateway",
            "introspection_secret_file": Path("secret"),
            "introspection_url": "http://id.example/introspect",
        },
    ],
    ids=["no-secret", "no-client", "http"],
)
def test_settings_that_ask_by_halves_stop_the_start(settings: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="wanted"):
        Settings(issuer="https://id.example", audience="hoopproxy", **settings)
