"""One session may not hold the loop. Time is counted in readings of the clock: each is a tenth of a millisecond."""

from hoopproxy.events import Statement
from hoopproxy.model import Answer, Passage
from hoopproxy.testing.healthy import AllowsAll
from hoopproxy.testing.house import House, message, query

PARSE = message(b"P", b"\0SELECT 1\0\0\0")
SYNC = message(b"S", b"")
AHEAD = 5000
READING_S = 0.0001


class Judging(AllowsAll):
    """Remembers in which turn of the loop each statement was judged."""

    def __init__(self) -> None:
        self.turn = 0
        self.judged: list[int] = []

    async def examine(self, passage: Passage, statement: Statement) -> Answer:
        self.judged.append(self.turn)
        return await super().examine(passage, statement)


class Scene:
    """A house in which computing takes time, and a greedy visitor in it."""

    def __init__(self, **limits: float) -> None:
        house = House()
        self.guard = Judging()
        house.addons.guards = [self.guard]
        self.house = House(house.addons).with_limits(**limits)
        self._spent_s = 0.0
        self.house.scheduler.monotonic_s = self._reading  # type: ignore[method-assign] # a clock that computing moves
        self.greedy = self.house.connect()

    def _reading(self) -> float:
        self._spent_s += READING_S
        return self.house.clock.seconds() + self._spent_s

    def turn(self) -> None:
        """One turn of the loop, as a reactor has it: what is called for now in this turn is called in the next one."""
        self.guard.turn += 1
        clock = self.house.clock
        due = [call for call in clock.getDelayedCalls() if call.getTime() <= clock.seconds()]
        for call in due:
            clock.calls.remove(call)
            call.called = 1
            call.func(*call.args, **call.kw)

    def sent_ahead(self) -> int:
        """How many of the greedy one's statements have gone on."""
        return bytes(self.house.dialer.peers[0].sent).count(PARSE)


def test_a_query_is_answered_before_statements_that_another_sent_ahead() -> None:
    it = Scene()
    it.greedy.frontend.give(PARSE * AHEAD + SYNC)
    assert 0 < it.sent_ahead() < 50
    other = it.house.connect(query("SELECT 1"), client="198.51.100.10")
    assert b"SELECT 1" in other.seen
    assert 0 < it.sent_ahead() < 50
    while it.sent_ahead() < AHEAD:
        it.turn()
        other.frontend.give(query("SELECT 1"))
    assert other.seen.count(b"SELECT 1\0") == it.guard.turn + 1
    per_turn = [it.guard.judged.count(turn) for turn in range(it.guard.turn + 1)]
    assert 4 <= min(per_turn[:-1]) and max(per_turn) <= 50  # one of them is the other's
    assert bytes(it.house.dialer.peers[0].sent).endswith(SYNC)


def test_two_greedy_ones_go_on_side_by_side() -> None:
    it = Scene()
    both = (it.greedy, it.house.connect(client="198.51.100.10"))
    for visit in both:
        visit.frontend.give(PARSE * AHEAD)
    for _ in range(20):
        before = [_sent(it, number) for number in range(2)]
        it.turn()
        after = [_sent(it, number) for number in range(2)]
        assert all(0 < now - then <= 50 for then, now in zip(before, after, strict=True))


def _sent(it: Scene, number: int) -> int:
    return len(it.house.dialer.peers[number].sent) // len(PARSE)


def test_a_longer_turn_takes_fewer() -> None:
    short, long = Scene(turn_ms_max=1.0), Scene(turn_ms_max=10.0)
    for it in (short, long):
        it.greedy.frontend.give(PARSE * AHEAD)
    assert 5 * short.sent_ahead() < long.sent_ahead()


def test_a_query_of_its_own_never_waits_for_a_turn() -> None:
    it = Scene()
    for count in range(1, 100):
        it.greedy.frontend.give(query("SELECT 1"))
        assert it.greedy.seen.count(b"SELECT 1\0") == count
    assert not [call for call in it.house.clock.getDelayedCalls() if call.getTime() <= it.house.clock.seconds()]
