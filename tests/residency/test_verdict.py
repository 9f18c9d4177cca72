import itertools
import re
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hoopproxy.model import Assurance, Decision, Finding, Place, SubjectKind, Support, Verdict
from hoopproxy.residency.verdict import judge, zones_of
from hoopproxy.residency.zones import Zones

from .conftest import NOV_25_2026_S

NONE, DECLARED, CORROBORATED, ATTESTED, MEASURED = Assurance
JANUARY_2020_S = 1578000000.0
LEDGER = Place(SubjectKind.DESTINATION, "ledger", None, "DE")


def says(method: str, country: str | None, assurance: Assurance = DECLARED) -> Finding:
    return Finding(method, Support.COUNTRY, country, assurance, "test")


def knows_nothing(method: str) -> Finding:
    return Finding(method, Support.INCONCLUSIVE, None, NONE, "test")


def is_stale(method: str, assurance: Assurance = DECLARED) -> Finding:
    return Finding(method, Support.STALE, None, assurance, "test", 9e9)


@pytest.mark.parametrize(
    ("findings", "required", "code", "achieved"),
    [
        # Unknown means no.
        ([], NONE, "INSUFFICIENT", NONE),
        ([knows_nothing("geoip")], DECLARED, "INSUFFICIENT", NONE),
        ([says("declared", "US")], DECLARED, "INSUFFICIENT", NONE),
        ([says("declared", "US"), says("geoip", "CA")], DECLARED, "INSUFFICIENT", NONE),
        ([says("declared", None)], DECLARED, "INSUFFICIENT", NONE),
        ([says("declared", "DE", NONE)], NONE, "INSUFFICIENT", NONE),
        ([says("declared", "DE", NONE), says("geoip", "DE", NONE)], DECLARED, "INSUFFICIENT", NONE),
        # The highest class counts; two methods that agree on the zone corroborate each other.
        ([says("declared", "DE")], DECLARED, "OK", DECLARED),
        ([says("declared", "DE"), knows_nothing("geoip")], DECLARED, "OK", DECLARED),
        ([says("declared", "DE")], CORROBORATED, "INSUFFICIENT", DECLARED),
        ([says("declared", "DE"), says("geoip", "DE")], CORROBORATED, "OK", CORROBORATED),
        ([says("cidr-map", "DE"), says("geoip", "FR")], CORROBORATED, "OK", CORROBORATED),
        ([says("declared", "DE"), says("geoip", "DE", NONE)], CORROBORATED, "INSUFFICIENT", DECLARED),
        ([says("declared", "DE"), says("geoip", "DE")], ATTESTED, "INSUFFICIENT", CORROBORATED),
        ([says("declared", "DE"), says("attest", "DE", ATTESTED)], ATTESTED, "OK", ATTESTED),
        # A database alone is never more than an opinion, however many there are.
        ([says("geoip", "DE")], DECLARED, "OK", DECLARED),
        ([says("geoip", "DE"), says("geoip", "DE")], CORROBORATED, "INSUFFICIENT", DECLARED),
        ([says("geoip", "DE"), says("geoip", "US")], DECLARED, "INSUFFICIENT", NONE),
        ([says("geoip", "DE"), says("geoip", "DE"), says("geoip", "US")], DECLARED, "INSUFFICIENT", NONE),
        ([says("declared", "DE"), says("geoip", "DE"), says("geoip", "US")], DECLARED, "OK", DECLARED),
        # A contradiction denies, whatever the classes.
        ([says("declared", "DE"), says("geoip", "US")], DECLARED, "CONFLICT", DECLARED),
        ([says("declared", "US"), says("geoip", "DE")], DECLARED, "CONFLICT", DECLARED),
        ([says("attest", "DE", ATTESTED), says("geoip", "US")], DECLARED, "CONFLICT", ATTESTED),
        ([says("declared", "DE"), says("declared", "US")], DECLARED, "CONFLICT", DECLARED),
        ([says("declared", "DE"), says("plugin", None)], DECLARED, "CONFLICT", DECLARED),
        ([says("declared", "DE"), says("plugin", "US", NONE)], DECLARED, "CONFLICT", DECLARED),
        # What was measured can't be outvoted.
        ([says("declared", "DE"), says("rtt", "US", MEASURED)], DECLARED, "REFUTED", DECLARED),
        ([says("rtt", "US", MEASURED)], DECLARED, "REFUTED", NONE),
        # Stale counts as absent, and is named when it is what was missing.
        ([is_stale("geoip")], DECLARED, "STALE", NONE),
        ([says("declared", "DE"), is_stale("geoip")], DECLARED, "OK", DECLARED),
        ([says("declared", "DE"), is_stale("geoip")], CORROBORATED, "STALE", DECLARED),
        ([says("declared", "DE"), is_stale("geoip")], ATTESTED, "INSUFFICIENT", DECLARED),
        ([says("declared", "DE"), is_stale("attest", ATTESTED)], ATTESTED, "STALE", DECLARED),
        ([says("declared", "US"), is_stale("geoip")], DECLARED, "INSUFFICIENT", NONE),
    ],
)
def test_the_rules(zones: Zones, findings: list[Finding], required: Assurance, code: str, achieved: Assurance) -> None:
    for order in itertools.permutations(findings):
        verdict = judge(LEDGER, ["EU"], required, zones, order, NOV_25_2026_S)
        assert (verdict.code, verdict.achieved) == (code, achieved)
        assert (verdict.decision is Decision.PERMIT) is (code == "OK")
        assert verdict.findings == order
        assert (verdict.subject, verdict.name, verdict.zone) == (SubjectKind.DESTINATION, "ledger", "EU")
        assert verdict.zone_revision == zones.revision
        assert verdict.required == max(required, DECLARED)


@pytest.mark.parametrize(
    ("findings", "wanted", "zone", "code"),
    [
        ([says("declared", "DE")], ["EU", "EEA"], "EU", "OK"),
        ([says("declared", "DE")], ["EEA", "EU"], "EEA", "OK"),
        ([says("declared", "CH")], ["EU", "CH"], "CH", "OK"),
        ([says("declared", "NO"), says("geoip", "DE")], ["EU", "EEA"], "EEA", "OK"),
        ([says("rtt", "US", MEASURED)], ["EU", "US"], "US", "OK"),
        ([says("declared", "US")], ["EU", "CH"], "EU|CH", "INSUFFICIENT"),
        ([says("declared", "DE"), says("geoip", "CH")], ["EU", "CH"], "EU|CH", "CONFLICT"),
        ([says("declared", "DE"), says("geoip", "US")], ["CH", "EU"], "CH|EU", "CONFLICT"),
        ([says("declared", "DE"), says("rtt", "US", MEASURED)], ["US", "EU"], "US|EU", "REFUTED"),
        ([says("declared", "DE")], [], "", "INSUFFICIENT"),
    ],
)
def test_the_first_zone_that_holds_is_the_zone(
    zones: Zones, findings: list[Finding], wanted: list[str], zone: str, code: str
) -> None:
    verdict = judge(LEDGER, wanted, DECLARED, zones, findings, NOV_25_2026_S)
    assert (verdict.zone, verdict.code) == (zone, code)


def test_the_day_counts(zones: Zones) -> None:
    for at_s, decision in ((JANUARY_2020_S, Decision.PERMIT), (NOV_25_2026_S, Decision.DENY)):
        assert judge(LEDGER, ["EU"], DECLARED, zones, [says("declared", "GB")], at_s).decision is decision


def test_an_unknown_zone_is_a_mistake(zones: Zones) -> None:
    with pytest.raises(KeyError):
        judge(LEDGER, ["UE"], DECLARED, zones, [says("declared", "DE")], NOV_25_2026_S)


@pytest.mark.parametrize(
    ("findings", "country", "lies_in"),
    [
        ([says("declared", "DE"), says("geoip", "DE")], "DE", {"EU", "EEA"}),
        ([says("declared", "DE"), says("geoip", "FR")], None, {"EU", "EEA"}),
        ([says("declared", "DE"), says("geoip", "NO")], None, {"EEA"}),
        ([says("declared", "NO")], "NO", {"EEA"}),
        ([says("declared", "NO"), says("geoip", "NO"), says("geoip", "US")], "NO", {"EEA"}),
        ([says("declared", "US")], "US", set()),
        ([says("declared", "DE"), says("geoip", "US")], None, set()),
        ([], None, set()),
    ],
)
def test_a_place_surely_lies_only_where_every_country_named_lies(
    zones: Zones, findings: list[Finding], country: str | None, lies_in: set[str]
) -> None:
    verdict = judge(LEDGER, ["EEA"], DECLARED, zones, findings, NOV_25_2026_S)
    assert verdict.country == country
    assert zones_of(verdict, zones, NOV_25_2026_S) == lies_in


# Every combination of what six methods can say, against every requirement ------------------------------------------

STATES = ("absent", "inside", "outside", "stale")
METHODS = (
    ("declared", DECLARED),
    ("cidr-map", DECLARED),
    ("geoip", DECLARED),
    ("geoip", DECLARED),
    ("attest", ATTESTED),
    ("rtt", MEASURED),
)


def combination(states: Sequence[str]) -> list[Finding]:
    made = {
        "absent": lambda method, _: knows_nothing(method),
        "inside": lambda method, assurance: says(method, "DE", assurance),
        "outside": lambda method, assurance: says(method, "US", assurance),
        "stale": is_stale,
    }
    return [made[state](*method) for state, method in zip(states, METHODS, strict=True)]


@pytest.fixture(scope="module")
def judged(zones: Zones) -> dict[tuple[Assurance, tuple[str, ...]], Verdict]:
    return {
        (required, states): judge(LEDGER, ["EU"], required, zones, combination(states), NOV_25_2026_S)
        for required in (DECLARED, CORROBORATED, ATTESTED, MEASURED)
        for states in itertools.product(STATES, repeat=len(METHODS))
    }


def test_more_support_never_turns_a_permit_into_a_denial(
    judged: dict[tuple[Assurance, tuple[str, ...]], Verdict],
) -> None:
    steps = 0
    for (required, states), verdict in judged.items():
        for index, state in enumerate(states):
            if verdict.decision is Decision.PERMIT and state in ("absent", "stale"):
                more = judged[required, (*states[:index], "inside", *states[index + 1 :])]
                assert more.decision is Decision.PERMIT
                assert more.achieved >= verdict.achieved
                steps += 1
    assert steps > 1000


def test_nothing_passes_against_evidence_or_without_it(
    judged: dict[tuple[Assurance, tuple[str, ...]], Verdict],
) -> None:
    for (required, states), verdict in judged.items():
        torn = {"inside", "outside"} <= set(states[2:4])
        counted = (*states[:2], *(() if torn else states[2:4]), *states[4:])
        if "outside" in counted or "inside" not in counted:
            assert verdict.decision is Decision.DENY
        if verdict.decision is Decision.PERMIT:
            assert verdict.achieved >= required
            assert verdict.country == "DE"
        if states[5] == "outside":
            assert verdict.code == "REFUTED"
        # Stale counts as absent: the decision is that of the same findings without it.
        absent = tuple("absent" if state == "stale" else state for state in states)
        assert verdict.decision is judged[required, absent].decision


# Sentences ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "wanted", "required", "findings", "sentence"),
    [
        (
            SubjectKind.DESTINATION,
            ["EU"],
            DECLARED,
            [says("declared", "DE"), says("geoip", "DE")],
            "The target 'x' lies in zone EU: DE by declared and geoip (corroborated; required is declared).",
        ),
        (
            SubjectKind.CLIENT,
            ["EEA", "CH"],
            DECLARED,
            [says("cidr-map", "US"), knows_nothing("geoip")],
            "The client does not lie in any of the zones EEA, CH: US by cidr-map; connect from there, or tell the "
            "operator of the gateway.",
        ),
        (
            SubjectKind.CLIENT,
            ["EU"],
            CORROBORATED,
            [],
            "The client can't be placed in zone EU, since nothing tells its country (required is corroborated); "
            "connect from there, or tell the operator of the gateway.",
        ),
        (
            SubjectKind.GATEWAY,
            ["EU"],
            DECLARED,
            [says("declared", "DE"), says("geoip", "US")],
            "The gateway 'x' can't be placed in zone EU, since what is known contradicts itself: DE by declared, US "
            "by geoip; tell the operator of the gateway.",
        ),
        (
            SubjectKind.STORAGE,
            ["EU"],
            CORROBORATED,
            [says("declared", "DE")],
            "The storage of recordings is not known well enough to lie in zone EU: DE by declared (declared; "
            "required is corroborated); tell the operator of the gateway.",
        ),
        (
            SubjectKind.DESTINATION,
            ["EU"],
            CORROBORATED,
            [says("declared", "DE"), is_stale("geoip")],
            "The target 'x' can't be placed in zone EU, since the data of geoip is too old (required is corroborated); "
            "tell the operator of the gateway.",
        ),
        (
            SubjectKind.DESTINATION,
            ["EU"],
            DECLARED,
            [says("rtt", "US", MEASURED)],
            "The target 'x' does not lie in zone EU, as was measured: US by rtt; tell the operator of the gateway.",
        ),
    ],
)
def test_a_verdict_is_told_in_one_sentence(
    zones: Zones, kind: SubjectKind, wanted: list[str], required: Assurance, findings: list[Finding], sentence: str
) -> None:
    place = Place(kind, "x", None, None)
    assert judge(place, wanted, required, zones, findings, NOV_25_2026_S).sentence == sentence


@given(
    st.sampled_from(SubjectKind),
    st.ip_addresses(),
    st.lists(st.sampled_from(["EU", "EEA", "GB", "CH", "US"]), max_size=3),
    st.sampled_from(Assurance),
    st.lists(
        st.builds(
            Finding,
            st.sampled_from(["declared", "cidr-map", "geoip", "plugin"]),
            st.sampled_from(Support),
            st.sampled_from(["DE", "GB", "NO", "US", "XX", None]),
            st.sampled_from(Assurance),
            st.just("test"),
        ),
        max_size=5,
    ),
    st.randoms(),
)
def test_whatever_was_found_there_is_a_verdict_and_order_does_not_matter(
    zones: Zones, kind: SubjectKind, address, wanted, required, findings, chance
) -> None:
    verdict = judge(Place(kind, "x", address, None), wanted, required, zones, findings, NOV_25_2026_S)
    assert re.fullmatch(r"[A-Z].{20,300}\.", verdict.sentence)
    assert str(address) not in verdict.sentence
    shuffled = list(findings)
    chance.shuffle(shuffled)
    again = judge(Place(kind, "x", address, None), wanted, required, zones, shuffled, NOV_25_2026_S)
    assert (again.code, again.zone, again.country, again.sentence) == (
        verdict.code,
        verdict.zone,
        verdict.country,
        verdict.sentence,
    )
    if verdict.decision is Decision.PERMIT:
        assert verdict.zone in zones_of(verdict, zones, NOV_25_2026_S)
