"""Keys of a [[listen]] table that mean nothing to its protocol are said to, one by one."""

from dataclasses import replace
from ipaddress import ip_address
from typing import Any

import pytest

from hoopproxy.errors import ConfigError
from hoopproxy.listen.fitting import expect
from hoopproxy.listen.postgres import PostgresListener
from hoopproxy.scheduler import TwistedScheduler
from hoopproxy.settings import Limits, ListenerSettings, Plaintext
from hoopproxy.testing.certificates import Leaf

from .conftest import settings

BARE = ListenerSettings("front", "x", (ip_address("127.0.0.1"),), 0)
VALUES: dict[str, dict[str, Any]] = {
    "certificate": {"certificate_file": "a.crt"},
    "key": {"key_file": "a.key"},
    "client_ca": {"client_ca_file": "ca.crt"},
    "host_keys": {"host_key_files": ("host",)},
    "target": {"target": "ledger"},
    "account": {"account": "app"},
}


@pytest.mark.parametrize("key", VALUES)
def test_what_is_set_and_not_expected_is_named(key: str) -> None:
    given = replace(BARE, **VALUES[key])
    expect(given, key)
    expect(BARE)
    with pytest.raises(ConfigError) as caught:
        expect(given, *(VALUES.keys() - {key}))
    assert caught.value.problems == (f"listen.front.{key} is set, which means nothing where x is spoken; take it out.",)


def test_plaintext_is_what_the_protocol_can_bear() -> None:
    expect(replace(BARE, plaintext=Plaintext.ALWAYS), plaintext=tuple(Plaintext))
    with pytest.raises(ConfigError) as caught:
        expect(replace(BARE, plaintext=Plaintext.ALWAYS, target="a"), plaintext=(Plaintext.NEVER, Plaintext.LOOPBACK))
    assert caught.value.problems == (
        "listen.front.target is set, which means nothing where x is spoken; take it out.",
        'listen.front.plaintext is "always"; where x is spoken, wanted is "never" or "loopback".',
    )


@pytest.mark.parametrize("changes", [VALUES["client_ca"], VALUES["target"], {"plaintext": Plaintext.ALWAYS}])
def test_tokens_never_cross_a_network_in_the_clear_and_postgresql_clients_have_no_certificate(
    leaf: Leaf, changes: dict[str, Any]
) -> None:
    clock: Any = None
    with pytest.raises(ConfigError):
        PostgresListener(replace(settings(leaf), **changes), Limits(), TwistedScheduler(clock))
