"""The gateway's own authority for clients: signs requests for certificates that are valid for hours, and revokes them.

Takes nothing from a request but its key: for whom a certificate is, its callers say. Private keys never come here.
"""

import os
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, load_pem_private_key
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from hoopproxy.errors import ConfigError

LIFETIME_S_MAX = 86_400.0
"""No certificate of ours is valid for longer than a day."""

SKEW = timedelta(minutes=5)
"""How far back validity begins, for gateways whose clock is behind."""

REQUEST_BYTES_MAX = 65_536
RSA_BITS_MIN = 2048
"""NIST SP 800-131A Rev. 2, table 2."""

COMMON_NAME_CHARACTERS_MAX = UNIT_CHARACTERS_MAX = 64
"""RFC 5280, appendix A.1, ub-common-name and ub-organizational-unit-name."""

type SigningKey = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey | ed25519.Ed25519PrivateKey

_CURVES = (ec.SECP256R1, ec.SECP384R1, ec.SECP521R1)


class NotSigned(Exception):
    """There is no certificate for that; the text is one sentence."""


class ClientAuthority:
    """Reads certificate, key and passphrase. @raise ConfigError: a sentence for what is wrong with the files."""

    def __init__(self, certificate_file: Path, key_file: Path, passphrase_file: Path) -> None:
        try:
            self.certificate = x509.load_pem_x509_certificate(certificate_file.read_bytes())
            passphrase = passphrase_file.read_bytes().strip()
            key = load_pem_private_key(key_file.read_bytes(), passphrase or None)
        except (OSError, ValueError, UnsupportedAlgorithm) as why:
            raise ConfigError((f"{certificate_file}, {key_file}, {passphrase_file}: no authority ({why}).",)) from why
        except TypeError as why:  # cryptography's word for a key without a passphrase, or a passphrase without text
            raise ConfigError(
                (f"{key_file}: wanted is a key that the passphrase in {passphrase_file} opens.",)
            ) from why
        if not isinstance(key, ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey | ed25519.Ed25519PrivateKey):
            raise ConfigError((f"{key_file}: it signs no certificates; wanted is an EC, Ed25519 or RSA key.",))
        if key.public_key() != self.certificate.public_key():
            raise ConfigError((f"{key_file}: it is not the key of {certificate_file}.",))
        self._key: SigningKey = key

    def sign(
        self, request: bytes, name: x509.GeneralName, groups: Sequence[str], lifetime_s: float, now_s: float
    ) -> x509.Certificate:
        """A client's certificate for the key of a signing request in PEM (RFC 2986), in the name of `name` alone.

        `groups` are its organizational units. @raise NotSigned
        """
        if not 60 <= lifetime_s <= LIFETIME_S_MAX:
            raise NotSigned(f"It would be valid for {lifetime_s:g} s; wanted are 60 to {LIFETIME_S_MAX:g}.")
        for each in groups:
            if not 0 < len(each) <= UNIT_CHARACTERS_MAX or not each.isprintable():
                raise NotSigned(
                    f"The group {each!r:.80} is not 1 to {UNIT_CHARACTERS_MAX} characters that can be read."
                )
        public, now = _key_of(request), datetime.fromtimestamp(now_s, UTC)
        end = min(now + timedelta(seconds=lifetime_s), self.certificate.not_valid_after_utc)
        subject = [x509.NameAttribute(NameOID.ORGANIZATIONAL_UNIT_NAME, each) for each in groups]
        if len(name.value) <= COMMON_NAME_CHARACTERS_MAX:
            subject.append(x509.NameAttribute(NameOID.COMMON_NAME, name.value))
        return (
            x509.CertificateBuilder()
            .subject_name(x509.Name(subject))
            .issuer_name(self.certificate.subject)
            .public_key(public)
            .serial_number(x509.random_serial_number())
            .not_valid_before(max(now - SKEW, self.certificate.not_valid_before_utc))
            .not_valid_after(end)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_SIGNS_HANDSHAKES, critical=True)
            .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH]), critical=False)
            .add_extension(x509.SubjectAlternativeName([name]), critical=not subject)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
            .add_extension(_key_identifier(self.certificate), critical=False)
            .sign(self._key, self._digest)
        )

    def revoke(self, crl_file: Path, serials: Sequence[int], days: int, now_s: float) -> int:
        """Write a new list of what is revoked: what the old one had, and these. The file is replaced as a whole.

        Answers how many there are. @raise ConfigError: the old one is none of this authority's. @raise OSError
        """
        now = datetime.fromtimestamp(now_s, UTC)
        listed: dict[int, x509.RevokedCertificate] = {}
        number = 0
        if crl_file.exists():
            try:
                old = x509.load_pem_x509_crl(crl_file.read_bytes())
                number = old.extensions.get_extension_for_class(x509.CRLNumber).value.crl_number
            except (ValueError, x509.ExtensionNotFound) as why:
                raise ConfigError((f"{crl_file}: it is no list of this authority's ({why}).",)) from why
            if old.issuer != self.certificate.subject or not old.is_signature_valid(self._key.public_key()):
                raise ConfigError((f"{crl_file}: it is another authority's.",))
            listed = {each.serial_number: each for each in old}
        for serial in serials:
            one = x509.RevokedCertificateBuilder().serial_number(serial).revocation_date(now)
            listed.setdefault(serial, one.build())
        builder = (
            x509.CertificateRevocationListBuilder()
            .issuer_name(self.certificate.subject)
            .last_update(now)
            .next_update(now + timedelta(days=days))
            .add_extension(x509.CRLNumber(number + 1), critical=False)
            .add_extension(_key_identifier(self.certificate), critical=False)
        )
        for each in listed.values():
            builder = builder.add_revoked_certificate(each)
        new = crl_file.with_name(f"{crl_file.name}.new")
        with open(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644), "wb") as file:
            file.write(builder.sign(self._key, self._digest).public_bytes(Encoding.PEM))
            file.flush()
            os.fsync(file.fileno())
        new.replace(crl_file)
        return len(listed)

    @property
    def _digest(self) -> SHA256 | None:
        return None if isinstance(self._key, ed25519.Ed25519PrivateKey) else SHA256()


def _key_of(request: bytes) -> ec.EllipticCurvePublicKey | rsa.RSAPublicKey | ed25519.Ed25519PublicKey:
    """The key whose private half signed the request. @raise NotSigned"""
    if len(request) > REQUEST_BYTES_MAX:
        raise NotSigned(f"It is longer than {REQUEST_BYTES_MAX} bytes; wanted is a certificate signing request in PEM.")
    try:
        read = x509.load_pem_x509_csr(request)
        key, is_proven = read.public_key(), read.is_signature_valid
    except (ValueError, UnsupportedAlgorithm) as why:
        raise NotSigned(f"That is no certificate signing request in PEM ({why}).") from why
    match key:
        case ec.EllipticCurvePublicKey():
            is_strong = isinstance(key.curve, _CURVES)
        case rsa.RSAPublicKey():
            is_strong = key.key_size >= RSA_BITS_MIN
        case ed25519.Ed25519PublicKey():
            is_strong = True
        case _:
            is_strong = False
    if not is_strong:
        raise NotSigned(f"Its key is weak, or of another kind; wanted is EC, Ed25519 or RSA of {RSA_BITS_MIN} bits.")
    if not is_proven:
        raise NotSigned("The request is not signed by its own key.")
    assert isinstance(key, ec.EllipticCurvePublicKey | rsa.RSAPublicKey | ed25519.Ed25519PublicKey)
    return key


_SIGNS_HANDSHAKES = x509.KeyUsage(
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


def _key_identifier(issuer: x509.Certificate) -> x509.AuthorityKeyIdentifier:
    """The issuer's own, by which gateways find it (RFC 5280 §4.2.1.1)."""
    try:
        own = issuer.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
    except x509.ExtensionNotFound:
        return x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer.public_key())  # type: ignore[arg-type] # its key signs, so it is one of these
    return x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(own)
