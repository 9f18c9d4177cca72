"""The issuer's keys: read, kept, refreshed, rotated, withdrawn; and what happens while the issuer is away."""

import json
from pathlib import Path
from typing import Any

import pytest
from joserfc.jwk import ECKey, OctKey, OKPKey, RSAKey
from twisted.internet.defer import Deferred

from hoopproxy.addons.jwks import SET_BYTES_MAX, KeysUnavailable, is_safe, parse
from hoopproxy.addons.oidc import OidcAuthenticator, Settings
from hoopproxy.errors import Refused
from hoopproxy.model import Identity
from hoopproxy.testing.issuer import Issuer

from .conftest import ARRIVAL, URL, Answer, Place, credentials

JWKS_URL = f"{URL}/jwks"
METADATA_URL = f"{URL}/.well-known/openid-configuration"
AWAY = "The gateway can't check tokens of your identity provider at the moment; connect again in a minute."


@pytest.fixture
def served(place: Place) -> Place:
    """The issuer is reachable."""
    place.web.pages = {
        JWKS_URL: lambda: Answer(200, place.issuer.jwks()),
        METADATA_URL: lambda: Answer(200, place.issuer.metadata()),
    }
    return place


def by_url(place: Place, **settings: Any) -> OidcAuthenticator:
    return place.authenticator(jwks_file=None, jwks_url=JWKS_URL, **settings)


def known(place: Place, authenticator: OidcAuthenticator, token: str) -> bool:
    """Whether the token logs in."""
    try:
        return place.identify(authenticator, token) is not None
    except Refused:
        return False


def test_keys_are_read_once_and_kept(served: Place) -> None:
    authenticator = by_url(served)
    assert served.web.asked == []
    for _ in range(20):
        assert known(served, authenticator, served.issuer.issue("ada"))
    assert served.web.asked == [JWKS_URL]
    assert served.web.limits == [(2.0, SET_BYTES_MAX)]


def test_the_issuer_is_discovered_by_its_metadata(served: Place) -> None:
    authenticator = served.authenticator(jwks_file=None)
    assert known(served, authenticator, served.issuer.issue("ada"))
    assert served.web.asked == [METADATA_URL, JWKS_URL]


@pytest.mark.parametrize(
    "metadata",
    [
        {"issuer": "https://other.example", "jwks_uri": JWKS_URL},
        {"issuer": URL},
        {"issuer": URL, "jwks_uri": "http://id.example/jwks"},
        {"issuer": URL, "jwks_uri": "file:///etc/passwd"},
        {"issuer": URL, "jwks_uri": ["https://id.example/jwks"]},
        [],
        "text",
    ],
    ids=str,
)
def test_metadata_that_does_not_fit_gives_no_keys(served: Place, metadata: Any) -> None:
    served.web.pages[METADATA_URL] = Answer(200, json.dumps(metadata).encode())
    assert not known(served, served.authenticator(jwks_file=None), served.issuer.issue("ada"))
    assert served.web.asked == [METADATA_URL]


def test_a_rotated_key_is_fetched_when_a_token_names_it(served: Place) -> None:
    authenticator = by_url(served)
    old = served.issuer.issue("ada")
    assert known(served, authenticator, old)
    served.clock.advance(60)
    served.issuer.rotate()
    assert known(served, authenticator, served.issuer.issue("ada"))
    assert known(served, authenticator, old)
    assert len(served.web.asked) == 2


def test_unknown_key_ids_ask_the_issuer_at_most_once_a_minute(served: Place) -> None:
    authenticator = by_url(served)
    assert known(served, authenticator, served.issuer.issue("ada"))
    stranger = Issuer(served.directory / "stranger", URL, now_s=served.scheduler.now_s)
    for _ in range(100):
        assert not known(served, authenticator, stranger.issue("mallory"))
    assert len(served.web.asked) == 1
    served.clock.advance(60)
    for _ in range(100):
        assert not known(served, authenticator, stranger.issue("mallory"))
    assert len(served.web.asked) == 2
    assert known(served, authenticator, served.issuer.issue("ada"))


def test_a_withdrawn_key_dies_when_the_keys_are_next_read(served: Place) -> None:
    authenticator = by_url(served)
    served.issuer.rotate()
    old_key = next(key for key in served.issuer.keys if key.key_type == "EC")
    token = served.issuer.issue("ada", lifetime_s=86400)
    old = Issuer(served.directory / "issuer", URL, now_s=served.scheduler.now_s)
    old._keys = [old_key]
    stolen = old.issue("ada", lifetime_s=86400)
    assert known(served, authenticator, stolen)
    served.issuer.withdraw()
    served.clock.advance(601)
    assert known(served, authenticator, token)
    assert not known(served, authenticator, stolen)


@pytest.mark.parametrize(
    "page",
    [
        Answer(500, b"oops"),
        Answer(404, b""),
        Answer(302, b"", {"Location": "https://evil.example/jwks"}),
        Answer(200, b"<html>"),
        Answer(200, b"[]"),
        Answer(200, b'{"keys": {}}'),
        Answer(200, b'{"keys": [' + b" " * 10_000_000 + b"]}"),
        Answer(200, json.dumps({"keys": [{"kty": "EC"}] * 101}).encode()),
        OSError("connection refused"),
        TimeoutError("too slow"),
        ValueError("longer than bytes_max"),
    ],
    ids=range(11),
)
def test_an_outage_is_survived_until_the_keys_are_too_old(served: Place, page: Any) -> None:
    authenticator = by_url(served, jwks_age_s_max=3600)
    assert known(served, authenticator, served.issuer.issue("ada"))
    served.web.pages[JWKS_URL] = page
    for _ in range(59):
        served.clock.advance(60)
        assert known(served, authenticator, served.issuer.issue("ada"))
    served.clock.advance(60)
    with pytest.raises(Refused, match=AWAY):
        served.identify(authenticator, served.issuer.issue("ada"))
    assert len(served.web.asked) <= 62
    served.web.pages[JWKS_URL] = Answer(200, served.issuer.jwks())
    served.clock.advance(5)
    assert known(served, authenticator, served.issuer.issue("ada"))


def test_an_issuer_that_was_never_reached_lets_nobody_in(place: Place) -> None:
    authenticator = by_url(place)
    for _ in range(50):
        with pytest.raises(Refused, match=AWAY) as caught:
            place.identify(authenticator, place.issuer.issue("ada"))
    assert len(place.web.asked) == 1
    assert "status 404" in caught.value.detail
    assert "404" not in caught.value.sentence


def test_an_empty_key_set_is_believed(served: Place) -> None:
    """An issuer that withdraws everything must not be outlived by what we remember of it."""
    authenticator = by_url(served)
    assert known(served, authenticator, served.issuer.issue("ada"))
    served.web.pages[JWKS_URL] = Answer(200, b'{"keys": []}')
    served.clock.advance(601)
    assert not known(served, authenticator, served.issuer.issue("ada"))


def test_many_at_once_ask_once(served: Place) -> None:
    slow: Deferred[Answer] = Deferred()
    served.web.pages[JWKS_URL] = slow
    authenticator = by_url(served)
    tokens = [served.issuer.issue(f"p{number}") for number in range(10)]
    waiting = [Deferred.fromCoroutine(authenticator.identify(ARRIVAL, credentials(token))) for token in tokens]
    answers: list[Identity | None] = []
    for one in waiting:
        one.addCallback(answers.append)
    assert answers == []
    slow.callback(Answer(200, served.issuer.jwks()))
    assert sorted(answer.subject for answer in answers if answer) == [f"p{number}" for number in range(10)]
    assert served.web.asked == [JWKS_URL]


def test_a_reader_that_is_cut_off_leaves_nobody_waiting(served: Place) -> None:
    slow: Deferred[Answer] = Deferred()
    served.web.pages[JWKS_URL] = slow
    authenticator = by_url(served)
    first, second = (
        Deferred.fromCoroutine(authenticator.identify(ARRIVAL, credentials(served.issuer.issue("ada"))))
        for _ in range(2)
    )
    failures: list[Any] = []
    first.addErrback(failures.append)
    second.addErrback(failures.append)
    first.cancel()
    assert [failure.type for failure in failures] == [Refused, Refused]
    served.web.pages[JWKS_URL] = Answer(200, served.issuer.jwks())
    served.clock.advance(5)
    assert known(served, authenticator, served.issuer.issue("ada"))


def test_a_key_file_is_read_again_after_a_rotation(place: Place) -> None:
    authenticator = place.authenticator()
    place.issuer.rotate()
    assert known(place, authenticator, place.issuer.issue("ada"))
    place.issuer.jwks_file.unlink()
    assert known(place, authenticator, place.issuer.issue("ada"))
    place.clock.advance(86400)
    assert not known(place, authenticator, place.issuer.issue("ada"))


def test_a_key_file_that_is_none_stops_the_start(place: Place) -> None:
    file = place.directory / "wrong.json"
    with pytest.raises(FileNotFoundError):
        place.authenticator(jwks_file=file)
    for content in (b"", b"{}", b'{"keys": []}', (place.directory / "issuer" / "keys.json").read_bytes()):
        file.write_bytes(content)
        with pytest.raises(KeysUnavailable):
            place.authenticator(jwks_file=file)


def test_only_keys_that_can_verify_are_kept(monkeypatch: pytest.MonkeyPatch, recwarn: Any) -> None:
    monkeypatch.setattr("warnings.warn", lambda *args, **kwargs: None)
    good = [
        RSAKey.generate_key(2048, {"kid": "rsa", "use": "sig", "alg": "RS256"}),
        ECKey.generate_key("P-256", {"kid": "ec"}),
        OKPKey.generate_key("Ed25519", {"kid": "okp", "key_ops": ["verify"]}, private=False),
    ]
    bad = [
        RSAKey.generate_key(1024, {"kid": "short"}),
        RSAKey.generate_key(2048, {"kid": "encryption", "use": "enc"}),
        ECKey.generate_key("P-384", {"kid": "curve"}),
        OKPKey.generate_key("X25519", {"kid": "exchange"}),
        OKPKey.generate_key("Ed448", {"kid": "other"}),
    ]
    raw: list[Any] = [key.as_dict(private=False) for key in [*good, *bad]]
    raw += [OctKey.generate_key(256, {"kid": "shared"}).as_dict(private=True)]
    raw += [{"kty": "AKP", "kid": "post-quantum"}, {"kty": "RSA"}, {"kty": "RSA", "n": "!", "e": "AQAB"}, 7, None, {}]
    raw += [{"kty": "EC", "crv": "P-256", "x": "AAAA", "y": "AAAA"}, {"kty": "RSA", "n": 7, "e": 7}]
    assert [key.kid for key in parse(json.dumps({"keys": raw}).encode())] == ["rsa", "ec", "okp"]


def test_of_keys_that_share_a_name_the_one_that_fits_is_taken(place: Place) -> None:
    keys = [{**key.as_dict(private=False), "kid": "same"} for key in place.issuer.keys]
    file = place.directory / "same.json"
    file.write_text(json.dumps({"keys": keys}))
    authenticator = place.authenticator(jwks_file=file)
    for key in place.issuer.keys:
        key.dict_value["kid"] = "same"
    for algorithm in ("RS256", "ES256", "EdDSA"):
        assert known(place, authenticator, place.issuer.issue("ada", algorithm=algorithm))


def test_keys_come_only_over_tls_or_from_this_machine() -> None:
    for url in ("https://id.example", "https://id.example:8443/x", "http://127.0.0.1:9000", "http://[::1]:9000/x"):
        assert is_safe(url), url
    for url in (
        "http://id.example",
        "http://127.0.0.1:80@evil.example/",
        "https://user@id.example",
        "http://localhost:9000",
        "http://127.0.0.1.evil.example/",
        "file:///etc/passwd",
        "https://",
        "http://[::1",
        "",
    ):
        assert not is_safe(url), url


def test_settings_name_one_safe_source(tmp_path: Path) -> None:
    for wrong in (
        {"issuer": "http://id.example"},
        {"issuer": URL, "jwks_url": "http://id.example/jwks"},
        {"issuer": URL, "jwks_url": JWKS_URL, "jwks_file": tmp_path},
        {"issuer": URL, "algorithms": ("HS256",)},
        {"issuer": URL, "algorithms": ("none",)},
        {"issuer": URL, "algorithms": ()},
        {"issuer": URL, "skew_s_max": 61},
    ):
        with pytest.raises(ValueError, match=r"wanted|Input should|at least"):
            Settings(audience="hoopproxy", **wrong)  # type: ignore[arg-type]  # that is the mistake
