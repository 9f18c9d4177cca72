"""Zones: which country lay in which zone on which day, read from dated data files.

Pure: `parse` takes the files' bytes. Knows no address and no method; that a place *is* in a country is a finding.
"""

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from graphlib import CycleError, TopologicalSorter
from itertools import groupby, pairwise
from types import MappingProxyType
from typing import Annotated

from pydantic import Field, model_validator

from hoopproxy.errors import ConfigError
from hoopproxy.residency.countries import Country
from hoopproxy.residency.datafile import Table, parsed, shown


class _Entry(Table):
    """`[[entry]]`: one country for one time; `valid_to` is the last day."""

    country: Country
    valid_from: date
    valid_to: date = date.max
    condition: str = ""
    source: str = Field(min_length=1)

    @model_validator(mode="after")
    def _in_order(self) -> "_Entry":
        if self.valid_to < self.valid_from:
            raise ValueError(f"{self.country} ends on {self.valid_to}, before it begins on {self.valid_from}")
        return self


class _File(Table):
    """One zone: its entries and the zones that it includes, without the countries that it excludes."""

    id: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9+:._-]{0,63}$")]
    title: str = Field(min_length=1)
    dated: date
    includes: frozenset[str] = frozenset()
    excludes: frozenset[Country] = frozenset()
    entry: tuple[_Entry, ...] = ()


@dataclass(frozen=True, slots=True)
class Span:
    """From the first day to the last, both in the zone."""

    first: date
    last: date


@dataclass(frozen=True, slots=True)
class Zone:
    """One zone, its includes and excludes worked out. `dated` is when somebody last held it against its sources."""

    id: str
    title: str
    dated: date
    members: Mapping[str, tuple[Span, ...]]

    def contains(self, country: str, on: date) -> bool:
        """Whether that country lay in this zone on that day."""
        return any(span.first <= on <= span.last for span in self.members.get(country, ()))


@dataclass(frozen=True, slots=True)
class Zones:
    """All zones that the gateway knows. `revision` is the SHA-256, in hex, of what the files say."""

    revision: str
    zones: Mapping[str, Zone]

    @property
    def names(self) -> frozenset[str]:
        """The ids of all zones."""
        return frozenset(self.zones)

    def contains(self, zone: str, country: str, on: date) -> bool:
        """Whether that country lay in that zone on that day. @raise KeyError: there is no such zone."""
        return self.zones[zone].contains(country, on)

    def containing(self, country: str, on: date) -> frozenset[str]:
        """The ids of all zones that the country lay in on that day; none for a code that nobody knows."""
        return frozenset(zone.id for zone in self.zones.values() if zone.contains(country, on))


def parse(files: Mapping[str, bytes]) -> Zones:
    """The zones of these files, one each, by file name. @raise ConfigError: a sentence for each mistake in any."""
    tables: dict[str, _File] = {}
    named: dict[str, str] = {}
    problems: list[str] = []
    for name, data in sorted(files.items()):
        try:
            table = parsed(_File, name, data)
        except ConfigError as why:
            problems.extend(why.problems)
            continue
        if table.id in tables:
            problems.append(f"{name}: zone {table.id} is also what {named[table.id]} defines; one of them has to go.")
        tables[table.id], named[table.id] = table, name
        problems += [f"{name}: {problem}." for problem in _faults(table)]
    if problems:
        # A zone whose own file is broken would only be reported a second time, as unknown, by those that include it.
        raise ConfigError(tuple(problems))
    problems = [
        f"{named[table.id]}: includes names zone {shown(other)}, which no file defines."
        for table in tables.values()
        for other in sorted(table.includes - tables.keys())
    ]
    try:
        order = tuple(TopologicalSorter({table.id: table.includes for table in tables.values()}).static_order())
    except CycleError as why:
        around: list[str] = why.args[1]
        problems.append(f"{named[around[0]]}: zone {around[0]} includes itself ({' in '.join(around)}).")
    if problems:
        raise ConfigError(tuple(problems))
    zones: dict[str, Zone] = {}
    for zone_id in order:
        table = tables[zone_id]
        zones[zone_id] = Zone(table.id, table.title, table.dated, _members(table, zones))
    return Zones(_revision(tables), MappingProxyType(dict(sorted(zones.items()))))


def _faults(table: _File) -> Iterator[str]:
    if not table.entry and not table.includes:
        yield f"zone {table.id} has neither an entry nor includes, so nothing could ever lie in it"
    for country, entries in _by_country(table):
        for earlier, later in pairwise(entries):
            if later.valid_from <= earlier.valid_to:
                yield f"{country} is entered twice for {later.valid_from}"
        if country in table.excludes:
            yield f"{country} is both entered and excluded"


def _members(table: _File, zones: Mapping[str, Zone]) -> Mapping[str, tuple[Span, ...]]:
    members: dict[str, tuple[Span, ...]] = {}
    for country, entries in _by_country(table):
        # Nothing proves a condition yet, so an entry that has one is kept, and counts for nothing.
        members[country] = tuple(Span(entry.valid_from, entry.valid_to) for entry in entries if not entry.condition)
    for other in sorted(table.includes):
        for country, spans in zones[other].members.items():
            members[country] = members.get(country, ()) + spans
    return MappingProxyType({country: spans for country, spans in members.items() if country not in table.excludes})


def _by_country(table: _File) -> Iterator[tuple[str, list[_Entry]]]:
    """The entries of each country, in the order of their days."""
    entries = sorted(table.entry, key=lambda entry: (entry.country, entry.valid_from))
    for country, group in groupby(entries, key=lambda entry: entry.country):
        yield country, list(group)


def _revision(tables: Mapping[str, _File]) -> str:
    """A digest of what the files say, whatever their layout, comments and order."""
    content = []
    for _, table in sorted(tables.items()):
        said = table.model_dump(mode="json", exclude={"entry"})
        said |= {key: sorted(said[key]) for key in ("includes", "excludes")}
        said["entry"] = [entry.model_dump(mode="json") for _, entries in _by_country(table) for entry in entries]
        content.append(said)
    text = json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()
