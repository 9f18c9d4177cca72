"""What all clients of one HTTP listener meet: its TLS, its hosts, and the authority that mints certificates for both.

Knows no connection and no request.
"""

from collections.abc import Sequence

from OpenSSL import SSL

from hoopproxy.errors import ConfigError
from hoopproxy.listen.authority import Authority, Leaf
from hoopproxy.listen.fitting import expect
from hoopproxy.listen.http_hosts import Hosts
from hoopproxy.listen.tls import Certificate, MutualCertificate, server_context
from hoopproxy.rooms import IScheduler
from hoopproxy.settings import Limits, ListenerSettings, Plaintext

H2, H1 = b"h2", b"http/1.1"
"""What ALPN calls them (RFC 9113 §3.2)."""


class Front:
    """Built from one `[[listen]]` table. @raise ConfigError: keys that don't fit, or a file that is not what it should.

    `tls` is None where clients speak in the clear, `authority` where no TLS is ended for them behind a CONNECT.
    """

    def __init__(self, settings: ListenerSettings, limits: Limits, scheduler: IScheduler) -> None:
        expect(
            settings,
            *("certificate", "key", "client_ca", "client_certificate", "target", "account"),
            *("domain", "authority", "authority_key", "authority_passphrase_file"),
            plaintext=tuple(Plaintext),
        )
        if problem := _problem(settings):
            raise ConfigError((f"listen.{settings.name}{problem}",))
        self.settings, self.limits, self.scheduler = settings, limits, scheduler
        self.authority = Authority(settings, scheduler.now_s) if settings.authority_file else None
        chain = self.authority.chain if self.authority else ()
        self.tls: Certificate | None = None
        if settings.plaintext is Plaintext.NEVER:
            kind = MutualCertificate if settings.client_ca_file else Certificate
            self.tls = kind(settings, self._alpn, self._certified if self.authority else None, chain)
        self.hosts = Hosts(settings, self.tls.names if self.tls else ())
        self._inner = {H2: server_context(lambda _: (H2, H1), chain), H1: server_context(lambda _: (H1,), chain)}

    def inner_tls(self, host: str, best: bytes) -> SSL.Connection:
        """Our end of the TLS that a client speaks with `host` behind its CONNECT. `best` is the best ALPN that there
        is. There must be an `authority`."""
        assert self.authority is not None
        connection = SSL.Connection(self._inner[best])
        self.authority.leaf(host).show(connection)
        connection.set_accept_state()
        return connection

    def _certified(self, server_name: str, address: str) -> Leaf:
        assert self.authority is not None
        return self.authority.leaf(self.hosts.certified(server_name, address))

    def _alpn(self, server_name: str) -> Sequence[bytes]:
        """Clients of a proxy would send CONNECT over HTTP/2 if they could: to the proxy's own name they can't."""
        return (H1,) if self.authority and not self.hosts.is_within(server_name) else (H2, H1)


def _problem(settings: ListenerSettings) -> str:
    """What is wrong with them, from the key on; "" when nothing is."""
    files = {
        "authority": settings.authority_file,
        "authority_key": settings.authority_key_file,
        "authority_passphrase_file": settings.authority_passphrase_file,
    }
    missing = next((key for key, file in files.items() if not file), "")
    if missing and any(files.values()):
        return f".{missing} is missing; wanted are {', '.join(files)}, or none of them."
    has_certificate = bool(settings.certificate_file or settings.key_file)
    if settings.plaintext is Plaintext.NEVER:
        is_shown = has_certificate or settings.authority_file
        return (
            "" if is_shown else ".certificate is missing; wanted are certificate and key, an authority, or plaintext."
        )
    if has_certificate or settings.client_ca_file:
        return f'.plaintext is "{settings.plaintext.value}", and there are files for TLS; wanted is one or the other.'
    return ""
