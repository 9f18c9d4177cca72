"""How a person signs in from a terminal: at an OpenID Connect provider, or at a gateway's portal. Keeps nothing."""

from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path
from threading import Event
from time import monotonic
from typing import Any
from urllib.parse import quote, urlencode

import click

from hoopproxy.cli.answers import Mistake, Negative, Unreachable, printable
from hoopproxy.cli.loopback import loopback, show
from hoopproxy.cli.oauth import Denied, OAuth, Proof, Provider, Tokens, until_of
from hoopproxy.cli.web import get, post_json

SLOWER_S = 5.0
"""RFC 8628 §3.5."""

type Kept = dict[str, Any]
"""What is kept of a sign-in: token, until_s, refresh, name, and who gives fresh ones: provider, None for a portal."""


def at_provider(provider: Provider, *, is_device: bool, is_opened: bool) -> Kept:
    """Sign in at an OpenID Connect provider. @raise Negative"""
    oauth = OAuth(provider)
    tokens = _by_device(oauth, is_opened) if is_device else _by_browser(oauth, is_opened)
    return kept_of(provider, tokens)


def kept_of(provider: Provider, tokens: Tokens) -> Kept:
    """What is kept of tokens."""
    named = {**asdict(provider), "ca_file": str(provider.ca_file) if provider.ca_file else None}
    return {"token": tokens.shown, "until_s": tokens.until_s, "refresh": tokens.refresh, "provider": named}


def provider_of(kept: Mapping[str, Any]) -> Provider | None:
    """Who gives fresh tokens."""
    named = kept.get("provider")
    if not named:
        return None
    return Provider(**{**named, "ca_file": Path(named["ca_file"]) if named["ca_file"] else None})


def _by_browser(oauth: OAuth, is_opened: bool) -> Tokens:
    proof = Proof()
    got: list[Tokens] = []

    def take(brought: Mapping[str, str]) -> str:
        oauth.check_issuer(brought)
        got.append(oauth.by_code(brought.get("code", ""), listening.redirect_uri, proof))
        return "you"

    with loopback() as listening:
        show(oauth.authorization_url(listening.redirect_uri, proof), is_opened=is_opened)
        listening.wait(proof.state, take)
    return got[0]


def _by_device(oauth: OAuth, is_opened: bool) -> Tokens:
    """RFC 8628 §3.4 and §3.5."""
    code = oauth.device_code()
    until_s, pause_s = monotonic() + code.lifetime_s, code.interval_s
    click.echo(f"On any device, open {printable(code.url)} and type {printable(code.user_code)}\n", err=True)
    if code.whole_url and is_opened:
        show(code.whole_url, is_opened=True)
    while monotonic() + pause_s < until_s:
        Event().wait(pause_s)
        try:
            return oauth.by_device_code(code)
        except Denied as why:
            if why.error not in ("authorization_pending", "slow_down"):
                raise
            pause_s += SLOWER_S if why.error == "slow_down" else 0.0
        except Unreachable:
            pause_s *= 2  # it may be back in a while
    raise Negative("The code was not typed in time; begin again.")


# At a portal ----------------------------------------------------------------------------------------------------------


def at_gateway(gateway: str, way: str, ca_file: Path | None, *, is_device: bool, is_opened: bool) -> Kept:
    """Sign in as the gateway says: by `way`, or the first that it names. @raise Negative, Mistake, Unreachable"""
    found = _way(gateway, way, ca_file)
    if is_device and found["kind"] != "provider":
        raise Mistake(f"Nobody signs in with {found['name']} by a code; leave --device out.")
    match found["kind"]:
        case "provider":
            return at_provider(_provider(found, ca_file), is_device=is_device, is_opened=is_opened)
        case "browser":
            return _at_portal(gateway, found["name"], ca_file, is_opened)
        case _:
            name = click.prompt("Name", err=True)
            password = click.prompt("Password", hide_input=True, err=True)
            told = {"with": found["name"], "name": name, "password": password}
            return _minted(gateway, "/sign-in/password", told, ca_file)


def _way(gateway: str, name: str, ca_file: Path | None) -> Mapping[str, Any]:
    answer = get(f"{gateway}/.well-known/hoopproxy", ca_file)
    if answer.status != 200 or answer.document.get("url") != gateway:
        called = answer.document.get("url")
        hint = f" It calls itself {printable(str(called))[:200]}." if called else ""
        raise Negative(f"{gateway} is no portal of a gateway by this name.{hint}")
    told = answer.document.get("ways")
    ways: list[dict[str, Any]] = [way for way in told if _is_way(way)] if isinstance(told, list) else []
    names = ", ".join(dict.fromkeys(way["name"] for way in ways))
    for way in ways:
        if name in ("", way["name"]):
            if not name and len(ways) > 1:
                click.echo(f"Signing in with {way['name']}; --with chooses another of {names}.", err=True)
            return way
    raise Mistake(f"The gateway knows no way {name!r}; it has {names or 'none'}.")


def _is_way(way: Any) -> bool:
    """One that this command knows."""
    if not isinstance(way, dict) or way.get("kind") not in ("provider", "browser", "password"):
        return False
    return isinstance(way.get("name"), str) and way["name"].isprintable()


def _provider(way: Mapping[str, Any], ca_file: Path | None) -> Provider:
    """As the gateway names it; the gateway is trusted to."""
    texts = {name: way[name] for name in Provider.__dataclass_fields__ if isinstance(way.get(name), str)}
    if texts.get("shows", "access_token") not in ("access_token", "id_token") or "issuer" not in texts:
        raise Negative("The gateway names its identity provider in a way that this command does not know.")
    return replace(Provider(issuer="", client_id=""), **{**texts, "ca_file": ca_file})


def _at_portal(gateway: str, way: str, ca_file: Path | None, is_opened: bool) -> Kept:
    proof = Proof()
    got: list[Kept] = []

    def take(brought: Mapping[str, str]) -> str:
        if brought.get("iss") != gateway:
            raise Negative("Another gateway answered than was asked; begin again.")
        told = {"code": brought.get("code", ""), "verifier": proof.verifier}
        got.append(_minted(gateway, "/sign-in/token", told, ca_file))
        return str(got[0]["name"])

    with loopback() as listening:
        asked = {"port": listening.port, "challenge": proof.challenge, "state": proof.state}
        show(f"{gateway}/sign-in/{quote(way, safe='')}?{urlencode(asked)}", is_opened=is_opened)
        listening.wait(proof.state, take)
    return got[0]


def _minted(gateway: str, path: str, told: Mapping[str, str], ca_file: Path | None) -> Kept:
    answer = post_json(f"{gateway}{path}", told, ca_file)
    token, name = answer.document.get("token"), answer.document.get("name")
    if answer.status != 200 or not isinstance(token, str) or not isinstance(name, str) or not token.isprintable():
        said = answer.document.get("error")
        raise Negative(printable(said) if isinstance(said, str) else f"The gateway answers with {answer.status}.")
    return {"token": token, "until_s": until_of(token), "refresh": "", "name": name, "provider": None}
