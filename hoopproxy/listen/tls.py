"""The gateway's own certificate, as what a TLS handshake with a client needs.

Knows no protocol but its ALPN name, and no client.
"""

from pathlib import Path
from typing import Any

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from cryptography.x509 import load_pem_x509_certificates
from OpenSSL import SSL
from twisted.internet.interfaces import IOpenSSLServerConnectionCreator
from zope.interface import implementer

from hoopproxy.errors import ConfigError
from hoopproxy.settings import ListenerSettings

CIPHERS = b"ECDHE+AESGCM:ECDHE+CHACHA20"
"""For TLS 1.2: forward secrecy and AEAD alone (RFC 9325 §4.2). TLS 1.3 has no others."""


@implementer(IOpenSSLServerConnectionCreator)
class Certificate:
    """The listener's certificate, chain and key, for TLS 1.2 and 1.3; give it to `Connection.start_tls`.

    `alpn` is the one protocol that is agreed on with clients that offer it. @raise ConfigError: a file that is none.
    """

    def __init__(self, settings: ListenerSettings, alpn: bytes) -> None:
        self._context = context = SSL.Context(SSL.TLS_SERVER_METHOD)
        context.set_min_proto_version(SSL.TLS1_2_VERSION)
        context.set_cipher_list(CIPHERS)
        context.set_options(
            SSL.OP_NO_RENEGOTIATION | SSL.OP_NO_COMPRESSION | SSL.OP_NO_TICKET | SSL.OP_CIPHER_SERVER_PREFERENCE
        )
        context.set_session_cache_mode(SSL.SESS_CACHE_OFF)
        context.set_alpn_select_callback(lambda _, offered: alpn if alpn in offered else SSL.NO_OVERLAPPING_PROTOCOLS)
        self._load(settings)

    def serverConnectionForTLS(self, tls_protocol: Any) -> SSL.Connection:
        connection = SSL.Connection(self._context, None)
        connection.set_accept_state()
        return connection

    def _load(self, settings: ListenerSettings) -> None:
        try:
            certificate, *chain = load_pem_x509_certificates(Path(settings.certificate_file).read_bytes())
            self._context.use_certificate(certificate)
            for link in chain:
                self._context.add_extra_chain_cert(link)
        except (OSError, ValueError, SSL.Error) as why:
            raise _unfit(settings, "certificate", settings.certificate_file, "a PEM certificate chain", why) from why
        try:
            key: Any = load_pem_private_key(Path(settings.key_file).read_bytes(), None)
        except (OSError, ValueError, TypeError, UnsupportedAlgorithm) as why:  # TypeError: it has a passphrase
            raise _unfit(settings, "key", settings.key_file, "a PEM private key without a passphrase", why) from why
        try:
            self._context.use_privatekey(key)
            self._context.check_privatekey()
        except (SSL.Error, TypeError) as why:
            raise _unfit(settings, "key", settings.key_file, "the key of the certificate", why) from why


def _unfit(settings: ListenerSettings, name: str, file: str, wanted: str, why: Exception) -> ConfigError:
    return ConfigError((f"listen.{settings.name}.{name}: {file} can't be used ({why}); wanted is {wanted}.",))
