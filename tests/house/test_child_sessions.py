"""What an SSH client forwards is a session of its own: its own verdict, lease and recording, by its parent's right."""

import json
from dataclasses import replace
from typing import Any

from twisted.internet.defer import Deferred

from hoopproxy.errors import Revoked
from hoopproxy.events import Action, Asked, Statement
from hoopproxy.model import Allow, Answer, Assurance, Finding, Grant, Passage, Pending, Place, Refuse, Support, Target
from hoopproxy.testing.healthy import AllowsAll, GrantsAll, SaysGermany
from hoopproxy.testing.ssh_speaker import open_forward
from hoopproxy.wire.ssh import messages
from hoopproxy.wire.ssh.channels import OWN_NUMBERS_FROM as FIRST

from .ssh_scene import CACHE, Scene, Talk, Two, furnished


def scene(**limits: float) -> Scene:
    made = Scene()
    return Scene(limits=replace(made.limits, **limits)) if limits else made


def with_addons(**roles: Any) -> Scene:
    addons = furnished()
    for role, addon in roles.items():
        setattr(addons, role, addon)
    return Scene(addons)


def failure(talk: Talk) -> tuple[int, int, str]:
    """The one refusal of a channel that the client got: channel, reason and sentence."""
    (payload,) = talk.client.heard_of(messages.CHANNEL_OPEN_FAILURE)
    length = int.from_bytes(payload[9:13])
    return int.from_bytes(payload[1:5]), int.from_bytes(payload[5:9]), payload[13 : 13 + length].decode()


def data(raw: bytes, channel: int = FIRST) -> bytes:
    return messages.output(channel, 0, raw)


def received(talk: Talk) -> bytes:
    """What came out of the forwarded channel 7."""
    return b"".join(each[9:] for each in talk.client.heard_of(messages.DATA) if each[1:5] == (7).to_bytes(4))


def test_a_forwarded_channel_reaches_its_target_and_comes_back() -> None:
    talk = scene().connect()
    talk.runs()
    child = talk.forwards()
    (confirmation,) = [each for each in talk.client.heard_of(messages.CHANNEL_OPEN_CONFIRMATION) if each[4] == 7]
    assert int.from_bytes(confirmation[5:9]) == FIRST
    talk.client.says(data(b"PING\r\n"))
    assert talk.cache.sent == b"PING\r\n"
    talk.cache.give(b"+PONG\r\n")
    assert received(talk) == b"+PONG\r\n"
    assert not child.over and not talk.visit.over
    assert [payload for payload in talk.sshd.heard if payload[0] == messages.CHANNEL_OPEN] == [
        payload for payload in talk.sshd.heard if b"session" in payload
    ], "the target's own sshd forwards nothing"


def test_it_is_a_session_of_its_own_that_names_its_parent() -> None:
    it = scene()
    talk = it.connect()
    talk.runs()
    talk.forwards()
    parent, child = it.entries("permitted")
    assert (parent["protocol"], parent["parent"], parent["target"]) == ("ssh", "", "shell")
    assert (child["protocol"], child["parent"], child["target"]) == ("tcp", parent["session_id"], "cache")
    assert child["session_id"] != parent["session_id"]
    assert child["actor"] == parent["actor"] and child["client"] == parent["client"]
    assert child["connection_id"] != parent["connection_id"]
    assert child["not_after_ms"] <= parent["not_after_ms"]
    assert it.entries("confirmed")[1]["treatment"] == "not parsed, not masked"
    assert {lease.session_id for lease in it.gateway.leases.live()} == {parent["session_id"], child["session_id"]}
    recorder: Any = it.addons.recorder
    assert len(recorder.recordings) == 2
    talk.client.says(messages.close(FIRST))
    assert [entry["session_id"] for entry in it.entries("ended")] == [child["session_id"]]
    assert talk.cache.closed and not talk.visit.over


def test_guards_see_the_channel_before_anybody_is_asked_about_its_target() -> None:
    seen: list[tuple[Action, str]] = []

    class Sees(AllowsAll):
        async def examine(self, passage: Passage, statement: Statement) -> Answer:
            seen.append((statement.action, statement.text))
            no = "direct-tcpip" in statement.text and passage.permit.target.protocol == "ssh"
            return Refuse("Nothing is forwarded from here.") if no else Allow()

    it = with_addons(guards=[Sees()])
    talk = it.connect()
    talk.runs("uptime")
    talk.client.says(open_forward(7, "cache.example", 6379))
    assert seen == [
        (Action.OPEN, "session"),
        (Action.RUN, "exec uptime"),
        (Action.OPEN, "direct-tcpip cache.example 6379"),
    ]
    assert failure(talk) == (7, 1, "Nothing is forwarded from here.")
    assert not talk.client.adopted and not it.caches.permits and not talk.visit.over
    assert talk.client.heard_of(messages.DATA)


def test_guards_are_asked_about_the_child_too() -> None:
    class NoTcp(AllowsAll):
        async def examine(self, passage: Passage, statement: Statement) -> Answer:
            return Refuse("No.") if passage.permit.target.protocol == "tcp" else Allow()

    talk = with_addons(guards=[NoTcp()]).connect()
    talk.runs()
    child = talk.forwards()
    talk.client.says(data(b"FLUSHALL\r\n"))
    assert child.over and talk.cache.sent == b"" and talk.cache.closed
    assert talk.client.heard_of(messages.CLOSE) == [messages.close(7)]
    assert not talk.visit.over


def test_unknown_and_forbidden_places_are_refused_alike_and_the_session_goes_on() -> None:
    class NoCache(GrantsAll):
        async def grants(self, identity: Any, roles: Any, target: Target, at_s: float) -> tuple[Grant, ...] | Pending:
            return () if target is CACHE else await super().grants(identity, roles, target, at_s)

    sentences = []
    for host in ("nowhere.example", "cache.example"):
        it = with_addons(grants=[NoCache()])
        talk = it.connect()
        talk.runs()
        assert talk.forwards(host).over
        channel, reason, sentence = failure(talk)
        assert (channel, reason) == (7, 1)
        sentences.append(sentence.replace(host, "HOST"))
        assert not it.caches.permits and not talk.visit.over
        denied = it.entries("denied")[0]
        assert denied["parent"] == it.entries("permitted")[0]["session_id"]
    assert sentences[0] == sentences[1] and "'HOST:6379'" in sentences[0] and "(session s2)" in sentences[0]


def test_what_speaks_another_protocol_is_no_place_to_forward_to() -> None:
    class Shells(Two):
        known = Two.known | {"shell.example:22": Two.known["shell"]}

    talk = with_addons(router=Shells()).connect()
    talk.runs()
    assert talk.forwards("shell.example", 22).over
    assert "no access to target 'shell.example:22'" in failure(talk)[2]


def test_nobody_logs_in_to_a_target_of_another_protocol() -> None:
    class Caches(Two):
        known = Two.known | {"cache": CACHE}

    talk = with_addons(router=Caches()).connect("cache")
    assert "no access to target 'cache'" in talk.client.refusals[0].sentence


def test_a_place_out_of_zone_is_refused_while_its_parent_lives() -> None:
    class CacheIsAbroad(SaysGermany):
        async def examine(self, place: Place) -> Finding:
            country = "US" if str(place.address) == "203.0.113.8" else "DE"
            return Finding("declared", Support.COUNTRY, country, Assurance.DECLARED, "test")

    it = with_addons(residency=[CacheIsAbroad()])
    talk = it.connect()
    talk.runs()
    assert talk.forwards().over
    (denied,) = it.entries("denied")
    assert (denied["reason"], denied["target"]) == ("residency", "cache")
    assert "203.0.113.8" not in failure(talk)[2]
    assert not it.caches.permits and not talk.visit.over


def test_what_the_server_says_after_the_client_s_end_still_comes_and_both_ends_end_it() -> None:
    talk = scene().connect()
    talk.runs()
    child = talk.forwards()
    talk.client.says(data(b"all of it"), messages.end_of_file(FIRST))
    assert talk.cache.ended and not child.over
    talk.cache.give(b"answer")
    assert received(talk) == b"answer"
    talk.cache.give(b"")
    assert talk.client.heard_of(messages.EOF) == [messages.end_of_file(7)]
    assert child.over and talk.client.heard_of(messages.CLOSE) == [messages.close(7)]


def test_what_passes_is_counted_and_its_opening_recorded() -> None:
    it = scene()
    talk = it.connect()
    talk.runs()
    talk.forwards()
    talk.client.says(data(b"12345"))
    talk.cache.give(b"123")
    talk.client.says(messages.close(FIRST))
    (ended,) = it.entries("ended")
    assert (ended["tally"]["bytes_to_server"], ended["tally"]["bytes_to_client"]) == (5, 3)
    recorder: Any = it.addons.recorder
    asked = [event.statement.text for event in recorder.recordings[1].events if isinstance(event, Asked)]
    assert asked == ["tcp"]


def test_killing_the_parent_ends_its_children_and_drops_what_they_had_not_sent_yet() -> None:
    it = scene()
    talk = it.connect()
    talk.runs()
    child = talk.forwards()
    parent = it.entries("permitted")[0]["session_id"]
    assert it.gateway.leases.end(parent, Revoked("An operator ended your session."))
    assert talk.visit.over and child.over
    assert talk.cache.closed and talk.client.closed
    assert [entry["session_id"] for entry in it.entries("ended")] != []
    assert len(it.entries("ended")) == 2 and not it.gateway.leases.live()
    shown = b"".join(talk.client.heard_of(messages.EXTENDED_DATA))
    assert b"An operator ended your session." in shown, "it is read on the terminal"


def test_killing_a_child_closes_its_channel_alone() -> None:
    it = scene()
    talk = it.connect()
    talk.runs()
    child = talk.forwards()
    session_id = it.entries("permitted")[1]["session_id"]
    it.gateway.leases.end(session_id, Revoked("An operator ended your session."))
    assert child.over and talk.cache.closed
    assert talk.client.heard_of(messages.CLOSE) == [messages.close(7)]
    assert not talk.visit.over
    talk.client.says(messages.close(FIRST))
    talk.forwards()
    talk.client.says(data(b"again", FIRST + 1))
    assert talk.cache.sent == b"again"


def test_a_child_that_is_still_on_its_way_in_ends_with_its_parent_and_passes_nothing() -> None:
    it = scene()
    gate: Deferred[None] = Deferred()
    reach = it.caches.reach

    async def slowly(permit: Any) -> Any:
        await gate
        return await reach(permit)

    it.caches.reach = slowly  # type: ignore[method-assign] # a target that takes its time
    talk = it.connect()
    talk.runs()
    child = talk.forwards()
    it.gateway.leases.end(it.entries("permitted")[0]["session_id"], Revoked("An operator ended your session."))
    assert talk.visit.over and not child.over
    gate.callback(None)
    assert child.over and talk.cache.closed and talk.cache.sent == b""
    assert not it.gateway.leases.live()


def test_a_child_lives_no_longer_than_its_parent_s_right() -> None:
    class Short(GrantsAll):
        async def grants(self, identity: Any, roles: Any, target: Target, at_s: float) -> tuple[Grant, ...] | Pending:
            (grant,) = await super().grants(identity, roles, target, at_s)  # type: ignore[misc] # it never waits
            return (replace(grant, not_after_s=at_s + (60 if target.name == "shell" else 36000)),)

    it = with_addons(grants=[Short()])
    talk = it.connect()
    talk.runs()
    it.clock.advance(50)
    child = talk.forwards()
    permitted = it.entries("permitted")
    assert permitted[1]["not_after_ms"] == permitted[0]["not_after_ms"]
    it.clock.advance(9)
    assert not child.over
    it.clock.advance(1)
    assert child.over and talk.visit.over


def test_a_client_that_leaves_takes_its_children_along() -> None:
    it = scene()
    talk = it.connect()
    talk.runs()
    child = talk.forwards()
    talk.client.lost.set()
    talk.client.give(b"")
    assert talk.visit.over and child.over and talk.cache.closed
    assert len(it.entries("ended")) == 2


def test_there_is_a_most_of_children() -> None:
    it = scene(channels_max=2)
    talk = it.connect()
    talk.forwards(number=7)
    talk.forwards(number=8)
    talk.client.says(open_forward(9, "cache.example", 6379))
    assert len(talk.client.adopted) == 2
    assert failure(talk)[:2] == (9, 4) and "limits.channels_max" in failure(talk)[2]


def test_a_parent_with_a_child_is_not_idle_and_one_without_is() -> None:
    it = scene(idle_s_max=600.0)
    talk = it.connect()
    child = talk.forwards()
    for _ in range(12):
        it.clock.advance(300)
        talk.cache.give(b"news")
    assert not child.over and not talk.visit.over
    talk.client.says(messages.close(FIRST))
    assert child.over
    it.clock.pump([60.0] * 21)
    assert talk.visit.over
    assert json.dumps(it.entries("ended")[-1]).count("limit-reached") == 1
