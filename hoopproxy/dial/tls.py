"""TLS towards a target, verified: the configured name, a chain to the configured authority, and pinned keys.

The name is what targets.toml says, never an address or a client's word. Nothing is resumed: each handshake proves the
key anew. Knows no protocol.
"""

import hashlib
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Any

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from OpenSSL import SSL
from service_identity import CertificateError, VerificationError
from service_identity.cryptography import verify_certificate_hostname, verify_certificate_ip_address
from twisted.internet.interfaces import IOpenSSLClientConnectionCreator
from zope.interface import implementer

from hoopproxy.chains import broken
from hoopproxy.connection import Connection
from hoopproxy.errors import ProtocolViolation, UpstreamUnreachable
from hoopproxy.model import Target


@dataclass(frozen=True, slots=True)
class Proof:
    """What a target showed in its handshake and holds the key of. `spki_sha256` is in hex."""

    certificate: x509.Certificate
    spki_sha256: str


@implementer(IOpenSSLClientConnectionCreator)
class Verification:
    """One handshake with one target, that `offers` these protocols within TLS, the most wanted first (ALPN, RFC 7301).

    @raise UpstreamUnreachable: the authorities' file can't be read.
    """

    def __init__(self, target: Target, offers: tuple[str, ...] = ()) -> None:
        assert target.tls is not None, "its dialer said that it is fit"
        self._target, self._tls, self._offers = target, target.tls, [offer.encode("ascii") for offer in offers]
        self._is_pinned_alone = target.tls.ca_file is None and bool(target.tls.pins)
        self._chain_error = ""
        self._context = context = SSL.Context(SSL.TLS_CLIENT_METHOD)
        context.set_min_proto_version(SSL.TLS1_2_VERSION)
        context.set_options(SSL.OP_NO_RENEGOTIATION | SSL.OP_NO_COMPRESSION | SSL.OP_NO_TICKET)
        context.set_session_cache_mode(SSL.SESS_CACHE_OFF)
        if not self._is_pinned_alone:
            self._trust(target.tls.ca_file)
            context.set_verify(SSL.VERIFY_PEER, self._note)

    def clientConnectionForTLS(self, tls_protocol: Any) -> SSL.Connection:
        connection = SSL.Connection(self._context, None)
        if not _is_address(self._tls.server_name):  # RFC 6066 §3: no literals in SNI
            connection.set_tlsext_host_name(self._tls.server_name.encode("ascii"))
        if self._offers:
            connection.set_alpn_protos(self._offers)
        connection.set_connect_state()
        return connection

    async def shake(self, connection: Connection, *, by_halves: bool = False) -> Proof:
        """Do the handshake; what it proved. `by_halves` as in `start_tls`. @raise UpstreamUnreachable: not enough."""
        try:
            await connection.start_tls(self, by_halves=by_halves)  # verifies the chain, unless pins stand alone
        except ProtocolViolation as why:
            raise self.failed(why.detail) from why
        tls, certificate = self._tls, connection.peer_certificate.to_cryptography()
        try:
            spki = certificate.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        except (ValueError, UnsupportedAlgorithm) as why:
            raise self.failed(f"its key is of no kind that can be pinned: {why}") from why
        digest = hashlib.sha256(spki).hexdigest()
        if tls.pins and f"sha256:{digest}" not in tls.pins:
            raise self.failed(f"its key is sha256:{digest}, which is not among the pins")
        if not self._is_pinned_alone:
            self._verify_name(certificate)
        return Proof(certificate, digest)

    def failed(self, detail: str) -> UpstreamUnreachable:
        """What to raise when the handshake itself failed; a broken chain is told in OpenSSL's words otherwise."""
        return UpstreamUnreachable(
            f"Target '{self._target.name}' did not prove that it is itself; tell the operator of the gateway.",
            detail=self._chain_error or detail,
        )

    def _trust(self, ca_file: str | None) -> None:
        if ca_file is None:
            self._context.set_default_verify_paths()
            return
        try:
            self._context.load_verify_locations(ca_file)
        except SSL.Error as why:
            raise self.failed(f"{ca_file} can't be read as a PEM file with certificates of authorities") from why

    def _note(self, _: SSL.Connection, certificate: Any, code: int, depth: int, is_good: int) -> bool:
        if not is_good and not self._chain_error:
            self._chain_error = broken(certificate, code, depth)
        return bool(is_good)

    def _verify_name(self, certificate: x509.Certificate) -> None:
        name = self._tls.server_name
        verify = verify_certificate_ip_address if _is_address(name) else verify_certificate_hostname
        try:
            verify(certificate, name)  # subjectAltName alone: a CN proves nothing (RFC 9525 §2)
        except (VerificationError, CertificateError, ValueError) as why:
            raise self.failed(f"its certificate is for {_names(certificate)}, wanted is {name!r}") from why


def _is_address(name: str) -> bool:
    try:
        ip_address(name)
    except ValueError:
        return False
    return True


def _names(certificate: x509.Certificate) -> str:
    try:
        extension = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except (x509.ExtensionNotFound, ValueError):
        return "no name"
    return ", ".join(repr(str(name.value)) for name in extension) or "no name"
