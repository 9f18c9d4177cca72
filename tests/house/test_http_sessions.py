"""HTTP through the whole house: admission, the machine, the guards and the evidence, in memory."""

from typing import Any

import pytest
from twisted.internet.defer import Deferred

from hoopproxy.errors import LimitReached, Revoked
from hoopproxy.events import Asked, Completed, Record, Rejected, Statement
from hoopproxy.model import Allow, Answer, Passage, Pending, Permit, Refuse
from hoopproxy.proofs import TargetSecret
from hoopproxy.settings import Limits
from hoopproxy.testing.healthy import AllowsAll, MemoryRecorder, MemoryRecording

from .conftest import end_all
from .http_scene import Scene, answer, furnished, get

STOPPING = "The gateway is stopping; connect again in a moment."
PART = b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello"


def recorded(scene: Scene, *kinds: type) -> list[Record]:
    recorder: Any = scene.addons.recorder
    return [event for each in recorder.recordings for event in each.events if isinstance(event, kinds)]


class Asks(AllowsAll):
    """Answers what it is told to, and keeps what it was asked."""

    def __init__(self, answer: Answer | Exception | None = None) -> None:
        self.answer = answer or Allow()
        self.asked: list[Statement] = []

    async def examine(self, passage: Passage, statement: Statement) -> Answer:
        self.asked.append(statement)
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


def guarded(answer: Answer | Exception | None = None, **limits: Any) -> tuple[Scene, Asks]:
    guard, addons = Asks(answer), furnished()
    addons.guards = [guard]
    return Scene(addons, Limits(**limits)), guard


def test_a_request_is_asked_about_sent_and_answered_and_all_of_it_is_in_the_evidence() -> None:
    scene, guard = guarded()
    talk = scene.connect(get("/customers?full=1"))
    assert talk.client.heard.endswith(b"\r\n\r\nhello") and talk.client.welcomed
    (statement,) = guard.asked
    assert statement.text == "GET /customers?full=1" and statement.http and statement.http.path == "/customers"
    assert talk.crm.heard.startswith(b"GET /customers?full=1 HTTP/1.1\r\n")
    assert b"Bearer s3cret" in talk.crm.heard and b"token" not in talk.crm.heard
    (asked,), (completed,) = recorded(scene, Asked), recorded(scene, Completed)
    assert isinstance(asked, Asked) and asked.statement.http == statement.http
    assert isinstance(completed, Completed) and completed.tag == "200"
    talk.client.says(get("/again"))
    assert talk.client.heard.count(b"hello") == 2
    talk.client.give(b"")
    talk.client.lost.set()
    assert talk.visit.over and talk.visit.failure is None and talk.crm.closed
    assert [entry["kind"] for entry in scene.entries()] == ["permitted", "confirmed", "ended"]
    (ended,) = scene.entries("ended")
    assert ended["tally"]["statements"] == 2


def test_evidence_comes_first_before_the_target_is_reached_before_it_sees_a_secret_before_it_hears_a_request() -> None:
    order: list[str] = []

    class Slow(MemoryRecording):
        async def settle(self) -> None:
            if any(isinstance(event, Asked) for event in self.events):
                order.append(f"settles, target heard {len(scene.crms.peers[0].sent)}")
                await waiting

    class Recorder(MemoryRecorder):
        async def open(self, passage: Passage) -> Any:
            self.recordings.append(Slow())
            return self.recordings[-1]

    waiting: Deferred[None] = Deferred()
    addons = furnished()
    addons.recorder = Recorder()
    scene = Scene(addons)
    reach, log_in = scene.crms.reach, scene.crms.login

    async def reaches(permit: Permit) -> Any:
        order.append(f"reaches after {[entry['kind'] for entry in scene.entries()]}")
        return await reach(permit)

    async def logs_in(reached: Any, passage: Passage, secret: TargetSecret, protected: frozenset[str]) -> Any:
        order.append(f"logs in after {[entry['kind'] for entry in scene.entries()]}")
        return await log_in(reached, passage, secret, protected)

    scene.crms.reach, scene.crms.login = reaches, logs_in  # type: ignore[method-assign] # seen from here
    talk = scene.connect(get("/"))
    assert order == [
        "reaches after ['permitted']",
        "logs in after ['permitted', 'confirmed']",
        "settles, target heard 0",
    ]
    assert not talk.crm.heard
    waiting.callback(None)
    assert talk.crm.heard.startswith(b"GET / ") and talk.client.heard.endswith(b"hello")


def test_a_refused_request_goes_nowhere_and_the_next_connection_goes_on() -> None:
    scene, guard = guarded(Refuse("Deleting is for stewards; ask one."))
    talk = scene.connect(get("/customers/17"))
    assert talk.client.heard.startswith(b"HTTP/1.1 403 ") and b"Deleting is for stewards; ask one." in talk.client.heard
    assert not talk.crm.heard and recorded(scene, Rejected) and not recorded(scene, Asked)
    guard.answer = Allow()
    assert scene.connect(get("/")).client.heard.endswith(b"hello")


def test_a_refusal_that_waits_to_be_recorded_is_told_though_the_target_is_heard_meanwhile() -> None:
    """It ends the connection, which its client's bytes and the target's find out at the same time."""

    class Slow(MemoryRecording):
        async def settle(self) -> None:
            if any(isinstance(event, Rejected) for event in self.events):
                await waiting

    class Recorder(MemoryRecorder):
        async def open(self, passage: Passage) -> Any:
            self.recordings.append(Slow())
            return self.recordings[-1]

    waiting: Deferred[None] = Deferred()
    addons = furnished()
    addons.recorder, addons.guards = Recorder(), [Asks(Refuse("Deleting is for stewards; ask one."))]
    talk = Scene(addons).connect(get("/", **{"Content-Length": "3"}))
    talk.crm.says(b"HTTP/1.1 408 Request Timeout\r\n\r\n")
    assert not talk.client.heard and not talk.visit.over
    waiting.callback(None)
    assert talk.client.heard.startswith(b"HTTP/1.1 403 ") and talk.visit.over


def test_a_kill_amid_a_response_cuts_it_and_before_it_says_so() -> None:
    scene = Scene()
    cut, told = scene.connect(), scene.connect()
    for talk in (cut, told):
        talk.crm.answers = None
        talk.client.says(get("/"))
    cut.crm.says(PART)
    end_all(scene.gateway.leases)
    assert cut.visit.over and cut.client.heard.endswith(b"hello") and cut.client.closed
    assert told.client.heard.startswith(b"HTTP/1.1 503 ") and b"An operator ended your session." in told.client.heard
    assert [entry["reason"] for entry in scene.entries("ended")] == ["revoked", "revoked"]
    assert cut.crm.closed and told.crm.closed


def test_all_connections_of_a_person_to_a_target_are_one_session_and_end_together() -> None:
    scene = Scene()
    talks = [scene.connect(get("/")) for _ in range(3)]
    other = scene.connect(get("/"), client="198.51.100.77")
    confirmed = [entry["session_id"] for entry in scene.entries("confirmed")]
    assert len(set(confirmed[:3])) == 1 and confirmed[3] != confirmed[0]
    assert scene.gateway.leases.end(confirmed[0], Revoked("An operator ended your session."))
    assert all(talk.visit.over for talk in talks) and not other.visit.over


@pytest.mark.parametrize("nth", [1, 2, 5])
def test_a_guard_that_breaks_at_its_nth_call_ends_the_session_with_no_byte_through(nth: int) -> None:
    scene, guard = guarded()
    talk = scene.connect()
    for number in range(1, nth):
        talk.client.says(get(f"/{number}"))
    heard, sent = talk.client.heard, talk.crm.heard
    guard.answer = RuntimeError("broken")
    talk.client.says(get("/last"))
    assert talk.visit.over and talk.visit.failure is None and talk.crm.heard == sent
    said = talk.client.heard.removeprefix(heard)
    assert said.startswith(b"HTTP/1.1 503 ") and b"its addon 'kinds' failed" in said
    assert scene.entries("ended")[0]["reason"] == "addon-failure"
    assert scene.told[-1][1]["detail"].startswith("addon 'kinds', examine:")


def test_a_session_ends_with_its_right() -> None:
    scene = Scene(limits=Limits(session_s_max=100.0))
    talk = scene.connect(get("/"))
    scene.clock.advance(99)
    assert not talk.visit.over
    scene.clock.advance(1)
    assert talk.visit.over and talk.client.refusals[0].sentence.startswith("Your session has ended because its grant")


def test_a_person_may_be_asked_first() -> None:
    scene, guard = guarded(Pending("Ask Bo.", 1e12))
    talk = scene.connect(get("/payroll"))
    scene.clock.advance(30)
    assert not talk.crm.heard and not talk.client.heard and talk.client.told
    guard.answer = Allow()
    scene.clock.advance(30)
    assert talk.crm.heard.startswith(b"GET /payroll ") and talk.client.heard.endswith(b"hello")


def test_nobody_who_decides_is_a_no() -> None:
    scene, _ = guarded(Pending("Ask Bo.", 1e12), approval_s_max=60.0)
    talk = scene.connect(get("/payroll"))
    for _ in range(61):
        scene.clock.advance(1)
    assert not talk.crm.heard and talk.client.heard.startswith(b"HTTP/1.1 403 ")


# How long a head may take ---------------------------------------------------------------------------------------------


def test_a_head_that_drips_ends_the_connection_however_much_comes() -> None:
    scene = Scene(limits=Limits(head_s_max=10.0))
    talk = scene.connect(get("/"))
    scene.clock.advance(3000)
    for byte in get("/slowly", X_Padding="x" * 100)[:99]:
        talk.client.says(bytes((byte,)))
        scene.clock.advance(0.1)
    assert not talk.visit.over
    scene.clock.advance(0.2)
    (why,) = talk.client.refusals
    assert talk.visit.over and isinstance(why, LimitReached) and why.limit == "limits.head_s_max"
    assert "within 10 s" in why.sentence and b"/slowly" not in talk.crm.heard


def test_each_head_has_its_own_time_and_bodies_have_none() -> None:
    scene = Scene(limits=Limits(head_s_max=10.0))
    talk = scene.connect()
    for _ in range(3):
        request = get("/")
        talk.client.says(request[:20])
        scene.clock.advance(9)
        talk.client.says(request[20:])
    assert talk.client.heard.count(b"hello") == 3
    talk.crm.answers = None
    head = get("/up", Content_Length="10").replace(b"GET", b"POST", 1)
    talk.client.says(head)
    for _ in range(9):
        scene.clock.advance(60)
        talk.client.says(b"x")
    assert not talk.visit.over
    talk.client.says(b"x")
    assert talk.crm.heard.endswith(b"x" * 10)


# When the gateway stops -----------------------------------------------------------------------------------------------


def test_who_waits_for_nothing_leaves_at_once_and_nobody_comes_in() -> None:
    scene = Scene()
    talk = scene.connect(get("/"))
    scene.gateway.leases.stop()
    assert talk.visit.over and talk.client.closed and talk.client.heard.endswith(b"hello")
    assert [why.sentence for why in talk.client.refusals] == [STOPPING]
    late = scene.connect(get("/"))
    assert late.visit.over and late.client.refusals[0].sentence == STOPPING and not late.client.welcomed
    assert scene.entries("denied")[0]["code"] == "revoked"


def test_who_is_answered_is_answered_whole_and_then_leaves() -> None:
    scene = Scene()
    talk = scene.connect()
    talk.crm.answers = None
    talk.client.says(get("/"))
    talk.crm.says(PART)
    scene.gateway.leases.stop()
    scene.clock.advance(9)
    assert not talk.visit.over
    talk.crm.says(b"world")
    assert (
        talk.visit.over and talk.client.heard.endswith(b"helloworld") and talk.client.refusals[0].sentence == STOPPING
    )
    assert scene.entries("ended")[0]["reason"] == "revoked"


@pytest.mark.parametrize("is_before", [True, False])
def test_the_last_answer_is_written_before_anybody_leaves(is_before: bool) -> None:
    scene = Scene()
    talk = scene.connect()
    talk.crm.answers = None
    talk.client.says(get("/"))
    if is_before:
        scene.gateway.leases.stop()
    taken: Deferred[None] = Deferred()
    write = talk.client.write

    async def slowly(data: bytes) -> None:
        await taken
        await write(data)

    talk.client.write = slowly  # type: ignore[method-assign] # a client that takes its time
    talk.crm.says(answer())
    scene.gateway.leases.stop()
    assert not talk.visit.over
    taken.callback(None)
    assert talk.visit.over and talk.client.heard.endswith(b"hello")


def test_who_is_not_answered_in_time_is_told() -> None:
    scene = Scene(limits=Limits(drain_s_max=10.0))
    talk = scene.connect()
    talk.crm.answers = None
    talk.client.says(get("/"))
    scene.gateway.leases.stop()
    for _ in range(19):
        scene.clock.advance(0.5)
    assert not talk.visit.over
    scene.clock.advance(0.5)
    assert talk.visit.over and talk.client.heard.startswith(b"HTTP/1.1 503 ") and STOPPING.encode() in talk.client.heard


def test_a_request_that_a_person_is_asked_about_may_still_be_allowed() -> None:
    scene, guard = guarded(Pending("Ask Bo.", 1e12))
    talk = scene.connect(get("/payroll"))
    scene.gateway.leases.stop()
    guard.answer = Allow()
    scene.clock.advance(5)
    assert talk.visit.over and talk.client.heard.endswith(b"hello")


def test_who_is_on_his_way_in_when_it_stops_does_not_come_in() -> None:
    scene = Scene()
    gate: Deferred[None] = Deferred()
    reach = scene.crms.reach

    async def slowly(permit: Permit) -> Any:
        await gate
        return await reach(permit)

    scene.crms.reach = slowly  # type: ignore[method-assign] # a target that takes its time
    talk = scene.connect(get("/"))
    scene.gateway.leases.stop()
    assert not talk.visit.over
    gate.callback(None)
    assert talk.visit.over and talk.client.refusals[0].sentence == STOPPING and not scene.crms.logins
