"""A copy of conf/ with all files that it names, and a way to change one thing in it."""

import shutil
from dataclasses import dataclass
from pathlib import Path

import pytest

from hoopproxy.config.load import load
from hoopproxy.config.model import Config
from hoopproxy.errors import ConfigError

CONF = Path(__file__).parents[2] / "conf"
BROKER = ("broker.crt", "broker.key", "broker-ca.pem", "clients-ca.pem")
"""The files of the listener and target for raw TCP."""
WEB = ("web.crt", "web.key", "web-ca.pem", "web-ca.key", "web-ca.pass", "crm-ca.pem", "prod-ca.pem")
"""Those for HTTP and Kubernetes."""


@dataclass(frozen=True)
class Copy:
    """The example in a directory of its own."""

    directory: Path

    @property
    def main(self) -> Path:
        return self.directory / "hoopproxy.toml"

    def change(self, file: str, old: str, new: str) -> None:
        """Replace a text that is there, once."""
        path = self.directory / file
        text = path.read_text()
        assert old in text, f"{file} holds no {old!r}"
        path.write_text(text.replace(old, new, 1))

    def append(self, file: str, text: str) -> None:
        with (self.directory / file).open("a") as target:
            target.write(text)

    def load(self) -> Config:
        return load(self.main)

    def problems(self) -> tuple[str, ...]:
        with pytest.raises(ConfigError) as caught:
            self.load()
        return caught.value.problems


def furnish(directory: Path) -> None:
    """Make the files that the example names."""
    secrets = directory / "secrets"
    (secrets / "credentials").mkdir(parents=True)
    (directory / "state").mkdir(mode=0o700)
    for name in ("pseudonym.key", "email-hash.key", "logins.key"):
        (secrets / name).write_bytes(bytes(range(32)))
    for name in ("gateway.crt", "gateway.key", "ledger-ca.pem", *BROKER, *WEB):
        (secrets / name).write_text("PEM\n")
    for path in secrets.iterdir():
        if path.is_file():
            path.chmod(0o600)


@pytest.fixture
def copy(tmp_path: Path) -> Copy:
    directory = tmp_path / "conf"
    shutil.copytree(CONF, directory)
    furnish(directory)
    return Copy(directory)
