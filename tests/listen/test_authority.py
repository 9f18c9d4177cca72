"""The gateway's own authority: what it mints is believed by others' verifiers, and what is wrong with its files is said
before anything listens."""

import subprocess
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed25519, rsa
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)

from hoopproxy.disk.authority import make_authority
from hoopproxy.errors import ConfigError
from hoopproxy.listen.authority import DAY_S, LEAVES_MAX, LIFETIME, Authority
from hoopproxy.settings import ListenerSettings
from hoopproxy.testing.certificates import Authority as OtherAuthority

from .http_desk import BARE

NOW_S = datetime.now(UTC).timestamp()


def made(directory: Path, days: int = 30, permitted: tuple[str, ...] = ()) -> ListenerSettings:
    directory.mkdir(exist_ok=True)
    files = [directory / name for name in ("ca.crt", "ca.key", "ca.pass")]
    make_authority(*files, "tests", days, permitted)
    certificate, key, passphrase = map(str, files)
    return replace(BARE, authority_file=certificate, authority_key_file=key, authority_passphrase_file=passphrase)


def verified(directory: Path, authority_file: str, *certificates: x509.Certificate, host: str) -> str:
    """What the openssl command says of a leaf and the links behind it."""
    leaf, *chain = (each.public_bytes(Encoding.PEM) for each in certificates)
    (directory / "leaf.pem").write_bytes(leaf)
    (directory / "chain.pem").write_bytes(b"".join(chain) or leaf)
    option = "-verify_ip" if host.replace(".", "").isdigit() or ":" in host else "-verify_hostname"
    command = ["openssl", "verify", "-x509_strict", "-purpose", "sslserver", "-CAfile", authority_file]
    ran = subprocess.run(
        [*command, "-untrusted", directory / "chain.pem", option, host, directory / "leaf.pem"],
        capture_output=True,
        text=True,
        timeout=60,
    )
    return ran.stdout + ran.stderr


@pytest.mark.parametrize("host", ["crm.gw.example.com", "127.0.0.1", "::1", f"{'a' * 63}.{'b' * 63}.example.com"])
def test_openssl_believes_what_it_mints(tmp_path: Path, host: str) -> None:
    settings = made(tmp_path)
    leaf = Authority(settings, lambda: NOW_S).leaf(host)
    assert "OK" in verified(tmp_path, settings.authority_file, leaf.certificate, host=host)
    assert "mismatch" in verified(tmp_path, settings.authority_file, leaf.certificate, host="other.example.com")


def test_an_authority_for_some_domains_vouches_for_no_others_and_no_address(tmp_path: Path) -> None:
    settings = made(tmp_path, permitted=("example.com",))
    authority = Authority(settings, lambda: NOW_S)
    said = {
        host: verified(tmp_path, settings.authority_file, authority.leaf(host).certificate, host=host)
        for host in ("crm.example.com", "crm.example.org", "127.0.0.1")
    }
    assert "OK" in said["crm.example.com"]
    assert "permitted subtree violation" in said["crm.example.org"]
    assert "excluded subtree violation" in said["127.0.0.1"]


def test_a_leaf_is_short_lived_of_its_own_key_and_no_authority(tmp_path: Path) -> None:
    settings = made(tmp_path)
    authority = Authority(settings, lambda: NOW_S)
    leaf, other = authority.leaf("a.example"), authority.leaf("b.example")
    root = x509.load_pem_x509_certificate(Path(settings.authority_file).read_bytes())
    assert leaf.certificate.public_key() == other.certificate.public_key() != root.public_key()
    assert leaf.certificate.serial_number != other.certificate.serial_number
    assert leaf.certificate.not_valid_after_utc - datetime.fromtimestamp(NOW_S, UTC) <= LIFETIME
    assert not leaf.certificate.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    usage = leaf.certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    assert list(usage) == [x509.ExtendedKeyUsageOID.SERVER_AUTH]
    names = leaf.certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert list(names) == [x509.DNSName("a.example")]
    assert "private" not in repr(leaf).lower()


def test_a_leaf_is_minted_once_a_day_and_never_outlives_its_authority(tmp_path: Path) -> None:
    now = [(NOW_S // DAY_S + 1) * DAY_S]
    settings = made(tmp_path, days=12)
    authority = Authority(settings, lambda: now[0])
    first = authority.leaf("a.example")
    now[0] += DAY_S - 1
    assert authority.leaf("a.example") is first
    now[0] += 1
    second = authority.leaf("a.example")
    assert second.certificate.not_valid_after_utc > first.certificate.not_valid_after_utc
    now[0] += 7 * DAY_S
    root = x509.load_pem_x509_certificate(Path(settings.authority_file).read_bytes())
    assert authority.leaf("a.example").certificate.not_valid_after_utc == root.not_valid_after_utc


def test_whoever_asks_for_ever_new_hosts_fills_no_memory(tmp_path: Path) -> None:
    authority = Authority(made(tmp_path), lambda: NOW_S)
    authority._minted.cache_clear()
    kept = authority.leaf("host.example")
    for number in range(LEAVES_MAX):
        authority.leaf(f"host-{number}.example")
    assert authority._minted.cache_info().currsize == LEAVES_MAX
    assert authority.leaf("host.example") is not kept


def issued(directory: Path, root: ListenerSettings) -> ListenerSettings:
    """An authority that another one issued, as companies have them."""
    passphrase = Path(root.authority_passphrase_file).read_bytes().strip()
    signer: Any = load_pem_private_key(Path(root.authority_key_file).read_bytes(), passphrase)
    parent = x509.load_pem_x509_certificate(Path(root.authority_file).read_bytes())
    key = rsa.generate_private_key(65537, 2048)
    usage = parent.extensions.get_extension_for_class(x509.KeyUsage).value
    certificate = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "interception")]))
        .issuer_name(parent.subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(parent.not_valid_before_utc)
        .not_valid_after(parent.not_valid_after_utc)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(usage, critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key()), critical=False)
        .sign(signer, SHA256())
    )
    file = directory / "issued.crt"
    file.write_bytes(certificate.public_bytes(Encoding.PEM))
    return replace(root, authority_file=str(file), authority_key_file=encrypted(directory / "issued.key", key, root))


def encrypted(file: Path, key: Any, settings: ListenerSettings) -> str:
    passphrase = Path(settings.authority_passphrase_file).read_bytes().strip()
    file.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(passphrase)))
    return str(file)


def with_long_path(file: Path, settings: ListenerSettings) -> None:
    """The root again, one that may have issuers below it."""
    passphrase = Path(settings.authority_passphrase_file).read_bytes().strip()
    key: Any = load_pem_private_key(Path(settings.authority_key_file).read_bytes(), passphrase)
    old = x509.load_pem_x509_certificate(Path(settings.authority_file).read_bytes())
    builder = x509.CertificateBuilder(
        old.subject, old.subject, key.public_key(), 7, old.not_valid_before_utc, old.not_valid_after_utc
    ).add_extension(x509.BasicConstraints(ca=True, path_length=1), critical=True)
    for kind in (x509.KeyUsage, x509.SubjectKeyIdentifier):
        found = old.extensions.get_extension_for_class(kind)
        builder = builder.add_extension(found.value, found.critical)
    file.write_bytes(builder.sign(key, SHA256()).public_bytes(Encoding.PEM))


def test_one_that_another_authority_issued_is_shown_with_its_leaves(tmp_path: Path) -> None:
    root = made(tmp_path)
    with_long_path(Path(root.authority_file), root)
    settings = issued(tmp_path, root)
    authority = Authority(settings, lambda: NOW_S)
    leaf = authority.leaf("crm.example.com").certificate
    assert len(authority.chain) == 1 and Authority(root, lambda: NOW_S).chain == ()
    assert "OK" in verified(tmp_path, root.authority_file, leaf, *authority.chain, host="crm.example.com")


# Files that are none --------------------------------------------------------------------------------------------------


def changed(key: str, content: bytes | None) -> Callable[[Path, ListenerSettings], ListenerSettings]:
    def change(directory: Path, settings: ListenerSettings) -> ListenerSettings:
        file = directory / "bad.pem"
        if content is not None:
            file.write_bytes(content)
        return replace(settings, **{f"{key.removesuffix('_file')}_file": str(file)})  # type: ignore[arg-type] # replace checks the name

    return change


def in_the_clear(directory: Path, settings: ListenerSettings) -> ListenerSettings:
    key = ec.generate_private_key(ec.SECP256R1())
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return changed("authority_key", pem)(directory, settings)


def of_a_leaf(directory: Path, settings: ListenerSettings) -> ListenerSettings:
    leaf = OtherAuthority(directory / "other", "other").issue("leaf", dns=("leaf.example",))
    key: Any = load_pem_private_key(leaf.key_file.read_bytes(), None)
    file = encrypted(directory / "leaf.key", key, settings)
    return replace(settings, authority_file=str(leaf.certificate_file), authority_key_file=file)


def of_another(directory: Path, settings: ListenerSettings) -> ListenerSettings:
    key = ed25519.Ed25519PrivateKey.generate()
    return replace(settings, authority_key_file=encrypted(directory / "other.key", key, settings))


def that_signs_otherwise(directory: Path, settings: ListenerSettings) -> ListenerSettings:
    key = dsa.generate_private_key(1024)
    return replace(settings, authority_key_file=encrypted(directory / "dsa.key", key, settings))


MISTAKES: dict[str, tuple[Callable[[Path, ListenerSettings], ListenerSettings], str]] = {
    "no certificate file": (changed("authority", None), "authority is"),
    "no certificate": (changed("authority", b"hello"), "wanted is a PEM certificate"),
    "half a certificate": (changed("authority", b"-----BEGIN CERTIFICATE-----\nMIIB\n"), "wanted is a PEM certificate"),
    "no key file": (changed("authority_key", None), "authority_key is"),
    "no key": (changed("authority_key", b"hello"), "that the passphrase in authority_passphrase_file opens"),
    "no passphrase file": (changed("authority_passphrase_file", None), "authority_passphrase_file is"),
    "another passphrase": (
        changed("authority_passphrase_file", b"wrong\n"),
        "that the passphrase in authority_passphrase_file",
    ),
    "an empty passphrase": (changed("authority_passphrase_file", b"\n"), "it is empty; wanted is the passphrase"),
    "a key in the clear": (in_the_clear, "it lies there in the clear; wanted is an encrypted key"),
    "a leaf": (of_a_leaf, "it may sign no certificates"),
    "another's key": (of_another, "it is not the key of the certificate in authority"),
    "a key that signs nothing": (that_signs_otherwise, "it signs no certificates"),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_bad_file_is_named_before_anything_listens(tmp_path: Path, mistake: str) -> None:
    change, wanted = MISTAKES[mistake]
    with pytest.raises(ConfigError) as caught:
        Authority(change(tmp_path, made(tmp_path)), lambda: NOW_S)
    (problem,) = caught.value.problems
    assert problem.startswith("listen.web.authority") and wanted in problem and str(tmp_path) in problem


@pytest.mark.parametrize("days", [-1, 31])
def test_an_authority_that_is_not_valid_now_is_named(tmp_path: Path, days: int) -> None:
    then_s = NOW_S + timedelta(days=days).total_seconds()
    with pytest.raises(ConfigError, match="wanted is one that is valid today"):
        Authority(made(tmp_path), lambda: then_s)


def test_one_that_mints_nothing_stops_the_start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = made(tmp_path)

    def fails(_: x509.CertificateBuilder) -> x509.Certificate:
        raise ValueError("the key is no good")

    monkeypatch.setattr(Authority, "_mint", lambda self, host, day: fails(x509.CertificateBuilder()))
    with pytest.raises(ConfigError, match=r"it mints no certificates \(the key is no good\)"):
        Authority(settings, lambda: NOW_S)
