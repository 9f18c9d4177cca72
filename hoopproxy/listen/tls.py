"""The gateway's own certificate, as what a TLS handshake with a client needs, and the client's, where it is wanted.

Knows no protocol but its ALPN names, and no client.
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any
from weakref import WeakKeyDictionary

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import Encoding, load_pem_private_key
from cryptography.x509 import load_pem_x509_certificates
from cryptography.x509.oid import ExtendedKeyUsageOID
from OpenSSL import SSL
from twisted.internet.interfaces import IOpenSSLServerConnectionCreator
from zope.interface import implementer

from hoopproxy.chains import broken
from hoopproxy.connection import Connection
from hoopproxy.errors import ConfigError, ProtocolViolation, Refused
from hoopproxy.listen.authority import Leaf
from hoopproxy.model import Arrival
from hoopproxy.proofs import HeldKey
from hoopproxy.settings import ListenerSettings, Plaintext

CIPHERS = b"ECDHE+AESGCM:ECDHE+CHACHA20"
"""For TLS 1.2: forward secrecy and AEAD alone (RFC 9325 §4.2). TLS 1.3 has no others."""


CHAIN_LINKS_MAX = 4
"""Authorities between a client's certificate and the listener's `client_ca`; public ones have one or two."""

type Alpn = Callable[[str], Sequence[bytes]]
"""Which protocols there are for a client that wants to reach that host ("" for none); of those the first that it
offers, too, is agreed on."""


def no_alpn(_: str) -> Sequence[bytes]:
    """None."""
    return ()


def server_context(alpn: Alpn, chain: Sequence[x509.Certificate] = ()) -> SSL.Context:
    """For TLS 1.2 and 1.3 with clients. `chain` are shown behind whatever certificate is."""
    context = SSL.Context(SSL.TLS_SERVER_METHOD)
    context.set_min_proto_version(SSL.TLS1_2_VERSION)
    context.set_cipher_list(CIPHERS)
    context.set_options(
        SSL.OP_NO_RENEGOTIATION | SSL.OP_NO_COMPRESSION | SSL.OP_NO_TICKET | SSL.OP_CIPHER_SERVER_PREFERENCE
    )
    context.set_session_cache_mode(SSL.SESS_CACHE_OFF)

    def agreed(connection: SSL.Connection, offered: list[bytes]) -> Any:
        fitting = (each for each in alpn(server_name(connection)) if each in offered)
        return next(fitting, SSL.NO_OVERLAPPING_PROTOCOLS)

    context.set_alpn_select_callback(agreed)
    for link in chain:
        context.add_extra_chain_cert(link)
    return context


def server_name(connection: SSL.Connection) -> str:
    """Whom the client wants to reach, by its SNI (RFC 6066 §3), in lower case; "" for nobody."""
    return (connection.get_servername() or b"").decode("ascii", "backslashreplace").lower()


@implementer(IOpenSSLServerConnectionCreator)
class Certificate:
    """The gateway's certificate, chain and key, for a handshake; give it to `Connection.start_tls`.

    It is the listener's own, or, where that has none, `minted` for the host that a client wants to reach ("" for
    none) at an address of ours, and then shown before `chain`. `names` are those of the listener's own.

    @raise ConfigError: a file that is none.
    """

    def __init__(
        self,
        settings: ListenerSettings,
        alpn: Alpn = no_alpn,
        minted: Callable[[str, str], Leaf] | None = None,
        chain: Sequence[x509.Certificate] = (),
    ) -> None:
        is_own = minted is None or bool(settings.certificate_file or settings.key_file)
        self._context = server_context(alpn, () if is_own else chain)
        self._addresses: WeakKeyDictionary[SSL.Connection, str] = WeakKeyDictionary()
        self.names: frozenset[str] = frozenset()
        if minted is None or is_own:
            self._load(settings)
        else:
            self._context.set_tlsext_servername_callback(
                lambda connection: minted(server_name(connection), self._addresses[connection]).show(connection)
            )

    def serverConnectionForTLS(self, tls_protocol: Any) -> SSL.Connection:
        connection = SSL.Connection(self._context, None)
        self._addresses[connection] = tls_protocol.wrappedProtocol.transport.getHost().host
        connection.set_accept_state()
        return connection

    async def shake(self, connection: Connection) -> HeldKey | None:
        """Do the handshake with a client that begins with it, for a stream whose directions end one by one.

        What the client has proved to hold the key of, where it is asked. @raise ProtocolViolation, Refused
        """
        hello = await connection.read()
        if not hello:
            raise ProtocolViolation("client", "Your client closed the connection before its TLS handshake.")
        return await self.start(connection, hello, by_halves=True)

    async def start(self, connection: Connection, hello: bytes = b"", *, by_halves: bool = False) -> HeldKey | None:
        """The same once a client has said that it begins, or has begun with `hello`."""
        await connection.start_tls(self, hello, by_halves=by_halves)
        return None

    def _load(self, settings: ListenerSettings) -> None:
        for name, file in (("certificate", settings.certificate_file), ("key", settings.key_file)):
            if not file:
                raise ConfigError((f"listen.{settings.name}.{name} is missing; wanted is a PEM file for TLS.",))
        try:
            certificate, *chain = load_pem_x509_certificates(Path(settings.certificate_file).read_bytes())
            self._context.use_certificate(certificate)
            self.names = _names(certificate)
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


class MutualCertificate(Certificate):
    """The same, for clients that must, or may, show a certificate of the listener's `client_ca`. @raise ConfigError."""

    def __init__(
        self,
        settings: ListenerSettings,
        alpn: Alpn = no_alpn,
        minted: Callable[[str, str], Leaf] | None = None,
        chain: Sequence[x509.Certificate] = (),
    ) -> None:
        super().__init__(settings, alpn, minted, chain)
        file = settings.client_ca_file
        try:
            load_pem_x509_certificates(Path(file).read_bytes())
            self._context.load_verify_locations(file)
        except (OSError, ValueError, SSL.Error) as why:
            raise _unfit(settings, "client_ca", file, "a PEM file with certificates of authorities", why) from why
        must = 0 if settings.is_client_certificate_optional else SSL.VERIFY_FAIL_IF_NO_PEER_CERT
        self._context.set_verify(SSL.VERIFY_PEER | must, self._note)
        self._context.set_verify_depth(CHAIN_LINKS_MAX)
        self._chain_errors: WeakKeyDictionary[SSL.Connection, str] = WeakKeyDictionary()

    async def start(self, connection: Connection, hello: bytes = b"", *, by_halves: bool = False) -> HeldKey | None:
        """As for any certificate, with a client that shows one of its own; None: it need not, and does not.

        Its chain is verified by then, name constraints included. It must be a client's by its own word (RFC 5280
        §4.2.1.12): an authority that issues servers' certificates, too, does not make people of servers.

        @raise ProtocolViolation, Refused
        """
        shaking = _Shaking(self)
        try:
            await connection.start_tls(shaking, hello, by_halves=by_halves)
        except ProtocolViolation as why:
            detail = self._chain_errors.get(shaking.connection, why.detail) if shaking.connection else why.detail
            raise ProtocolViolation("client", why.sentence, detail=detail) from why
        if connection.peer_certificate is None:
            return None
        certificate = connection.peer_certificate.to_cryptography()
        if not _is_clients(certificate):
            raise Refused(
                "Your certificate is not meant for clients; ask whoever issued it for one that is.",
                reason="credentials",
                detail=f"the certificate {certificate.subject.rfc4514_string()!r} has no extended key usage clientAuth",
            )
        return HeldKey("x509", certificate.public_bytes(Encoding.DER))

    def _note(self, connection: SSL.Connection, certificate: Any, code: int, depth: int, is_good: int) -> bool:
        if not is_good:
            self._chain_errors.setdefault(connection, broken(certificate, code, depth))
        return bool(is_good)


@implementer(IOpenSSLServerConnectionCreator)
class _Shaking:
    """One handshake, to be found again in what the verification had against it."""

    def __init__(self, certificate: Certificate) -> None:
        self._certificate = certificate
        self.connection: SSL.Connection | None = None

    def serverConnectionForTLS(self, tls_protocol: Any) -> SSL.Connection:
        self.connection = self._certificate.serverConnectionForTLS(tls_protocol)
        return self.connection


def is_clear_allowed(settings: ListenerSettings, arrival: Arrival, connection: Connection) -> bool:
    """Whether this client may do without TLS. On this machine are it and whoever connects for it, or it is not."""
    near = arrival.client.address, connection.peer.address
    is_near = all(address.is_loopback for address in near)
    return settings.plaintext is Plaintext.ALWAYS or (settings.plaintext is Plaintext.LOOPBACK and is_near)


def _names(certificate: x509.Certificate) -> frozenset[str]:
    """The hosts that it is for, in lower case and without those that stand for many."""
    try:
        found = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except (x509.ExtensionNotFound, x509.DuplicateExtension, x509.UnsupportedGeneralNameType, ValueError):
        return frozenset()
    return frozenset(name.lower() for name in found.get_values_for_type(x509.DNSName) if "*" not in name)


def _is_clients(certificate: x509.Certificate) -> bool:
    try:
        usage = certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    except (x509.ExtensionNotFound, x509.DuplicateExtension, x509.UnsupportedGeneralNameType, ValueError):
        return False
    return ExtendedKeyUsageOID.CLIENT_AUTH in usage


def _unfit(settings: ListenerSettings, name: str, file: str, wanted: str, why: Exception) -> ConfigError:
    return ConfigError((f"listen.{settings.name}.{name}: {file} can't be used ({why}); wanted is {wanted}.",))
