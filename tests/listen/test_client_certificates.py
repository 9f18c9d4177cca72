"""Which listeners ask their clients for certificates, and where that would be asking for nothing."""

from dataclasses import replace
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest
from OpenSSL import SSL
from twisted.internet.task import Clock

from hoopproxy.errors import ConfigError
from hoopproxy.listen.http import HttpListener
from hoopproxy.listen.kubernetes import KubernetesListener
from hoopproxy.listen.postgres import PostgresListener
from hoopproxy.listen.ssh import SshListener
from hoopproxy.listen.tcp import TcpListener
from hoopproxy.listen.tls import MutualCertificate
from hoopproxy.scheduler import TwistedScheduler
from hoopproxy.settings import Limits, ListenerSettings, Plaintext
from hoopproxy.testing.certificates import Authority


@pytest.fixture
def settings(authority: Authority) -> ListenerSettings:
    leaf = authority.issue("front", dns=("localhost",))
    return ListenerSettings(
        name="front",
        protocol="postgres",
        addresses=(ip_address("127.0.0.1"),),
        port=0,
        certificate_file=str(leaf.certificate_file),
        key_file=str(leaf.key_file),
        client_ca_file=str(authority.ca_file),
    )


def built(listener: Any, settings: ListenerSettings) -> Any:
    return listener(settings, Limits(), TwistedScheduler(Clock()))


def problem(listener: Any, settings: ListenerSettings, **changes: Any) -> str:
    with pytest.raises(ConfigError) as why:
        built(listener, replace(settings, **changes))
    return str(why.value)


def test_a_certificate_is_wanted_or_may_be_shown(settings: ListenerSettings) -> None:
    must = MutualCertificate(settings)._context.get_verify_mode()
    may = MutualCertificate(replace(settings, is_client_certificate_optional=True))._context.get_verify_mode()
    assert must == SSL.VERIFY_PEER | SSL.VERIFY_FAIL_IF_NO_PEER_CERT and may == SSL.VERIFY_PEER


def test_a_chain_has_few_links(settings: ListenerSettings) -> None:
    assert MutualCertificate(settings)._context.get_verify_depth() == 4


@pytest.mark.parametrize("listener", [PostgresListener, HttpListener, KubernetesListener])
@pytest.mark.parametrize("optional", [False, True])
def test_these_ask_for_one(listener: Any, settings: ListenerSettings, optional: bool) -> None:
    assert built(listener, replace(settings, is_client_certificate_optional=optional))


@pytest.mark.parametrize("listener", [PostgresListener, HttpListener, KubernetesListener])
def test_to_leave_it_to_clients_takes_an_authority(listener: Any, settings: ListenerSettings) -> None:
    told = problem(listener, settings, client_ca_file="", is_client_certificate_optional=True)
    assert 'listen.front.client_certificate is "optional", and there is no client_ca' in told


@pytest.mark.parametrize("listener", [TcpListener, SshListener])
def test_where_there_is_nothing_else_to_show_nothing_is_optional(listener: Any, settings: ListenerSettings) -> None:
    told = problem(listener, settings, is_client_certificate_optional=True, target="cache")
    assert "listen.front.client_certificate is set, which means nothing" in told


@pytest.mark.parametrize("optional", [False, True])
def test_no_database_client_goes_round_it_in_the_clear(settings: ListenerSettings, optional: bool) -> None:
    changes = {"plaintext": Plaintext.LOOPBACK, "is_client_certificate_optional": optional}
    assert "which nobody shows without TLS" in problem(PostgresListener, settings, **changes)


def test_an_authority_that_is_none_is_named(settings: ListenerSettings, tmp_path: Path) -> None:
    (tmp_path / "ca.pem").write_text("no certificate")
    assert "listen.front.client_ca" in problem(PostgresListener, settings, client_ca_file=str(tmp_path / "ca.pem"))
