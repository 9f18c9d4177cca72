"""Each kind of mistake, with its sentence: file, key, what was found, what is wanted."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, ConfigDict, Field

from hoopproxy.config.load import load
from hoopproxy.config.sentences import checked, dotted, hint, shown
from hoopproxy.errors import ConfigError

from .conftest import Copy

NAME = "a name of 1 to 63 letters, digits, '.', '_' and '-' that starts with a letter or digit"
LEDGER = ' target[0] is the one named "ledger".'

CHANGES = [
    # keys that are none, values of the wrong kind, values out of range
    (
        "hoopproxy.toml",
        "idle_s_max =",
        "idle_smax =",
        "limits.idle_smax is not a setting; did you mean limits.idle_s_max?",
    ),
    ("hoopproxy.toml", "[storage]", "[storrage]", "storrage is not a setting; did you mean storage?"),
    (
        "hoopproxy.toml",
        "idle_s_max = 3600.0",
        'idle_s_max = "3600"',
        'limits.idle_s_max is "3600"; wanted is a number from 1 to 604800.',
    ),
    (
        "hoopproxy.toml",
        "chunk_bytes_max = 262144",
        "chunk_bytes_max = 1.5",
        "limits.chunk_bytes_max is 1.5; wanted is a whole number from 1024 to 1048576.",
    ),
    (
        "hoopproxy.toml",
        "chunk_bytes_max = 262144",
        "chunk_bytes_max = true",
        "limits.chunk_bytes_max is true; wanted is a whole number from 1024 to 1048576.",
    ),
    (
        "hoopproxy.toml",
        "session_s_max = 43200.0",
        "session_s_max = inf",
        "limits.session_s_max is Infinity; wanted is a number from 1 to 604800.",
    ),
    (
        "hoopproxy.toml",
        "session_s_max = 43200.0",
        "session_s_max = nan",
        "limits.session_s_max is NaN; wanted is a number from 1 to 604800.",
    ),
    ("hoopproxy.toml", 'name = "gw-fra-1"', 'name = "gw fra"', f'gateway.name is "gw fra"; wanted is {NAME}.'),
    (
        "hoopproxy.toml",
        'name = "gw-fra-1"\n',
        "",
        f"gateway.name is missing; wanted is {NAME}.",
    ),
    (
        "hoopproxy.toml",
        'country = "DE"',
        'country = "Germany"',
        'gateway.country is "Germany"; wanted is an ISO 3166-1 alpha-2 code such as "DE" or "GB".',
    ),
    (
        "hoopproxy.toml",
        '"127.0.0.1", "::1"',
        '"127.0.0.1", "localhost"',
        'listen[0].addresses[1] is "localhost"; wanted is an IPv4 or IPv6 address such as "127.0.0.1" or "::1". '
        'listen[0] is the one named "front".',
    ),
    (
        "hoopproxy.toml",
        '["127.0.0.1", "::1"]',
        "[]",
        "listen[0].addresses is []; wanted is an array of 1 or more, each an IPv4 or IPv6 address such as "
        '"127.0.0.1" or "::1". listen[0] is the one named "front".',
    ),
    (
        "hoopproxy.toml",
        'plaintext = "never"',
        'plaintext = "maybe"',
        'listen[0].plaintext is "maybe"; wanted is "never", "loopback" or "always". listen[0] is the one named '
        '"front".',
    ),
    (
        "hoopproxy.toml",
        'target = "broker"',
        'target = "brokr"',
        'listen[1].target names "brokr", which is not a [[target]] of targets.toml; did you mean broker?',
    ),
    (
        "hoopproxy.toml",
        'target = "broker"',
        'target = "ledger"',
        'listen[1].target names "ledger", which speaks postgres; wanted is one that speaks tcp, as the listener does.',
    ),
    (
        "hoopproxy.toml",
        'account = "any"',
        'account = "all"',
        'listen[1].account names "all", which is not an account of broker; there are any.',
    ),
    (
        "hoopproxy.toml",
        'balancers = ["10.20.255.0/28"]',
        'balancers = ["10.20.255.7/28"]',
        'listen[0].balancers[0] is "10.20.255.7/28"; wanted is a network such as "10.0.0.0/24" or "fd00::/64".',
    ),
    (
        "hoopproxy.toml",
        'authenticators = ["own", "corp", "directory", "robots", "people", "services", "staff"]',
        "authenticators = []",
        f"roles.authenticators is []; wanted is an array of 1 or more, each {NAME}.",
    ),
    ("hoopproxy.toml", 'router = "targets"', 'router = ["targets"]', f'roles.router is ["targets"]; wanted is {NAME}.'),
    ("hoopproxy.toml", 'use = "oidc"', "", f"addon.corp.use is missing; wanted is {NAME}."),
    (
        "targets.toml",
        "port = 5432",
        "port = 99999",
        f"target[0].port is 99999; wanted is a whole number from 1 to 65535.{LEDGER}",
    ),
    (
        "targets.toml",
        'host = "ledger.db.example.com"',
        'host = "127.1"',
        f'target[0].host is "127.1"; wanted is a DNS name or an IP address.{LEDGER}',
    ),
    (
        "targets.toml",
        'server_name = "ledger.db.example.com"',
        'sever_name = "x"',
        f"target[0].tls.sever_name is not a setting; did you mean target[0].tls.server_name?{LEDGER}",
    ),
    (
        "targets.toml",
        'ca = "secrets/ledger-ca.pem"',
        "",
        "target[0].tls: there is neither ca nor pins; wanted is at least one, so that the target can prove "
        f"itself.{LEDGER}",
    ),
    (
        "targets.toml",
        'readonly = "ledger-readonly"',
        'readonly = "../ledger"',
        'target[0].accounts.readonly is "../ledger"; wanted is the name of a credential, or "" for an account to which '
        f"nothing is shown.{LEDGER}",
    ),
    (
        "policy.toml",
        'destination = "corroborated"',
        'destination = "sure"',
        'grant[0].assurance_min.destination is "sure"; wanted is "declared", "corroborated", "attested" or "measured". '
        'grant[0] is the one named "analysts-read-the-ledger".',
    ),
    (
        "policy.toml",
        "duration_s_max = 28800",
        'duration_s_max = "8h"',
        'grant[0].duration_s_max is "8h"; wanted is a number from 1 to 31536000. '
        'grant[0] is the one named "analysts-read-the-ledger".',
    ),
    (
        "policy.toml",
        '"public.customers.birthday"',
        '"birthday"',
        'mask[2].column is "birthday"; wanted is a column as "schema.table.column".',
    ),
    (
        "policy.toml",
        'mask = "nullify"',
        'mask = "nulify"',
        'mask[2].mask is "nulify"; wanted is "redact", "nullify", {partial = {first = 0, last = 4}}, '
        '{truncate = "year"}, {generalise = {step = 1000}}, {hash = {key_file = "…"}}, {token = {key_file = "…"}} or '
        '{json = {show = ["$.…"]}}.',
    ),
    (
        "policy.toml",
        "partial = { first = 0, last = 4 }",
        "partial = { first = -1 }",
        "mask[0].mask.partial.first is -1; wanted is a whole number from 0 to 1000.",
    ),
    (
        "policy.toml",
        "partial = {",
        "patrial = {",
        "mask[0].mask.patrial is not a setting; did you mean mask[0].mask.partial?",
    ),
    # names that lead nowhere
    (
        "hoopproxy.toml",
        'zone = "EU"',
        'zone = "EUU"',
        'gateway.zone names "EUU", which is not a zone that the gateway knows; did you mean EU?',
    ),
    (
        "hoopproxy.toml",
        'guards = ["kinds", ',
        'guards = ["kind", ',
        'roles.guards names "kind", which is not an [addon.NAME] table of this file; did you mean kinds?',
    ),
    (
        "hoopproxy.toml",
        'guards = ["kinds", ',
        "guards = [",
        "addon.kinds is in no list of [roles]; name it in one, or take the table out.",
    ),
    (
        "hoopproxy.toml",
        'guards = ["kinds", ',
        'guards = ["kinds", "kinds", ',
        'roles.guards names "kinds" 2 times; wanted is each once.',
    ),
    (
        "targets.toml",
        'zone = "EU"',
        'zone = "Mars"',
        'target[0].zone names "Mars", which is not a zone that the gateway knows; there are ',
    ),
    (
        "targets.toml",
        'host = "ledger.db.example.com"\n',
        "",
        "target[0].host is missing; wanted is a DNS name or an IP address.",
    ),
    ("targets.toml", "port = 5432\n", "", "target[0].port is missing; wanted is a whole number from 1 to 65535."),
    (
        "targets.toml",
        'protocol = "pod"\n',
        'protocol = "pod"\nhost = "10.0.0.1"\n',
        "target[4].host is set, and a pod has that of its cluster; take it out.",
    ),
    (
        "targets.toml",
        'cluster = "prod"',
        'cluster = "proud"',
        'target[4].pod.cluster names "proud", which is not a [[target]] of targets.toml; did you mean prod?',
    ),
    (
        "targets.toml",
        'cluster = "prod"',
        'cluster = "ledger"',
        'target[4].pod.cluster names "ledger", which speaks postgres; wanted is one that speaks kubernetes.',
    ),
    (
        "policy.toml",
        'targets = ["ledger"]',
        'targets = ["legder"]',
        'grant[0].targets names "legder", which is not a [[target]] of targets.toml; did you mean ledger?',
    ),
    (
        "policy.toml",
        'roles = ["analyst"]\ntargets',
        'roles = ["analysts"]\ntargets',
        'grant[0].roles names "analysts", which is not a [[role]] of this file; did you mean analyst?',
    ),
    (
        "policy.toml",
        'accounts = ["readonly"]',
        'accounts = ["readonly", "admin"]',
        'grant[0].accounts names "admin", which is not an account of its targets; there are readonly, support.',
    ),
    (
        "policy.toml",
        'client_zones = ["EU", "US"]',
        'client_zones = ["EU", "USA"]',
        'grant[1].client_zones names "USA", which is not a zone that the gateway knows; did you mean US?',
    ),
    (
        "policy.toml",
        'target = "ledger"',
        'target = "hrm"',
        'mask[0].target names "hrm", which is not a [[target]] of targets.toml; did you mean crm?',
    ),
    (
        "policy.toml",
        'databases = ["ledger"]',
        'databases = ["ledgr"]',
        'mask[0].databases names "ledgr", which is not a database of ledger; did you mean ledger?',
    ),
    (
        "policy.toml",
        '{ roles = ["analyst"], client_zones = ["EU"] }',
        '{ roles = ["boss"], client_zones = ["EU"] }',
        'mask[0].reveal[0].roles names "boss", which is not a [[role]] of this file; there are analyst, approver, '
        "service, support.",
    ),
    (
        "policy.toml",
        '{ roles = ["analyst"], client_zones = ["EU"] }',
        '{ roles = ["analyst"], client_zones = ["XX"] }',
        'mask[0].reveal[0].client_zones names "XX", which is not a zone that the gateway knows; there are ',
    ),
    (
        "policy.toml",
        'reveals = ["public.customers.note"]',
        'reveals = ["public.customers.notes"]',
        'grant[0].reveals names "public.customers.notes", which is not a column that a [[mask]] names; did you mean ',
    ),
    # who keeps masks
    (
        "targets.toml",
        'provisioner = "ledger-provisioner"',
        "",
        "target[0].masks: provisioner and enforcement don't fit; wanted is provisioner, the credential with",
    ),
    (
        "targets.toml",
        'enforcement = "server"',
        'enforcement = "wire"',
        "target[0].masks: provisioner and enforcement don't fit; wanted is provisioner, the credential with",
    ),
    (
        "targets.toml",
        'enforcement = "server"',
        'enforcement = "client"',
        'target[0].masks.enforcement is "client"; wanted is "server" or "wire"',
    ),
    # names given twice
    (
        "policy.toml",
        'name = "support"',
        'name = "analyst"',
        'role[1].name is "analyst", as role[0].name is; wanted is each name once.',
    ),
    (
        "policy.toml",
        '"public.customers.email"',
        '"public.customers.card"',
        "mask[1] masks public.customers.card of ledger, which mask[0] does already; wanted is one mask for each "
        "column.",
    ),
]


@pytest.mark.parametrize(("file", "old", "new", "sentence"), CHANGES, ids=[change[3][:50] for change in CHANGES])
def test_one_mistake_is_one_sentence(copy: Copy, file: str, old: str, new: str, sentence: str) -> None:
    copy.change(file, old, new)
    problems = [problem for problem in copy.problems() if problem.startswith(f"{file}: {sentence}")]
    assert len(problems) == 1, copy.problems()


def test_all_mistakes_of_all_files_are_told_at_once(copy: Copy) -> None:
    copy.change("hoopproxy.toml", "idle_s_max = 3600.0", "idle_s_max = 0")
    copy.change("hoopproxy.toml", 'guards = ["kinds", ', 'guards = ["kind", ')
    copy.change("targets.toml", "port = 5432", "port = 0")
    copy.change("policy.toml", 'targets = ["ledger"]', 'targets = ["hrm"]')
    copy.change("policy.toml", 'mask = "redact"', 'mask = "black"')
    assert [problem.split(" ")[:2] for problem in copy.problems()] == [
        ["hoopproxy.toml:", "limits.idle_s_max"],
        ["targets.toml:", "target[0].port"],
        ["policy.toml:", "mask[3].mask"],
        ["hoopproxy.toml:", "roles.guards"],
        ["hoopproxy.toml:", "addon.kinds"],
        ["policy.toml:", "grant[0].targets"],
    ]


def test_a_masked_database_says_who_keeps_its_masks(copy: Copy) -> None:
    targets = copy.directory / "targets.toml"
    before, _, behind = targets.read_text().partition("[target.masks]")
    targets.write_text(before + behind[behind.index("# The accounts") :])
    assert (
        'targets.toml: target "ledger" has masked columns (mask[0] of policy.toml), and no [target.masks]; wanted is '
        'its provisioner, the credential with which masks are made there, or enforcement = "wire".'
    ) in copy.problems()


def test_masks_are_kept_by_databases_alone(copy: Copy) -> None:
    copy.change("targets.toml", 'name = "broker"', 'name = "broker"\nmasks = {provisioner = "any"}')
    (problem,) = copy.problems()
    assert problem == (
        "targets.toml: target[1].masks is set, and broker speaks tcp; masks are kept by databases that speak postgres."
    )


def test_a_malformed_target_is_still_a_target_for_policy(copy: Copy) -> None:
    copy.change("targets.toml", "port = 5432", "port = 0")
    (problem,) = copy.problems()
    assert problem.startswith("targets.toml: target[0].port is 0;")


def test_toml_that_is_none_names_its_line(copy: Copy) -> None:
    copy.append("policy.toml", "\n[[mask]\n")
    line = (copy.directory / "policy.toml").read_text().count("\n")
    (problem,) = copy.problems()
    assert problem.startswith(f"policy.toml: line {line}, column ")
    assert problem.endswith("wanted is TOML (https://toml.io).")


def test_bytes_that_are_no_text_name_their_line(copy: Copy) -> None:
    (copy.directory / "targets.toml").write_bytes(b"# ok\n\xff\n")
    (problem,) = copy.problems()
    assert problem == "targets.toml: line 2 holds bytes that are no UTF-8; wanted is TOML, which is UTF-8."


def test_a_missing_file_is_named_with_its_path(copy: Copy) -> None:
    (copy.directory / "targets.toml").unlink()
    (problem,) = copy.problems()
    path = copy.directory / "targets.toml"
    assert problem == f"targets.toml: {path} can't be read (No such file or directory); wanted is a TOML file."
    with pytest.raises(ConfigError) as caught:
        load(copy.directory / "missing.toml")
    assert "missing.toml can't be read (No such file or directory)" in caught.value.problems[0]


def test_a_directory_is_no_file(copy: Copy) -> None:
    with pytest.raises(ConfigError) as caught:
        load(copy.directory)
    assert any("can't be read (Is a directory); wanted is a TOML file." in one for one in caught.value.problems)


def test_an_endless_file_is_not_read_to_its_end(copy: Copy) -> None:
    copy.append("policy.toml", "#" * (4 * 1024 * 1024))
    assert copy.problems() == ("policy.toml: the file is longer than 4194304 bytes; wanted is a shorter one.",)


@pytest.mark.parametrize("text", ["target = 7\n", 'target = "x"\n', "target = [1]\n", "[target]\nname = 'x'\n"])
def test_another_shape_is_said_in_a_sentence(copy: Copy, text: str) -> None:
    (copy.directory / "targets.toml").write_text(text)
    problem = copy.problems()[0]
    assert problem.startswith(("targets.toml: target is ", "targets.toml: target[0] is 1; wanted is a table."))


@pytest.mark.parametrize("text", ["addon = 7\n", "[addon]\ncorp = 7\n", "roles = []\n", "gateway = 1\nlisten = {}\n"])
def test_another_shape_of_the_main_file_is_said_in_sentences(copy: Copy, text: str) -> None:
    copy.main.write_text(text)
    assert all(problem.startswith("hoopproxy.toml: ") for problem in copy.problems())


def test_an_empty_file_names_everything_that_is_wanted(copy: Copy) -> None:
    copy.main.write_text("")
    said = "\n".join(copy.problems())
    for key in ("gateway.name", "gateway.pseudonym_key", "storage.country", "roles.router", "there is no [[listen]]"):
        assert key in said


def test_two_listeners_may_not_take_one_socket(copy: Copy) -> None:
    text = copy.main.read_text()
    start, end = text.index("\n[[listen]]"), text.index("# Raw TCP")
    copy.append("hoopproxy.toml", "\n" + text[start:end])
    assert copy.problems() == (
        'hoopproxy.toml: listen[4].name is "front", as listen[0].name is; wanted is each name once.',
        "hoopproxy.toml: listen[4] takes port 6432 of 127.0.0.1, which listen[0] has already; wanted is a free one.",
        "hoopproxy.toml: listen[4] takes port 6432 of ::1, which listen[0] has already; wanted is a free one.",
    )


@pytest.mark.parametrize(
    ("file", "at", "line", "key"),
    [
        ("hoopproxy.toml", 'use = "oidc"', 'client_secret = "hunter2"', "addon.corp.client_secret"),
        (
            "hoopproxy.toml",
            'use = "file-credentials"',
            'ledger = {Password = "hunter2"}',
            "addon.vault.ledger.Password",
        ),
        ("targets.toml", "port = 5432", 'password = "hunter2"', "target[0].password"),
        ("targets.toml", "[target.accounts]", 'token = "hunter2"', "target[0].accounts.token"),
        ("policy.toml", "[[role]]", 'api_key = ["hunter2"]', "role[0].api_key"),
        (
            "targets.toml",
            "[target.accounts]",
            'app = """-----BEGIN OPENSSH PRIVATE KEY-----\nhunter2"""',
            "target[0].accounts.app",
        ),
    ],
)
def test_a_secret_is_refused_and_not_repeated(copy: Copy, file: str, at: str, line: str, key: str) -> None:
    copy.change(file, at, f"{at}\n{line}")
    problems = copy.problems()
    assert problems[0].startswith(
        f"{file}: {key} looks like a secret, and secrets never stand in configuration; put it"
    )
    assert "hunter2" not in "\n".join(problems)


def absent(path: Path) -> None:
    path.unlink()


def public(path: Path) -> None:
    path.chmod(0o644)


def short(path: Path) -> None:
    path.write_bytes(bytes(31))


def pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


@pytest.mark.parametrize(
    ("name", "spoil", "file", "sentence"),
    [
        ("gateway.crt", absent, "hoopproxy.toml", "listen[0].certificate is {}, which can't be read (No such file or"),
        (
            "gateway.key",
            absent,
            "hoopproxy.toml",
            "listen[0].key is {}, which can't be read (No such file or directory)",
        ),
        ("gateway.key", public, "hoopproxy.toml", "listen[0].key is {}, which everybody may read; wanted is"),
        ("gateway.key", pipe, "hoopproxy.toml", "listen[0].key is {}, which can't be read (a pipe would hold up"),
        ("ledger-ca.pem", absent, "targets.toml", "target[0].tls.ca is {}, which can't be read (No such file"),
        ("pseudonym.key", absent, "hoopproxy.toml", "gateway.pseudonym_key is {}, which can't be read (No such file"),
        ("pseudonym.key", public, "hoopproxy.toml", "gateway.pseudonym_key is {}, which others may read; wanted is a"),
        ("pseudonym.key", short, "hoopproxy.toml", "gateway.pseudonym_key is {}, which holds 31 bytes; wanted are 32"),
        ("email-hash.key", public, "policy.toml", "mask[1].mask.hash.key_file is {}, which others may read; wanted is"),
        ("email-hash.key", short, "policy.toml", "mask[1].mask.hash.key_file is {}, which holds 31 bytes; wanted are"),
    ],
)
def test_a_file_that_does_not_serve_is_named(
    copy: Copy, name: str, spoil: Callable[[Path], None], file: str, sentence: str
) -> None:
    path = copy.directory / "secrets" / name
    spoil(path)
    (problem,) = copy.problems()
    assert problem.startswith(f"{file}: {sentence.format(path)}")


def test_the_state_directory_must_be_there(copy: Copy) -> None:
    (copy.directory / "state").rmdir()
    (problem,) = copy.problems()
    assert problem.startswith(
        f"hoopproxy.toml: gateway.state_dir is {copy.directory}/state; wanted is a directory that"
    )


def test_a_control_socket_must_fit_into_an_address(copy: Copy) -> None:
    copy.change("hoopproxy.toml", '#control_socket = "state/control.sock"', f'control_socket = "/{"x" * 107}"')
    (problem,) = copy.problems()
    assert problem.endswith("wanted is a path of up to 107 bytes, since Linux takes no longer ones.")


def test_a_zones_directory_must_be_there(copy: Copy) -> None:
    copy.change("hoopproxy.toml", '#zones = "zones"', 'zones = "zones"')
    (problem,) = copy.problems()
    assert problem.startswith(f"hoopproxy.toml: gateway.zones: {copy.directory}/zones can't be read (No such file")


# What addons' own settings may look like -----------------------------------------------------------------------------


class Inner(BaseModel):
    model_config = ConfigDict(extra="forbid")

    deep: int = Field(ge=3)


class Strange(BaseModel):
    """Types that the house itself does not use, but an addon's author may."""

    model_config = ConfigDict(extra="forbid")

    either: int | str | None = None
    inner: Inner | None = None
    many: list[Inner] = []
    named: dict[str, Inner] = {}
    positive: float = Field(1, gt=0)
    short: str = Field("", max_length=3)


@pytest.mark.parametrize(
    ("raw", "sentence"),
    [
        ({"either": 1.5}, "addon.x.either is 1.5; wanted is a whole number or a text."),
        ({"inner": {"deep": 1}}, "addon.x.inner.deep is 1; wanted is a whole number not below 3."),
        ({"inner": {}}, "addon.x.inner.deep is missing; wanted is a whole number not below 3."),
        ({"inner": 1}, "addon.x.inner is 1; wanted is a table with deep."),
        (
            {"many": [{"deep": 3}, {"depe": 3, "deep": 3}]},
            "addon.x.many[1].depe is not a setting; did you mean addon.x.many[1].deep?",
        ),
        ({"named": {"a b": {"deep": "x"}}}, 'addon.x.named."a b".deep is "x"; wanted is a whole number not below 3.'),
        ({"positive": 0}, "addon.x.positive is 0; wanted is a number above 0."),
        ({"short": "long"}, 'addon.x.short is "long"; wanted is a text of up to 3 characters.'),
    ],
    ids=str,
)
def test_settings_of_any_shape_get_their_sentence(raw: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ConfigError) as caught:
        checked(Strange, raw, "hoopproxy.toml", ("addon", "x"))
    assert caught.value.problems == (f"hoopproxy.toml: {sentence}",)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


@given(raw=st.dictionaries(st.sampled_from([*Strange.model_fields, "other"]), JSON))
def test_whatever_stands_there_is_taken_or_told_in_sentences(raw: dict[str, Any]) -> None:
    try:
        checked(Strange, raw, "f.toml", ("addon", "x"))
    except ConfigError as why:
        for problem in why.problems:
            assert problem.startswith("f.toml: addon.x")
            assert problem.endswith((".", "?"))
            assert "\n" not in problem


def test_words_for_keys_values_and_hints() -> None:
    assert dotted(("target", 2, "tls", "a b")) == 'target[2].tls."a b"'
    assert shown("x" * 100) == '"' + "x" * 58 + "…"
    assert hint("x", []) == "; there are none."
