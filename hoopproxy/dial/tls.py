"""TLS towards a target, verified: the configured name, a chain to the configured authority, and pinned keys.

The name is what targets.toml says, never an address or a client's word. Nothing is resumed: each handshake proves the
key anew. Knows no protocol.
"""

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from OpenSSL import SSL
from twisted.internet.interfaces import IOpenSSLClientConnectionCreator
from twisted.internet.ssl import (
    Certificate,
    CertificateOptions,
    TLSVersion,
    optionsForClientTLS,
    platformTrust,
    trustRootFromCertificates,
)
from zope.interface import implementer

from hoopproxy.errors import UpstreamUnreachable
from hoopproxy.model import Target

_system_trust: Callable[[], Any] = platformTrust
_trust: Callable[[list[Certificate]], Any] = trustRootFromCertificates

PEM_END = b"-----END CERTIFICATE-----"


def client_options(target: Target) -> Any:
    """What `Connection.start_tls` needs. @raise UpstreamUnreachable: the authority's file can't be read."""
    tls = target.tls
    if tls.ca_file is None and tls.pins:
        return _PinnedAlone(tls.server_name)
    try:
        root = _system_trust() if tls.ca_file is None else _trust(_authorities(Path(tls.ca_file)))
    except (OSError, ValueError, SSL.Error) as why:
        raise UpstreamUnreachable(
            f"The gateway can't verify target '{target.name}'; tell the operator of the gateway.",
            detail=f"{tls.ca_file}: {why}",
        ) from why
    return optionsForClientTLS(
        tls.server_name, trustRoot=root, extraCertificateOptions={"raiseMinimumTo": TLSVersion.TLSv1_2}
    )


def proved(target: Target, shown: Any) -> tuple[x509.Certificate, str]:
    """The certificate of the handshake and its key's digest. @raise UpstreamUnreachable: the key is not pinned."""
    certificate = shown.to_cryptography()
    spki = certificate.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    digest = hashlib.sha256(spki).hexdigest()
    if target.tls.pins and f"sha256:{digest}" not in target.tls.pins:
        raise UpstreamUnreachable(
            f"Target '{target.name}' did not prove that it is itself; tell the operator of the gateway.",
            detail=f"its key is sha256:{digest}, which is not among the pins",
        )
    return certificate, digest


def _authorities(file: Path) -> list[Certificate]:
    parts = file.read_bytes().split(PEM_END)[:-1]
    if not parts:
        raise ValueError("there is no certificate in it")
    return [Certificate.loadPEM(part + PEM_END) for part in parts]


@implementer(IOpenSSLClientConnectionCreator)
class _PinnedAlone:
    """No authority: whatever certificate is shown, its key is compared with the pins right after the handshake, and
    the handshake proves that the peer holds that key."""

    def __init__(self, server_name: str) -> None:
        self._server_name = server_name

    def clientConnectionForTLS(self, tls_protocol: Any) -> SSL.Connection:
        context = CertificateOptions(raiseMinimumTo=TLSVersion.TLSv1_2).getContext()
        connection = SSL.Connection(context, None)
        if not self._server_name.replace(".", "").isdecimal() and ":" not in self._server_name:
            connection.set_tlsext_host_name(self._server_name.encode("ascii"))
        return connection
