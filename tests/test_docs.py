"""The examples in README and docs/ do what the pages say."""

import re
import subprocess
import sys
import textwrap
import tomllib
from collections.abc import Iterator
from dataclasses import replace
from datetime import date
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any, get_args

import click
from click.testing import CliRunner
from twisted.internet.task import Clock
from zope.interface.verify import verifyObject

from hoopproxy.access.actions import WORDS as WORDS_OF_ACTIONS
from hoopproxy.addons.certificates import CertificateAuthenticator
from hoopproxy.addons.cidr_map import CidrMap
from hoopproxy.addons.known_identities import KnownIdentities
from hoopproxy.addons.ldap import LdapAuthenticator
from hoopproxy.addons.oidc import OidcAuthenticator
from hoopproxy.addons.statement_rules import Rule, StatementRules
from hoopproxy.cli.main import main
from hoopproxy.config.policy_tables import MaskKind, MaskTable
from hoopproxy.config.sentences import settings
from hoopproxy.dial.http import HttpDialer
from hoopproxy.dial.ssh import SshDialer
from hoopproxy.dial.tcp import TcpDialer
from hoopproxy.events import Action, Statement
from hoopproxy.interfaces import IAsksPeople, IStatementGuard
from hoopproxy.listen.ssh import SshListener
from hoopproxy.masking.deeds import WORDS
from hoopproxy.model import Allow, Pending, Refuse
from hoopproxy.relay.approvals import Approvals
from hoopproxy.residency.packaged import read_packaged
from hoopproxy.residency.zones import parse
from hoopproxy.scheduler import TwistedScheduler
from hoopproxy.settings import Limits
from hoopproxy.testing.conformance import a_passage, answered
from hoopproxy.testing.process import environment
from hoopproxy.testing.ssh_keys import new_key

from .config.conftest import Copy, copy  # noqa: F401 # a copy of conf/

ROOT = Path(__file__).parent.parent


def blocks(page: str, language: str) -> list[str]:
    """The page's examples in that language, in order."""
    return re.findall(rf"^```{language}\n(.*?)^```$", (ROOT / page).read_text(), flags=re.S | re.M)


def test_the_policy_in_the_readme_is_one(copy: Copy) -> None:  # noqa: F811 # the fixture
    policy, _ = blocks("README.md", "toml")
    (copy.directory / "policy.toml").write_text(policy)
    loaded = copy.load().policy
    assert [rule.column for rule in loaded.masks] == ["public.customers.card"]
    assert [rule.name for rule in loaded.grants] == ["analysts-read-the-ledger"]


def test_the_addon_that_the_readme_adds_is_there() -> None:
    _, tables = (tomllib.loads(block) for block in blocks("README.md", "toml"))
    assert tables["roles"]["maskers"][-1] in tables["addon"]
    assert {table["use"] for table in tables["addon"].values()} <= set(entry_points(group="hoopproxy.addons").names)


def test_the_plugin_of_the_first_hour_passes_its_suite(tmp_path: Path) -> None:
    addon, suite, _ = blocks("docs/plugins.md", "python")
    (tmp_path / "acme_masks.py").write_text(addon)
    (tmp_path / "test_acme_masks.py").write_text(suite)
    ran = subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "no:cacheprovider"],
        cwd=tmp_path,
        env=environment(),
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert "7 passed" in ran.stdout, ran.stdout + ran.stderr


def test_the_guard_of_the_page_has_people_decide() -> None:
    *_, source = blocks("docs/plugins.md", "python")
    found: dict[str, Any] = {}
    exec(compile(source, "docs/plugins.md", "exec"), found)  # it is the page's own
    guard = found["FourEyes"].build("four-eyes", found["Settings"](), None)
    assert verifyObject(IStatementGuard, guard) and verifyObject(IAsksPeople, guard)
    clock = Clock()
    guard.approvals = Approvals(TwistedScheduler(clock), Limits(), lambda: "a" * 20)
    passage, text = a_passage(), "TABLE payroll"
    statement = Statement(1, Action.QUERY, text, outline=text)
    assert answered(guard.examine(passage, Statement(1, Action.QUERY, "TABLE teams"))) == Allow()
    assert answered(guard.examine(passage, replace(statement, action=Action.PREPARE))) == Allow()
    assert isinstance(answered(guard.examine(passage, replace(statement, outline=""))), Refuse)
    assert isinstance(answered(guard.examine(passage, statement)), Pending)
    assert guard.approvals.decide("a" * 8, True, "")
    assert answered(guard.examine(passage, statement)) == Allow()
    assert isinstance(answered(guard.examine(passage, statement)), Pending)  # it was said once


def test_the_residency_examples_are_what_they_say() -> None:
    addons, zone = blocks("docs/residency.md", "toml")
    networks = tomllib.loads(addons)["addon"]["networks"]
    assert networks.pop("use") == "cidr-map"
    assert CidrMap.settings.model_validate(networks)
    zones = parse({**read_packaged(), "own.toml": zone.encode()})
    on = date(2026, 11, 25)
    assert "EU-WITHOUT-HU" in zones.containing("CH", on)
    assert "EU-WITHOUT-HU" not in zones.containing("HU", on)


def test_the_listener_and_the_target_for_raw_tcp_make_a_gateway(copy: Copy) -> None:  # noqa: F811 # the fixture
    listener, target = blocks("docs/tcp.md", "toml")
    copy.change("hoopproxy.toml", "port = 5671", "port = 5673")
    copy.append("hoopproxy.toml", listener)
    copy.append("targets.toml", target)
    loaded = copy.load()
    listening = next(each for each in loaded.listeners if each.name == "queue")
    assert (listening.protocol, listening.target) == ("tcp", "queue")
    clock = Clock()
    assert TcpDialer(clock, loaded.limits, TwistedScheduler(clock)).unfit(loaded.targets["queue"]) == ""


def test_the_identities_of_the_page_are_some(tmp_path: Path) -> None:
    page = (ROOT / "docs/identity.md").read_text()
    (example,) = re.findall(r"^    \[\[identity\]\]\n(?:    .*\n)*", page, flags=re.M)
    table = tomllib.loads(textwrap.dedent(example).replace("AAAA…", new_key().public.split()[1]))
    assert KnownIdentities.settings.model_validate(table).identity[0].subject == "billing"


def test_the_rules_for_certificates_of_the_page_are_some() -> None:
    page = (ROOT / "docs/identity.md").read_text()
    (example,) = re.findall(r"^    \[addon\.people\]\n(?:(?:    .*)?\n)*", page, flags=re.M)
    table = tomllib.loads(textwrap.dedent(example))["addon"]["people"]
    assert table.pop("use") == "certificates"
    assert [rule.san for rule in CertificateAuthenticator.settings.model_validate(table).rule] == [
        "email:*@example.com",
        "uri:spiffe://example.com/ns/*/sa/*",
    ]


def test_the_directories_of_the_page_are_some() -> None:
    page = (ROOT / "docs/identity.md").read_text()
    examples = re.findall(r"^    \[addon\.directory\]\n(?:    .*\n)*", page, flags=re.M)
    tables = [tomllib.loads(textwrap.dedent(each))["addon"]["directory"] for each in examples]
    assert [table.pop("use") for table in tables] == ["ldap", "ldap"]
    plain, windows = map(LdapAuthenticator.settings.model_validate, tables)
    assert (plain.follows_groups, windows.follows_groups) == (True, False)
    assert [str(place) for place in plain.servers] == ["ldaps://ldap1.example.com:636", "ldap://ldap2.example.com:389"]


def test_the_listener_and_the_targets_for_ssh_make_a_gateway(copy: Copy) -> None:  # noqa: F811 # the fixture
    listener, shell, cache = blocks("docs/ssh.md", "toml")
    new_key().write(copy.directory / "secrets/host_ed25519")
    copy.append("hoopproxy.toml", listener)
    copy.append("targets.toml", shell + cache)
    loaded = copy.load()
    listening = next(each for each in loaded.listeners if each.protocol == "ssh")
    clock = Clock()
    assert SshListener(listening, loaded.limits, TwistedScheduler(clock))
    assert SshDialer(clock, loaded.limits, TwistedScheduler(clock)).unfit(loaded.targets["shell"]) == ""
    assert TcpDialer(clock, loaded.limits, TwistedScheduler(clock)).unfit(loaded.targets["cache"]) == ""


def test_the_listener_and_the_target_for_http_make_a_gateway(copy: Copy) -> None:  # noqa: F811 # the fixture
    listener, target = blocks("docs/http.md", "toml")  # as in conf/, where their names and port are taken
    copy.append("hoopproxy.toml", listener.replace('"web"', '"site"').replace("8443", "8444"))
    copy.append("targets.toml", target.replace('"crm"', '"shop"'))
    loaded = copy.load()
    listening = next(each for each in loaded.listeners if each.name == "site")
    assert (listening.protocol, listening.domain) == ("http", "gw.example.com")
    clock = Clock()
    shop = loaded.targets["shop"]
    assert HttpDialer(clock, loaded.limits, TwistedScheduler(clock)).unfit(shop) == ""
    assert shop.http.redirects == {"login.example.com"}


def test_the_masks_of_the_page_are_kept_by_the_database_as_it_says(copy: Copy) -> None:  # noqa: F811 # the fixture
    provisioner, accepted = blocks("docs/masking.md", "toml")
    targets = (copy.directory / "targets.toml").read_text()
    kept = re.search(r"^\[target\.masks\]\n.*?(?=^\[)", targets, flags=re.S | re.M)
    assert kept is not None
    copy.change("targets.toml", kept[0], f"{provisioner}\n{accepted}\n")
    masks = copy.load().targets["ledger"].masks
    assert masks is not None
    assert (masks.provisioner, [*masks.accepted]) == ("ledger-provisioner", ["partition-bound public.payments"])


def test_the_table_of_masks_is_whole_and_each_can_be_said() -> None:
    page = (ROOT / "docs/masking.md").read_text()
    cells = re.findall(r"^\| (`[\"{].*?) \|", page.split("## Masks\n")[1].split("\n## ")[0], flags=re.M)
    said = [each.replace("…", "x.key") for cell in cells for each in re.findall("`([^`]+)`", cell) if each[0] in '{"']
    tables = [tomllib.loads(f"mask = {each}")["mask"] for each in said if each != '"month"']
    assert {each if isinstance(each, str) else next(iter(each)) for each in tables} == settings(MaskKind).keys()
    for mask in tables:
        assert MaskTable.model_validate({"target": "ledger", "column": "a.b.c", "mask": mask})


def test_every_command_is_on_its_page_and_every_json_has_its_shape() -> None:
    page = (ROOT / "docs/cli.md").read_text()
    table, _, shapes = page.partition("## JSON\n")
    for name, command in _commands(main):
        assert f"`{name}" in table, name
        if any("--json" in each.opts for each in command.params) and name != "demo":  # which has a page of its own
            assert f"`{name}" in shapes, name


def _commands(group: click.Group, *before: str) -> Iterator[tuple[str, click.Command]]:
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        if isinstance(command, click.Group):
            yield from _commands(command, *before, name)
        elif command is not None:
            yield " ".join((*before, name)), command


def test_the_hours_actions_and_cases_of_the_page_are_some(copy: Copy) -> None:  # noqa: F811 # the fixture
    page = (ROOT / "docs/policy.md").read_text()
    for key in ("hours", "actions"):
        (line,) = re.findall(rf"^    ({key} = .*)$", page, flags=re.M)
        (example,) = re.findall(rf"^{key} = .*$", (copy.directory / "policy.toml").read_text(), flags=re.M)
        copy.change("policy.toml", example, line)
    assert copy.load().policy.grants[0].hours is not None
    rows = re.findall(r"^\| `(postgres|ssh|kubernetes)` \| (.*) \|$", page, flags=re.M)
    named = {
        protocol: set(re.findall("`([a-z]+)`", words)) & WORDS_OF_ACTIONS[protocol].keys() for protocol, words in rows
    }
    assert named == {protocol: set(words) for protocol, words in WORDS_OF_ACTIONS.items()}
    (cases,) = blocks("docs/policy.md", "toml")
    (copy.directory / "cases.toml").write_text(cases)
    words = ("policy", "test", copy.directory / "policy.toml", "--cases", copy.directory / "cases.toml")
    done = CliRunner().invoke(main, [*map(str, words), "--config", str(copy.main)])
    assert (done.exit_code, done.output) == (0, "2 of 2 cases are as expected.\n")


def test_the_rules_of_the_page_are_some_and_its_tables_are_whole() -> None:
    example, people = blocks("docs/rules.md", "toml")
    table = tomllib.loads(example)["addon"]["rules"]
    assert table.pop("use") == "statement-rules"
    by_people = tomllib.loads(people)["addon"]["rules"]["rule"]
    assert all(Rule.model_validate(each).approvers for each in by_people)
    rules = StatementRules.settings.model_validate(table)
    page = (ROOT / "docs/rules.md").read_text()
    first_columns = set(re.findall(r"^\| `([a-z-]+)` \|", page, flags=re.M))
    effects = get_args(Rule.model_fields["effect"].annotation)
    keys = {"match", "kinds", "functions", "tables", "commands"}
    assert first_columns - {"match", "effect"} == {*WORDS, *effects, *keys} - {"match"}
    assert {rule.effect for rule in rules.rule} == set(effects)
    assert keys <= set(Rule.model_fields)


def test_the_portal_and_the_sign_in_of_the_page_make_a_gateway(copy: Copy) -> None:  # noqa: F811 # the fixture
    corp, portal = blocks("docs/sign-in.md", "toml")
    text = copy.main.read_text()
    there = text[text.index("[portal]") : text.index("# Who is asked what, and in which order.")]
    copy.change("hoopproxy.toml", there, portal)
    tables = tomllib.loads(corp)["addon"]["corp"]
    assert tables.pop("use") == "oidc"
    assert OidcAuthenticator.settings.model_validate(tables).sign_in.client_id == "hoopproxy-cli"
    loaded = copy.load().portal
    assert loaded is not None and loaded.url == "https://gw.example.com:8444"
    paths = re.findall(r"`(?:GET|POST) (/[^`]*)`", (ROOT / "docs/sign-in.md").read_text())
    assert {"/", "/.well-known/hoopproxy", "/sign-in/token", "/sign-in/password"} <= set(paths)
