"""The issuer for demonstrations: its files, its rotation, its two pages."""

import json
import stat
from pathlib import Path
from typing import Any

import pytest
from joserfc import jwt
from joserfc.jwk import KeySet
from twisted.internet.testing import MemoryReactorClock, StringTransport

from hoopproxy.addons.jwks import Signatures
from hoopproxy.testing.issuer import Issuer, IssuerService

URL = "http://127.0.0.1:9000"


def claims_of(keys: KeySet, token: str) -> dict[str, Any]:
    claims: dict[str, Any] = jwt.decode(token, keys, registry=Signatures(["ES256"])).claims
    return claims


def test_its_keys_live_in_a_private_file_and_outlive_it(tmp_path: Path) -> None:
    first = Issuer(tmp_path / "issuer", URL)
    token = first.issue("ada", {"b", "a"}, lifetime_s=60, name="Ada", nbf=None)
    second = Issuer(tmp_path / "issuer", URL)
    claims = claims_of(KeySet.import_key_set(json.loads(second.jwks())), token)
    assert claims["groups"] == ["a", "b"]
    assert claims["exp"] - claims["iat"] == 60
    assert (claims["sub"], claims["aud"], claims["iss"], claims["name"]) == ("ada", "hoopproxy", URL, "Ada")
    assert "nbf" not in claims
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in (tmp_path / "issuer").iterdir()}
    assert modes == {"keys.json": 0o600, "jwks.json": 0o644}
    assert stat.S_IMODE((tmp_path / "issuer").stat().st_mode) == 0o700


def test_it_publishes_no_private_key(tmp_path: Path) -> None:
    issuer = Issuer(tmp_path, URL, algorithms=("ES256", "EdDSA"))
    published = json.loads(issuer.jwks_file.read_text())
    assert json.loads(issuer.jwks()) == published
    assert [set(key) & {"d", "p", "q"} for key in published["keys"]] == [set(), set()]


def test_rotation_adds_a_key_and_withdrawal_leaves_the_newest(tmp_path: Path) -> None:
    issuer = Issuer(tmp_path, URL, algorithms=("ES256", "EdDSA"))
    before = [key.kid for key in issuer.keys]
    issuer.rotate()
    assert [key.kid for key in issuer.keys][:2] == before
    assert len(issuer.keys) == 4
    issuer.withdraw()
    assert [key.kid for key in issuer.keys] == [key.kid for key in Issuer(tmp_path, URL).keys]
    assert not set(before) & {key.kid for key in issuer.keys}


@pytest.mark.parametrize("page", ["/jwks", "/.well-known/openid-configuration"])
def test_it_serves_what_it_publishes(tmp_path: Path, page: str) -> None:
    issuer, reactor = Issuer(tmp_path, URL), MemoryReactorClock()
    service = IssuerService(reactor, issuer, 9000)
    service.startService()
    ((port, site, _, interface),) = reactor.tcpServers
    assert (port, interface) == (9000, "127.0.0.1")
    channel, transport = site.buildProtocol(None), StringTransport()
    channel.callLater = reactor.callLater
    channel.makeConnection(transport)
    channel.dataReceived(f"GET {page} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
    head, _, body = transport.value().partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200")
    assert b"Content-Type: application/json" in head
    assert json.loads(body) == json.loads(issuer.jwks() if page == "/jwks" else issuer.metadata())
    service.stopService()
