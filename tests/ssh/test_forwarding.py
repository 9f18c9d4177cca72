"""What OpenSSH's client can forward beside sessions is refused, in words that its user sees; the session goes on."""

import os
import socket
from pathlib import Path

import paramiko
import pytest

from .conftest import agent
from .terminal import Terminal
from .test_libraries import connected
from .ways import Way, run

NO_REMOTE = b"The gateway does not forward ports from the target to your side"
NO_SOCKETS = b"The gateway does not forward Unix sockets"


@pytest.mark.parametrize(
    ("what", "sentence"), [("0:127.0.0.1:9", NO_REMOTE), ("0", NO_REMOTE), ("/tmp/hp-no.sock:127.0.0.1:9", NO_SOCKETS)]
)
def test_a_remote_port_or_socket(through: Way, what: str, sentence: bytes) -> None:
    ran = through.ssh("echo on", "-R", what)
    assert (ran.out, ran.code) == (b"on\n", 0)
    assert b"remote port forwarding failed" in ran.err
    assert sentence in ran.err


def test_a_client_that_insists_on_it_leaves(through: Way) -> None:
    ran = through.ssh("echo on", "-R", "0:127.0.0.1:9", "-o", "ExitOnForwardFailure=yes")
    assert (ran.out, ran.code) == (b"", 255)


def test_a_display(through: Way, tmp_path: Path) -> None:
    ran = through.ssh(
        "echo on; echo $DISPLAY", "-Y", env=os.environ | {"DISPLAY": "127.0.0.1:99", "HOME": str(tmp_path)}
    )
    assert (ran.out, ran.code) == (b"on\n\n", 0)
    assert b"X11 forwarding request failed" in ran.err
    assert b"The gateway does not forward X11; leave out -X and -Y." in ran.err


def test_an_agent(through: Way, short: Path) -> None:
    with agent(short) as environ:
        ran = through.ssh("echo on; echo $SSH_AUTH_SOCK", "-A", env=environ)
    assert (ran.out, ran.code) == (b"on\n\n", 0)
    assert b"The gateway does not forward your SSH agent" in ran.err


def test_wherever_a_proxy_for_sockets_is_told_to_go(through: Way) -> None:
    """-D: what a browser would be told to use."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with Terminal(through.command("ssh", "-tt", "-D", f"127.0.0.1:{port}", "target", "echo on; cat")) as here:
        here.reads(b"on")
        with socket.create_connection(("127.0.0.1", port), 30) as browser:
            browser.sendall(b"\x05\x01\x00")
            assert browser.recv(2) == b"\x05\x00"
            browser.sendall(b"\x05\x01\x00\x01\x7f\x00\x00\x01\x00\x16")
            here.reads(rb"open failed: administratively prohibited: .*127\.0\.0\.1")
            assert browser.recv(64)[1:2] != b"\x00"
        here.type(b"still on\r\x04")
        here.reads(b"still on\r\n")
        assert here.ends()[1] == 0


def test_standard_input_to_somewhere(through: Way) -> None:
    ran = through.run("ssh", "-W", "127.0.0.1:22", "target")
    assert (ran.out, ran.code) == (b"", 255)
    assert b"open failed: administratively prohibited: " in ran.err


@pytest.mark.parametrize(
    ("kind", "sentence"),
    [
        ("direct-streamlocal@openssh.com", "The gateway does not forward Unix sockets"),
        ("tun@openssh.com", "The gateway does not pass tunnels; leave out -w"),
        ("x11", "The gateway does not forward X11"),
        ("auth-agent@openssh.com", "The gateway does not forward your SSH agent"),
        ("forwarded-tcpip", "The gateway does not forward ports"),
        ("invented@example.org", "The gateway does not know the request invented@example.org"),
    ],
)
def test_channels_of_any_other_kind(through: Way, kind: str, sentence: str, caplog: pytest.LogCaptureFixture) -> None:
    with connected(through) as client:
        transport = client.get_transport()
        with pytest.raises(paramiko.ChannelException) as caught:
            transport.open_channel(kind, ("127.0.0.1", 9), ("127.0.0.1", 9), timeout=30)
        assert caught.value.code == 1
        assert sentence in caplog.text + caught.value.text
        assert client.exec_command("echo on")[1].read() == b"on\n"


def test_the_server_would_have_allowed_it(direct: Way) -> None:
    """So that it is the gateway that refuses."""
    assert direct.ssh("echo on", "-R", "0:127.0.0.1:9", "-o", "ExitOnForwardFailure=yes").code == 0
    ssh = direct.command("ssh", "-W", f"{direct.host}:{direct.port}", "target")
    assert run(ssh).out.startswith(b"SSH-2.0-OpenSSH")
