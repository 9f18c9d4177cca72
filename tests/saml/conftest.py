"""The addon, a provider of one's own that it trusts, and a clock that both read."""

import base64
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from types import MappingProxyType
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from lxml import etree
from twisted.internet.task import Clock

from hoopproxy.access.policy import Policy
from hoopproxy.addons.saml import SamlAuthenticator, Settings
from hoopproxy.errors import Refused
from hoopproxy.model import Identity
from hoopproxy.registry import Setting
from hoopproxy.scheduler import TwistedScheduler
from tests.conftest import Spin

from .provider import OwnProvider, metadata
from .simplesamlphp import SimpleSamlPhp

SERVICE = "https://gateway.example/saml"
ACS = "https://gateway.example/sign-in/staff/return"
START_S = 1_800_000_000.0
STATE = "s" * 43


@dataclass
class Place:
    """An addon and its provider."""

    directory: Path
    clock: Clock
    provider: OwnProvider
    spin: Spin

    @property
    def setting(self) -> Setting:
        return Setting(
            "gw",
            "EU",
            str(self.directory),
            Policy("r", (), (), ()),
            MappingProxyType({}),
            TwistedScheduler(self.clock),
        )

    @property
    def metadata_file(self) -> Path:
        return self.directory / "metadata.xml"

    def describe(self, *certificates: str, **changes: str) -> None:
        """Write the provider's metadata, with its own certificate where no other is named."""
        self.metadata_file.write_bytes(metadata(*(certificates or (self.provider.key.certificate,)), **changes))

    def addon(self, **settings: Any) -> SamlAuthenticator:
        chosen = {"entity_id": SERVICE, "acs_url": ACS, "metadata_file": self.metadata_file, **settings}
        return SamlAuthenticator.build("staff", Settings(**chosen), self.setting)

    def respond(self, addon: SamlAuthenticator, **changes: Any) -> dict[str, str]:
        """The form that the browser brings from the provider, which may say something else than usual."""
        return form(self.provider.respond(request_id(addon.begin(STATE)), self.clock.seconds(), **changes))

    def finish(self, addon: SamlAuthenticator, form: Mapping[str, str]) -> Identity:
        identity: Identity = self.spin(addon.finish(form))
        return identity

    def refused(self, addon: SamlAuthenticator, form: Mapping[str, str]) -> Refused:
        with pytest.raises(Refused) as caught:
            self.finish(addon, form)
        assert caught.value.reason == "credentials"
        return caught.value


def request_id(url: str) -> str:
    """The ID of the request in a URL."""
    (request,) = parse_qs(urlsplit(url).query)["SAMLRequest"]
    return str(etree.fromstring(zlib.decompress(base64.b64decode(request), wbits=-15)).get("ID"))


def form(response: bytes, state: str = STATE) -> dict[str, str]:
    return {"SAMLResponse": base64.b64encode(response).decode(), "RelayState": state}


@pytest.fixture(scope="session")
def provider(tmp_path_factory: pytest.TempPathFactory) -> OwnProvider:
    """Its keys are made once: RSA keys take long."""
    return OwnProvider(tmp_path_factory.mktemp("idp"), SERVICE, ACS)


@pytest.fixture
def place(tmp_path: Path, provider: OwnProvider, spin: Spin) -> Place:
    clock = Clock()
    clock.advance(START_S)
    made = Place(tmp_path, clock, provider, spin)
    made.describe()
    return made


@pytest.fixture(scope="session")
def simplesamlphp(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SimpleSamlPhp]:
    server = SimpleSamlPhp(tmp_path_factory.mktemp("simplesamlphp"))
    yield server
    server.stop()


@pytest.fixture
def real(tmp_path: Path, provider: OwnProvider, spin: Spin, simplesamlphp: SimpleSamlPhp) -> Place:
    """With the metadata of SimpleSAMLphp, and its clock, which is everybody's."""
    clock = Clock()
    clock.advance(datetime.now(UTC).timestamp())
    made = Place(tmp_path, clock, provider, spin)
    made.metadata_file.write_bytes(simplesamlphp.metadata)
    return made
