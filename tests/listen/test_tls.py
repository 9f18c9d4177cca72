"""The gateway's own certificate: what is wrong with it is said before anything listens, with the file's name."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, Encoding, PrivateFormat

from hoopproxy.errors import ConfigError
from hoopproxy.listen.postgres import PostgresListener
from hoopproxy.scheduler import TwistedScheduler
from hoopproxy.settings import Limits, ListenerSettings
from hoopproxy.testing.certificates import Authority, Leaf

from .conftest import settings

LOCKED = ec.generate_private_key(ec.SECP256R1()).private_bytes(
    Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"passphrase")
)


def build(given: ListenerSettings) -> None:
    PostgresListener(given, Limits(), TwistedScheduler(None))  # type: ignore[arg-type] # nothing is timed


def test_a_good_pair_is_taken(leaf: Leaf) -> None:
    build(settings(leaf))


MISTAKES: dict[str, tuple[str, Callable[[Path], object], str]] = {
    "no certificate file": ("certificate_file", lambda path: None, "a PEM certificate chain"),
    "no certificate in it": ("certificate_file", lambda path: path.write_text("hello"), "a PEM certificate chain"),
    "half a certificate": (
        "certificate_file",
        lambda path: path.write_text("-----BEGIN CERTIFICATE-----\nMIIB\n"),
        "a PEM certificate chain",
    ),
    "no key file": ("key_file", lambda path: None, "a PEM private key"),
    "no key in it": ("key_file", lambda path: path.write_text("hello"), "a PEM private key"),
    "a key with a passphrase": ("key_file", lambda path: path.write_bytes(LOCKED), "without a passphrase"),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_bad_file_is_named(leaf: Leaf, tmp_path: Path, mistake: str) -> None:
    key, make, wanted = MISTAKES[mistake]
    path = tmp_path / "bad.pem"
    make(path)
    with pytest.raises(ConfigError) as caught:
        build(replace(settings(leaf), **{key: str(path)}))  # type: ignore[arg-type] # names are checked by replace itself
    (problem,) = caught.value.problems
    assert str(path) in problem and wanted in problem and "listen.front" in problem


def test_a_key_of_another_certificate_is_refused(leaf: Leaf, authority: Authority) -> None:
    other = authority.issue("other", dns=("localhost",))
    with pytest.raises(ConfigError, match=r"other\.key"):
        build(replace(settings(leaf), key_file=str(other.key_file)))
