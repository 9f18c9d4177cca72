"""The verdict: from what each method found of a place to whether it lies in a zone, and as what sentence.

Pure and total over findings: the order of findings does not matter, and more support never turns a permit into a
denial. Asks nobody; knows no address. The rules are told in docs/residency.md.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from itertools import groupby

from hoopproxy.model import Assurance, Decision, Finding, Place, SubjectKind, Support, Verdict
from hoopproxy.residency.zones import Zones

OPINIONS = frozenset({"geoip"})
"""Methods that hold an opinion: two databases that disagree know nothing, while two statements of fact conflict."""

_CODES = ("OK", "REFUTED", "CONFLICT", "STALE", "INSUFFICIENT")
"""From the most telling on: of several zones that a place is not in, the code of the first of these is told."""


@dataclass(frozen=True, slots=True)
class _Weighed:
    """All findings held against one zone. `placed` are those that count and name a country, in the zone or out."""

    zone: str
    code: str
    achieved: Assurance
    placed: tuple[Finding, ...]


def judge(
    place: Place,
    wanted: Sequence[str],
    required: Assurance,
    zones: Zones,
    findings: Sequence[Finding],
    at_s: float,
) -> Verdict:
    """Whether `place` lies in the first of the zones `wanted` that holds it, on the day (UTC) of `at_s`.

    On denial `zone` names all that were wanted, joined by `|`. `required` below DECLARED counts as DECLARED: unknown
    means no. @raise KeyError: there is no such zone.
    """
    on = _day(at_s)
    required = max(required, Assurance.DECLARED)
    weighed = [_weigh(zone, required, zones, findings, on) for zone in wanted]
    nowhere = _Weighed("", "INSUFFICIENT", Assurance.NONE, ())
    best = min(weighed, key=lambda one: _CODES.index(one.code), default=nowhere)
    permitted = best.code == "OK"
    countries = {finding.country for finding in best.placed}
    return Verdict(
        subject=place.kind,
        name=place.name,
        zone=best.zone if permitted else "|".join(wanted),
        zone_revision=zones.revision,
        decision=Decision.PERMIT if permitted else Decision.DENY,
        code=best.code,
        required=required,
        achieved=best.achieved,
        country=countries.pop() if len(countries) == 1 else None,
        findings=tuple(findings),
        sentence=_sentence(place, wanted, required, best, findings),
    )


def zones_of(verdict: Verdict, zones: Zones, at_s: float) -> frozenset[str]:
    """The zones that a permitted place surely lies in: those that hold *every* country that its support names."""
    on = _day(at_s)
    inside = [
        zones.containing(finding.country, on)
        for finding in _placed(verdict.findings)
        if verdict.decision is Decision.PERMIT and finding.country and zones.contains(verdict.zone, finding.country, on)
    ]
    return frozenset.intersection(*inside) if inside else frozenset()


def _day(at_s: float) -> date:
    return datetime.fromtimestamp(at_s, UTC).date()


def _placed(findings: Iterable[Finding]) -> list[Finding]:
    return [finding for finding in findings if finding.support is Support.COUNTRY]


def _weigh(zone: str, required: Assurance, zones: Zones, findings: Sequence[Finding], on: date) -> _Weighed:
    inside: list[Finding] = []
    outside: list[Finding] = []
    for finding in _placed(findings):
        # A finding that names no country, against its contract, is in no zone.
        lies = finding.country is not None and zones.contains(zone, finding.country, on)
        (inside if lies else outside).append(finding)
    refuted = any(finding.assurance is Assurance.MEASURED for finding in outside)
    torn = {finding.method for finding in inside} & {finding.method for finding in outside} & OPINIONS
    inside = [finding for finding in inside if finding.method not in torn]
    outside = [finding for finding in outside if finding.method not in torn]
    stale = [finding for finding in findings if finding.support is Support.STALE]
    achieved = _assurance(inside)
    if refuted:
        code = "REFUTED"
    elif inside and outside:
        code = "CONFLICT"
    elif achieved >= required:
        code = "OK"
    elif not outside and _assurance([*inside, *stale]) >= required:
        code = "STALE"
    else:
        code = "INSUFFICIENT"
    return _Weighed(zone, code, achieved, (*inside, *outside))


def _assurance(support: Sequence[Finding]) -> Assurance:
    """The highest class; two methods that agree corroborate each other."""
    counted = [finding for finding in support if finding.assurance is not Assurance.NONE]
    highest = max((finding.assurance for finding in counted), default=Assurance.NONE)
    return max(highest, Assurance.CORROBORATED) if len({finding.method for finding in counted}) > 1 else highest


# The sentence: for the person whose session it is as well as for the log, so it holds no address -------------------


def _sentence(
    place: Place, wanted: Sequence[str], required: Assurance, best: _Weighed, findings: Sequence[Finding]
) -> str:
    who = {
        SubjectKind.DESTINATION: f"The target '{place.name}'",
        SubjectKind.CLIENT: "The client",
        SubjectKind.GATEWAY: f"The gateway '{place.name}'",
        SubjectKind.STORAGE: "The storage of recordings",
    }[place.kind]
    where = f"zone {wanted[0]}" if len(wanted) == 1 else f"any of the zones {', '.join(wanted)}"
    found = _found(best.placed)
    achieved, need = best.achieved.name.lower(), f"required is {required.name.lower()}"
    advice = "tell the operator of the gateway"
    if place.kind is SubjectKind.CLIENT:
        advice = f"connect from there, or {advice}"
    match best.code:
        case "OK":
            return f"{who} lies in zone {best.zone}: {found} ({achieved}; {need})."
        case "REFUTED":
            return f"{who} does not lie in {where}, as was measured: {found}; {advice}."
        case "CONFLICT":
            return f"{who} can't be placed in {where}, since what is known contradicts itself: {found}; {advice}."
        case "STALE":
            stale = _list(sorted({finding.method for finding in findings if finding.support is Support.STALE}))
            return f"{who} can't be placed in {where}, since the data of {stale} is too old ({need}); {advice}."
        case _ if not wanted:
            return f"{who} can't be placed, since no zone is granted; {advice}."
        case _ if not best.placed:
            return f"{who} can't be placed in {where}, since nothing tells its country ({need}); {advice}."
        case _ if best.achieved is Assurance.NONE:
            return f"{who} does not lie in {where}: {found}; {advice}."
        case _:
            return f"{who} is not known well enough to lie in {where}: {found} ({achieved}; {need}); {advice}."


def _found(placed: Sequence[Finding]) -> str:
    """`DE by declared and geoip, FR by cidr-map`."""
    pairs = sorted({(finding.country or "nowhere", finding.method) for finding in placed})
    return ", ".join(
        f"{country} by {_list([method for _, method in group])}"
        for country, group in groupby(pairs, key=lambda pair: pair[0])
    )


def _list(words: Sequence[str]) -> str:
    return " and ".join(filter(None, (", ".join(words[:-1]), words[-1])))
