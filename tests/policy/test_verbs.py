"""`hoopproxy policy` and `access explain` on files alone, without a gateway."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import Result

from hoopproxy.access.bundle import Bundle
from hoopproxy.testing.three_files import MASKS, More, Site, write
from tests.cli.conftest import site

from .conftest import hoopproxy

__all__ = ["site"]

RULES = """
[addon.rules]
use = "statement-rules"

[[addon.rules.rule]]
effect = "deny"
match = ["ddl"]
roles = ["analyst"]

[[addon.rules.rule]]
effect = "deny"
match = ["truncate"]
targets = ["ledger"]
except_roles = ["analyst"]

[addon.known]
use = "known-identities"

[[addon.known.identity]]
subject = "billing"
groups = ["night"]
addresses = ["10.0.0.7/32"]
"""
NIGHT = """
[[role]]
name = "night"
groups = ["night"]

[[grant]]
name = "at-night"
roles = ["night", "analyst"]
targets = ["ledger"]
accounts = ["reader"]
zone = "EU"
client_zones = ["EU"]
duration_s_max = 3600
hours = { zone = "Europe/Berlin", open = ["mon-sun 22:00-06:00"] }
assurance_min = { client = "corroborated" }
"""


@pytest.fixture
def config(site: Site) -> Path:
    """A configuration with a grant for the night."""
    more = More(main=RULES, policy=NIGHT, guards=("rules",), authenticators=("known",))
    return write(replace(site, more=more, masks=MASKS))


def explain(config: Path, *words: str) -> Result:
    return hoopproxy("access", "explain", "--config", config, "--target", "ledger", *words)


NOON, MIDNIGHT = ("--at", "2026-11-25T12:00+01:00"), ("--at", "2026-11-25T23:30+01:00")


def test_each_rule_is_named_in_its_order_with_what_it_says(config: Path) -> None:
    done = explain(config, "--groups", "analysts", "--country", "CH", *NOON)
    assert done.exit_code == 0
    assert done.output.splitlines() == [
        "yes role analyst: by the group analysts",
        "no  role fraud: it needs one of the groups fraud",
        "no  role night: it needs one of the groups night",
        "yes grant read-from-europe: as reader; for up to 28800 s",
        "no  grant at-night: the client must lie in EU",
        "–   mask public.customers.card: hidden: partial",
        "–   mask public.customers.email: hidden: partial",
        "–   mask public.customers.ssn: hidden: redact",
        "–   guard kinds: statement-kinds: asked about each statement",
        "–   guard rules: statement-rules: 1 of its 2 rules bind",
        "yes ledger as reader, by read-from-europe",
    ]


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("--groups", "night", "--zone", "EU", *NOON), "it holds mon,tue,wed,thu,fri,sat,sun 22:00-06:00"),
        (("--groups", "analysts", "--country", "US", *NOON), "the client must lie in CH or EU"),
        (("--groups", "nobody", *NOON), "it is for analyst, fraud"),
        (("--groups", "analysts", "--account", "root", *NOON), "it is for the accounts reader"),
        (("--groups", "analysts", "--from", "127.0.3.7", *NOON), "the client must lie in CH or EU"),
    ],
)
def test_a_no_names_what_is_missing_and_exits_with_1(config: Path, words: tuple[str, ...], says: str) -> None:
    done = explain(config, *words)
    assert done.exit_code == 1
    assert says in done.output
    assert done.output.splitlines()[-1] == "no ledger"


@pytest.mark.parametrize(
    "words",
    [
        ("--groups", "night", "--zone", "EU", *MIDNIGHT),
        ("--identity", "known:known/billing", "--country", "DE", *MIDNIGHT),
        ("--groups", "night,others", "--from", "127.0.0.1", *MIDNIGHT),
    ],
)
def test_hours_places_and_known_people_count(config: Path, words: tuple[str, ...]) -> None:
    found = json.loads(explain(config, *words, "--json").output)
    assert (found["is_allowed"], found["grant"], found["account"], found["roles"]) == (
        True,
        "at-night",
        "reader",
        ["night"],
    )
    assert found["not_after_s"] == 1795649400.0  # an hour later


def test_there_is_no_such_target(config: Path) -> None:
    done = hoopproxy("access", "explain", "--config", config, "--target", "legder", "--groups", "analysts")
    assert (done.exit_code, "target: there is none of that name" in done.output) == (1, True)


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ((), "--identity or --groups"),
        (("--groups", "x", "--identity", "y"), "--identity or --groups"),
        (("--groups", "x", "--zone", "EU", "--country", "DE"), "Say once where the client is"),
        (("--groups", "x", "--zone", "XX"), "There is no zone 'XX'"),
        (("--groups", "x", "--country", "XX"), "No zone holds the country 'XX'"),
        (("--groups", "x", "--from", "home"), "'home' is no IP address"),
        (("--groups", "x", "--at", "noon"), "'noon' is no time"),
        (("--groups", "x", "--at", "2026-11-25T12:00"), "says not where it is that time"),
        (("--identity", "known:known/nobody"), "say --groups"),
    ],
)
def test_a_question_that_makes_no_sense_is_wrong_usage(config: Path, words: tuple[str, ...], says: str) -> None:
    done = explain(config, *words)
    assert (done.exit_code, says in done.output) == (2, True), done.output


# Cases ----------------------------------------------------------------------------------------------------------------

CASES = """
[[case]]
groups = ["analysts"]
target = "ledger"
country = "DE"
at = "2026-11-25T12:00:00Z"
expect = "allow"
grant = "read-from-europe"

[[case]]
identity = "known:known/billing"
target = "ledger"
zones = ["EU"]
at = "2026-11-25T12:00:00Z"
expect = "deny"
"""


def test_cases_are_decided_as_expected_or_named(config: Path, tmp_path: Path) -> None:
    cases = tmp_path / "cases.toml"
    cases.write_text(CASES)
    policy = config.with_name("policy.toml")
    words = ("policy", "test", policy, "--cases", cases, "--config", config)
    done = hoopproxy(*words)
    assert (done.exit_code, done.output) == (0, "2 of 2 cases are as expected.\n")
    policy.write_text(policy.read_text().replace("22:00-06:00", "06:00-22:00").replace("read-from-", "reads-from-"))
    done = hoopproxy(*words)
    assert done.exit_code == 1
    assert done.output.splitlines() == [
        "case[0]: expected allow by read-from-europe, found allow by reads-from-europe: by grant reads-from-europe",
        "case[1]: expected deny, found allow: by grant at-night",
        "0 of 2 cases are as expected.",
    ]
    found = json.loads(hoopproxy(*words, "--json").output)
    assert [each["found"] for each in found] == ["allow by reads-from-europe", "allow"]


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ('expect = "deny"', 'expect = "no"', 'case[1].expect is "no"; wanted is "allow" or "deny".'),
        ('zones = ["EU"]', "", "wanted is exactly one of country and zones"),
        ("12:00:00Z", "12:00:00", "says not where it is that time"),
        ("[[case]]", "[[cases]]", "cases.toml: cases is not a setting."),
        (CASES, "", "there is no [[case]]"),
        ('"ledger"', "ledger", "wanted is TOML"),
    ],
)
def test_cases_that_make_no_sense_are_wrong_usage(config: Path, tmp_path: Path, old: str, new: str, says: str) -> None:
    cases = tmp_path / "cases.toml"
    cases.write_text(CASES.replace(old, new))
    done = hoopproxy("policy", "test", config.with_name("policy.toml"), "--cases", cases, "--config", config)
    assert (done.exit_code, says in done.output) == (2, True), done.output


# Two policies, and signatures -----------------------------------------------------------------------------------------


def test_two_texts_are_compared_in_words(config: Path, tmp_path: Path) -> None:
    old, new = config.with_name("policy.toml"), tmp_path / "new.toml"
    new.write_text(old.read_text().replace("duration_s_max = 3600", "duration_s_max = 60"))
    done = hoopproxy("policy", "diff", old, new, "--config", config)
    assert done.output == "narrower grant at-night (for analyst, night): duration_s_max 3600 → 60\n"
    (change,) = json.loads(hoopproxy("policy", "diff", new, old, "--config", config, "--json").output)
    assert (change["effect"], change["who"]) == ("wider", ["analyst", "night"])
    new.write_text("[[role]]\nname = 7")
    assert hoopproxy("policy", "diff", old, new, "--config", config).exit_code == 2


def test_a_plan_without_a_gateway_says_so(config: Path) -> None:
    done = hoopproxy("policy", "plan", config.with_name("policy.toml"), "--config", config)
    assert done.exit_code == 0
    assert "Nothing would change." in done.output
    assert "can't be told which live sessions would end" in done.output
    assert hoopproxy("policy", "apply", config, "--config", config).exit_code == 3


def test_a_key_has_a_passphrase_and_signs_with_it_alone(config: Path, tmp_path: Path) -> None:
    made = hoopproxy("policy", "keygen", tmp_path / "ada", stdin="secret\nsecret\n")
    assert made.exit_code == 0, made.output
    key, policy = tmp_path / "ada.key", config.with_name("policy.toml")
    assert (key.stat().st_mode & 0o777, b"ENCRYPTED" in key.read_bytes()) == (0o600, True)
    words = ("policy", "sign", policy, "--key", key, "--as", "ada")
    done = hoopproxy(*words, stdin="secret\n")
    assert (done.exit_code, "which revision it is" in done.output) == (2, True)
    policy.write_text("revision = 1\n" + policy.read_text())
    assert hoopproxy(*words, stdin="wrong\n").exit_code == 2
    done = hoopproxy(*words, "--json", stdin="secret\n")
    assert done.exit_code == 0, done.output
    assert Bundle.read(policy.with_suffix(".bundle").read_bytes()).revision.text == policy.read_text()
    assert hoopproxy("policy", "keygen", tmp_path / "ada", "--no-passphrase").exit_code == 1


def test_a_bundle_is_extended_by_the_same_text_and_followed_by_a_newer_one(config: Path, tmp_path: Path) -> None:
    policy = config.with_name("policy.toml")
    text = policy.read_text()
    for name in ("ada", "bob"):
        assert hoopproxy("policy", "keygen", tmp_path / name, "--no-passphrase").exit_code == 0

    def sign(name: str, *words: str | Path) -> Result:
        return hoopproxy("policy", "sign", policy, "--key", tmp_path / f"{name}.key", "--as", name, *words)

    policy.write_text("revision = 1\n" + text)
    sign("ada")
    assert "signed by ada, bob" in sign("bob").output
    first = Bundle.read(policy.with_suffix(".bundle").read_bytes())
    policy.write_text("revision = 1\n#\n" + text)
    done = sign("ada")
    assert (done.exit_code, "give this one a higher number" in done.output) == (2, True)
    policy.write_text("revision = 2\n" + text)
    assert "signed by ada\n" in sign("ada").output
    second = Bundle.read(policy.with_suffix(".bundle").read_bytes())
    assert (second.revision.previous, sorted(second.signatures)) == (first.revision.sha256, ["ada"])
    other = tmp_path / "other.bundle"
    previous = tmp_path / "previous.toml"
    previous.write_text(first.revision.text)
    assert sign("bob", "--bundle", other, "--previous", previous).exit_code == 0
    assert Bundle.read(other.read_bytes()).revision == second.revision
