from collections.abc import Callable
from pathlib import Path
from typing import Any

import maxminddb
import pytest

from hoopproxy.addons.geoip import GeoIp, Settings
from hoopproxy.errors import ConfigError
from hoopproxy.model import Assurance, Finding, Place, SubjectKind, Support

from .conftest import DAY_S, HandClock, Setting, answer, client

RECORDS: dict[str, Any] = {
    "81.2.69.0/24": "GB",
    "2a02:ff00::/32": "DE",
    "5.255.0.0/16": "EU",
    "46.99.0.0/16": "XK",
    "9.9.9.0/24": {"country": {"iso_code": "US"}, "traits": {"is_anycast": True}},
    "8.8.4.0/24": {"registered_country": {"iso_code": "US"}, "represented_country": {"iso_code": "FR"}},
    "8.8.5.0/24": {"country": "US"},
    "10.0.0.0/8": "DE",
    "127.0.0.0/8": "DE",
}


@pytest.fixture
def database(mmdb: Callable[..., Path], clock: HandClock) -> Path:
    path = mmdb(RECORDS)
    with maxminddb.open_database(path) as reader:
        clock.at_s = float(reader.metadata().build_epoch)
    return path


@pytest.fixture
def asked(database: Path, setting: Setting) -> Callable[[str | None], Finding]:
    check = GeoIp.build("geo", Settings(database=database, age_d_max=30), setting)
    return lambda address: answer(check.examine(client(address)))


@pytest.mark.parametrize(
    ("address", "country"),
    [
        ("81.2.69.160", "GB"),
        ("::ffff:81.2.69.160", "GB"),
        ("64:ff9b::81.2.69.160", "GB"),
        ("2002:5102:45a0::1", "GB"),
        ("2a02:ff00::1", "DE"),
        ("46.99.0.1", "XK"),
    ],
)
def test_a_public_address_has_the_country_that_the_database_names(
    asked: Callable[[str | None], Finding], address: str, country: str
) -> None:
    finding = asked(address)
    assert (finding.support, finding.country, finding.method) == (Support.COUNTRY, country, "geoip")
    assert finding.assurance is Assurance.DECLARED
    assert finding.age_s == 0
    assert finding.source.startswith("test-country.mmdb sha256:")


@pytest.mark.parametrize(
    ("address", "note"),
    [
        ("10.0.0.1", "not a public address"),
        ("127.0.0.1", "not a public address"),
        ("::1", "not a public address"),
        ("fd00::1", "not a public address"),
        ("100.64.0.1", "not a public address"),
        ("169.254.0.1", "not a public address"),
        ("1.1.1.1", "the database names no country"),
        ("2a03::1", "the database names no country"),
        ("5.255.1.1", "the database names no country"),
        ("8.8.4.4", "the database names no country"),
        ("8.8.5.5", "the database names no country"),
        ("9.9.9.9", "is_anycast"),
    ],
)
def test_what_the_database_can_not_know_is_inconclusive(
    asked: Callable[[str | None], Finding], address: str, note: str
) -> None:
    finding = asked(address)
    assert (finding.support, finding.country, finding.note) == (Support.INCONCLUSIVE, None, note)
    assert finding.assurance is Assurance.NONE


def test_a_place_without_an_address_is_none_of_its_business(database: Path, setting: Setting) -> None:
    check = GeoIp.build("geo", Settings(database=database), setting)
    assert answer(check.examine(Place(SubjectKind.STORAGE, "recordings", None, "DE"))).support is Support.UNAVAILABLE


@pytest.mark.parametrize(
    ("age_d", "support"),
    [
        (-2, Support.STALE),
        (-0.5, Support.COUNTRY),
        (0, Support.COUNTRY),
        (30, Support.COUNTRY),
        (30.001, Support.STALE),
        (3000, Support.STALE),
    ],
)
def test_a_database_grows_too_old_while_the_gateway_runs(
    asked: Callable[[str | None], Finding], clock: HandClock, age_d: float, support: Support
) -> None:
    clock.at_s += age_d * DAY_S
    finding = asked("81.2.69.160")
    assert finding.support is support
    assert finding.age_s == pytest.approx(age_d * DAY_S)
    assert finding.assurance is Assurance.DECLARED
    assert (finding.country is None) is (support is Support.STALE)


def test_a_database_without_ipv6_knows_no_ipv6(mmdb: Callable[..., Path], setting: Setting, clock: HandClock) -> None:
    path = mmdb({"81.2.69.0/24": "GB"}, ip_version=4)
    with maxminddb.open_database(path) as reader:
        clock.at_s = float(reader.metadata().build_epoch)
    check = GeoIp.build("geo", Settings(database=path), setting)
    assert answer(check.examine(client("81.2.69.160"))).country == "GB"
    assert answer(check.examine(client("2a02:ff00::1"))).support is Support.INCONCLUSIVE


@pytest.mark.parametrize(
    "damage",
    [
        lambda data: b"",
        lambda data: b"GeoIP, once",
        lambda data: data[: len(data) // 2],
        lambda data: data[:-20],
        lambda data: data[100:],
        lambda data: data[:50] + data[90:],
    ],
)
def test_a_damaged_database_stops_the_start_with_one_sentence(
    database: Path, setting: Setting, damage: Callable[[bytes], bytes]
) -> None:
    database.write_bytes(damage(database.read_bytes()))
    with pytest.raises(ConfigError, match=r"^the database .*\.mmdb is damaged or of another kind; wanted is .*\.$"):
        GeoIp.build("geo", Settings(database=database), setting)


def test_a_missing_database_stops_the_start_with_one_sentence(tmp_path: Path, setting: Setting) -> None:
    for path, why in ((tmp_path / "no.mmdb", "No such file or directory"), (tmp_path, "Is a directory")):
        with pytest.raises(ConfigError, match=rf"^the database {path} can't be read \({why}\); wanted is .*\.$"):
            GeoIp.build("geo", Settings(database=path), setting)


def test_a_database_that_is_replaced_or_cut_short_on_disk_still_answers_as_it_was_read(
    database: Path, setting: Setting
) -> None:
    check = GeoIp.build("geo", Settings(database=database), setting)
    database.write_bytes(b"")
    assert answer(check.examine(client("81.2.69.160"))).country == "GB"
