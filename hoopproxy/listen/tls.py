"""The gateway's own certificate, as what a TLS handshake with a client needs.

Knows no protocol but its ALPN name, and no client.
"""

from collections.abc import Sequence
from pathlib import Path

from OpenSSL import SSL, crypto
from twisted.internet.ssl import CertificateOptions, TLSVersion

from hoopproxy.errors import ConfigError
from hoopproxy.model import ListenerSettings

PEM_BEGIN = b"-----BEGIN CERTIFICATE-----"


def server_options(settings: ListenerSettings, protocols: Sequence[bytes]) -> CertificateOptions:
    """TLS 1.2 and 1.3 with the listener's certificate, chain and key. @raise ConfigError: a file that is none."""
    try:
        chain = [
            crypto.load_certificate(crypto.FILETYPE_PEM, PEM_BEGIN + part)
            for part in Path(settings.certificate_file).read_bytes().split(PEM_BEGIN)[1:]
        ]
        if not chain:
            raise ValueError("there is no certificate in it")
    except (OSError, ValueError, crypto.Error) as why:
        raise _unfit(settings, "certificate", settings.certificate_file, "a PEM certificate chain", why) from why
    try:
        key = crypto.load_privatekey(crypto.FILETYPE_PEM, Path(settings.key_file).read_bytes(), b"")
    except (OSError, ValueError, crypto.Error) as why:
        raise _unfit(settings, "key", settings.key_file, "a PEM private key without a passphrase", why) from why
    options = CertificateOptions(
        privateKey=key,
        certificate=chain[0],
        extraCertChain=chain[1:],
        raiseMinimumTo=TLSVersion.TLSv1_2,
        acceptableProtocols=list(protocols),
    )
    try:
        options.getContext().set_options(SSL.OP_NO_RENEGOTIATION)
        options.getContext().check_privatekey()
    except SSL.Error as why:
        raise _unfit(settings, "key", settings.key_file, "the key of the certificate", why) from why
    return options


def _unfit(settings: ListenerSettings, name: str, file: str, wanted: str, why: Exception) -> ConfigError:
    return ConfigError((f"listen.{settings.name}.{name}: {file} can't be used ({why}); wanted is {wanted}.",))
