"""Where an address is in the opinion of a MaxMind DB file: the country of its location, never of its registration.

An opinion: it corroborates somebody's word and alone is worth no more than one. Knows nothing of private networks.
"""

import hashlib
from collections.abc import Mapping
from io import BytesIO
from pathlib import Path
from typing import Any

import maxminddb
from pydantic import BaseModel, ConfigDict, Field
from zope.interface import implementer, provider

from hoopproxy.errors import ConfigError
from hoopproxy.interfaces import IAddonFactory, IResidencyCheck, ISetting
from hoopproxy.model import Assurance, Finding, Place, Support
from hoopproxy.residency.addresses import canonical
from hoopproxy.residency.countries import COUNTRIES
from hoopproxy.rooms import IScheduler

METHOD = "geoip"
DAY_S = 86400
SEPARATOR = bytes(16)
"""Between search tree and data (MaxMind DB format 2.0, "Data Section Separator"): missing where bytes were lost."""

NOWHERE = ("is_anycast", "is_anonymous_proxy", "is_satellite_provider")
"""Traits of networks whose users and servers are not where the network is (GeoIP2 and GeoLite2 databases)."""


class Settings(BaseModel):
    """The keys of `[addon.NAME]` with `use = "geoip"`. `age_d_max` is counted from the day the database was built."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    database: Path
    age_d_max: int = Field(default=45, gt=0)


@provider(IAddonFactory)
@implementer(IResidencyCheck)
class GeoIp:
    """`country.iso_code` of the address in a database that the operator supplies."""

    summary = "Places public addresses by a MaxMind DB file (country or city)."
    settings = Settings

    @classmethod
    def build(cls, name: str, settings: Settings, setting: ISetting) -> "GeoIp":
        """Make it. @raise ConfigError: the file is missing or no database."""
        path = settings.database
        try:
            data = path.read_bytes()
            # In memory, because a mapped file that somebody cuts short kills the process; and so that the digest is
            # that of the very bytes that answer.
            reader = maxminddb.open_database(BytesIO(data), maxminddb.MODE_FD)
            tree_bytes = reader.metadata().search_tree_size
            if data[tree_bytes : tree_bytes + len(SEPARATOR)] != SEPARATOR:
                raise ValueError("the search tree does not end where the metadata says")
        except OSError as why:
            raise ConfigError(
                (f"the database {path} can't be read ({why.strerror}); wanted is a MaxMind DB file (.mmdb).",)
            ) from why
        except Exception as why:  # the reader trips over broken bytes in many ways; each means the same
            raise ConfigError(
                (f"the database {path} is damaged or of another kind; wanted is a MaxMind DB file (.mmdb).",)
            ) from why
        source = f"{path.name} sha256:{hashlib.sha256(data).hexdigest()[:16]}"
        return cls(name, reader, settings.age_d_max, source, setting.scheduler)

    def __init__(self, name: str, reader: maxminddb.Reader, age_d_max: int, source: str, scheduler: IScheduler) -> None:
        self.name = name
        self._reader = reader
        self._built_s = float(reader.metadata().build_epoch)
        self._age_s_max = age_d_max * DAY_S
        self._source = source
        self._scheduler = scheduler

    async def examine(self, place: Place) -> Finding:
        """The country; INCONCLUSIVE when the database can't know it, STALE when it is too old."""
        if place.address is None:
            return self._none(Support.UNAVAILABLE)
        address = canonical(place.address)
        if not address.is_global:
            return self._none(Support.INCONCLUSIVE, "not a public address")
        age_s = self._scheduler.now_s() - self._built_s
        # A database from the future means a wrong clock: then nobody can tell how old it is.
        if not -DAY_S <= age_s <= self._age_s_max:
            note = "built in the future: is the clock right?" if age_s < 0 else ""
            return Finding(METHOD, Support.STALE, None, Assurance.DECLARED, self._source, age_s, note)
        if address.version == 6 and self._reader.metadata().ip_version == 4:
            return self._none(Support.INCONCLUSIVE, "the database has no IPv6")
        record = _table(self._reader.get(address))
        traits = _table(record.get("traits"))
        if nowhere := [trait for trait in NOWHERE if traits.get(trait)]:
            return self._none(Support.INCONCLUSIVE, ", ".join(nowhere))
        country = _table(record.get("country")).get("iso_code")
        # Not in the database, or as a code that is no country: EU, AP, A1.
        if country not in COUNTRIES:
            return self._none(Support.INCONCLUSIVE, "the database names no country")
        return Finding(METHOD, Support.COUNTRY, country, Assurance.DECLARED, self._source, age_s)

    def _none(self, support: Support, note: str = "") -> Finding:
        return Finding(METHOD, support, None, Assurance.NONE, self._source, note=note)


def _table(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}
