"""Hours, actions and signers in the configuration, and each mistake in them with its sentence."""

import os
from datetime import time
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import given
from hypothesis import strategies as st

from hoopproxy.access.bundle import Bundle, Revision
from hoopproxy.access.hours import DAYS, Hours, Span
from hoopproxy.config.opening import span
from hoopproxy.disk.policies import HIGHEST, Kept
from tests.config.conftest import Copy, copy

__all__ = ["copy"]

HOURS = 'open = ["mon-fri 07:00-20:00", "sat 22:00-06:00"]'
ACTIONS = 'actions = ["read", "copy"]'


def test_the_example_has_hours_and_actions(copy: Copy) -> None:
    first, second, *_ = copy.load().policy.grants
    weekdays, night = (
        Span(frozenset(range(5)), time(7), time(20)),
        Span(frozenset({5}), time(22), time(6)),
    )
    assert first.hours == Hours((weekdays, night), ZoneInfo("Europe/Berlin"))
    assert first.actions == {"read", "copy"}
    assert (second.hours, second.actions) == (None, frozenset())


@pytest.mark.parametrize(
    ("text", "days", "start", "end"),
    [
        ("mon 00:00-24:00", {0}, time(0), time(0)),
        ("fri-mon 08:30-17:45", {4, 5, 6, 0}, time(8, 30), time(17, 45)),
        ("sat,sun,tue-wed 22:00-02:00", {5, 6, 1, 2}, time(22), time(2)),
        ("mon-sun 23:59-23:59", set(range(7)), time(23, 59), time(23, 59)),
    ],
)
def test_a_span_is_days_and_times(text: str, days: set[int], start: time, end: time) -> None:
    assert span(text) == Span(frozenset(days), start, end)


@given(st.integers(0, 6), st.integers(0, 6), st.times(timezones=st.none()), st.times(timezones=st.none()))
def test_each_span_that_can_be_written_is_read(first: int, last: int, start: time, end: time) -> None:
    found = span(f"{DAYS[first]}-{DAYS[last]} {start:%H:%M}-{end:%H:%M}")
    assert {first, last} <= found.days
    assert len(found.days) == (last - first) % 7 + 1
    assert (found.start, found.end) == (start.replace(second=0, microsecond=0), end.replace(second=0, microsecond=0))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "mon",
        "mon 8-9",
        "mon 08:00-25:00",
        "mon 24:00-06:00",
        "Mon 08:00-09:00",
        "mon, tue 08:00-09:00",
        "mo 08:00-09:00",
        "mon 08:00 - 09:00",
        "08:00-09:00",
        "mon- 08:00-09:00",
        "mon-tue-wed 08:00-09:00",
        "mon 08:60-09:00",
    ],
)
def test_what_is_no_span_is_refused(text: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 # its text is what was found; Form adds the rest
        span(text)


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("Europe/Berlin", "Berlin", 'grant[0].hours.zone is "Berlin"; wanted is a time zone such as "Europe/Berlin"'),
        ("Europe/Berlin", "../../etc/passwd", "wanted is a time zone"),
        (HOURS, "open = []", "grant[0].hours.open is []; wanted is an array of 1 or more"),
        ("sat 22:00-06:00", "sat 22-6", 'grant[0].hours.open[1] is "sat 22-6"; wanted is days and times such as'),
        (ACTIONS, "actions = []", "grant[0].actions is []; wanted is an array of 1 or more"),
        (ACTIONS, 'actions = ["raed"]', 'grant[0].actions[0] is "raed"; wanted is what may be done on a target'),
        (ACTIONS, 'actions = ["read", "shell"]', 'grant[0].actions names "shell", which none of its targets speaks of'),
        (
            ACTIONS,
            'actions = ["GET"]',
            "holds nothing that can be done on ledger, which speaks postgres; wanted is one",
        ),
    ],
)
def test_a_mistake_in_a_grant_is_said(copy: Copy, old: str, new: str, says: str) -> None:
    copy.change("policy.toml", old, new)
    assert any(says in problem for problem in copy.problems()), copy.problems()


@pytest.mark.parametrize(
    ("targets", "accounts", "protocol"),
    [('["broker"]', '["any"]', "tcp"), ('["prod", "prod-debug"]', '["people"]', "pod")],
)
def test_a_limit_that_nobody_can_keep_on_a_target_stops_the_start(
    copy: Copy, targets: str, accounts: str, protocol: str
) -> None:
    copy.change(
        "policy.toml",
        f"targets = {targets}\naccounts = {accounts}\n",
        f'targets = {targets}\naccounts = {accounts}\nactions = ["get"]\n',
    )
    (problem,) = (each for each in copy.problems() if "speaks" in each and "can't tell" in each)
    assert f"speaks {protocol}, of which the gateway can't tell what is done" in problem


def test_a_limit_that_nobody_looks_after_stops_the_start(copy: Copy) -> None:
    copy.change("hoopproxy.toml", '"cluster-rules", "actions"]', '"cluster-rules"]')
    copy.change("hoopproxy.toml", '[addon.actions]\nuse = "grant-actions"\n', '[addon.unused]\nuse = "declared"\n')
    assert any(
        "policy.toml: grant[0].actions is set, and nobody holds sessions to it; name an addon in roles.guards of "
        'hoopproxy.toml that has use = "grant-actions".' in problem
        for problem in copy.problems()
    )


# Signers --------------------------------------------------------------------------------------------------------------

TABLE = """[policy]
signers = [{{ name = "ada", key = "secrets/ada.pub" }}, {{ name = "{name}", key = "secrets/{file}.pub" }}]
signatures_min = {least}

[storage]
"""


SIGNERS = {each: Ed25519PrivateKey.generate() for each in ("ada", "bob")}


def signed_by(copy: Copy, *, name: str = "bob", file: str = "bob", least: int = 2, bundle: bool = True) -> None:
    """A [policy] table; ada and bob have keys, eve's is of another kind, and both have signed the first bundle."""
    public = {each: key.public_key() for each, key in SIGNERS.items()} | {
        "eve": X25519PrivateKey.generate().public_key()
    }
    for each, key in public.items():
        (copy.directory / f"secrets/{each}.pub").write_bytes(
            key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
        )
    copy.change("hoopproxy.toml", "[storage]\n", TABLE.format(name=name, file=file, least=least))
    text = "revision = 3\n" + (copy.directory / "policy.toml").read_text()
    made = Bundle(Revision.of(text, ""), {})
    for each, signer in SIGNERS.items():
        made = made.signed(each, signer)
    if bundle:
        (copy.directory / "policy.bundle").write_bytes(made.written())


def test_the_first_bundle_counts_and_not_the_text_beside_it(copy: Copy) -> None:
    signed_by(copy)
    (copy.directory / "policy.toml").write_text("")
    config = copy.load()
    assert (config.policy.number, len(config.policy.grants)) == (3, 5)
    assert config.bundle is not None and sorted(config.bundle.signatures) == ["ada", "bob"]
    assert config.policy.revision == config.bundle.revision.sha256


@pytest.mark.parametrize(
    ("keys", "says"),
    [
        ({"name": "ada"}, 'policy.signers[1].name is "ada", who is listed already; wanted is each signer once.'),
        ({"file": "ada"}, "policy.signers[1].key is the key of ada, too; wanted is one of bob's own."),
        ({"least": 3}, "policy.signatures_min is 3, and there are 2 signers; wanted is a number that they can reach."),
        ({"file": "eve"}, "which holds none; wanted is an Ed25519 public key in PEM"),
        ({"file": "nobody"}, "which can't be read (No such file or directory)"),
        ({"name": "eve"}, "'bob' has signed this policy, who is none of its signers in [policy]."),
        ({"bundle": False}, "no policy was ever applied, and "),
    ],
)
def test_a_mistake_about_signers_is_said(copy: Copy, keys: dict[str, object], says: str) -> None:
    signed_by(copy, **keys)  # type: ignore[arg-type] # any of its keys
    assert any(says in problem for problem in copy.problems()), copy.problems()


@pytest.mark.parametrize("number", ["0", "-1", "1.5", "true", '"7"'])
def test_a_revision_is_a_whole_number(copy: Copy, number: str) -> None:
    path: Path = copy.directory / "policy.toml"
    path.write_text(f"revision = {number}\n{path.read_text()}")
    (problem,) = copy.problems()
    assert problem.startswith("policy.toml: revision is ") and "wanted is a whole number from 1" in problem


def test_whenever_a_gateway_dies_as_it_applies_a_policy_it_comes_up_with_one_of_the_two(
    copy: Copy, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each replacement of a file may be the last thing that it did."""
    signed_by(copy)
    first = (copy.directory / "policy.bundle").read_bytes()
    kept = Kept(copy.directory / "state" / "policy")
    kept.stage(first)
    kept.take(3)
    text = Bundle.read(first).revision.text
    newer = Bundle(Revision.of(text.replace("revision = 3", "revision = 4"), Bundle.read(first).revision.sha256), {})
    signed = newer.signed("ada", SIGNERS["ada"]).signed("bob", SIGNERS["bob"])
    kept.stage(signed.written())
    assert copy.load().policy.number == 3
    replace, done = os.replace, list[str]()

    def dies(source: Path, destination: Path) -> None:
        if done:
            raise KeyboardInterrupt
        done.append(destination.name)
        replace(source, destination)

    monkeypatch.setattr(os, "replace", dies)
    with pytest.raises(KeyboardInterrupt):
        kept.take(4)
    assert done == ["bundle"]
    assert (copy.load().policy.number, kept.highest()) == (4, 3)
    monkeypatch.setattr(os, "replace", replace)
    kept.stage(signed.written())
    kept.take(4)
    assert (copy.load().policy.number, kept.highest()) == (4, 4)
    kept.stage(first)
    kept.take(3)  # which no gateway does
    (kept_highest := copy.directory / "state" / "policy" / HIGHEST).write_text("4\n")
    assert any("an older policy never comes back" in problem for problem in copy.problems())
    kept_highest.write_text("four")
    assert any("can't be read; bring it back from a backup" in problem for problem in copy.problems())
