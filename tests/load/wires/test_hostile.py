"""What no decent SSH client or server does: it costs whoever does it the connection, and others nothing."""

import random
import socket
import struct
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress

import pytest

from hoopproxy.testing.ssh_speaker import Gone, SshSpeaker, execute, open_forward, open_session
from hoopproxy.wire.ssh import messages
from hoopproxy.wire.ssh.messages import channel_request, string
from tests.load.conftest import GROWTH_BYTES_MAX, Watched

from .conftest import Speaks, WireStand
from .test_wires import echoing

NOISE = random.Random(7).randbytes(1 << 16)
VERSION = b"SSH-2.0-hostile\r\n"
KEEPALIVE = bytes((messages.GLOBAL_REQUEST,)) + string(b"keepalive@openssh.com") + b"\1"


@pytest.fixture(scope="module")
def ask_of_another(stand: WireStand) -> Iterator[Callable[[], None]]:
    """Somebody's session from the first test to the last."""
    with SshSpeaker.logged_in(stand.ssh, "shell", stand.tokens["franz"]) as client:
        yield echoing(client)


@pytest.fixture(autouse=True)
def bystander(ask_of_another: Callable[[], None], watched: Watched) -> Iterator[None]:
    """It goes on, whatever others do, in a gateway that takes no more memory and does not crash."""
    watched.begin()
    yield
    ask_of_another()
    assert watched.grown_bytes < GROWTH_BYTES_MAX


def is_cut_off(client: socket.socket) -> bool:
    """The gateway says what it has to say, and closes the connection."""
    with suppress(ConnectionResetError):
        while client.recv(1 << 16):
            pass
    return True


GREETINGS = {
    "noise": NOISE,
    "another protocol": b"GET / HTTP/1.1\r\nHost: gateway\r\n\r\n",
    "a version without an end": b"SSH-2.0-" + b"x" * 100_000,
    "an old version": b"SSH-1.5-old\r\n",
    "zeros": bytes(10_000),
    "a version and noise": VERSION + NOISE,
    "a packet of no length": VERSION + bytes(64),
    "a packet of four gigabytes": VERSION + b"\xff\xff\xff\xff" + bytes(64),
    "a packet that is longer than any": VERSION + struct.pack("!I", 262_144 + 300) + bytes(64),
    "keys of nobody": VERSION + struct.pack("!IB", 12, 10) + b"\x14" + bytes(10),
    "a login without keys": VERSION + struct.pack("!IB", 28, 4) + b"\x05" + string(b"ssh-userauth") + bytes(10),
}


@pytest.mark.parametrize("greeting", GREETINGS.values(), ids=GREETINGS)
def test_who_greets_with_something_else_is_cut_off(stand: WireStand, greeting: bytes) -> None:
    with socket.create_connection(stand.ssh, 60) as client:
        with suppress(ConnectionResetError, BrokenPipeError):
            client.sendall(greeting)
        assert is_cut_off(client)


def test_who_says_nothing_is_cut_off_and_who_knocks_meanwhile_comes_in(stand: WireStand, speaks: Speaks) -> None:
    with ExitStack() as exits:
        silent = [exits.enter_context(socket.create_connection(stand.ssh, 60)) for _ in range(150)]
        slow = [exits.enter_context(socket.create_connection(stand.ssh, 60)) for _ in range(150)]
        for client in slow:
            client.sendall(b"SSH-2.0-slo")
        echoing(speaks())()
        assert all(is_cut_off(client) for client in (*silent, *slow))


def test_a_flood_of_noise_keeps_nobody_out(stand: WireStand, speaks: Speaks) -> None:
    for _ in range(300):
        with socket.create_connection(stand.ssh, 60) as client, suppress(ConnectionResetError, BrokenPipeError):
            client.sendall(VERSION + NOISE[:2000])
    echoing(speaks())()


def agreed(stand: WireStand) -> SshSpeaker:
    client = SshSpeaker(stand.ssh)
    client.agree()
    return client


def asked_for_login(stand: WireStand) -> SshSpeaker:
    client = agreed(stand)
    client.exchange.request_login()
    client.send()
    return client


LOGIN = bytes((50,)) + string(b"shell") + string(b"ssh-connection")
BEFORE_LOGIN = {
    "a channel": open_session(0),
    "a global request": KEEPALIVE,
    "an unknown service": b"\x05" + string(b"ssh-magic"),
    "a login for another service": bytes((50,)) + string(b"shell") + string(b"ssh-magic") + string(b"none"),
    "a login that ends amid itself": LOGIN + string(b"password") + b"\0\xff\xff\xff\xff",
    "a key that is none": LOGIN + string(b"publickey") + b"\1" + string(b"ssh-ed25519") + string(b"x") + string(b"y"),
    "a success of its own": b"\x34",
    "an answer to no question": b"\x3d" + struct.pack("!I", 1) + string(b"x"),
    "a reserved number": b"\xc8" + NOISE[:100],
    "an end of keys": b"\x15",
    "a token without end": LOGIN + string(b"password") + b"\0" + string(b"x" * 200_000),
    "a packet of the largest size": b"\x02" + string(bytes(262_000)),
}


@pytest.mark.parametrize("reach", [agreed, asked_for_login])
@pytest.mark.parametrize("payload", BEFORE_LOGIN.values(), ids=BEFORE_LOGIN)
def test_before_its_login_a_client_gets_nothing(
    stand: WireStand, payload: bytes, reach: Callable[[WireStand], SshSpeaker]
) -> None:
    with reach(stand) as client:
        client.exchange.is_open = True  # as far as the client is concerned: it takes what comes
        client.send(payload, open_session(0))
        with pytest.raises((Gone, ConnectionResetError, BrokenPipeError)):
            client.hear(messages.CHANNEL_OPEN_CONFIRMATION)


def test_a_client_that_renews_its_keys_without_end_is_cut_off(stand: WireStand, speaks: Speaks) -> None:
    client = speaks()

    def renew_all_the_time() -> None:
        for _ in range(200):
            client.renew()

    with pytest.raises((Gone, ConnectionResetError, BrokenPipeError)):
        renew_all_the_time()


NUMBER = struct.pack("!I", 0)
AFTER_LOGIN = {
    **{f"message {kind}": bytes((kind,)) + NOISE[:50] for kind in (0, 7, 49, 52, 60, 79, 83, 89, 101, 127, 192, 255)},
    **{f"message {kind} alone": bytes((kind,)) for kind in range(80, 101)},
    **{f"message {kind} on no channel": bytes((kind,)) + b"\0\0\0\x63" for kind in range(91, 101)},
    **{f"message {kind} on a channel of the gateway's": bytes((kind,)) + b"\x80\0\0\x63" for kind in range(91, 101)},
    "a channel without a window": open_session(9, packet_bytes_max=0),
    "a channel twice": open_session(0),
    "a forward to nowhere": open_forward(9, "", 0),
    "a forward to a port that is none": open_forward(9, "raw", 70_000),
    "more data than there is room for": messages.output(0, 0, bytes(200_000)),
    "data that end too early": bytes((messages.DATA,)) + NUMBER + struct.pack("!I", 4000) + b"x",
    "errors of its own": messages.output(0, 1, b"x"),
    "a window of more than all": messages.window_adjust(0, 2**32 - 1) * 1,
    "a request without a name": bytes((messages.CHANNEL_REQUEST,)) + NUMBER + string(b"") + b"\1",
    "a terminal that is cut": channel_request(0, "pty-req", True, string(b"xterm") + b"\0\0"),
    "an unknown global request": bytes((messages.GLOBAL_REQUEST,)) + string(b"x" * 5000) + b"\1",
    "a packet of the largest size": bytes((messages.CHANNEL_OPEN,)) + string(bytes(262_000)),
}


@pytest.mark.parametrize("payload", AFTER_LOGIN.values(), ids=AFTER_LOGIN)
def test_what_a_client_says_out_of_order_is_refused_or_costs_it_the_connection(speaks: Speaks, payload: bytes) -> None:
    client = speaks()
    channel = client.opened(open_session(0))
    client.send(execute(channel, "cat"))
    with suppress(Gone, ConnectionResetError, BrokenPipeError):
        client.send(payload, KEEPALIVE)
        client.hear(messages.REQUEST_SUCCESS, messages.REQUEST_FAILURE)


def test_a_target_that_shows_another_key_is_not_logged_in_to(stand: WireStand) -> None:
    with pytest.raises(Gone, match="did not prove"):
        SshSpeaker.logged_in(stand.ssh, "liar", stand.tokens["ada"])
    told = stand.gateway.heard("denied", holding="upstream-unreachable")
    assert "SHA256:" in told["detail"]


def test_wrong_tokens_close_the_door(stand: WireStand) -> None:
    with pytest.raises(Gone):
        SshSpeaker.logged_in(stand.ssh, "shell", "no token")
