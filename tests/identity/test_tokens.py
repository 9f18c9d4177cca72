"""Tokens that are good, and a corpus of those that are not: each is refused, and the sentence helps no forger."""

import base64
import hmac
import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from joserfc.jwk import ECKey, RSAKey
from twisted.internet.task import Clock

from hoopproxy.addons.jwks import Signatures
from hoopproxy.errors import Refused
from hoopproxy.scheduler import TwistedScheduler
from hoopproxy.testing.issuer import Issuer

from .conftest import START_S, URL, Place, Web

EXPIRED = "Your token has expired; get a new one from your identity provider and connect again."
INVALID = "Your token is not valid here; get one for this gateway from your identity provider and connect again."


def part(value: Any) -> str:
    data = value if isinstance(value, bytes) else json.dumps(value).encode()
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def claims(**changes: Any) -> dict[str, Any]:
    """The claims of a good token, changed; None takes one out."""
    now = int(START_S)
    named = {"iss": URL, "sub": "ada", "aud": "hoopproxy", "exp": now + 600, "iat": now, "groups": ["eng"]}
    return {name: value for name, value in (named | changes).items() if value is not None}


def signed(place: Place, header: dict[str, Any] | None = None, algorithm: str = "ES256", **changes: Any) -> str:
    """A token with a true signature of the issuer, whatever its header and claims say."""
    kind = {"RS256": "RSA", "ES256": "EC", "EdDSA": "OKP"}[algorithm]
    key = next(key for key in place.issuer.keys if key.key_type == kind)
    body = json.dumps(claims(**changes)).encode()
    full = {"alg": algorithm, "kid": key.kid, **(header or {})}
    full = {name: value for name, value in full.items() if value is not None}
    registry = Signatures(["RS256", "ES256", "EdDSA"])
    signing = f"{part(full)}.{part(body)}".encode()
    signature = registry.algorithms[algorithm].sign(signing, key)
    return f"{signing.decode()}.{part(signature)}"


def refusal(place: Place, token: str, **settings: Any) -> Refused:
    with pytest.raises(Refused) as caught:
        place.identify(place.authenticator(**settings), token)
    assert caught.value.reason == "credentials"
    assert not token or token not in caught.value.detail
    return caught.value


@pytest.mark.parametrize("algorithm", ["RS256", "ES256", "EdDSA"])
def test_a_good_token_of_each_algorithm_names_its_bearer(place: Place, algorithm: Any) -> None:
    token = place.issuer.issue(
        "ada", ["eng", "oncall"], lifetime_s=600, algorithm=algorithm, name="Ada\x1b[2J Lovelace"
    )
    identity = place.identify(place.authenticator(), token)
    assert identity is not None
    assert (identity.issuer, identity.subject, identity.name) == (URL, "ada", "Ada[2J Lovelace")
    assert identity.groups == {"eng", "oncall"}
    assert identity.expires_at_s == START_S + 600 + 30
    assert identity.method == "corp"


def test_header_types_of_tokens_that_log_in_are_taken(place: Place) -> None:
    for kind in (None, "JWT", "jwt", "at+jwt", "application/at+jwt"):
        assert place.identify(place.authenticator(), signed(place, {"typ": kind})) is not None


def test_a_single_group_may_be_a_text_and_none_is_none(place: Place) -> None:
    one = place.identify(place.authenticator(), signed(place, groups="eng"))
    none = place.identify(place.authenticator(), signed(place, groups=None))
    assert one is not None
    assert none is not None
    assert (one.groups, none.groups) == ({"eng"}, frozenset())


def test_the_claims_for_groups_and_name_can_be_chosen(place: Place) -> None:
    token = signed(place, **{"https://corp.example/teams": ["eng"], "preferred_username": "ada@corp"})
    chosen = place.authenticator(groups_claim="https://corp.example/teams", name_claim="preferred_username")
    identity = place.identify(chosen, token)
    assert identity is not None
    assert (identity.groups, identity.name) == ({"eng"}, "ada@corp")


@pytest.mark.parametrize(
    "changes",
    [
        {"aud": "another"},
        {"aud": ["another", "third"]},
        {"aud": None},
        {"aud": {"hoopproxy": 1}},
        {"aud": "hoopprox"},
        {"exp": None},
        {"exp": "1900000000"},
        {"exp": True},
        {"nbf": int(START_S) + 31},
        {"iat": int(START_S) + 31},
        {"sub": None},
        {"sub": ""},
        {"sub": 7},
        {"sub": "x" * 256},
        {"sub": "ada\nroot"},
        {"groups": 7},
        {"groups": [7]},
        {"groups": {"eng": True}},
        {"groups": ["g"] * 1001},
        {"iss": 7},
        {"iss": [URL]},
        {"aud": ["hoopproxy", "another"]},
        {"aud": ["hoopproxy", "another"], "azp": "another"},
        {"azp": "another"},
        {"azp": 7},
    ],
    ids=str,
)
def test_claims_that_do_not_hold_here_are_refused(place: Place, changes: dict[str, Any]) -> None:
    assert place.identify(place.authenticator(), signed(place)) is not None
    assert refusal(place, signed(place, **changes)).sentence == INVALID


def test_a_token_without_issuer_is_refused(place: Place) -> None:
    assert refusal(place, signed(place, iss=None)).sentence == INVALID


def test_an_expired_token_says_so_and_the_skew_is_granted(place: Place) -> None:
    assert place.identify(place.authenticator(), signed(place, exp=int(START_S) - 29)) is not None
    assert refusal(place, signed(place, exp=int(START_S) - 30)).sentence == EXPIRED
    assert refusal(place, signed(place, exp=int(START_S)), skew_s_max=0).sentence == EXPIRED
    assert place.identify(place.authenticator(), signed(place, nbf=int(START_S) + 30)) is not None


def test_an_expired_token_with_a_wrong_signature_is_only_invalid(place: Place) -> None:
    token = signed(place, exp=int(START_S) - 3600)
    assert refusal(place, token[:-8] + "AAAAAAAA").sentence == INVALID


def test_parties_that_are_known_may_bring_tokens_for_several_audiences(place: Place) -> None:
    token = signed(place, aud=["hoopproxy", "account"], azp="cli")
    assert place.identify(place.authenticator(authorized_parties=frozenset({"cli"})), token) is not None
    assert refusal(place, token).sentence == INVALID
    access = signed(place, {"typ": "at+jwt"}, aud=["hoopproxy", "account"])
    assert place.identify(place.authenticator(), access) is not None


def test_an_unsigned_token_is_refused(place: Place) -> None:
    for algorithm in ("none", "None", "NONE", "", None, 7, ["ES256"], {"alg": "ES256"}):
        token = f"{part({'alg': algorithm})}.{part(claims())}."
        assert refusal(place, token).sentence == INVALID
    assert refusal(place, f"{part({'typ': 'JWT'})}.{part(claims())}.").sentence == INVALID


def test_a_public_key_is_no_shared_secret(place: Place) -> None:
    """The HS/RS swap: HMAC under the text of the published key."""
    key = next(key for key in place.issuer.keys if key.key_type == "RSA")
    assert isinstance(key, RSAKey)
    for secret in (key.as_pem(private=False), json.dumps(key.as_dict(private=False)).encode()):
        for size in (256, 384, 512):
            signing = f"{part({'alg': f'HS{size}', 'kid': key.kid})}.{part(claims())}"
            raw = hmac.digest(secret, signing.encode(), f"sha{size}")
            assert refusal(place, f"{signing}.{part(raw)}").sentence == INVALID


@pytest.mark.parametrize("algorithm", ["RS384", "RS512", "PS256", "ES384", "ES512", "ES256K", "Ed448", "Ed25519"])
def test_algorithms_that_nobody_configured_are_refused(place: Place, algorithm: str) -> None:
    header, body, signature = signed(place, {"alg": algorithm}).split(".")
    assert refusal(place, f"{header}.{body}.{signature}").sentence == INVALID


def test_an_algorithm_can_be_switched_off(place: Place) -> None:
    for algorithm in ("RS256", "EdDSA"):
        assert refusal(place, signed(place, algorithm=algorithm), algorithms=("ES256",)).sentence == INVALID


def test_the_key_must_be_of_the_kind_that_the_algorithm_needs(place: Place) -> None:
    other = next(key for key in place.issuer.keys if key.key_type == "RSA")
    assert refusal(place, signed(place, {"kid": other.kid}, algorithm="ES256")).sentence == INVALID


@pytest.mark.parametrize(
    "kid",
    ["unknown", "../../../../dev/null", "/etc/passwd", "' OR 1=1 --", "k\x00id", "x" * 1000, "", 7, ["a"], {"a": 1}],
    ids=lambda kid: repr(kid)[:20],
)
def test_a_kid_is_a_name_and_nothing_else(place: Place, kid: Any) -> None:
    assert refusal(place, signed(place, {"kid": kid})).sentence == INVALID
    assert place.web.asked == []


def test_without_a_kid_the_key_must_be_the_only_one(place: Place) -> None:
    token = signed(place, {"kid": None})
    assert refusal(place, token).sentence == INVALID
    only = next(key for key in place.issuer.keys if key.key_type == "EC")
    file = place.directory / "only.json"
    file.write_text(json.dumps({"keys": [only.as_dict(private=False)]}))
    assert place.identify(place.authenticator(jwks_file=file), token) is not None


@pytest.mark.parametrize("name", ["jku", "x5u", "jwk", "x5c", "crit"])
def test_a_token_may_not_bring_its_own_key(place: Place, name: str) -> None:
    mallory = ECKey.generate_key("P-256", {"kid": "mallory"})
    brought: dict[str, Any] = {
        "jku": "https://evil.example/jwks",
        "x5u": "https://evil.example/cert.pem",
        "jwk": mallory.as_dict(private=False),
        "x5c": ["MIIB"],
        "crit": ["exp"],
    }
    header = {"alg": "ES256", "kid": "mallory", name: brought[name]}
    signing = f"{part(header)}.{part(claims())}"
    token = f"{signing}.{part(Signatures(['ES256']).algorithms['ES256'].sign(signing.encode(), mallory))}"
    assert refusal(place, token).sentence == INVALID
    assert refusal(place, signed(place, {name: brought[name]})).sentence == INVALID
    assert place.web.asked == []


def test_payloads_that_are_not_signed_as_they_stand_are_refused(place: Place) -> None:
    assert refusal(place, signed(place, {"b64": False})).sentence == INVALID
    assert refusal(place, signed(place, {"b64": False, "crit": ["b64"]})).sentence == INVALID


def test_a_token_for_another_purpose_is_refused(place: Place) -> None:
    for kind in ("logout+jwt", "dpop+jwt", "secevent+jwt", "", 7, ["JWT"]):
        assert refusal(place, signed(place, {"typ": kind})).sentence == INVALID


def test_a_changed_token_is_refused(place: Place) -> None:
    header, body, signature = signed(place).split(".")
    forged = part(claims(sub="root", groups=["admins"]))
    assert refusal(place, f"{header}.{forged}.{signature}").sentence == INVALID
    assert refusal(place, f"{header}.{body}.").sentence == INVALID
    assert refusal(place, f"{header}.{body}.{part(b'0' * 64)}").sentence == INVALID
    assert refusal(place, f"{header}.{body}.{part(bytes(64))}").sentence == INVALID


def test_a_token_of_another_issuer_is_somebody_elses_to_judge(place: Place) -> None:
    assert place.identify(place.authenticator(), signed(place, iss="https://other.example")) is None
    assert place.identify(place.authenticator(), signed(place, iss=URL + "/")) is None


def test_two_issuers_in_order_each_know_their_own(place: Place) -> None:
    partner = Issuer(place.directory / "partner", "https://partner.example", now_s=place.scheduler.now_s)
    first = place.authenticator()
    second = place.authenticator(issuer=partner.url, jwks_file=partner.jwks_file)
    token = partner.issue("bob", ["guests"])
    assert place.identify(first, token) is None
    identity = place.identify(second, token)
    assert identity is not None
    assert identity.issuer == "https://partner.example"
    stolen = partner.issue("bob", ["guests"], iss=URL)
    assert refusal(place, stolen).sentence == INVALID


def test_who_brings_no_token_is_for_others_to_know(place: Place) -> None:
    assert place.identify(place.authenticator(), "") is None


@pytest.mark.parametrize(
    "token",
    [
        "password",
        "a.b",
        "a.b.c.d.e",
        "...",
        "é.é.é",
        f"{part([1])}.{part({})}.x",
        f"{part(['alg'])}.{part({})}.x",
        f"{part('alg')}.{part({})}.x",
        f"{part(7)}.{part({})}.x",
        f"{part({'alg': 'ES256'})}.{part([])}.x",
        f"{part({'alg': 'ES256'})}.{part(b'{')}.x",
        f"{part({'alg': 'ES256'})}.{part(b'[' * 5000)}.x",
        f"{part(b'[' * 1400)}.{part({})}.x",
        f"{part({'alg': 'ES256'})}.{part(b'{"iss": "https://id.example", "exp": NaN}')}.x",
        f"{part({'alg': 'ES256'})}.{part(bytes([0xFF, 0xFE]))}.x",
    ],
    ids=range(15),
)
def test_what_is_no_token_is_refused(place: Place, token: str) -> None:
    assert refusal(place, token).sentence == INVALID


def test_a_token_above_the_limit_is_refused(place: Place) -> None:
    token = signed(place, padding="x" * 3000)
    assert place.identify(place.authenticator(), token) is not None
    assert refusal(place, token, token_bytes_max=2000).sentence == INVALID


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.sampled_from(["ES256", "none", URL, "JWT"])
    | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=5,
)


@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_no_text_is_anything_but_refused_or_passed_on(data: st.DataObject, shared: tuple[Place, Any, str]) -> None:
    """Any text, and any cut or change of a good token, ends in a refusal; another issuer's in None."""
    place, authenticator, good = shared
    text = data.draw(
        st.one_of(
            st.text(max_size=200),
            st.builds(
                lambda at, new: good[:at] + new + good[at + 1 :],
                st.integers(0, len(good) - 1),
                st.text("ABab09-_.={}", max_size=3),
            ),
            st.builds(
                lambda header, body: f"{part(header)}.{part(body)}.AAAA",
                st.dictionaries(st.sampled_from(["alg", "kid", "typ", "b64", "crit", "jwk"]), JSON),
                st.dictionaries(st.sampled_from(["iss", "sub", "aud", "exp", "azp"]), JSON),
            ),
        )
    )
    identity = None
    try:
        identity = place.identify(authenticator, text)
    except Refused as why:
        sentence = why.sentence
    else:
        sentence = INVALID
    assert sentence in (INVALID, EXPIRED)
    assert identity is None or _same(text, good)


def _same(text: str, good: str) -> bool:
    """Whether the changed text still decodes to the same bytes (unused bits of base64, padding)."""

    def bytes_of(token: str) -> list[bytes]:
        return [base64.urlsafe_b64decode(piece + "=" * (-len(piece) % 4)) for piece in token.split(".")]

    try:
        return bytes_of(text) == bytes_of(good)
    except ValueError:
        return False


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> tuple[Place, Any, str]:
    """One place for all examples of the property above."""
    clock = Clock()
    clock.advance(START_S)
    scheduler = TwistedScheduler(clock)
    directory = tmp_path_factory.mktemp("shared")
    place = Place(directory, clock, scheduler, Issuer(directory / "issuer", URL, now_s=scheduler.now_s), Web())
    return place, place.authenticator(), place.issuer.issue("ada", ["eng"])
