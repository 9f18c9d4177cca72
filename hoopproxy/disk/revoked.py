"""A list of revoked certificates (CRL, RFC 5280 §5) in a file: read again when it has changed, not believed when stale.

Knows nothing of who shows which certificate.
"""

import os
from datetime import UTC, datetime
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed448, ed25519, rsa

from hoopproxy.errors import ConfigError
from hoopproxy.hands import in_thread

FILE_BYTES_MAX = 64 << 20
"""A million and more."""

type _Key = (
    ec.EllipticCurvePublicKey | rsa.RSAPublicKey | ed25519.Ed25519PublicKey | ed448.Ed448PublicKey | dsa.DSAPublicKey
)


class Stale(Exception):
    """Nobody can tell at the moment what is revoked; the text says why."""


class RevokedFile:
    """The lists of these authorities, one PEM block for each. @raise ConfigError: they can't be believed."""

    def __init__(self, path: Path, authorities: tuple[x509.Certificate, ...]) -> None:
        self._path, self._authorities = path, authorities
        self._mark, self._lists = self._read()
        self._noticed = self._mark

    def has_changed(self) -> bool:
        """Whether the file is another since this was last asked."""
        noticed, self._noticed = self._noticed, self._mark_now()
        return noticed != self._noticed

    async def has(self, certificate: x509.Certificate, now_s: float) -> bool:
        """Whether its authority has revoked it. @raise Stale: there is no list of that authority that holds today.

        @raise ConfigError, OSError: the file can't be believed, or read.
        """
        if self._mark_now() != self._mark:
            self._mark, self._lists = await in_thread("revoked", self._read)
        found = self._lists.get(certificate.issuer)
        if found is None:
            raise Stale(f"{self._path} has no list of {certificate.issuer.rfc4514_string()!r}")
        end = found.next_update_utc
        if end is None or end <= datetime.fromtimestamp(now_s, UTC):
            raise Stale(f"the list of {found.issuer.rfc4514_string()!r} in {self._path} ended at {end}")
        return found.get_revoked_certificate_by_serial_number(certificate.serial_number) is not None

    def _mark_now(self) -> tuple[int, ...]:
        try:
            return _mark(self._path.stat())
        except OSError:
            return ()

    def _read(self) -> tuple[tuple[int, ...], dict[x509.Name, x509.CertificateRevocationList]]:
        try:
            with open(self._path, "rb", opener=lambda path, flags: os.open(path, flags | os.O_NONBLOCK)) as file:
                status, data = os.fstat(file.fileno()), file.read(FILE_BYTES_MAX + 1)
        except OSError as why:
            raise ConfigError(
                (f"the list {self._path} can't be read ({why.strerror}); wanted is a CRL in PEM.",)
            ) from why
        if len(data) > FILE_BYTES_MAX:
            raise ConfigError((f"{self._path}: it is longer than {FILE_BYTES_MAX} bytes.",))
        begin = b"-----BEGIN X509 CRL-----"
        try:
            lists = [x509.load_pem_x509_crl(begin + block) for block in data.split(begin)[1:]]
        except ValueError as why:
            raise ConfigError((f"{self._path}: it is no CRL in PEM ({why}).",)) from why
        if not lists:
            raise ConfigError((f"{self._path}: it holds no CRL in PEM.",))
        found: dict[x509.Name, x509.CertificateRevocationList] = {}
        for each in lists:
            self._check(each)
            newer = found.get(each.issuer)
            if newer is None or newer.last_update_utc < each.last_update_utc:
                found[each.issuer] = each
        return _mark(status), found

    def _check(self, each: x509.CertificateRevocationList) -> None:
        """It is whole, and an authority's of ours. @raise ConfigError"""
        name = each.issuer.rfc4514_string()
        if not any(each.issuer == one.subject and _is_signed(each, one) for one in self._authorities):
            raise ConfigError((f"{self._path}: the list of {name!r} is signed by none of the authorities.",))
        # One that tells a part only, or of other things (RFC 5280 §5.2.4, §5.2.5), says so in an extension like this.
        if critical := [one.oid.dotted_string for one in each.extensions if one.critical]:
            raise ConfigError((f"{self._path}: the list of {name!r} is no whole one ({', '.join(critical)}).",))


def _is_signed(found: x509.CertificateRevocationList, authority: x509.Certificate) -> bool:
    key = authority.public_key()
    try:
        return isinstance(key, _Key.__value__) and found.is_signature_valid(key)
    except (TypeError, ValueError, UnsupportedAlgorithm):
        return False


def _mark(status: os.stat_result) -> tuple[int, ...]:
    """What changes with a file."""
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns
