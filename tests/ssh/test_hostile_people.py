"""Somebody with a good token and bad intentions: they are let into a session of theirs, and into nothing beside it."""

from collections.abc import Iterator

import pytest

from hoopproxy.testing.ssh_speaker import Gone, SshSpeaker, execute, open_forward, open_session
from hoopproxy.wire.ssh import messages
from hoopproxy.wire.ssh.messages import string

from .conftest import SshStand

CANARY = b"4111 1111 1111 1111"


@pytest.fixture
def client(stand: SshStand) -> Iterator[SshSpeaker]:
    with SshSpeaker.logged_in((stand.host, stand.ssh_port), "shell", stand.tokens["ada"]) as client:
        yield client


def printed(client: SshSpeaker, number: int, command: str, *before: bytes) -> bytes:
    """What a command prints on its standard output, in a channel of its own; `before` is asked for first."""
    channel = client.opened(open_session(number))
    for name_and_rest in before:
        client.send(bytes((messages.CHANNEL_REQUEST,)) + channel.to_bytes(4) + name_and_rest)
    client.send(execute(channel, command))
    shown = b""
    while (payload := client.hear(messages.DATA, messages.CLOSE))[0] != messages.CLOSE:
        shown += payload[9:]
    client.send(messages.close(channel))
    return shown


def env(name: str, value: str) -> bytes:
    return string(b"env") + b"\0" + string(name.encode()) + string(value.encode())


@pytest.mark.parametrize(
    "host",
    [
        "127.1",
        "0x7f.1",
        "0x7f000001",
        "2130706433",
        "0177.0.0.1",
        "127.0.0.1.",
        "LOCALHOST",
        "localhost.",
        "::1",
        "[::1]",
        "::ffff:127.0.0.1",
        "0.0.0.0",
        "::",
        "169.254.169.254",
        "shell",
        "cards",
        "127.0.0.1:22",
        "127.0.0.1@box",
        "../cards",
        "$(id)",
    ],
)
def test_no_spelling_of_a_place_leads_to_one(stand: SshStand, client: SshSpeaker, host: str) -> None:
    """Nor to the gateway's own doors, nor to its other targets."""
    for number, port in enumerate((stand.ssh_port, stand.port, 22)):
        with pytest.raises(Gone, match=r"You have no access|is no host"):
            client.opened(open_forward(number, host, port))
    assert printed(client, 9, "echo on") == b"on\n"


def test_variables_reach_a_target_only_if_they_are_listed(client: SshSpeaker) -> None:
    bad = [env(name, "/tmp/x.so") for name in ("LD_PRELOAD", "ld_preload", "BASH_ENV", "PATH", "LANG\nLD_PRELOAD", "")]
    shown = printed(client, 1, "env", *bad)
    assert b"/tmp/x.so" not in shown and b"PATH=" in shown


@pytest.mark.parametrize("number", [77, 2**31 - 1, 2**31, 2**32 - 1])
def test_what_is_said_in_a_channel_that_is_not_theirs_ends_it_all(client: SshSpeaker, number: int) -> None:
    client.send(messages.output(number, 0, b"x"))
    with pytest.raises(Gone, match="does not belong here"):
        client.receive()


def test_masks_hold_where_no_line_ends_and_windows_are_tiny(stand: SshStand) -> None:
    text = CANARY.decode() + " and " + CANARY.decode()
    with SshSpeaker.logged_in((stand.host, stand.ssh_port), "cards", stand.tokens["ada"]) as client:
        for number, window in enumerate((1, 3, 21)):
            channel, shown = client.opened(open_session(number, window)), b""
            client.send(execute(channel, f"printf '{text}'"))
            while (payload := client.hear(messages.DATA, messages.CLOSE))[0] != messages.CLOSE:
                shown += payload[9:]
                client.send(messages.window_adjust(channel, len(payload) - 9))
            client.send(messages.close(channel))
            assert CANARY not in shown and CANARY[:9] not in shown and b" and " in shown


@pytest.mark.parametrize("name", ["sftp", "SFTP", "sftp ", "netconf", "sftp\0", "$(id)"])
def test_where_masks_hold_no_subsystem_is_a_way_around(stand: SshStand, name: str) -> None:
    with SshSpeaker.logged_in((stand.host, stand.ssh_port), "cards", stand.tokens["ada"]) as client:
        channel = client.opened(open_session(0))
        client.send(messages.channel_request(channel, "subsystem", True, string(name.encode())))
        heard = [client.receive()]
        while heard[-1][0] not in (messages.CLOSE, messages.CHANNEL_FAILURE):
            heard.append(client.receive())
        assert not [payload for payload in heard if payload[0] == messages.DATA]
