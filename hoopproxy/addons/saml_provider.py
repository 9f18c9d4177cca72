"""An identity provider of SAML 2.0 as its metadata file describes it, which is read again whenever it has changed.

Whoever writes this file decides who everybody is: others may not. Knows no message.
"""

import base64
import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from math import inf
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.serialization import Encoding

from hoopproxy.addons.jwks import is_safe
from hoopproxy.addons.saml_document import (
    METADATA,
    PROTOCOL,
    REDIRECT,
    SIGNATURE,
    Element,
    Invalid,
    at_s,
    name,
    one,
    shown,
    text,
    tree,
)

METADATA_BYTES_MAX = 1 << 20

CERTIFICATES_MAX = 8
"""Each may cost a run of xmlsec1; a rotation needs two."""

RSA_BITS_MIN = 2048
EC_BITS_MIN = 224
"""NIST SP 800-131A Rev. 2, table 2."""


@dataclass(frozen=True, slots=True)
class Provider:
    """An identity provider: `certificates` (PEM) are the keys that it signs with, `sign_in_url` is where it asks."""

    entity_id: str
    sign_in_url: str
    certificates: tuple[bytes, ...]
    wants_signed_requests: bool
    until_s: float


class MetadataFile:
    """The provider in a file. @raise Invalid, OSError: it can't be believed."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._mark, self._provider = self._read()

    def provider(self, now_s: float) -> Provider:
        """As it is described now. @raise Invalid, OSError: nobody can sign in as long as there is none."""
        # Some kilobytes from a local disk, and only when they are new.
        if _mark(self._path.stat()) != self._mark:
            self._mark, self._provider = self._read()
        if now_s >= self._provider.until_s:
            raise Invalid(f"{self._path} counted until its validUntil, which has passed; get a new one")
        return self._provider

    def _read(self) -> tuple[tuple[int, ...], Provider]:
        with open(self._path, "rb", opener=lambda path, flags: os.open(path, flags | os.O_NONBLOCK)) as file:
            status = os.fstat(file.fileno())
            data = file.read(METADATA_BYTES_MAX + 1)
        try:
            if status.st_uid not in (0, os.geteuid()) or status.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
                raise Invalid("others may change it; wanted is a file of the gateway's user or root alone")
            return _mark(status), described(data)
        except Invalid as why:
            raise Invalid(f"{self._path}: {why}") from why


def described(data: bytes) -> Provider:
    """What metadata of one provider say (SAML Metadata §2.4.3). @raise Invalid

    Its certificates are keys, and when they expire is not looked at (SAML V2.0 Metadata Interoperability Profile
    §2.6.1): a key counts for as long as it stands in the file.
    """
    if len(data) > METADATA_BYTES_MAX:
        raise Invalid(f"it is longer than {METADATA_BYTES_MAX} bytes")
    entity = tree(data)
    if entity.tag != name(METADATA, "EntityDescriptor") or not entity.get("entityID"):
        raise Invalid("it is not what is wanted: one EntityDescriptor with an entityID")
    role = one(entity, name(METADATA, "IDPSSODescriptor"))
    if PROTOCOL not in role.get("protocolSupportEnumeration", "").split():
        raise Invalid("its provider does not speak SAML 2.0")
    urls = [
        str(each.get("Location"))
        for each in role.findall(name(METADATA, "SingleSignOnService"))
        if each.get("Binding") == REDIRECT
    ]
    if not urls or not is_safe(urls[0]):
        raise Invalid(
            f"it has the SingleSignOnService {shown(', '.join(urls))} for HTTP-Redirect; wanted is one with https:// "
            "(or http:// and a loopback literal)"
        )
    certificates = tuple(dict.fromkeys(_certificates(role)))
    if not 0 < len(certificates) <= CERTIFICATES_MAX:
        raise Invalid(f"it has {len(certificates)} certificates for signing; wanted are 1 to {CERTIFICATES_MAX}")
    ends = [end_s for each in (entity, role) if (end_s := at_s(each, "validUntil")) is not None]
    return Provider(
        entity_id=str(entity.get("entityID")),
        sign_in_url=urls[0],
        certificates=certificates,
        wants_signed_requests=role.get("WantAuthnRequestsSigned") in ("true", "1"),
        until_s=min(ends, default=inf),
    )


def _certificates(role: Element) -> Iterator[bytes]:
    """Those of the keys that it signs with. @raise Invalid: one can't be read, or is too weak."""
    for key in role.findall(name(METADATA, "KeyDescriptor")):
        if key.get("use", "signing") == "signing":
            for each in key.iter(name(SIGNATURE, "X509Certificate")):
                yield _certificate(text(each))


def _certificate(encoded: str) -> bytes:
    try:
        certificate = x509.load_der_x509_certificate(base64.b64decode("".join(encoded.split()), validate=True))
        key = certificate.public_key()
    except ValueError as why:
        raise Invalid("one of its certificates can't be read") from why
    if not isinstance(key, RSAPublicKey | EllipticCurvePublicKey):
        raise Invalid("one of its certificates is for a key that is neither RSA nor ECDSA")
    bits_min = RSA_BITS_MIN if isinstance(key, RSAPublicKey) else EC_BITS_MIN
    if key.key_size < bits_min:
        raise Invalid(f"one of its keys has {key.key_size} bits; wanted are {bits_min} or more")
    return certificate.public_bytes(Encoding.PEM)


def _mark(status: os.stat_result) -> tuple[int, ...]:
    """What changes with a file."""
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns
