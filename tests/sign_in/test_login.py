"""`hoopproxy login` at a real provider: the browser, the device, fresh tokens, the end."""

import json
import subprocess
import sys
from base64 import urlsafe_b64encode
from collections.abc import Callable
from pathlib import Path
from queue import Queue
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
from click.testing import Result
from joserfc import jwt
from joserfc.jwk import KeySet

from hoopproxy.cli.oauth import TIME_S_MAX, OAuth, Proof, until_of
from hoopproxy.cli.oauth import Provider as Named
from hoopproxy.cli.purse import opened
from hoopproxy.testing.process import environment

from .provider import Browser, Provider

type Run = Callable[..., Result]


def claims(provider: Provider, token: str) -> dict[str, object]:
    """Of a token that the provider signed."""
    keys = KeySet.import_key_set(httpx.get(f"{provider.issuer}/jwks").json())
    return dict(jwt.decode(token, keys).claims)


def at(provider: Provider, *more: str) -> tuple[str, ...]:
    return "login", "--issuer", provider.issuer, "--client-id", "cli", *more


def is_old(name: str) -> None:
    """Make it as if what is kept had come long ago."""
    with opened() as purse:
        purse.kept[name] = {**purse.kept[name], "until_s": 1.0}


def test_a_person_signs_in_and_the_token_is_printed(provider: Provider, run: Run, browser: Browser) -> None:
    signed_in = run(*at(provider))
    assert signed_in.exit_code == 0, signed_in.output
    assert signed_in.stdout == ""
    asked = parse_qs(urlsplit(browser.seen[0]).query)
    assert asked["code_challenge_method"] == ["S256"]
    assert asked["redirect_uri"][0].startswith("http://127.0.0.1:")
    printed = run("login", "--print")
    told = claims(provider, printed.stdout.strip())
    assert (told["sub"], told["groups"], told["aud"]) == ("ada", ["analysts"], "hoopproxy")
    assert json.loads(run("login", "--print", "--json").stdout)["until_s"] == told["exp"]


def test_the_browser_is_told_how_it_ended(provider: Provider, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    pages: Queue[httpx.Response] = Queue()
    with Browser() as ours:
        monkeypatch.setattr("webbrowser.open", lambda url: pages.put(ours.go(url)))
        assert run(*at(provider)).exit_code == 0
        page = pages.get(timeout=20)
    assert "You are signed in." in page.text
    assert page.headers["content-security-policy"] == "default-src 'none'; frame-ancestors 'none'"


def test_the_id_token_may_be_what_is_shown(provider: Provider, run: Run, browser: Browser) -> None:
    assert run(*at(provider, "--id-token", "--scope", "openid offline_access groups")).exit_code == 0
    told = claims(provider, run("login", "--print").stdout.strip())
    assert (told["aud"], told["sub"]) == ("cli", "ada")
    assert "nonce" in told


def test_a_token_that_is_about_to_expire_is_refreshed(provider: Provider, run: Run, browser: Browser) -> None:
    run(*at(provider))
    before = run("login", "--print").stdout
    is_old(provider.issuer)
    after = run("login", "--print")
    assert after.exit_code == 0, after.output
    assert after.stdout != before
    assert claims(provider, after.stdout.strip())["sub"] == "ada"
    assert run("login", "--print").stdout == after.stdout  # it is kept


def test_refreshing_at_once_asks_once(provider: Provider, run: Run, browser: Browser, home: Path) -> None:
    """A provider that rotates refresh tokens takes a second use of one for theft."""
    run(*at(provider))
    is_old(provider.issuer)
    command = [Path(sys.executable).with_name("hoopproxy"), "login", "--print"]
    both = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment()) for _ in range(2)]
    first, second = ((each.communicate(timeout=60)[0], each.returncode) for each in both)
    assert first == second
    assert first[1] == 0 and first[0].count(".") == 2


def test_signing_out_revokes_and_forgets(provider: Provider, run: Run, browser: Browser) -> None:
    run(*at(provider))
    with opened() as purse:
        refresh = purse.kept[provider.issuer]["refresh"]
    assert run("logout").exit_code == 0
    assert run("login", "--print").exit_code == 1
    form = {"grant_type": "refresh_token", "refresh_token": refresh, "client_id": "cli"}
    assert httpx.post(f"{provider.issuer}/token", data=form).json()["error"] == "invalid_grant"
    assert run("logout").exit_code == 1


def test_a_revoked_sign_in_says_to_sign_in_again(provider: Provider, run: Run, browser: Browser) -> None:
    run(*at(provider))
    with opened() as purse:
        refresh = purse.kept[provider.issuer]["refresh"]
    httpx.post(f"{provider.issuer}/token/revocation", data={"token": refresh, "client_id": "cli"})
    is_old(provider.issuer)
    result = run("login", "--print")
    assert (result.exit_code, result.stdout) == (1, "")
    assert "run `hoopproxy login` again" in result.stderr


def test_the_provider_refuses_a_code_without_pkce(provider: Provider) -> None:
    asked = {"client_id": "cli", "response_type": "code", "scope": "openid", "redirect_uri": "http://127.0.0.1:7/"}
    answer = httpx.get(f"{provider.issuer}/auth", params=asked)
    assert parse_qs(urlsplit(answer.headers["location"]).query)["error"] == ["invalid_request"]


def test_a_code_is_worth_nothing_without_its_verifier(provider: Provider) -> None:
    oauth, proof = OAuth(Named(provider.issuer, "cli")), Proof()
    with Browser() as ours, pytest.raises(httpx.ConnectError):  # nobody listens there: the code is in its address
        ours.go(oauth.authorization_url("http://127.0.0.1:9/", proof))
    brought = dict(parse_qs(urlsplit(ours.seen[-1]).query))
    assert brought["state"] == [proof.state] and brought["iss"] == [provider.issuer]
    with pytest.raises(Exception, match="says no"):
        oauth.by_code(brought["code"][0], "http://127.0.0.1:9/", Proof())


# Devices --------------------------------------------------------------------------------------------------------------


def test_a_device_is_signed_in_by_a_browser_elsewhere(provider: Provider, run: Run, browser: Browser) -> None:
    result = run(*at(provider, "--device"))
    assert result.exit_code == 0, result.output
    assert "/device" in result.stderr
    assert "user_code=" in browser.seen[0]
    assert claims(provider, run("login", "--print").stdout.strip())["sub"] == "ada"


# What is kept ---------------------------------------------------------------------------------------------------------


def test_the_latest_sign_in_counts_and_others_stay(run: Run) -> None:
    for name in ("https://a.example", "https://b.example"):
        with opened() as purse:
            purse.put(name, {"token": name, "until_s": 1e12, "refresh": "", "provider": None})
    assert run("login", "--print").stdout == "https://b.example\n"
    assert run("login", "--print", "--gateway", "https://a.example/").stdout == "https://a.example\n"
    assert run("logout", "--issuer", "https://b.example").exit_code == 0
    assert run("login", "--print").stdout == "https://a.example\n"


def test_who_never_signed_in_is_told_so(run: Run) -> None:
    result = run("login", "--print")
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr == "You are not signed in; run `hoopproxy login`.\n"


@pytest.mark.parametrize(
    "words",
    [
        (),
        ("--issuer", "https://id.example"),
        ("--issuer", "http://id.example", "--client-id", "c"),
        ("--gateway", "http://gw.example"),
        ("--gateway", "https://u:p@gw.example"),
    ],
)
def test_what_can_not_be_trusted_is_wrong_usage(run: Run, words: tuple[str, ...]) -> None:
    assert run("login", *words).exit_code == 2


def test_what_is_no_jwt_has_no_end_of_its_own() -> None:
    assert [until_of(text) for text in ("", "a.b.c", "e30.bnVsbA.x", "e30.e30.", "a.Zm9v.c")] == [0.0] * 5
    endless = urlsafe_b64encode(b'{"exp": 1e300}').decode().rstrip("=")
    assert until_of(f"e30.{endless}.x") == TIME_S_MAX
