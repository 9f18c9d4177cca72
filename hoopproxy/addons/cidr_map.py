"""Where a place is by the operator's own map of networks to countries, which is dated and grows too old.

The only method that can speak of private networks. Believes the map: it is the operator's word, like a declaration.
"""

import hashlib
import json
from collections.abc import Mapping
from datetime import UTC, date, datetime
from ipaddress import IPv4Network, IPv6Network, ip_network
from pathlib import Path
from typing import Self

from pydantic import BaseModel, ConfigDict, Field, model_validator
from zope.interface import implementer, provider

from hoopproxy.errors import ConfigError
from hoopproxy.interfaces import IAddonFactory, IResidencyCheck, ISetting
from hoopproxy.model import Assurance, Finding, Place, Support
from hoopproxy.residency.addresses import canonical
from hoopproxy.residency.countries import COUNTRIES
from hoopproxy.residency.datafile import Table, parsed, shown
from hoopproxy.rooms import IScheduler

METHOD = "cidr-map"
DAY_S = 86400

type Network = IPv4Network | IPv6Network


class Settings(BaseModel):
    """The keys of `[addon.NAME]` with `use = "cidr-map"`: a `file`, or `dated` and `networks` themselves.

    `dated` is the day on which somebody last held the map against the networks; `age_d_max` days later it is void.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    file: Path | None = None
    dated: date | None = None
    networks: Mapping[str, str] | None = None
    age_d_max: int = Field(default=400, gt=0)

    @model_validator(mode="after")
    def _one_map(self) -> Self:
        here = (self.dated is not None, self.networks is not None)
        if here != ((False, False) if self.file else (True, True)):
            raise ValueError("wanted is either file, or both dated and networks")
        return self


class _Map(Table):
    """The same two keys in a file of their own."""

    dated: date
    networks: Mapping[str, str]


@provider(IAddonFactory)
@implementer(IResidencyCheck)
class CidrMap:
    """The country of the longest network that holds the address."""

    summary = "Places addresses by the operator's own map of networks to countries."
    settings = Settings

    @classmethod
    def build(cls, name: str, settings: Settings, setting: ISetting) -> "CidrMap":
        """Make it. @raise ConfigError: a sentence for each mistake in the map."""
        if settings.file is None:
            assert settings.dated is not None and settings.networks is not None
            found, data, where = _Map(dated=settings.dated, networks=settings.networks), None, "configuration"
        else:
            try:
                data = settings.file.read_bytes()
            except OSError as why:
                raise ConfigError(
                    (f"the map {settings.file} can't be read ({why.strerror}); wanted is a TOML file.",)
                ) from why
            where = settings.file.name
            found = parsed(_Map, where, data)
        networks = _networks(where, found.networks)
        if found.dated.toordinal() > _today(setting.scheduler).toordinal() + 1:
            raise ConfigError(
                (f"{where}: dated is {found.dated}, a day to come; wanted is the day of the last check.",)
            )
        content = json.dumps(sorted(found.networks.items())).encode() if data is None else data
        source = f"{where} sha256:{hashlib.sha256(content).hexdigest()[:16]}"
        return cls(name, networks, found.dated, settings.age_d_max, source, setting.scheduler)

    def __init__(
        self,
        name: str,
        networks: Mapping[Network, str],
        dated: date,
        age_d_max: int,
        source: str,
        scheduler: IScheduler,
    ) -> None:
        self.name = name
        self._networks = networks
        self._lengths = sorted({(network.version, network.prefixlen) for network in networks}, reverse=True)
        self._dated_s = datetime(dated.year, dated.month, dated.day, tzinfo=UTC).timestamp()
        self._age_s_max = age_d_max * DAY_S
        self._source = source
        self._scheduler = scheduler

    async def examine(self, place: Place) -> Finding:
        """The country; INCONCLUSIVE outside of the map, STALE when the map is too old."""
        if place.address is None:
            return Finding(METHOD, Support.UNAVAILABLE, None, Assurance.NONE, self._source)
        address = canonical(place.address)
        for version, length in self._lengths:
            if version != address.version:
                continue
            country = self._networks.get(ip_network((address, length), strict=False))
            if country is not None:
                return self._finding(country)
        return Finding(
            METHOD, Support.INCONCLUSIVE, None, Assurance.NONE, self._source, note="in no network of the map"
        )

    def _finding(self, country: str) -> Finding:
        age_s = max(0.0, self._scheduler.now_s() - self._dated_s)
        if age_s > self._age_s_max:
            return Finding(METHOD, Support.STALE, None, Assurance.DECLARED, self._source, age_s)
        return Finding(METHOD, Support.COUNTRY, country, Assurance.DECLARED, self._source, age_s)


def _today(scheduler: IScheduler) -> date:
    return datetime.fromtimestamp(scheduler.now_s(), UTC).date()


def _networks(where: str, raw: Mapping[str, str]) -> Mapping[Network, str]:
    """The map, each network in its own form. @raise ConfigError."""
    networks: dict[Network, str] = {}
    problems = [] if raw else [f"{where}: networks is empty; wanted is at least one network."]
    for text, country in raw.items():
        try:
            network = ip_network(text)
        except ValueError:
            problems.append(
                f'{where}: networks has {shown(text)}; wanted is a network such as "10.1.0.0/16" or "fd00:1::/32".'
            )
            continue
        if canonical(network.network_address) != network.network_address:
            problems.append(f"{where}: networks has {shown(text)}, which only carries IPv4; write it as that.")
        if network in networks:
            problems.append(f"{where}: networks has {network} twice.")
        if country not in COUNTRIES:
            problems.append(
                f"{where}: networks gives {network} the country {shown(country)}; "
                'wanted is an ISO 3166-1 alpha-2 code such as "DE" or "GB".'
            )
        networks[network] = country
    if problems:
        raise ConfigError(tuple(problems))
    return networks
