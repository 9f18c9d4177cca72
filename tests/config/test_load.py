"""The example loads as it stands, and becomes the values that it says."""

import dataclasses
import hashlib
from datetime import UTC, date, datetime
from ipaddress import ip_address, ip_network
from types import MappingProxyType

from pydantic import BaseModel

from hoopproxy.config.sentences import checked
from hoopproxy.config.tables import LimitsTable
from hoopproxy.masks import KeyedHash, Nullify, Partial, Redact
from hoopproxy.model import Assurance, SubjectKind
from hoopproxy.settings import Limits, Plaintext
from hoopproxy.targets import HttpTarget, KubernetesTarget, PodTarget

from .conftest import Copy


def test_the_example_loads(copy: Copy) -> None:
    config = copy.load()
    state = copy.directory / "state"
    assert config.path == copy.main
    assert (config.gateway.name, config.gateway.zone, config.gateway.country) == ("gw-fra-1", "EU", "DE")
    assert (config.gateway.state_dir, config.gateway.control_socket) == (state, state / "control.sock")
    assert config.gateway.pseudonym_key_file == copy.directory / "secrets" / "pseudonym.key"
    assert config.storage_country == "DE"
    front, broker, web, clusters = config.listeners
    assert front.addresses == (ip_address("127.0.0.1"), ip_address("::1"))
    assert (front.name, front.protocol, front.port, front.plaintext) == ("front", "postgres", 6432, Plaintext.NEVER)
    assert front.certificate_file == str(copy.directory / "secrets" / "gateway.crt")
    assert front.balancers == (ip_network("10.20.255.0/28"),) and front.client_ca_file == front.target == ""
    assert (broker.protocol, broker.target, broker.account, broker.balancers) == ("tcp", "broker", "any", ())
    assert broker.client_ca_file == str(copy.directory / "secrets" / "clients-ca.pem")
    assert (web.domain, web.authority_file) == ("gw.example.com", str(copy.directory / "secrets" / "web-ca.pem"))
    assert web.authority_passphrase_file == str(copy.directory / "secrets" / "web-ca.pass")
    assert (clusters.protocol, clusters.domain, clusters.authority_key_file) == ("kubernetes", "", "")
    assert config.roles.residency == ("declared", "networks", "geo")
    assert config.addons["corp"].use == "oidc"
    assert config.addons["corp"].raw["issuer"] == "https://id.example.com"
    assert "use" not in config.addons["corp"].raw


def test_targets_become_values(copy: Copy) -> None:
    ledger, broker, crm, prod, debug = copy.load().targets.values()
    assert (broker.protocol, broker.accounts) == ("tcp", {"any": ""})
    assert (ledger.name, ledger.host, ledger.port, ledger.zone) == ("ledger", "ledger.db.example.com", 5432, "EU")
    assert ledger.accounts == {"readonly": "ledger-readonly", "support": "ledger-support"}
    assert ledger.databases == ("ledger", "archive")
    assert ledger.classes == {"card-data", "personal"}
    assert ledger.tls.ca_file == str(copy.directory / "secrets" / "ledger-ca.pem")
    assert ledger.tls.server_name == "ledger.db.example.com"
    endpoints = ("/v1/customers", "/v1/customers/{id}", "/files/{path*}")
    assert crm.http == HttpTarget("bearer", endpoints, frozenset({"login.example.com"})) and ledger.http == HttpTarget()
    assert prod.kubernetes == KubernetesTarget("name", ("*@example.com",), frozenset({"data-analysts", "platform"}))
    assert debug.pod == PodTarget("prod", "default", "web-*", 9229, prod.kubernetes)
    assert (debug.host, debug.port, debug.tls) == (prod.host, prod.port, prod.tls), "its way leads through its cluster"


def test_a_target_proves_to_be_its_host_unless_told_otherwise(copy: Copy) -> None:
    copy.change("targets.toml", 'server_name = "ledger.db.example.com"\n', "")
    copy.change("targets.toml", 'ca = "secrets/ledger-ca.pem"', f'pins = ["sha256:{"0a" * 32}"]')
    ledger = copy.load().targets["ledger"]
    assert (ledger.tls.server_name, ledger.tls.ca_file) == ("ledger.db.example.com", None)
    assert ledger.tls.pins == {"sha256:" + "0a" * 32}


def test_policy_becomes_values(copy: Copy) -> None:
    policy = copy.load().policy
    assert policy.revision == hashlib.sha256((copy.directory / "policy.toml").read_bytes()).hexdigest()
    assert {role.name: role.groups for role in policy.roles}["analyst"] == {"data-analysts"}
    analysts, support, *_ = policy.grants
    assert analysts.assurance_min == {
        SubjectKind.DESTINATION: Assurance.CORROBORATED,
        SubjectKind.CLIENT: Assurance.CORROBORATED,
    }
    assert (support.assurance_min, support.client_zones, support.duration_s_max) == ({}, ("EU", "US"), 3600.0)
    card, email, birthday, note = policy.masks
    assert [rule.field for rule in policy.fields] == ["$.cards[*].number"] and len(policy.regulated) == 1
    assert card.mask == Partial(0, 4)
    assert card.databases == {"ledger"}
    assert not card.applies(frozenset({"analyst"}), frozenset({"EU"}))
    assert card.applies(frozenset({"analyst"}), frozenset({"US"}))
    assert email.mask == KeyedHash(bytes(range(32)))
    assert (birthday.mask, note.mask) == (Nullify(), Redact())


def test_every_limit_is_in_the_example_with_its_default(copy: Copy) -> None:
    names = [field.name for field in dataclasses.fields(Limits)]
    assert list(LimitsTable.model_fields) == names
    assert copy.load().limits == Limits()
    lines = copy.main.read_text().splitlines()
    section = lines[lines.index("[limits]") + 1 : lines.index("[[listen]]")]
    assert [line.split(" = ")[0] for line in section if line and not line.startswith("#")] == names


def test_limits_may_all_be_left_out_and_be_whole_numbers(copy: Copy) -> None:
    text = copy.main.read_text()
    start, end = text.index("[limits]"), text.index("# Where clients come in")
    copy.main.write_text(text[:start] + "[limits]\nidle_s_max = 60\n" + text[end:])
    assert copy.load().limits == dataclasses.replace(Limits(), idle_s_max=60.0)


def test_the_digest_changes_with_each_file(copy: Copy) -> None:
    seen = {copy.load().digest}
    for file in ("hoopproxy.toml", "targets.toml", "policy.toml"):
        copy.append(file, "# changed\n")
        seen.add(copy.load().digest)
    assert len(seen) == 4
    assert all(len(digest) == 64 for digest in seen)


def test_the_other_files_may_lie_elsewhere_and_take_their_paths_with_them(copy: Copy) -> None:
    elsewhere = copy.directory / "stewards"
    (elsewhere / "secrets").mkdir(parents=True)
    (copy.directory / "targets.toml").rename(elsewhere / "targets.toml")
    for name in ("ledger-ca.pem", "broker-ca.pem", "crm-ca.pem", "prod-ca.pem"):
        (copy.directory / "secrets" / name).rename(elsewhere / "secrets" / name)
    copy.change("hoopproxy.toml", 'targets = "targets.toml"', f'targets = "{elsewhere}/targets.toml"')
    assert copy.load().targets["ledger"].tls.ca_file == str(elsewhere / "secrets" / "ledger-ca.pem")


def test_values_are_frozen_and_hold_no_secret_in_their_words(copy: Copy) -> None:
    config = copy.load()
    assert str(bytes(range(32))) not in repr(config)
    for mapping in (config.targets, config.addons, config.targets["ledger"].accounts, config.addons["corp"].raw):
        assert not hasattr(mapping, "__setitem__")


def test_dates_of_toml_reach_the_settings_that_want_them() -> None:
    class Dated(BaseModel):
        day: date
        moment: datetime

    raw = MappingProxyType({"day": date(2026, 11, 2), "moment": datetime(2026, 11, 2, 7, 30, tzinfo=UTC)})
    assert checked(Dated, raw, "f.toml", ("addon", "x")) == Dated(**raw)
