"""A gateway for attacks: how to get into each state of a connection, and what must hold after each attack."""

import ssl
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

from hoopproxy.testing.bare_client import BareClient, fields, message, startup
from hoopproxy.testing.stand import ACCOUNT, Stand
from hoopproxy.testing.vitals import Vitals

GROWTH_BYTES_MAX = 64 << 20
"""No attack of these tests may make a gateway take more."""

OPEN = """
[[listen]]
name = "open"
protocol = "postgres"
addresses = ["127.0.0.1"]
port = 0
certificate = {certificate}
key = {key}
plaintext = "loopback"
"""
"""A listener beside `front` that local clients may use without TLS."""

type Reached = Callable[[Stand], BareClient]
"""A connection in one state."""


def open_another_door(stand: Stand) -> None:
    """Start the gateway of `stand` again, with the listener `open`."""
    stand.gateway.stop()
    text = stand.config.read_text()
    settings = dict(line.split(" = ", 1) for line in text.splitlines() if line.startswith(("certificate =", "key =")))
    stand.config.write_text(text + OPEN.format(**settings))
    stand.start()


def port(stand: Stand, listener: str) -> int:
    return int(stand.gateway.endpoints[listener][0].rpartition(":")[2])


def trusting(stand: Stand) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=stand.ca_file)


def fresh(stand: Stand, listener: str = "open", source: str = "") -> BareClient:
    return BareClient((stand.host, port(stand, listener)), source=source)


def in_tls(stand: Stand) -> BareClient:
    client = fresh(stand, "front")
    client.start_tls(trusting(stand))
    return client


def at_password(stand: Stand, client: BareClient | None = None) -> BareClient:
    client = client or fresh(stand)
    client.send(startup({"user": ACCOUNT, "database": "plain"}))
    assert client.socket.recv(9) == message(b"R", b"\0\0\0\3")
    return client


def let_in(stand: Stand, target: str = "plain", person: str = "ada", source: str = "") -> BareClient:
    client = fresh(stand, source=source)
    client.log_in(ACCOUNT, target, stand.tokens[person])
    return client


def let_in_by_tls(stand: Stand) -> BareClient:
    client = in_tls(stand)
    client.log_in(ACCOUNT, "plain", stand.tokens["ada"])
    return client


STATES: dict[str, Reached] = {
    "before anything": fresh,
    "in TLS": in_tls,
    "at the password": at_password,
    "at the password in TLS": lambda stand: at_password(stand, in_tls(stand)),
    "let in": let_in,
    "let in by TLS": let_in_by_tls,
}


def answer_to(client: BareClient, data: bytes) -> bytes:
    """Say this and nothing more: all that comes until the gateway ends the connection. (TLS knows no half-closing.)"""
    with client:
        say(client, data)
        if not isinstance(client.socket, ssl.SSLSocket):
            client.half_close()
        return client.rest()


def say(client: BareClient, data: bytes) -> None:
    """As much of it as is heard before the connection is ended."""
    with suppress(OSError):
        client.send(data)


def refusal(answer: bytes) -> dict[str, str]:
    """The fields of the FATAL error that an answer ends with; an answer without one has failed."""
    at = answer.rfind(b"SFATAL\0") - 5
    assert at >= 0, answer
    length = int.from_bytes(answer[at + 1 : at + 5], "big")
    assert answer[at : at + 1] == b"E" and len(answer) == at + 1 + length, answer
    told = fields(answer[at + 5 :])
    assert told["M"].rstrip()[-1] == "." or told["M"][0].islower(), told  # ours is a sentence, PostgreSQL's is not
    return told


@contextmanager
def bystander(stand: Stand) -> Iterator[BareClient]:
    """Somebody whose session lives through it all; and after it all the next one is let in."""
    with let_in(stand, "plain", "franz", "127.0.0.77") as other:
        yield other
        with let_in_by_tls(stand) as client:
            assert client.ask("SELECT 'honest'").tags == ["SELECT 1"]


@contextmanager
def kept_unharmed(stand: Stand, other: BareClient) -> Iterator[None]:
    """Afterwards others are served, memory has not grown, and the operator reads of no crash."""
    vitals = Vitals(stand.gateway.pid)
    vitals.forget_peak()
    before_bytes = vitals.rss_bytes
    yield
    assert other.ask("SELECT 'served'").tags == ["SELECT 1"]
    grown_bytes = vitals.peak_bytes - before_bytes
    assert grown_bytes < GROWTH_BYTES_MAX, f"it took {grown_bytes >> 20} MiB more"
    log = stand.gateway.log()
    assert "Traceback" not in log and "Unhandled" not in log, log
