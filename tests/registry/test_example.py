"""The example of conf/ down to the settings of each addon: all of them can be built from it."""

import re
import shutil
from datetime import UTC, datetime
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

import pytest
from mmdb_writer import MMDBWriter
from netaddr import IPSet
from twisted.internet.task import Clock

from hoopproxy.config.load import load
from hoopproxy.config.model import Config
from hoopproxy.disk.keys import make_keys
from hoopproxy.registry import ADDONS, build
from hoopproxy.scheduler import TwistedScheduler
from hoopproxy.testing.certificates import Authority
from tests.config.conftest import BROKER, WEB
from tests.saml.provider import SigningKey, metadata

CONF = Path(__file__).parents[2] / "conf"


@pytest.fixture
def config(tmp_path: Path, authority: Authority) -> Config:
    directory = tmp_path / "conf"
    shutil.copytree(CONF, directory)
    (directory / "state").mkdir()
    (directory / "data").mkdir()
    make_keys(directory / "secrets")
    (directory / "secrets" / "credentials").mkdir()
    for name in (
        "pseudonym.key",
        "logins.key",
        "email-hash.key",
        "gateway.crt",
        "gateway.key",
        "ledger-ca.pem",
        "ldap.password",
        *BROKER,
        *WEB,
    ):
        (directory / "secrets" / name).write_bytes(bytes(32))
        (directory / "secrets" / name).chmod(0o600)
    shutil.copyfile(authority.ca_file, directory / "secrets" / "ldap-ca.pem")
    (directory / "saml-metadata.xml").write_bytes(metadata(SigningKey(tmp_path, "idp").certificate))
    writer = MMDBWriter(6, "GeoLite2-Country", languages=["en"], ipv4_compatible=True)
    writer.insert_network(IPSet(["203.0.113.0/24"]), {"country": {"iso_code": "DE"}})
    writer.to_db_file(str(directory / "data" / "country.mmdb"))
    return load(directory / "hoopproxy.toml")


def test_every_addon_of_the_example_is_built(config: Config) -> None:
    clock = Clock()
    clock.advance(datetime.now(UTC).timestamp())
    addons = build(config, TwistedScheduler(clock))
    assert addons.router.name == "targets"
    assert [name for name, _, _ in addons.provenance] == list(config.addons)
    assert all(origin.startswith("hoopproxy==") and len(digest) == 64 for _, origin, digest in addons.provenance)
    assert addons.modules["hoopproxy.addons.oidc"] == "corp"


def settings_of(use: str) -> list[str]:
    (entry,) = entry_points(group=ADDONS, name=use)
    model: Any = entry.load().settings
    return list(model.model_fields)


def test_every_setting_of_every_addon_is_explained_in_the_example(config: Config) -> None:
    text = (config.path.parent / "hoopproxy.toml").read_text()
    for name, addon in config.addons.items():
        section = re.split(rf"\n\[addon\.(?!{name}\.)", text[text.index(f"[addon.{name}]") :])[0]
        for key in settings_of(addon.use):
            assert (
                f"\n{key} = " in section
                or f"\n#{key} = " in section
                or f"[addon.{name}.{key}]" in section  # a table, or the first of several
                or (f" {key} = " in section)
            ), f"addon.{name} says nothing of {key}"
