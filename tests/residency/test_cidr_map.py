from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from hoopproxy.addons.cidr_map import CidrMap, Settings
from hoopproxy.errors import ConfigError
from hoopproxy.model import Assurance, Place, SubjectKind, Support

from .conftest import DAY_S, HandClock, Setting, answer, client

NETWORKS = {
    "10.0.0.0/8": "DE",
    "10.1.0.0/16": "FR",
    "10.1.2.0/24": "NL",
    "10.1.2.3/32": "US",
    "127.0.1.0/24": "CH",
    "fd00:1::/32": "GB",
    "fd00:1:2::/48": "IE",
}


def built(setting: Setting, **keys: Any) -> CidrMap:
    return CidrMap.build("map", Settings(**{"dated": "2026-11-20", "networks": NETWORKS, **keys}), setting)


@pytest.mark.parametrize(
    ("address", "country"),
    [
        ("10.200.0.1", "DE"),
        ("10.1.200.1", "FR"),
        ("10.1.2.4", "NL"),
        ("10.1.2.3", "US"),
        ("::ffff:10.1.2.4", "NL"),
        ("64:ff9b::10.1.2.4", "NL"),
        ("127.0.1.7", "CH"),
        ("fd00:1:1::1", "GB"),
        ("fd00:1:2::1", "IE"),
        ("127.0.0.1", None),
        ("11.0.0.1", None),
        ("fd00:2::1", None),
        ("::1", None),
    ],
)
def test_the_longest_network_names_the_country(setting: Setting, address: str, country: str | None) -> None:
    finding = answer(built(setting).examine(client(address)))
    assert finding.country == country
    assert finding.support is (Support.COUNTRY if country else Support.INCONCLUSIVE)
    assert finding.assurance is (Assurance.DECLARED if country else Assurance.NONE)
    assert finding.method == "cidr-map"


def test_a_place_without_an_address_is_none_of_its_business(setting: Setting) -> None:
    gateway = Place(SubjectKind.GATEWAY, "gw", None, "DE")
    assert answer(built(setting).examine(gateway)).support is Support.UNAVAILABLE


def test_a_map_grows_too_old(setting: Setting, clock: HandClock) -> None:
    map_ = built(setting, age_d_max=10)
    start_s = clock.at_s
    for days, support in ((5, Support.COUNTRY), (5.5, Support.STALE)):  # the map is 5 days old at the start
        clock.at_s = start_s + days * DAY_S
        finding = answer(map_.examine(client("10.0.0.1")))
        assert (finding.support, finding.age_s) == (support, (days + 5) * DAY_S)
        assert finding.assurance is Assurance.DECLARED
    assert answer(map_.examine(client("11.0.0.1"))).support is Support.INCONCLUSIVE


def test_a_map_may_stand_in_a_file_of_its_own(setting: Setting, tmp_path: Path) -> None:
    path = tmp_path / "networks.toml"
    path.write_text('dated = 2026-11-20\n[networks]\n"10.0.0.0/8" = "DE"\n')
    map_ = CidrMap.build("map", Settings(file=path), setting)
    finding = answer(map_.examine(client("10.0.0.1")))
    assert finding.country == "DE"
    assert finding.source.startswith("networks.toml sha256:")
    path.write_text(path.read_text().replace("DE", "FR"))
    other = answer(CidrMap.build("map", Settings(file=path), setting).examine(client("10.0.0.1")))
    assert other.country == "FR" and other.source != finding.source


@pytest.mark.parametrize(
    ("networks", "sentence"),
    [
        ({}, "configuration: networks is empty; wanted is at least one network."),
        ({"10.1/16": "DE"}, "configuration: networks has '10.1/16'; wanted is a network such as "),
        ({"10.0.0.1/8": "DE"}, "configuration: networks has '10.0.0.1/8'; wanted is a network such as "),
        ({"everywhere": "DE"}, "configuration: networks has 'everywhere'; wanted is a network such as "),
        ({"10.0.0.0/8": "UK"}, "configuration: networks gives 10.0.0.0/8 the country 'UK'; wanted is an ISO 3166-1"),
        ({"::ffff:10.0.0.0/104": "DE"}, "configuration: networks has '::ffff:10.0.0.0/104', which only carries IPv4"),
        ({"fd00::/8": "DE", "FD00::/8": "DE"}, "configuration: networks has fd00::/8 twice."),
    ],
)
def test_each_mistake_in_a_map_has_its_sentence(setting: Setting, networks: dict[str, str], sentence: str) -> None:
    with pytest.raises(ConfigError) as refused:
        built(setting, networks=networks)
    (problem,) = refused.value.problems
    assert problem.startswith(sentence) and problem.endswith(".")


def test_a_map_from_the_future_is_refused(setting: Setting) -> None:
    built(setting, dated="2026-11-26")  # already tomorrow somewhere
    with pytest.raises(ConfigError, match="dated is 2026-11-27, a day to come"):
        built(setting, dated="2026-11-27")


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (None, r"^the map .*networks\.toml can't be read \(No such file or directory\); wanted is a TOML file\.$"),
        ("networks", r"^networks\.toml: it is no TOML \(.*\)\.$"),
        ('[networks]\n"10.0.0.0/8" = "DE"\n', r"^networks\.toml: dated is missing\.$"),
        ("dated = 2026-11-20\n[network]\n", r"networks is missing\.\n.*network is not a setting\.$"),
        ('dated = 2026-11-20\n[networks]\n"10.0.0.0/8" = 1\n', r"networks\.10\.0\.0\.0/8 is '1'; input should be"),
        ('dated = 2026-11-20\n[networks]\n"10.0.0.0/8" = "EU"\n', r"^networks\.toml: networks gives 10\.0\.0\.0/8"),
    ],
)
def test_each_mistake_in_a_map_file_has_its_sentence(
    setting: Setting, tmp_path: Path, content: str | None, sentence: str
) -> None:
    path = tmp_path / "networks.toml"
    if content is not None:
        path.write_text(content)
    with pytest.raises(ConfigError, match=sentence):
        CidrMap.build("map", Settings(file=path), setting)


@pytest.mark.parametrize(
    "keys",
    [
        {},
        {"networks": NETWORKS},
        {"dated": "2026-11-20"},
        {"file": "a.toml", "networks": NETWORKS},
        {"file": "a.toml", "dated": "2026-11-20"},
        {"file": "a.toml", "age_d_max": 0},
        {"file": "a.toml", "network": NETWORKS},
    ],
)
def test_settings_are_a_file_or_a_dated_map(keys: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        Settings(**keys)
