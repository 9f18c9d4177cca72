"""The plainest relay that one writes with Twisted, to be measured against: a program of its own.

It ends PostgreSQL's TLS on both legs and copies bytes. It reads no message, and knows nobody.
"""

from pathlib import Path

import click
from twisted.internet import defer, ssl
from twisted.internet.endpoints import TCP4ClientEndpoint, TCP4ServerEndpoint
from twisted.internet.interfaces import IOpenSSLClientConnectionCreator, IReactorTCP
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.internet.task import react
from twisted.python.failure import Failure

SSL_REQUEST = b"\0\0\0\x08\x04\xd2\x16\x2f"
"""PostgreSQL manual, "Message Formats"."""


class Leg(Protocol):
    """One side of a pair. Bytes that come before the other is there wait."""

    def __init__(self) -> None:
        self.other: Leg | None = None
        self.waiting = bytearray()

    def pair(self, other: "Leg") -> None:
        self.other, other.other = other, self
        for one, two in ((self, other), (other, self)):
            assert one.transport is not None and two.transport is not None
            one.transport.registerProducer(two.transport, True)
            if two.waiting:
                one.transport.write(bytes(two.waiting))

    def dataReceived(self, data: bytes) -> None:
        if self.other is None:
            self.waiting += data
        else:
            assert self.other.transport is not None
            self.other.transport.write(data)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        assert self.transport is not None
        self.transport.unregisterProducer()
        if self.other is not None and self.other.transport is not None:
            self.other.transport.loseConnection()


class ServerLeg(Leg):
    """Asks for TLS, then is ready."""

    def __init__(self, options: IOpenSSLClientConnectionCreator, ready: "defer.Deferred[Leg]") -> None:
        super().__init__()
        self._options, self._ready = options, ready

    def connectionMade(self) -> None:
        assert self.transport is not None
        self.transport.write(SSL_REQUEST)

    def dataReceived(self, data: bytes) -> None:
        if self._ready.called:
            super().dataReceived(data)
            return
        assert data == b"S"
        self.transport.startTLS(self._options)  # type: ignore[union-attr]  # a TCP transport has it
        self._ready.callback(self)


class ClientLeg(Leg):
    """Takes TLS if it is asked for."""

    def __init__(self, factory: "Relay") -> None:
        super().__init__()
        self._relay, self._is_first = factory, True

    def connectionMade(self) -> None:
        self._relay.reach().addCallback(self.pair)

    def dataReceived(self, data: bytes) -> None:
        if self._is_first and data == SSL_REQUEST:
            self._is_first = False
            self.transport.write(b"S")  # type: ignore[union-attr]  # it is connected
            self.transport.startTLS(self._relay.certificate)  # type: ignore[union-attr]  # a TCP transport has it
        else:
            super().dataReceived(data)


class Relay(Factory):
    """Makes both legs of each connection."""

    def __init__(self, reactor: IReactorTCP, server_port: int, ca: Path, certificate: Path, key: Path) -> None:
        self._endpoint = TCP4ClientEndpoint(reactor, "127.0.0.1", server_port)
        self.certificate = ssl.DefaultOpenSSLContextFactory(str(key), str(certificate))
        self._options = ssl.optionsForClientTLS("localhost", ssl.Certificate.loadPEM(ca.read_bytes()))

    def buildProtocol(self, addr: object) -> ClientLeg:
        return ClientLeg(self)

    def reach(self) -> "defer.Deferred[Leg]":
        ready: defer.Deferred[Leg] = defer.Deferred()
        self._endpoint.connect(Factory.forProtocol(lambda: ServerLeg(self._options, ready)))
        return ready


@click.command()
@click.option("--port", type=int, required=True)
@click.option("--server-port", type=int, required=True)
@click.option("--ca", type=click.Path(path_type=Path), required=True)
@click.option("--certificate", type=click.Path(path_type=Path), required=True)
@click.option("--key", type=click.Path(path_type=Path), required=True)
def main(port: int, server_port: int, ca: Path, certificate: Path, key: Path) -> None:
    """Serve until it is ended."""

    def serve(reactor: IReactorTCP) -> "defer.Deferred[None]":
        relay = Relay(reactor, server_port, ca, certificate, key)
        TCP4ServerEndpoint(reactor, port, interface="127.0.0.1").listen(relay)
        return defer.Deferred()

    react(serve)


if __name__ == "__main__":
    main()
