"""Every first-party residency check against its interface, and every finding of theirs against what a finding is."""

import re
from collections.abc import Callable
from importlib.metadata import EntryPoint
from ipaddress import IPv4Address, IPv6Address
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from zope.interface.verify import verifyObject

from hoopproxy.addons import cidr_map, declared, geoip
from hoopproxy.interfaces import IAddonFactory, IResidencyCheck
from hoopproxy.model import Assurance, Finding, Place, SubjectKind, Support
from hoopproxy.registry import faults
from hoopproxy.residency.countries import COUNTRIES

from .conftest import HandClock, Setting, answer


@pytest.fixture
def checks(mmdb: Callable[..., Path], setting: Setting, clock: HandClock) -> list[IResidencyCheck]:
    database = mmdb({"81.0.0.0/8": "GB", "2a00::/12": "DE"})
    mine = cidr_map.Settings(dated="2026-11-20", networks={"0.0.0.0/1": "DE", "2000::/3": "FR"})
    geo = geoip.GeoIp.build("geo", geoip.Settings(database=database), setting)
    return [
        declared.DeclaredCountry.build("owner", declared.Settings(), setting),
        cidr_map.CidrMap.build("mine", mine, setting),
        geo,
    ]


@pytest.mark.parametrize("factory", [declared.DeclaredCountry, cidr_map.CidrMap, geoip.GeoIp])
def test_each_factory_is_one(factory: type) -> None:
    assert verifyObject(IAddonFactory, factory)
    assert not faults(IAddonFactory, factory)
    assert factory.summary.endswith(".")
    assert factory.settings.model_config["extra"] == "forbid"
    assert factory.settings.model_config["frozen"] is True
    path = f"{factory.__module__}:{factory.__name__}"
    assert EntryPoint("x", path, "hoopproxy.addons").load() is factory


def test_each_check_is_one(checks: list[IResidencyCheck]) -> None:
    for check, name in zip(checks, ("owner", "mine", "geo"), strict=True):
        assert verifyObject(IResidencyCheck, check)
        assert not faults(IResidencyCheck, check)
        assert check.name == name


@given(st.sampled_from(SubjectKind), st.none() | st.ip_addresses(), st.sampled_from([None, "DE", "US"]))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_each_finding_is_valid(
    checks: list[IResidencyCheck],
    kind: SubjectKind,
    address: IPv4Address | IPv6Address | None,
    country: str | None,
) -> None:
    for check in checks:
        finding = answer(check.examine(Place(kind, "x", address, country)))
        assert isinstance(finding, Finding)
        assert finding.method in ("declared", "cidr-map", "geoip")
        assert (finding.country is not None) is (finding.support is Support.COUNTRY)
        assert finding.country is None or finding.country in COUNTRIES
        assert finding.assurance is (
            Assurance.DECLARED if finding.support in (Support.COUNTRY, Support.STALE) else Assurance.NONE
        )
        assert re.fullmatch(r"configuration|\S+ sha256:[0-9a-f]{16}", finding.source)
        assert address is None or str(address) not in finding.note


@pytest.mark.parametrize("kind", SubjectKind)
def test_what_is_declared_is_told_with_or_without_an_address(setting: Setting, kind: SubjectKind) -> None:
    check = declared.DeclaredCountry.build("owner", declared.Settings(), setting)
    finding = answer(check.examine(Place(kind, "x", None, "DE")))
    assert finding == Finding("declared", Support.COUNTRY, "DE", Assurance.DECLARED, "configuration")
    assert answer(check.examine(Place(kind, "x", None, None))).support is Support.UNAVAILABLE
