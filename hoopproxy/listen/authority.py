"""The gateway's own certificate authority: its files, and the short-lived certificates that it mints for hosts.

Mints for whatever host it is asked for; which ones those are is its callers' business. Knows no connection.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from ipaddress import ip_address
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from OpenSSL import SSL

from hoopproxy.errors import ConfigError
from hoopproxy.settings import ListenerSettings

LIFETIME = timedelta(days=7)
SKEW = timedelta(hours=1)
"""How far back validity begins, for clients whose clock is behind."""

DAY_S = 86_400
"""So old at most is a certificate that is shown once more."""

LEAVES_MAX = 1024
"""So many are kept; a browser's page asks some ten hosts."""

COMMON_NAME_CHARACTERS_MAX = 64
"""RFC 5280, appendix A.1, ub-common-name. Longer hosts have no subject: nobody reads it beside an alternative name."""

type SigningKey = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey | ed25519.Ed25519PrivateKey


@dataclass(frozen=True, slots=True)
class Leaf:
    """A certificate for one host, and its key."""

    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey = field(repr=False)

    def show(self, connection: SSL.Connection) -> None:
        """Have a handshake show it to the client."""
        connection.use_certificate(self.certificate)
        connection.use_privatekey(self.key)


class Authority:
    """Reads certificate, key and passphrase, and mints one certificate to see that it can.

    `chain` is what clients need besides a minted certificate and the root that they trust. All minted ones have one
    key, which no file holds. @raise ConfigError: a sentence for what is wrong with the files.
    """

    def __init__(self, settings: ListenerSettings, now_s: Callable[[], float]) -> None:
        self._settings, self._now_s = settings, now_s
        self._certificate, *rest = self._certificates()
        is_root = self._certificate.issuer == self._certificate.subject
        self.chain = () if is_root else (self._certificate, *rest)
        self._key = self._private_key()
        self._check()
        self._leaf_key = ec.generate_private_key(ec.SECP256R1())
        self._minted = lru_cache(LEAVES_MAX)(self._mint)
        try:
            self.leaf("localhost")
        except (ValueError, TypeError, UnsupportedAlgorithm) as why:
            raise self._unfit("authority", f"it mints no certificates ({why}); wanted is one that does") from why

    def leaf(self, host: str) -> Leaf:
        """For a host name in lower case or a literal address, valid from now on for days."""
        return self._minted(host, int(self._now_s()) // DAY_S)

    def _mint(self, host: str, day: int) -> Leaf:
        now = datetime.fromtimestamp(self._now_s(), UTC)
        public = self._leaf_key.public_key()
        names = [x509.NameAttribute(NameOID.COMMON_NAME, host)] if len(host) <= COMMON_NAME_CHARACTERS_MAX else []
        certificate = (
            x509.CertificateBuilder()
            .subject_name(x509.Name(names))
            .issuer_name(self._certificate.subject)
            .public_key(public)
            .serial_number(x509.random_serial_number())
            .not_valid_before(max(now - SKEW, self._certificate.not_valid_before_utc))
            .not_valid_after(min(now + LIFETIME, self._certificate.not_valid_after_utc))
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_DIGITAL_SIGNATURE, critical=True)
            .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
            .add_extension(x509.SubjectAlternativeName([_general_name(host)]), critical=not names)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
            .add_extension(_key_identifier(self._certificate), critical=False)
            .sign(self._key, _digest(self._key))
        )
        return Leaf(certificate, self._leaf_key)

    # The files --------------------------------------------------------------------------------------------------------

    def _certificates(self) -> list[x509.Certificate]:
        try:
            return x509.load_pem_x509_certificates(Path(self._settings.authority_file).read_bytes())
        except (OSError, ValueError) as why:
            raise self._unfit("authority", f"it can't be used ({why}); wanted is a PEM certificate") from why

    def _private_key(self) -> SigningKey:
        try:
            passphrase = Path(self._settings.authority_passphrase_file).read_bytes().strip()
        except OSError as why:
            raise self._unfit("authority_passphrase_file", f"it can't be read ({why.strerror})") from why
        if not passphrase:
            raise self._unfit("authority_passphrase_file", "it is empty; wanted is the passphrase of authority_key")
        try:
            key = load_pem_private_key(Path(self._settings.authority_key_file).read_bytes(), passphrase)
        except TypeError as why:  # cryptography's word for a key without one
            raise self._unfit("authority_key", "it lies there in the clear; wanted is an encrypted key") from why
        except (OSError, ValueError, UnsupportedAlgorithm) as why:
            wanted = "wanted is a PEM key that the passphrase in authority_passphrase_file opens"
            raise self._unfit("authority_key", f"it can't be used ({why}); {wanted}") from why
        if not isinstance(key, ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey | ed25519.Ed25519PrivateKey):
            raise self._unfit("authority_key", "it signs no certificates; wanted is an EC, Ed25519 or RSA key")
        return key

    def _check(self) -> None:
        certificate, now = self._certificate, datetime.fromtimestamp(self._now_s(), UTC)
        if certificate.public_key() != self._key.public_key():
            raise self._unfit("authority_key", "it is not the key of the certificate in authority")
        if not _may_sign(certificate):
            raise self._unfit("authority", "it may sign no certificates; wanted is a certificate authority's")
        if not certificate.not_valid_before_utc <= now < certificate.not_valid_after_utc:
            until = f"{certificate.not_valid_before_utc:%Y-%m-%d} to {certificate.not_valid_after_utc:%Y-%m-%d}"
            raise self._unfit("authority", f"it is valid from {until} alone; wanted is one that is valid today")

    def _unfit(self, key: str, problem: str) -> ConfigError:
        file = getattr(self._settings, f"{key.removesuffix('_file')}_file")
        return ConfigError((f"listen.{self._settings.name}.{key} is {file}, but {problem}.",))


_DIGITAL_SIGNATURE = x509.KeyUsage(
    digital_signature=True,
    content_commitment=False,
    key_encipherment=False,
    data_encipherment=False,
    key_agreement=False,
    key_cert_sign=False,
    crl_sign=False,
    encipher_only=False,
    decipher_only=False,
)


def _general_name(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ip_address(host))
    except ValueError:
        return x509.DNSName(host)


def _key_identifier(issuer: x509.Certificate) -> x509.AuthorityKeyIdentifier:
    """The issuer's own, by which clients find it (RFC 5280 §4.2.1.1)."""
    try:
        own = issuer.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
    except x509.ExtensionNotFound:
        return x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer.public_key())  # type: ignore[arg-type] # `_check` knows that it is one of ours
    return x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(own)


def _may_sign(certificate: x509.Certificate) -> bool:
    try:
        is_authority = certificate.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
        usage = certificate.extensions.get_extension_for_class(x509.KeyUsage).value
    except (x509.ExtensionNotFound, x509.DuplicateExtension, ValueError):
        return False
    return is_authority and usage.key_cert_sign


def _digest(key: SigningKey) -> SHA256 | None:
    return None if isinstance(key, ed25519.Ed25519PrivateKey) else SHA256()
