"""Twisted's options for a server, as what `Connection.start_tls` takes."""

from typing import Any

from OpenSSL import SSL
from twisted.internet.interfaces import IOpenSSLServerConnectionCreator
from twisted.internet.ssl import CertificateOptions
from zope.interface import implementer


@implementer(IOpenSSLServerConnectionCreator)
class Serving:
    """One certificate; arguments are those of `CertificateOptions`."""

    def __init__(self, **options: Any) -> None:
        self._context = CertificateOptions(**options).getContext()

    def serverConnectionForTLS(self, _: Any) -> SSL.Connection:
        connection = SSL.Connection(self._context, None)
        connection.set_accept_state()
        return connection
