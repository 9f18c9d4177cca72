"""Service tokens: let in while they count, are kept as digests alone, and tell who guesses nothing."""

import json
import os
import stat
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import Any
from zlib import crc32

import pytest

from hoopproxy.addons.service_tokens import ServiceTokens, Settings
from hoopproxy.disk import token_file
from hoopproxy.disk.token_file import TokenFile
from hoopproxy.errors import ConfigError, Refused
from hoopproxy.model import Identity
from tests.conftest import Spin

from .conftest import START_S, Place, arrival, shows

DAY_S = 86_400.0
INVALID = "Your service token is not valid here; ask the operator of the gateway for another."

type Made = Callable[..., str]


@pytest.fixture
def addon(place: Place) -> ServiceTokens:
    return ServiceTokens.build("robots", Settings(), place.setting)


@pytest.fixture
def make(addon: ServiceTokens, spin: Spin) -> Made:
    """A token that counts."""

    def made(subject: str = "reports", groups: tuple[str, ...] = ("analysts",), days: float = 30) -> str:
        text, token = addon.make(subject, frozenset(groups), days * DAY_S, "ada", "nightly")
        spin(addon.keep(token))
        return text

    return made


def refused(addon: ServiceTokens, spin: Spin, text: str) -> Refused:
    with pytest.raises(Refused) as why:
        spin(addon.identify(arrival(), shows(text)))
    assert why.value.reason == "credentials"
    return why.value


def resummed(text: str) -> str:
    """With the check sum that it should have: in base 62, as digits, then capitals, then the rest."""
    letters = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
    number, digits = crc32(text[:-6].encode()), ""
    while len(digits) < 6:
        digits, number = letters[number % 62] + digits, number // 62
    return text[:-6] + digits


def test_who_shows_a_token_is_the_service_that_it_was_made_for(addon: ServiceTokens, make: Made, spin: Spin) -> None:
    found: Identity = spin(addon.identify(arrival(), shows(make())))
    assert found == Identity(
        "service-tokens:robots", "reports", "reports", frozenset({"analysts"}), START_S + 30 * DAY_S, "service-token"
    )


def test_a_token_has_256_random_bits_and_a_check_sum(make: Made) -> None:
    texts = [make() for _ in range(20)]
    assert len({text[4:14] for text in texts}) == len({text[15:58] for text in texts}) == 20
    for text in texts:
        prefix, _, secret = text.split("_")
        assert prefix == "hpx" and len(secret) == 43 + 6 and secret.isalnum() and 62**43 > 2**256
        assert resummed(text) == text


def test_only_its_digest_is_kept_for_nobody_else(make: Made, place: Place) -> None:
    text = make()
    directory = place.directory / "robots"
    (kept,) = json.loads((directory / "tokens.json").read_bytes())
    assert kept["sha256"] == sha256(text.encode()).hexdigest() and text[15:] not in json.dumps(kept)
    assert kept["made_by"] == "ada" and kept["note"] == "nightly"
    for path, mode in ((directory, 0o700), (directory / "tokens.json", 0o600), (directory / "used", 0o700)):
        assert stat.S_IMODE(path.stat().st_mode) == mode


def test_what_is_no_service_token_is_for_others(addon: ServiceTokens, spin: Spin) -> None:
    for text in ("", "eyJhbGciOi.x.y", "ada:lovelace", "hpy_x"):
        assert spin(addon.identify(arrival(), shows(text))) is None


def test_who_guesses_learns_nothing(addon: ServiceTokens, make: Made, spin: Spin) -> None:
    """Not the right secret, not the id of another, not the form: all are told the same."""
    text, other = make(), make()
    wrong = resummed(text[:20] + ("a" if text[20] != "a" else "b") + text[21:])
    swapped = resummed(text[:4] + other[4:14] + text[14:])
    unknown = resummed("hpx_0000000000_" + text[15:])
    for guess in (wrong, swapped, unknown, text[:-1], text + "a", text.upper().replace("HPX", "hpx"), "hpx_", "hpx_é"):
        why = refused(addon, spin, guess)
        assert why.sentence == INVALID
        assert guess[15:] not in why.detail or len(guess) < 16
    assert text[4:14] in refused(addon, spin, wrong).detail, "the operator may know which id it was"


def test_a_token_ends_with_its_time(addon: ServiceTokens, make: Made, place: Place, spin: Spin) -> None:
    text = make(days=1)
    found: Identity = spin(addon.identify(arrival(), shows(text)))
    place.clock.advance(DAY_S)
    assert "has expired" in refused(addon, spin, text).sentence
    with pytest.raises(Refused, match="has expired"):
        spin(addon.recheck(found, shows(text)))


def test_a_token_that_is_revoked_is_refused_at_once_and_the_others_are_not(
    addon: ServiceTokens, make: Made, spin: Spin
) -> None:
    text, other = make(), make()
    found: Identity = spin(addon.identify(arrival(), shows(text)))
    addon.has_changed()
    spin(addon.revoke(text[4:14]))
    assert addon.has_changed() and not addon.has_changed()
    assert "was revoked" in refused(addon, spin, text).sentence
    with pytest.raises(Refused, match="was revoked"):
        spin(addon.recheck(found, shows(text)))
    assert spin(addon.recheck(found, shows(other))) is not None


def test_what_another_process_revokes_is_seen(addon: ServiceTokens, make: Made, place: Place, spin: Spin) -> None:
    text = make()
    other = ServiceTokens.build("robots", Settings(), place.setting)
    assert spin(other.identify(arrival(), shows(text))) is not None
    spin(addon.revoke(text[4:14]))
    assert other.has_changed()
    assert "was revoked" in refused(other, spin, text).sentence


def test_groups_are_those_of_now(addon: ServiceTokens, make: Made, place: Place, spin: Spin) -> None:
    text = make()
    found: Identity = spin(addon.identify(arrival(), shows(text)))
    path = place.directory / "robots" / "tokens.json"
    path.write_bytes(path.read_bytes().replace(b"analysts", b"cooks"))
    assert spin(addon.recheck(found, shows(text))).groups == {"cooks"}


def test_the_last_use_is_kept_to_the_hour(addon: ServiceTokens, make: Made, place: Place, spin: Spin) -> None:
    text = make()
    assert spin(addon.tokens())[0].used_s == 0
    spin(addon.identify(arrival(), shows(text)))
    assert spin(addon.tokens())[0].used_s == START_S
    place.clock.advance(600)
    spin(addon.identify(arrival(), shows(text)))
    assert (place.directory / "robots" / "used" / text[4:14]).stat().st_mtime == START_S
    place.clock.advance(3600)
    spin(addon.identify(arrival(), shows(text)))
    assert spin(addon.tokens())[0].used_s == START_S + 3600
    assert not addon.has_changed() or not addon.has_changed(), "a use is no change"


def test_a_use_that_cannot_be_kept_keeps_nobody_out(addon: ServiceTokens, make: Made, place: Place, spin: Spin) -> None:
    text = make()
    (place.directory / "robots" / "used").rmdir()
    assert spin(addon.identify(arrival(), shows(text))) is not None


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ({"subject": ""}, "The subject is not"),
        ({"subject": "a\nb"}, "The subject is not"),
        ({"subject": "x" * 256}, "The subject is not"),
        ({"groups": ("",)}, "The group  is not"),
        ({"groups": tuple(map(str, range(101)))}, "There are 101 groups"),
        ({"days": 91}, "wanted are 60 to 7.776e+06"),
        ({"days": 0}, "wanted are 60 to"),
        ({"days": float("nan")}, "wanted are 60 to"),
    ],
)
def test_tokens_are_made_for_names_and_for_a_time(make: Made, words: dict[str, Any], told: str) -> None:
    with pytest.raises(Refused) as why:
        make(**words)
    assert told in why.value.sentence


def test_there_are_so_many_and_old_ones_are_forgotten(
    addon: ServiceTokens, make: Made, place: Place, spin: Spin, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(token_file, "TOKENS_MAX", 2)
    first, _ = make(days=1), make()
    spin(addon.identify(arrival(), shows(first)))
    with pytest.raises(Refused, match="2 service tokens already"):
        make()
    place.clock.advance(92 * DAY_S)
    make()
    assert len(spin(addon.tokens())) == 2
    assert not (place.directory / "robots" / "used" / first[4:14]).exists()


# The file -------------------------------------------------------------------------------------------------------------


def test_nothing_is_made_before_there_is_a_token(addon: ServiceTokens, place: Place) -> None:
    assert list(place.directory.iterdir()) == [] and not addon.has_changed()


@pytest.mark.parametrize("content", [b"", b"{}", b"[{}]", b'[{"token_id": 7}]', b"\xff", b"[" * 10_000])
def test_a_file_that_cannot_be_believed_stops_the_start_and_lets_nobody_in(
    addon: ServiceTokens, make: Made, place: Place, spin: Spin, content: bytes
) -> None:
    text = make()
    (place.directory / "robots" / "tokens.json").write_bytes(content)
    with pytest.raises(ConfigError):
        ServiceTokens.build("robots", Settings(), place.setting)
    with pytest.raises(ConfigError, match="restore it from a backup"):
        spin(addon.identify(arrival(), shows(text)))
    with pytest.raises(ConfigError):
        spin(addon.revoke(text[4:14]))
    assert (place.directory / "robots" / "tokens.json").read_bytes() == content, "nothing is lost by that"


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660])
def test_a_file_that_others_may_read_is_not_believed(make: Made, place: Place, mode: int) -> None:
    make()
    (place.directory / "robots" / "tokens.json").chmod(mode)
    with pytest.raises(ConfigError, match="wanted is mode 0600"):
        TokenFile(place.directory / "robots")


def test_a_link_is_no_file(make: Made, place: Place, tmp_path: Path) -> None:
    make()
    path = place.directory / "robots" / "tokens.json"
    path.rename(tmp_path / "elsewhere.json")
    path.symlink_to(tmp_path / "elsewhere.json")
    with pytest.raises(ConfigError, match="can't be used"):
        TokenFile(place.directory / "robots")


def test_a_file_that_is_gone_lets_nobody_in(addon: ServiceTokens, make: Made, place: Place, spin: Spin) -> None:
    text = make()
    addon.has_changed()
    os.unlink(place.directory / "robots" / "tokens.json")
    assert addon.has_changed()
    assert refused(addon, spin, text).sentence == INVALID
