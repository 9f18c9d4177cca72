"""The examples in README and docs/ do what the pages say."""

import re
import subprocess
import sys
import textwrap
import tomllib
from datetime import date
from importlib.metadata import entry_points
from pathlib import Path
from typing import get_args

from twisted.internet.task import Clock

from hoopproxy.addons.cidr_map import CidrMap
from hoopproxy.addons.known_identities import KnownIdentities
from hoopproxy.addons.statement_rules import Rule, StatementRules
from hoopproxy.dial.http import HttpDialer
from hoopproxy.dial.ssh import SshDialer
from hoopproxy.dial.tcp import TcpDialer
from hoopproxy.listen.ssh import SshListener
from hoopproxy.masking.deeds import WORDS
from hoopproxy.residency.packaged import read_packaged
from hoopproxy.residency.zones import parse
from hoopproxy.scheduler import TwistedScheduler
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
    addon, suite = blocks("docs/plugins.md", "python")
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
    settings = next(each for each in loaded.listeners if each.name == "queue")
    assert (settings.protocol, settings.target) == ("tcp", "queue")
    clock = Clock()
    assert TcpDialer(clock, loaded.limits, TwistedScheduler(clock)).unfit(loaded.targets["queue"]) == ""


def test_the_identities_of_the_page_are_some(tmp_path: Path) -> None:
    page = (ROOT / "docs/identity.md").read_text()
    (example,) = re.findall(r"^    \[\[identity\]\]\n(?:    .*\n)*", page, flags=re.M)
    table = tomllib.loads(textwrap.dedent(example).replace("AAAA…", new_key().public.split()[1]))
    assert KnownIdentities.settings.model_validate(table).identity[0].subject == "billing"


def test_the_listener_and_the_targets_for_ssh_make_a_gateway(copy: Copy) -> None:  # noqa: F811 # the fixture
    listener, shell, cache = blocks("docs/ssh.md", "toml")
    new_key().write(copy.directory / "secrets/host_ed25519")
    copy.append("hoopproxy.toml", listener)
    copy.append("targets.toml", shell + cache)
    loaded = copy.load()
    settings = next(each for each in loaded.listeners if each.protocol == "ssh")
    clock = Clock()
    assert SshListener(settings, loaded.limits, TwistedScheduler(clock))
    assert SshDialer(clock, loaded.limits, TwistedScheduler(clock)).unfit(loaded.targets["shell"]) == ""
    assert TcpDialer(clock, loaded.limits, TwistedScheduler(clock)).unfit(loaded.targets["cache"]) == ""


def test_the_listener_and_the_target_for_http_make_a_gateway(copy: Copy) -> None:  # noqa: F811 # the fixture
    listener, target = blocks("docs/http.md", "toml")  # as in conf/, where their names and port are taken
    copy.append("hoopproxy.toml", listener.replace('"web"', '"site"').replace("8443", "8444"))
    copy.append("targets.toml", target.replace('"crm"', '"shop"'))
    loaded = copy.load()
    settings = next(each for each in loaded.listeners if each.name == "site")
    assert (settings.protocol, settings.domain) == ("http", "gw.example.com")
    clock = Clock()
    shop = loaded.targets["shop"]
    assert HttpDialer(clock, loaded.limits, TwistedScheduler(clock)).unfit(shop) == ""
    assert shop.http.redirects == {"login.example.com"}


def test_the_rules_of_the_page_are_some_and_its_tables_are_whole() -> None:
    (example,) = blocks("docs/rules.md", "toml")
    table = tomllib.loads(example)["addon"]["rules"]
    assert table.pop("use") == "statement-rules"
    settings = StatementRules.settings.model_validate(table)
    page = (ROOT / "docs/rules.md").read_text()
    first_columns = set(re.findall(r"^\| `([a-z-]+)` \|", page, flags=re.M))
    effects = get_args(Rule.model_fields["effect"].annotation)
    keys = {"match", "kinds", "functions", "tables"}
    assert first_columns - {"match", "effect"} == {*WORDS, *effects, *keys} - {"match"}
    assert {rule.effect for rule in settings.rule} == set(effects)
    assert keys <= set(Rule.model_fields)
