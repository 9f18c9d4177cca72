"""How long a relayed connection may stay as it is: idle, unanswered, or with an end that takes nothing."""

from typing import Any

import pytest
from twisted.internet.defer import Deferred

from hoopproxy.errors import LimitReached, Revoked, SessionError
from hoopproxy.events import Statement
from hoopproxy.model import Allow, Answer, Passage, Pending
from hoopproxy.relay.relay import PIECE_BYTES_MAX
from hoopproxy.testing.healthy import AllowsAll
from hoopproxy.testing.house import House, MemoryPeer, canned_result, message, query

from .conftest import end_all

QUESTION = query("SELECT pg_sleep(7200)")
NOTIFICATION = message(b"A", b"\0\0\0\1news\0\0")
COPY_IN = message(b"G", b"\0\0\1\0\0")


class Scene:
    """A visit to a target that says only what the test makes it say."""

    def __init__(self, **limits: float) -> None:
        self.house = House().with_limits(**limits)
        self.visit = self.house.connect()
        self.peer: MemoryPeer = self.house.dialer.peers[-1]
        self.peer.answers.clear()
        self.peer.write = self._keep  # type: ignore[method-assign] # it keeps what it is sent, and its answer to itself

    async def _keep(self, data: bytes) -> None:
        self.peer.sent += data

    def says(self, data: bytes) -> None:
        self.visit.frontend.give(data)

    def after(self, seconds: float) -> bool:
        """Whether it is over so many seconds later."""
        self.house.clock.advance(seconds)
        return self.visit.over

    @property
    def why(self) -> SessionError:
        assert self.visit.over
        (why,) = self.visit.frontend.refusals
        return why

    @property
    def limit(self) -> str:
        assert isinstance(self.why, LimitReached)
        return self.why.limit


def taking(end: Any) -> list[Deferred[None]]:
    """Makes an end take what is written only when told to, once per write."""
    waiting: list[Deferred[None]] = []

    async def write(data: bytes) -> None:
        end.sent += data
        waiting.append(Deferred())
        await waiting[-1]

    end.write = write
    return waiting


class Asks(AllowsAll):
    """A guard that wants a person first."""

    answer: Answer = Pending("Ask for it.", 1e12)

    async def examine(self, passage: Passage, statement: Statement) -> Answer:
        return self.answer


def test_a_report_may_take_hours_by_default() -> None:
    it = Scene()
    it.says(QUESTION)
    for _ in range(8):
        assert not it.after(3600)
    it.peer.give(canned_result())
    assert b"SELECT 1" in it.visit.seen and not it.after(3599)
    assert it.after(1) and it.limit == "limits.idle_s_max"


def test_a_target_that_owes_an_answer_may_be_given_a_limit_of_its_own() -> None:
    it = Scene(answer_s_max=60.0)
    assert not it.after(3000)  # it owes nothing
    it.says(QUESTION)
    assert not it.after(59)
    it.peer.give(NOTIFICATION)
    assert not it.after(59)
    assert it.after(1) and it.limit == "limits.answer_s_max"
    assert it.why.sentence.startswith("The target sent nothing for 60 s though it owes you an answer,")
    assert it.peer.interrupted and it.peer.closed


@pytest.mark.parametrize("moves", [NOTIFICATION, message(b"S", b"TimeZone\0UTC\0")])
def test_what_passes_unasked_is_a_move(moves: bytes) -> None:
    it = Scene(idle_s_max=60.0)
    for _ in range(3):
        assert not it.after(59)
        it.peer.give(moves)
    assert not it.after(59)
    assert it.after(1) and it.limit == "limits.idle_s_max"
    assert it.why.sentence == "Your session was idle for 60 s and was closed; connect again."


@pytest.mark.parametrize("sent", [message(b"S", b""), message(b"H", b""), QUESTION])
def test_half_a_message_is_the_clients_to_finish(sent: bytes) -> None:
    it = Scene(idle_s_max=60.0)
    it.says(sent[:3])
    assert not it.after(59)
    assert it.after(1) and it.limit == "limits.idle_s_max"


def test_any_byte_is_a_move() -> None:
    it = Scene(idle_s_max=60.0, answer_s_max=60.0)
    for byte in QUESTION:
        it.says(bytes([byte]))
        assert not it.after(59)
    for byte in canned_result():
        it.peer.give(bytes([byte]))
        assert not it.after(59)
    assert it.after(1)


def test_who_owes_copy_data_is_idle_and_who_has_sent_them_is_not() -> None:
    it = Scene(idle_s_max=60.0)
    it.says(query("COPY t FROM STDIN"))
    assert not it.after(600)
    it.peer.give(COPY_IN)
    assert not it.after(59)
    it.says(message(b"d", b"1\n"))
    assert not it.after(59)
    it.says(message(b"c", b""))
    assert not it.after(600)
    it.peer.give(message(b"C", b"COPY 1\0") + message(b"Z", b"I"))
    assert not it.after(59)
    assert it.after(1)
    owing = Scene(idle_s_max=60.0)
    owing.says(query("COPY t FROM STDIN"))
    owing.peer.give(COPY_IN)
    assert not owing.after(59)
    assert owing.after(1) and owing.limit == "limits.idle_s_max"


def test_an_extended_query_is_unanswered_until_its_sync_is() -> None:
    it = Scene(idle_s_max=60.0)
    it.says(message(b"P", b"\0SELECT 1\0\0\0") + message(b"S", b""))
    it.peer.give(message(b"1", b""))
    assert not it.after(600)
    it.peer.give(message(b"Z", b"I"))
    assert not it.after(59)
    assert it.after(1)


def test_what_waits_for_a_person_is_neither_idle_nor_unanswered() -> None:
    house, guard = House(), Asks()
    house.addons.guards = [guard]
    house = House(house.addons).with_limits(idle_s_max=5.0, answer_s_max=5.0)
    visit = house.connect(QUESTION)
    house.clock.pump([1.0] * 60)
    assert not visit.over
    guard.answer = Allow()
    house.clock.advance(1.0)
    assert b"SELECT 1" in visit.seen
    house.clock.pump([1.0] * 4)
    assert not visit.over
    house.clock.advance(1.0)
    assert visit.over


def test_what_was_judged_at_last_has_its_whole_time() -> None:
    house, guard = House(), Asks()
    house.addons.guards = [guard]
    house = House(house.addons).with_limits(answer_s_max=5.0)
    visit = house.connect(QUESTION)
    recorder: Any = house.addons.recorder

    async def settles_slowly() -> None:
        await house.scheduler.sleep(4.0)

    recorder.recordings[-1].settle = settles_slowly
    house.clock.pump([1.0] * 60)
    guard.answer = Allow()
    house.clock.pump([1.0] * 5)
    assert b"SELECT 1" in visit.seen and not visit.over


def test_a_client_that_takes_nothing_is_cut_off_and_the_target_is_not_blamed() -> None:
    it = Scene(idle_s_max=10.0, answer_s_max=10.0, stalled_s_max=60.0)
    taking(it.visit.frontend)
    it.says(QUESTION)
    it.peer.give(canned_result()[:-6])  # no ReadyForQuery yet: the target would owe it, if it were read
    assert not it.after(59)
    assert it.after(1) and it.limit == "limits.stalled_s_max"
    assert it.why.sentence.startswith("Your client took nothing of its answer for 60 s and was cut off;")


def test_a_target_that_takes_nothing_is_not_waited_for_for_ever() -> None:
    it = Scene(idle_s_max=10.0, answer_s_max=10.0, stalled_s_max=60.0)
    taking(it.peer)
    it.says(QUESTION)
    assert not it.after(59)
    assert it.after(1) and it.limit == "limits.stalled_s_max"
    assert it.why.sentence.startswith("The target took nothing of what you sent for 60 s,")


def test_the_first_limit_that_is_reached_counts_whatever_was_slept_for() -> None:
    it = Scene(idle_s_max=3600.0, answer_s_max=30.0, stalled_s_max=7.0)
    assert not it.after(3599)
    it.says(QUESTION)
    assert not it.after(29.5)
    assert it.after(0.5) and it.limit == "limits.answer_s_max"
    other = Scene(idle_s_max=3600.0, answer_s_max=30.0, stalled_s_max=7.0)
    taking(other.peer)
    assert not other.after(3.5)
    other.says(QUESTION)
    assert not other.after(6.5)
    assert other.after(0.5) and other.limit == "limits.stalled_s_max"


def long_result() -> bytes:
    """One row of three pieces and a bit."""
    cell = bytes(3 * PIECE_BYTES_MAX)
    row = b"\0\2" + len(cell).to_bytes(4, "big") + cell + b"\0\0\0\4card"
    head = canned_result()[: canned_result().index(b"D\0\0\0")]
    return head + message(b"D", row) + message(b"C", b"SELECT 1\0") + message(b"Z", b"I")


def test_a_slow_end_that_takes_anything_at_all_is_waited_for() -> None:
    it = Scene(stalled_s_max=60.0, idle_s_max=60.0)
    waiting = taking(it.visit.frontend)
    it.says(QUESTION)
    it.peer.give(long_result())
    for piece in range(4):
        assert len(waiting) == piece + 1 and not it.after(59)
        waiting[-1].callback(None)
    assert len(it.visit.seen) > 3 * PIECE_BYTES_MAX and it.visit.seen.endswith(message(b"Z", b"I"))
    assert not it.after(59)
    assert it.after(1) and it.limit == "limits.idle_s_max"


def test_no_further_piece_goes_out_once_the_other_direction_has_failed() -> None:
    it = Scene()

    async def fails(data: bytes) -> None:
        it.peer.sent += data
        it.peer.give(b"\xff\0\0\0\4")  # which wakes the other direction, inside of this one

    it.peer.write = fails  # type: ignore[method-assign] # a target that answers nonsense to the first piece
    it.says(query("SELECT '" + "x" * 2 * PIECE_BYTES_MAX + "'"))
    it.after(0)
    assert it.why.code == "protocol-violation" and len(it.peer.sent) == PIECE_BYTES_MAX


@pytest.mark.parametrize(("taken", "told"), [(0, False), (2, False), (3, True)])
def test_nothing_is_said_to_a_client_that_has_seen_a_part_of_a_message(taken: int, told: bool) -> None:
    it = Scene()
    waiting = taking(it.visit.frontend)
    it.says(QUESTION)
    it.peer.give(long_result())
    for number in range(taken):
        waiting[number].callback(None)
    end_all(it.house.leases)
    assert it.visit.over and bool(it.visit.frontend.refusals) is told
    assert len(it.visit.seen) <= (taken + 1) * PIECE_BYTES_MAX


def test_a_notice_waits_for_the_end_of_a_message_and_only_the_last_is_told() -> None:
    class Asks(AllowsAll):
        request = ""

        async def examine(self, passage: Passage, statement: Statement) -> Answer:
            return Pending(self.request, 1e12) if self.request else Allow()

    house, guard = House(), Asks()
    house.addons.guards = [guard]
    house = House(house.addons)
    visit = house.connect()
    waiting = taking(visit.frontend)
    house.dialer.peers[-1].answers[b"Q"] = long_result()
    visit.frontend.give(QUESTION)
    assert len(waiting) == 1
    guard.request = "Ask for the first."
    visit.frontend.give(QUESTION)
    guard.request = "Ask for the second."
    house.clock.advance(1.0)
    for number in range(3):
        assert visit.frontend.told == []
        waiting[number].callback(None)
    assert visit.frontend.told == []  # the last piece is on its way
    waiting[3].callback(None)
    assert visit.frontend.told == ["Ask for the second."]
    guard.request = "Ask for the third."
    house.clock.advance(1.0)
    assert visit.frontend.told == ["Ask for the second.", "Ask for the third."]


def test_a_visit_is_over_at_its_expiry_whatever_state_it_is_in() -> None:
    it = Scene(session_s_max=100.0)
    it.says(QUESTION)
    assert not it.after(99)
    assert it.after(1) and isinstance(it.why, Revoked)
