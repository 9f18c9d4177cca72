"""The gateway's own tokens: who they are believed to be, and what is not believed."""

import base64
import hmac
import json
import stat
import subprocess
from collections.abc import Callable
from dataclasses import replace
from ipaddress import ip_address
from math import inf
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pytest
from joserfc.jwk import OKPKey
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from zope.interface.verify import verifyObject

from hoopproxy.access.policy import Policy
from hoopproxy.addons.jwks import Signatures
from hoopproxy.addons.signed_in import KIND, Settings, SignedIn
from hoopproxy.errors import Refused
from hoopproxy.interfaces import IAuthenticator, IMintsTokens
from hoopproxy.model import Arrival, Credentials, Endpoint, Identity
from hoopproxy.proofs import Secret
from hoopproxy.registry import Setting
from hoopproxy.scheduler import TwistedScheduler

START_S = 1_800_000_000.0
ADA = Identity("https://sso.test", "id-7", "Ada Löw", frozenset({"b", "a"}), START_S + 600, "saml")
ARRIVAL = Arrival("c1", "front", "postgres", Endpoint(ip_address("127.0.0.1"), 50000), START_S)

type Spin = Callable[[Any], Any]


@pytest.fixture
def clock() -> Clock:
    made = Clock()
    made.advance(START_S)
    return made


@pytest.fixture
def key_file(tmp_path: Path) -> Path:
    path = tmp_path / "shared.pem"
    subprocess.run(["openssl", "genpkey", "-algorithm", "ed25519", "-out", path], check=True, capture_output=True)
    path.chmod(0o600)
    return path


def made(directory: Path, clock: Clock, gateway: str = "gw", **settings: Any) -> SignedIn:
    setting = Setting(
        gateway, "EU", str(directory), Policy("r", (), (), ()), MappingProxyType({}), TwistedScheduler(clock)
    )
    return SignedIn.build("own", Settings(**settings), setting)


@pytest.fixture
def addon(tmp_path: Path, clock: Clock, key_file: Path) -> SignedIn:
    """One whose key is there: nothing of it has to wait."""
    return made(tmp_path, clock, key_file=key_file)


def now(work: Any) -> Any:
    """What a coroutine answers or raises that must not have to wait."""
    results: list[Any] = []
    Deferred.fromCoroutine(work).addBoth(results.append)
    assert results, "it still waits"
    if hasattr(results[0], "raiseException"):
        results[0].raiseException()
    return results[0]


def said(text: str) -> Credentials:
    return Credentials("ledger", "", "", Secret(text))


def identify(addon: SignedIn, token: str) -> Any:
    return now(addon.identify(ARRIVAL, said(token)))


def refusal(addon: SignedIn, token: str) -> str:
    with pytest.raises(Refused) as caught:
        identify(addon, token)
    assert caught.value.reason == "credentials"
    assert token not in caught.value.sentence + caught.value.detail
    return caught.value.sentence


def is_believed(addon: SignedIn, token: str) -> bool:
    try:
        return identify(addon, token) is not None
    except Refused:
        return False


def forged(key: Any, *, header: dict[str, Any] | None = None, **changes: Any) -> str:
    """A token of that key, otherwise as they are minted."""
    claims = {
        **{"iss": "gateway:gw", "aud": "gateway:gw", "iat": int(START_S), "exp": int(START_S) + 600},
        **{"idp": "https://sso.test", "sub": "id-7", "name": "Ada", "groups": [], "method": "saml", "by": "sso"},
        **changes,
    }
    named = {"alg": "EdDSA", "typ": KIND, "kid": key.kid, **(header or {})}
    chosen = {name: value for name, value in claims.items() if value is not None}
    return Signatures(["EdDSA"]).sign(named, chosen, key)


def own(key_file: Path) -> OKPKey:
    key = OKPKey.import_key(key_file.read_bytes())
    key.ensure_kid()
    return key


def test_it_is_what_it_says(addon: SignedIn) -> None:
    assert verifyObject(IAuthenticator, addon) and verifyObject(IMintsTokens, addon)


def test_who_signed_in_is_who_comes_back(addon: SignedIn) -> None:
    token = now(addon.mint(ADA, "sso"))
    assert identify(addon, token) == replace(ADA, expires_at_s=ADA.expires_at_s + 30)
    assert addon.proven_by(said(token)) == "sso"


def test_a_token_lives_no_longer_than_what_it_says_or_than_is_allowed(addon: SignedIn, clock: Clock) -> None:
    brief, long = now(addon.mint(ADA, "sso")), now(addon.mint(replace(ADA, expires_at_s=inf), "sso"))
    clock.advance(629)
    assert identify(addon, brief)
    clock.advance(2)
    assert "has expired; run `hoopproxy login`" in refusal(addon, brief)
    clock.advance(43200 - 631 + 29)
    assert identify(addon, long)
    clock.advance(2)
    assert "has expired" in refusal(addon, long)


def test_the_key_is_made_when_it_is_first_needed_and_stays(tmp_path: Path, clock: Clock, spin: Spin) -> None:
    first = made(tmp_path, clock)
    assert list(tmp_path.iterdir()) == [], "a check of the configuration makes nothing"
    token = spin(first.mint(ADA, "sso"))
    path = tmp_path / "own/key.pem"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600 and stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert [each.name for each in path.parent.iterdir()] == ["key.pem"]
    assert identify(made(tmp_path, clock), token)  # the gateway after its next start


def test_gateways_that_share_key_and_issuer_know_each_other(tmp_path: Path, clock: Clock, key_file: Path) -> None:
    shared = {"key_file": key_file, "issuer": "https://gw.example.com"}
    token = now(made(tmp_path, clock, "gw-1", **shared).mint(ADA, "sso"))
    assert identify(made(tmp_path, clock, "gw-2", **shared), token)
    assert "not valid here" in refusal(made(tmp_path, clock, "gw-2", key_file=key_file), token)


@pytest.mark.parametrize(
    "text", ["", "secret", "ada:right", "a.b.c", "e30.e30.e30", "é.é.é", "e30." * 3000, "bnVsbA..x"]
)
def test_what_is_no_token_of_ours_is_for_the_next(addon: SignedIn, text: str) -> None:
    assert identify(addon, text) is None


def test_a_token_of_another_kind_is_for_the_next_even_by_our_key(addon: SignedIn, key_file: Path) -> None:
    for kind in ("JWT", "at+jwt", "hoopproxy+jwt "):
        assert identify(addon, forged(own(key_file), header={"typ": kind})) is None


def test_a_key_that_was_never_made_vouches_for_nobody(tmp_path: Path, clock: Clock, key_file: Path) -> None:
    assert "not valid here" in refusal(made(tmp_path, clock), forged(own(key_file)))


def test_another_key_of_the_same_name_does_not_count(addon: SignedIn, key_file: Path) -> None:
    other = OKPKey.generate_key("Ed25519", {"kid": str(own(key_file).kid)})
    assert "not valid here" in refusal(addon, forged(other))


@pytest.mark.parametrize(
    "changes",
    [
        *({name: None} for name in ("iss", "aud", "exp", "idp", "sub", "name", "groups", "method")),
        *({"iss": value} for value in ("gateway:gw-2", ["gateway:gw"], "")),
        {"aud": "other"},
        {"exp": "soon"},
        {"exp": START_S - 31},
        {"iat": int(START_S) + 60},
        {"groups": 7},
    ],
    ids=str,
)
def test_claims_that_do_not_hold_are_refused(addon: SignedIn, key_file: Path, changes: dict[str, Any]) -> None:
    assert refusal(addon, forged(own(key_file), **changes))


@pytest.mark.parametrize(
    "more",
    [{name: "x"} for name in ("jku", "x5u", "x5c", "jwk", "cty")] + [{"kid": "../../etc/passwd"}, {"kid": 7}],
    ids=str,
)
def test_a_token_does_not_choose_how_it_is_judged(addon: SignedIn, key_file: Path, more: dict[str, Any]) -> None:
    key = own(key_file)
    payload = forged(key).split(".")[1]
    assert identify(addon, signed({"alg": "EdDSA", "typ": KIND, "kid": key.kid}, payload, key))
    assert refusal(addon, signed({"alg": "EdDSA", "typ": KIND, "kid": key.kid, **more}, payload, key))


@pytest.mark.parametrize("algorithm", ["none", "HS256", "RS256", "ES256", "EdDSA "])
def test_no_other_algorithm_counts(addon: SignedIn, key_file: Path, algorithm: str) -> None:
    header = {"alg": algorithm, "typ": KIND, "kid": own(key_file).kid}
    _, payload, signature = forged(own(key_file)).split(".")
    for proof in ("", signature):
        assert not is_believed(addon, f"{_part(header)}.{payload}.{proof}")


def test_the_public_key_is_no_shared_secret(addon: SignedIn, key_file: Path) -> None:
    key = own(key_file)
    head = _part({"alg": "HS256", "typ": KIND, "kid": key.kid})
    signing = f"{head}.{forged(key).split('.')[1]}"
    for secret in (key.as_pem(private=False), key.as_der(private=False)):
        proof = _encoded(hmac.digest(secret, signing.encode(), "sha256"))
        assert not is_believed(addon, f"{signing}.{proof}")


def test_a_changed_token_is_refused(addon: SignedIn) -> None:
    head, payload, signature = now(addon.mint(ADA, "sso")).split(".")
    claims = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
    assert refusal(addon, f"{head}.{_part({**claims, 'groups': ['admins']})}.{signature}")


def test_more_groups_than_fit_are_said(addon: SignedIn) -> None:
    crowd = replace(ADA, groups=frozenset(f"cn=group-{number},ou=groups,dc=example,dc=com" for number in range(500)))
    with pytest.raises(Refused, match="more groups than a token can hold"):
        now(addon.mint(crowd, "sso"))


@pytest.mark.parametrize("fault", ["missing", "open", "rsa", "garbage"])
def test_a_key_that_is_none_stops_the_start(tmp_path: Path, clock: Clock, key_file: Path, fault: str) -> None:
    match fault:
        case "missing":
            key_file.unlink()
        case "open":
            key_file.chmod(0o644)
        case "rsa":
            command = ["openssl", "genpkey", "-algorithm", "ed448", "-out", key_file]
            subprocess.run(command, check=True, capture_output=True)
            key_file.chmod(0o600)
        case "garbage":
            key_file.write_text("-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n")
    with pytest.raises(Exception, match=r"shared\.pem|chmod 0600"):
        made(tmp_path, clock, key_file=key_file)


def signed(header: dict[str, Any], payload: str, key: OKPKey) -> str:
    """Any header, by the key itself."""
    signing = f"{_part(header)}.{payload}"
    private: Any = key.private_key
    return f"{signing}.{_encoded(private.sign(signing.encode()))}"


def _part(document: dict[str, Any]) -> str:
    return _encoded(json.dumps(document).encode())


def _encoded(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()
