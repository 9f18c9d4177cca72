"""A running reactor for coroutines, certificates, and connections over loopback."""

from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID
from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

SECONDS_MAX = 3.0
"""After that a test has failed: it waits for something that does not come."""


@pytest.fixture(scope="session")
def _reactor() -> Iterator[Any]:
    """Twisted's own, whose threads end with the session."""
    from twisted.internet import reactor, tcp  # noqa: TID251 # there is only one that hands can lend

    turning: Any = reactor
    yield turning
    turning.fireSystemEvent("shutdown")
    if tcp._reservedFD.available():  # kept for the day when descriptors run out; here it counts as left behind
        tcp._reservedFD._fileDescriptor.close()


@pytest.fixture
def reactor(_reactor: Any) -> Iterator[Any]:
    """A test that leaves a socket or a timer behind has failed."""
    before = set(_reactor.getReaders()) | _reactor._internalReaders
    yield _reactor
    for _ in range(5):
        _reactor.iterate(0)
    left = set(_reactor.getReaders() + _reactor.getWriters()) - before - _reactor._internalReaders
    timers = _reactor.getDelayedCalls()
    for each in left:
        each.connectionLost(Failure(RuntimeError("left behind")))
    for timer in timers:
        timer.cancel()
    assert (left, timers) == (set(), [])


type Spin = Callable[[Awaitable[Any]], Any]


@pytest.fixture
def spin(reactor: Any) -> Spin:
    """Runs the reactor until an awaitable is over; its result."""

    async def waiting(work: Awaitable[Any]) -> Any:
        return await work

    def run(work: Awaitable[Any]) -> Any:
        outcome: list[Any] = []

        def over(result: Any) -> None:
            outcome.append(result)
            reactor.crash()

        limit = reactor.callLater(SECONDS_MAX, reactor.crash)
        running = Deferred.fromCoroutine(waiting(work))
        running.addBoth(over)
        if not outcome:
            reactor.run(installSignalHandlers=False)
        if limit.active():
            limit.cancel()
        else:
            running.cancel()
            pytest.fail("it waits for something that does not come")
        if isinstance(outcome[0], Failure):
            outcome[0].raiseException()
        return outcome[0]

    return run


@dataclass(frozen=True)
class Pair:
    """A self-signed certificate for `localhost` and 127.0.0.1, and its key."""

    certificate: x509.Certificate
    pem: bytes
    file: Path


@pytest.fixture(scope="session")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Pair:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = datetime.now(UTC)
    names: list[x509.GeneralName] = [x509.DNSName("localhost"), x509.IPAddress(ip_address("127.0.0.1"))]
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, SHA256())
    )
    pem = certificate.public_bytes(Encoding.PEM)
    file = tmp_path_factory.mktemp("pair") / "pair.pem"
    file.write_bytes(pem + key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    return Pair(certificate, pem, file)
