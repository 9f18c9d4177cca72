"""A directory with people and groups, and the addon that asks it."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pytest
from twisted.internet.defer import Deferred, DeferredList
from twisted.internet.task import Clock

from hoopproxy.addons.ldap import LdapAuthenticator
from hoopproxy.addons.ldap_settings import Settings
from hoopproxy.config.sentences import checked
from hoopproxy.errors import Refused
from hoopproxy.model import Credentials, Identity
from hoopproxy.proofs import Secret
from hoopproxy.registry import Setting
from hoopproxy.scheduler import TwistedScheduler
from hoopproxy.testing.certificates import Authority
from tests.conftest import Spin

from ..conftest import ARRIVAL, POLICY, START_S
from .slapd import ACCOUNT, ACCOUNT_PASSWORD, GROUPS, PEOPLE, Slapd, private_file


@pytest.fixture(scope="module")
def slapd(authority: Authority, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Slapd]:
    """Ada, who is an analyst."""
    leaf = authority.issue("directory", ips=("127.0.0.1",))
    with Slapd(tmp_path_factory.mktemp("slapd"), leaf, authority.ca_file) as running:
        ada = running.add_person("ada", "lovelace", cn="Ada Lovelace")
        running.add_group("analysts", ada)
        yield running


@dataclass
class Asking:
    """The addon, and what it answers."""

    addon: LdapAuthenticator
    settings: Settings
    clock: Clock
    spin: Spin

    def identify(self, secret: str) -> Identity | None:
        answer: Identity | None = self.spin(self.addon.identify(ARRIVAL, shows(secret)))
        return answer

    def at_once(self, secrets: Iterable[str]) -> list[Any]:
        """What becomes of attempts that are made side by side: identities and exceptions."""
        attempts = [Deferred.fromCoroutine(self.addon.identify(ARRIVAL, shows(secret))) for secret in secrets]
        results = self.spin(DeferredList(attempts, consumeErrors=True))
        return [answer if came else answer.value for came, answer in results]

    def person(self, secret: str = "ada:lovelace") -> Identity:
        identity = self.identify(secret)
        assert identity is not None
        return identity

    def recheck(self, identity: Identity) -> Identity | None:
        answer: Identity | None = self.spin(self.addon.recheck(identity, shows("")))
        return answer

    def refusal(self, secret: str) -> Refused:
        with pytest.raises(Refused) as caught:
            self.identify(secret)
        password = secret.partition(":")[2]
        assert caught.value.reason == "credentials"
        assert not password or password not in caught.value.sentence + caught.value.detail
        return caught.value


def shows(secret: str) -> Credentials:
    return Credentials("ledger", "", "", Secret(secret))


type Ask = Callable[..., Asking]


@pytest.fixture
def ask(authority: Authority, slapd: Slapd, tmp_path: Path, spin: Spin) -> Ask:
    """The addon with these settings beside those that fit the directory."""
    password_file = private_file(tmp_path / "ldap.password", ACCOUNT_PASSWORD + "\n")
    clock = Clock()
    clock.advance(START_S)

    def make(**settings: Any) -> Asking:
        raw = {
            "servers": [slapd.urls[0]],
            "ca_file": str(authority.ca_file),
            "account": ACCOUNT,
            "password_file": str(password_file),
            "base": PEOPLE,
            "group_base": GROUPS,
        }
        chosen = checked(Settings, raw | settings, "hoopproxy.toml", ("addon", "people"))
        setting = Setting("gw", "EU", str(tmp_path), POLICY, MappingProxyType({}), TwistedScheduler(clock))
        return Asking(LdapAuthenticator.build("people", chosen, setting), chosen, clock, spin)

    return make
