import re
from datetime import date

import pytest

from hoopproxy.errors import ConfigError
from hoopproxy.residency.packaged import read_packaged
from hoopproxy.residency.zones import Zones, parse

TODAY = date(2026, 11, 25)
MEMBERS = "AT BE BG CY CZ DE DK EE ES FI FR GR HR HU IE IT LT LU LV MT NL PL PT RO SE SI SK".split()
TERRITORIES = "AX GF GP MQ RE YT MF".split()
OUTSIDE = "FO GL AW CW SX BQ NC PF PM WF BL TF SJ GB CH US".split()

HEAD = b'id = "%s"\ntitle = "A zone"\ndated = 2026-11-25\n'
DE = b'[[entry]]\ncountry = "DE"\nvalid_from = 1958-01-01\nsource = "a treaty"\n'


def file(zone: bytes, rest: bytes = DE) -> bytes:
    return HEAD % zone + rest


def test_the_packaged_zones_hold_whom_the_law_says(zones: Zones) -> None:
    assert zones.names == {"EU", "EEA", "GB", "CH", "US"}
    assert len(MEMBERS) == 27
    for country in MEMBERS + TERRITORIES:
        assert zones.containing(country, TODAY) == {"EU", "EEA"}
    for country in ("IS", "LI", "NO"):
        assert zones.containing(country, TODAY) == {"EEA"}
    for country in ("GB", "CH", "US"):
        assert zones.containing(country, TODAY) == {country}
    for country in [*OUTSIDE, "GG", "IM", "JE", "GI", "PR", "GU", "VI", "AS", "MP", "UM", "UK", "XK", "", "de"]:
        assert not zones.containing(country, TODAY) & {"EU", "EEA"}
    assert not any(zones.containing(country, TODAY) for country in ("GG", "GI", "PR", "AS", "XK", "UK", "", "de"))


@pytest.mark.parametrize(
    ("zone", "country", "on", "holds"),
    [
        ("EU", "HR", date(2013, 6, 30), False),
        ("EU", "HR", date(2013, 7, 1), True),
        ("EU", "GB", date(1972, 12, 31), False),
        ("EU", "GB", date(1973, 1, 1), True),
        ("EU", "GB", date(2020, 1, 31), True),
        ("EU", "GB", date(2020, 2, 1), False),
        ("EEA", "GB", date(2020, 2, 1), False),
        ("EU", "PL", date(2004, 4, 30), False),
        ("EU", "PL", date(2004, 5, 1), True),
        ("EU", "YT", date(2013, 12, 31), False),
        ("EEA", "LI", date(1995, 4, 30), False),
        ("EEA", "LI", date(1995, 5, 1), True),
        ("US", "US", TODAY, True),
    ],
)
def test_membership_has_dates(zones: Zones, zone: str, country: str, on: date, holds: bool) -> None:
    assert zones.contains(zone, country, on) is holds
    assert (zone in zones.containing(country, on)) is holds


def test_an_unknown_zone_is_a_mistake_and_not_an_empty_one(zones: Zones) -> None:
    with pytest.raises(KeyError):
        zones.contains("UE", "DE", TODAY)


def test_every_packaged_entry_names_its_source(zones: Zones) -> None:
    for name, data in read_packaged().items():
        assert name.endswith(".toml")
        entries = data.decode().split("[[entry]]")[1:]
        assert entries and all("\nsource = " in entry for entry in entries)


def test_the_revision_is_that_of_the_content_alone() -> None:
    fr = DE.replace(b'"DE"', b'"FR"')
    one = parse({"a.toml": file(b"A", DE + fr), "b.toml": file(b"B", b'includes = ["A"]\n')})
    same = parse({"b.toml": file(b"B", b"includes = ['A'] # x\n"), "z.toml": b"\n# new name\n" + file(b"A", fr + DE)})
    other = parse(
        {"a.toml": file(b"A", DE + fr.replace(b"1958", b"1959")), "b.toml": file(b"B", b'includes = ["A"]\n')}
    )
    assert one == same
    assert re.fullmatch("[0-9a-f]{64}", one.revision)
    assert one.revision != other.revision


def test_zones_include_zones_and_exclude_countries() -> None:
    zones = parse(
        {
            **read_packaged(),
            "eu-hu.toml": file(b"EU-HU", b'includes = ["EU"]\nexcludes = ["HU"]\n'),
            "mine.toml": file(b"MINE", b'includes = ["EU-HU", "CH"]\n' + DE.replace(b'"DE"', b'"JP"')),
        }
    )
    inside = {country for country in [*MEMBERS, "CH", "JP", "US"] if zones.contains("MINE", country, TODAY)}
    assert inside == {*MEMBERS, "CH", "JP"} - {"HU"}
    assert zones.containing("HU", TODAY) == {"EU", "EEA"}


def test_what_is_included_adds_to_what_is_entered() -> None:
    old = DE.replace(b"1958-01-01", b"1900-01-01") + b"valid_to = 1910-12-31\n"
    zones = parse({"a.toml": file(b"A"), "b.toml": file(b"B", b'includes = ["A"]\n' + old)})
    held = [zones.contains("B", "DE", date(year, 1, 1)) for year in (1899, 1900, 1910, 1911, 1957, 1958)]
    assert held == [False, True, True, False, False, True]


def test_an_entry_with_a_condition_counts_for_nothing_since_nothing_proves_it() -> None:
    data = file(b"A", DE + DE.replace(b'"DE"', b'"US"') + b'condition = "the importer is certified"\n')
    zones = parse({"a.toml": data})
    assert zones.contains("A", "DE", TODAY)
    assert not zones.contains("A", "US", TODAY)


def test_the_same_country_may_come_and_go() -> None:
    again = DE.replace(b"1958-01-01", b"2000-01-01")
    zones = parse({"a.toml": file(b"A", again + DE + b"valid_to = 1960-12-31\n")})
    held = [zones.contains("A", "DE", date(year, 1, 1)) for year in (1957, 1958, 1960, 1961, 1999, 2000)]
    assert held == [False, True, True, False, False, True]


@pytest.mark.parametrize(
    ("files", "sentence"),
    [
        ({"a.toml": b"id = "}, "a.toml: it is no TOML ("),
        ({"a.toml": b"\xff"}, "a.toml: it is no TOML ("),
        ({"a.toml": file(b"A", b"region = 1\n" + DE)}, "a.toml: region is not a setting."),
        ({"a.toml": file(b"A", DE + b'note = "x"\n')}, "a.toml: entry[0].note is not a setting."),
        ({"a.toml": b'title = "A"\ndated = 2026-11-25\n' + DE}, "a.toml: id is missing."),
        ({"a.toml": b'id = "A"\ntitle = "A"\n' + DE}, "a.toml: dated is missing."),
        ({"a.toml": file(b"A|B")}, "a.toml: id is 'A|B'; string should match pattern"),
        ({"a.toml": file(b"A", DE.replace(b'source = "a treaty"\n', b""))}, "a.toml: entry[0].source is missing."),
        ({"a.toml": file(b"A", DE.replace(b"DE", b"UK"))}, "a.toml: entry[0].country is 'UK'; wanted is an ISO 3166-1"),
        ({"a.toml": file(b"A", DE.replace(b"DE", b"de"))}, "a.toml: entry[0].country is 'de'; wanted is an ISO 3166-1"),
        ({"a.toml": file(b"A", b'excludes = ["EU"]\n' + DE)}, "a.toml: excludes[0] is 'EU'; wanted is an ISO 3166-1"),
        ({"a.toml": file(b"A", DE.replace(b"1958-01-01", b'"soon"'))}, "a.toml: entry[0].valid_from is 'soon'; input"),
        ({"a.toml": file(b"A", DE + b"valid_to = 1957-12-31\n")}, "a.toml: entry[0]: DE ends on 1957-12-31, before it"),
        ({"a.toml": file(b"A", DE + DE)}, "a.toml: DE is entered twice for 1958-01-01."),
        (
            {"a.toml": file(b"A", DE + b"valid_to = 2000-01-01\n" + DE.replace(b"1958", b"2000"))},
            "a.toml: DE is entered twice for 2000-01-01.",
        ),
        ({"a.toml": file(b"A", b'excludes = ["DE"]\n' + DE)}, "a.toml: DE is both entered and excluded."),
        (
            {"a.toml": file(b"A", b"")},
            "a.toml: zone A has neither an entry nor includes, so nothing could ever lie in it.",
        ),
        ({"a.toml": file(b"A", b'includes = ["B"]\n')}, "a.toml: includes names zone 'B', which no file defines."),
        ({"a.toml": file(b"A", b'includes = ["A"]\n')}, "a.toml: zone A includes itself (A in A)."),
        (
            {"a.toml": file(b"A"), "b.toml": file(b"A")},
            "b.toml: zone A is also what a.toml defines; one of them has to go.",
        ),
    ],
)
def test_each_mistake_in_a_zone_file_has_its_sentence(files: dict[str, bytes], sentence: str) -> None:
    with pytest.raises(ConfigError) as refused:
        parse(files)
    (problem,) = refused.value.problems
    assert problem.startswith(sentence)
    assert problem.endswith(".")


def test_a_cycle_is_named_all_the_way_round() -> None:
    includes = {"a": "b", "b": "c", "c": "a"}
    cycle = {
        f"{zone}.toml": file(zone.encode(), f'includes = ["{other}"]\n'.encode()) for zone, other in includes.items()
    }
    with pytest.raises(ConfigError, match=r"zone (\w) includes itself \(\1 in \w in \w in \1\)\.$"):
        parse(cycle)


def test_all_mistakes_are_told_at_once() -> None:
    with pytest.raises(ConfigError) as refused:
        parse({"a.toml": b"=", "b.toml": file(b"B", b"x = 1\ny = 2\n" + DE), "c.toml": file(b"C", b"")})
    assert len(refused.value.problems) == 4
