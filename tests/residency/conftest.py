"""A setting with a clock that is set by hand, places, findings, and GeoIP databases made on the spot."""

from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest
from mmdb_writer import MMDBWriter
from netaddr import IPSet
from zope.interface import implementer

from hoopproxy.interfaces import ISetting
from hoopproxy.model import Place, SubjectKind
from hoopproxy.residency.packaged import read_packaged
from hoopproxy.residency.zones import Zones, parse

DAY_S = 86400
NOV_25_2026_S = 1795564800.0


class HandClock:
    def __init__(self) -> None:
        self.at_s = NOV_25_2026_S

    def now_s(self) -> float:
        return self.at_s


@implementer(ISetting)
@dataclass(frozen=True)
class Setting:
    scheduler: Any
    gateway: str = "gw-test"
    zone: str = "EU"
    state_dir: str = "/nowhere"
    policy: Any = None
    targets: Any = None


def answer[T](work: Coroutine[Any, Any, T]) -> T:
    """The result of a coroutine that never waits."""
    with pytest.raises(StopIteration) as ended:
        work.send(None)
    return ended.value.value


def client(address: str | None) -> Place:
    return Place(SubjectKind.CLIENT, "client", None if address is None else ip_address(address), None)


@pytest.fixture(scope="session")
def zones() -> Zones:
    return parse(read_packaged())


@pytest.fixture
def clock() -> HandClock:
    return HandClock()


@pytest.fixture
def setting(clock: HandClock) -> Setting:
    return Setting(clock)


@pytest.fixture
def mmdb(tmp_path: Path) -> Callable[..., Path]:
    """Writes a database: networks to records, in which a text stands for a country."""

    def write(networks: Mapping[str, Any], ip_version: int = 6) -> Path:
        writer = MMDBWriter(ip_version=ip_version, ipv4_compatible=ip_version == 6, database_type="Test-Country")
        for network, record in networks.items():
            found = {"country": {"iso_code": record}} if isinstance(record, str) else record
            writer.insert_network(IPSet([network]), found)
        path = tmp_path / "test-country.mmdb"
        writer.to_db_file(str(path))
        return path

    return write
