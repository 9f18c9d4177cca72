"""Forwarding and what else is asked of the connection as a whole."""

import struct

import pytest

from hoopproxy.errors import ProtocolViolation
from hoopproxy.events import Action, Asked, Statement

from . import speech as say
from .rig import Rig

REMOTE = say.string("") + struct.pack("!I", 8080)
NO_REMOTE = "The gateway does not forward ports from the target to your side; leave out -R."


def test_a_forwarded_port_is_asked_about_and_handed_back_to_the_front_door() -> None:
    rig = Rig().client(say.opens_direct(3))
    assert rig.asks == [Statement(1, Action.OPEN, "direct-tcpip db.internal 5432", "direct-tcpip db.internal 5432")]
    assert rig.news() == ([say.opens_direct(3)], [])
    assert [Asked(ask) for ask in rig.asks if isinstance(ask, Statement)] == rig.records and rig.steps[-1].is_idle
    with pytest.raises(ProtocolViolation):  # it is the front door's from now on
        rig.client(say.data(3, b"x"))


def test_a_forwarded_port_that_is_refused() -> None:
    rig = Rig(refuse=lambda text: "That way is closed.").client(say.opens_direct(3))
    assert rig.news() == ([say.unopened(3, 1, "That way is closed.")], [])
    assert rig.rejected() == [("direct-tcpip db.internal 5432", "That way is closed.")]


@pytest.mark.parametrize(
    ("host", "port"),
    [("", 22), ("a b", 22), ("db\n", 22), ("h" * 256, 22), ("ü.example", 22), ("db", 0), ("db", 65536)],
)
def test_a_forwarded_port_names_a_host_and_a_port(host: str, port: int) -> None:
    """Who browses by `ssh -D` does not name them: it is no reason to end what else goes on."""
    rig = Rig().client(say.opens_direct(3, host, port))
    sentence = "What your client forwards to is no host and port; name a target or its host."
    assert rig.news() == ([say.unopened(3, 1, sentence)], [])
    assert rig.rejected() == [("direct-tcpip", sentence)] and not rig.asks


@pytest.mark.parametrize(
    ("kind", "hint"),
    [
        ("x11", "leave out -X"),
        ("forwarded-tcpip", "leave out -R"),
        ("auth-agent@openssh.com", "leave out -A"),
        ("direct-streamlocal@openssh.com", "-L"),
        ("tun@openssh.com", "leave out -w"),
        ("vpn@example.org", "vpn@example.org"),
    ],
)
def test_other_kinds_of_channels_are_refused(kind: str, hint: str) -> None:
    rig = Rig().client(say.opens(3, kind, rest=b"whatever"))
    ((text, sentence),) = rig.rejected()
    assert text == kind and hint in sentence and not rig.asks
    assert rig.news() == ([say.unopened(3, 1, sentence)], [])


@pytest.mark.parametrize("kind", ["forwarded-tcpip", "x11", "auth-agent@openssh.com", "session"])
def test_a_server_opens_no_channels(kind: str) -> None:
    rig = Rig().running().server(say.opens(99, kind, rest=b"whatever"))
    ((text, sentence),) = rig.rejected()
    assert text == kind and kind in sentence
    assert rig.news() == ([], [say.unopened(99, 1, sentence)])


@pytest.mark.parametrize("reply", [True, False])
def test_remote_forwarding_is_refused_with_a_sentence_in_an_open_channel(reply: bool) -> None:
    rig = Rig().running().client(say.global_request("tcpip-forward", reply, REMOTE))
    assert rig.rejected() == [("tcpip-forward", NO_REMOTE)]
    assert rig.news() == ([say.stderr(0, say.told(NO_REMOTE)), *([say.REQUEST_FAILURE] * reply)], [])


def test_the_sentence_waits_for_the_first_channel() -> None:
    rig = Rig().client(*[say.global_request("tcpip-forward", True, REMOTE)] * 3)
    assert rig.news() == ([say.REQUEST_FAILURE] * 3, [])
    rig.client(say.opens(0)).server(say.confirmed(0, 10))
    assert rig.news()[0] == [say.confirmed(0, 10), say.stderr(0, say.told(NO_REMOTE))]
    rig.client(say.opens(1)).server(say.confirmed(1, 11))
    assert rig.news()[0] == [say.confirmed(1, 11)]


def test_the_sentence_waits_where_no_channel_has_room_or_a_say() -> None:
    rig = Rig().running(0, 10, window=5).running(1, 11).server(say.eof(1))
    rig.news()
    rig.client(say.global_request("tcpip-forward", True, REMOTE))
    assert rig.news() == ([say.REQUEST_FAILURE], [])
    rig.client(say.opens(2)).server(say.confirmed(2, 12))
    assert rig.news()[0] == [say.confirmed(2, 12), say.stderr(2, say.told(NO_REMOTE))]


def test_only_so_many_sentences_wait() -> None:
    rig = Rig().client(*[say.global_request(f"request-{number}@example.org") for number in range(100)])
    rig.client(say.opens(0)).server(say.confirmed(0, 10))
    assert len(rig.news()[0]) == 1 + 8


@pytest.mark.parametrize(
    "name",
    [
        "cancel-tcpip-forward",
        "streamlocal-forward@openssh.com",
        "cancel-streamlocal-forward@openssh.com",
        "hostkeys-prove-00@openssh.com",
        "nonsense@example.org",
    ],
)
def test_other_global_requests_are_refused(name: str) -> None:
    rig = Rig().client(say.global_request(name, True, b"whatever"))
    assert rig.news() == ([say.REQUEST_FAILURE], []) and [text for text, _ in rig.rejected()] == [name]


def test_what_keeps_a_connection_alive_passes_both_ways() -> None:
    alive = say.global_request("keepalive@openssh.com", True)
    last = say.global_request("no-more-sessions@openssh.com")
    rig = Rig().client(alive, last).server(say.REQUEST_FAILURE, alive).client(say.REQUEST_SUCCESS)
    assert rig.news() == ([say.REQUEST_FAILURE, alive], [alive, last, say.REQUEST_SUCCESS])
    assert not rig.records and not rig.asks


def test_global_answers_keep_their_order() -> None:
    alive = say.global_request("keepalive@openssh.com", True)
    rig = Rig().client(alive, say.global_request("tcpip-forward", True, REMOTE), alive)
    assert rig.news()[0] == []
    rig.server(say.REQUEST_SUCCESS)
    assert rig.news()[0] == [say.REQUEST_SUCCESS, say.REQUEST_FAILURE]
    rig.server(say.REQUEST_SUCCESS)
    assert rig.news()[0] == [say.REQUEST_SUCCESS]


def test_a_servers_other_global_requests_go_nowhere() -> None:
    alive = say.global_request("keepalive@openssh.com", True)
    rig = Rig().server(
        say.global_request("hostkeys-00@openssh.com", False, say.string("key")),
        alive,
        say.global_request("hostkeys-00@openssh.com", True, say.string("key")),
        say.global_request("nonsense@example.org"),
    )
    assert rig.news() == ([alive], [])
    rig.client(say.REQUEST_FAILURE)
    assert rig.news() == ([], [say.REQUEST_FAILURE] * 2)
