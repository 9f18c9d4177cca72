"""Somebody watches a session: only what is masked, only once the log knows, and without its ever noticing."""

import json
from base64 import b64decode
from collections.abc import Mapping
from typing import Any

import orjson
import pytest
from twisted.internet.defer import Deferred

from hoopproxy.commands import Commands
from hoopproxy.control.lines import ControlError
from hoopproxy.errors import AddonFailure, Revoked
from hoopproxy.events import Action, Answered, Asked, Closed, Completed, Faulted, Record, Statement, Streamed, Terminal
from hoopproxy.model import Tally
from hoopproxy.relay.gallery import Gallery, NotLive
from hoopproxy.requests import HttpRequest
from hoopproxy.testing.healthy import MemoryLog, MemoryRecorder
from hoopproxy.testing.house import CANARY, House, Visit, message, query

LEAVE = message(b"X", b"")


class Eyes:
    """A watcher that remembers."""

    def __init__(self) -> None:
        self.events: list[dict[str, Any]] = []
        self.has_ended = False

    def tell(self, event: Mapping[str, Any], /) -> None:
        assert not self.has_ended
        self.events.append(orjson.loads(orjson.dumps(event)))

    def end(self) -> None:
        self.has_ended = True

    @property
    def lines(self) -> list[dict[str, Any]]:
        return [event["line"] for event in self.events]

    @property
    def kinds(self) -> list[str]:
        return [line["event"] for line in self.lines]


def admin_actions(house: House) -> list[tuple[str, str]]:
    log = house.addons.evidence
    assert isinstance(log, MemoryLog)
    entries = map(json.loads, log.leaves)
    return [(entry["action"], entry["session_id"]) for entry in entries if entry["kind"] == "admin-action"]


def watched(house: House, session_id: str = "s1") -> Eyes:
    eyes = Eyes()
    opening = Deferred.fromCoroutine(Commands(house.gateway).watch({"id": session_id}, eyes))
    assert callable(opening.result), opening.result
    return eyes


def entered(house: House, **who: str) -> Visit:
    visit = house.connect(**who)
    assert visit.frontend.welcomed
    return visit


def test_a_session_is_watched_masked_and_live_until_it_ends() -> None:
    house = House()
    visit = entered(house)
    eyes = watched(house)
    assert eyes.kinds == ["opened"]
    assert eyes.lines[0]["subject"]

    visit.frontend.give(query("SELECT * FROM customers WHERE id = 4711"))
    assert eyes.kinds == ["opened", "asked", "columns", "rows", "completed"]
    assert not eyes.has_ended
    visit.frontend.give(LEAVE)
    house.advance(visit)

    assert eyes.kinds[-1] == "closed"
    assert eyes.has_ended
    told = repr(eyes.events)
    assert "4711" not in told, "literals are for those with both keys"
    assert {event["connection_id"] for event in eyes.events} == {"c0"}
    rows = next(line for line in eyes.lines if line["event"] == "rows")
    assert rows["cells_masked"] == 1
    assert b"canary" in CANARY and b"canary" not in b64decode(rows["raw"])


def test_the_log_knows_before_anything_is_shown() -> None:
    house = House()
    visit = entered(house)
    log, order = house.addons.evidence, list[str]()
    append = log.append
    durable: Deferred[None] = Deferred()

    async def appending(leaves: Any) -> int:
        await durable
        order.extend(json.loads(leaf)["kind"] for leaf in leaves)
        return await append(leaves)

    log.append = appending  # type: ignore[method-assign] # a spy
    eyes = Eyes()
    opening = Deferred.fromCoroutine(Commands(house.gateway).watch({"id": "s1"}, eyes))
    assert not opening.called
    assert eyes.events == []
    durable.callback(None)

    assert order == ["admin-action"]
    assert admin_actions(house) == [("watch", "s1")]
    assert callable(opening.result)
    assert eyes.kinds == ["opened"]
    visit.frontend.give(LEAVE)
    house.advance(visit)


def test_a_session_that_is_not_alive_leaves_no_trace() -> None:
    house = House()
    opening = Deferred.fromCoroutine(Commands(house.gateway).watch({"id": "s1"}, Eyes()))
    with pytest.raises(ControlError, match="No session s1 is alive"):
        opening.result.raiseException()  # type: ignore[attr-defined] # a failure
    opening.addErrback(lambda _: None)
    assert admin_actions(house) == []


def test_a_session_that_ends_meanwhile_is_said_so() -> None:
    house = House()
    entered(house)
    durable: Deferred[None] = Deferred()
    append = house.addons.evidence.append

    async def appending(leaves: Any) -> int:
        await durable
        return await append(leaves)

    house.addons.evidence.append = appending  # type: ignore[method-assign] # a slow disk
    opening = Deferred.fromCoroutine(Commands(house.gateway).watch({"id": "s1"}, Eyes()))
    house.leases.end("s1", Revoked("Enough."))
    durable.callback(None)

    with pytest.raises(ControlError, match="has just ended"):
        opening.result.raiseException()  # type: ignore[attr-defined] # a failure
    opening.addErrback(lambda _: None)


def test_who_watches_a_session_sees_all_its_connections_and_none_of_others() -> None:
    house = House()
    visits = [entered(house), entered(house)]
    other = entered(house, client="198.51.100.77")
    eyes = watched(house)
    visits[1].frontend.give(query("SELECT 1"))
    other.frontend.give(query("SELECT 2"))
    visits.append(entered(house))
    assert [(event["connection_id"], event["line"]["event"]) for event in eyes.events] == [
        *(("c0", "opened"), ("c1", "opened"), ("c1", "asked"), ("c1", "columns"), ("c1", "rows"), ("c1", "completed")),
        ("c3", "opened"),
    ]

    for visit in visits:
        assert not eyes.has_ended
        visit.frontend.give(LEAVE)
        house.advance(visit)
    assert eyes.has_ended
    other.frontend.give(LEAVE)
    house.advance(other)
    assert house.gateway.gallery._sessions == {}


def test_who_leaves_is_told_no_more() -> None:
    house = House()
    visit = entered(house)
    eyes = Eyes()
    leave = house.gateway.gallery.watch("s1", eyes)
    leave()
    leave()
    visit.frontend.give(query("SELECT 1"))
    assert eyes.kinds == ["opened"]
    visit.frontend.give(LEAVE)
    house.advance(visit)
    assert not eyes.has_ended


def test_a_kill_is_seen() -> None:
    house = House()
    visit = entered(house)
    eyes = watched(house)
    house.leases.end("s1", Revoked("An operator ended your session."))
    house.advance(visit)
    assert (eyes.lines[-1]["event"], eyes.lines[-1]["reason"]) == ("closed", "revoked")
    assert eyes.has_ended


def test_a_recorder_that_fails_at_the_start_leaves_nothing_to_watch() -> None:
    house = House()
    recorder = house.addons.recorder
    assert isinstance(recorder, MemoryRecorder)
    opened = recorder.open

    async def opening(passage: Any) -> Any:
        recording = await opened(passage)
        recording.rows_max = "many"  # type: ignore[attr-defined] # a broken addon
        return recording

    recorder.open = opening  # type: ignore[method-assign] # a broken addon
    visit = house.connect(query("SELECT 1"), LEAVE)
    house.advance(visit)
    assert isinstance(visit.frontend.refusals[0], AddonFailure)
    assert house.gateway.gallery._sessions == {}


# What a late watcher is told ------------------------------------------------------------------------------------------


SHELL = Asked(Statement(2, Action.RUN, "shell", "shell"))


def shown(house: House, *records: Record) -> Any:
    """A showing of which this was recorded before anybody watched."""
    visit = entered(house)
    (lease,) = house.leases.live()
    (held,) = lease.held.values()
    gallery = Gallery(house.scheduler)
    showing = gallery.show(held.passage)
    showing.saw(5.0, records)
    visit.frontend.give(LEAVE)
    house.advance(visit)
    return gallery, showing


def test_who_comes_late_is_told_what_runs_and_in_which_terminal() -> None:
    other = Asked(Statement(3, Action.RUN, "exec ls /secret", "exec ls"))
    told = (SHELL, Terminal(2, 80, 24, "xterm"), other, Terminal(2, 90, 30, ""), Completed(3, "exit 0", 0))
    gallery, showing = shown(House(), *told)
    eyes = Eyes()
    gallery.watch("s1", eyes)
    showing.saw(6.0, [Streamed(2, "stdout", b"more"), Streamed(2, "stdin", b"typed")])

    assert eyes.kinds == ["opened", "asked", "terminal", "streamed", "streamed"]
    assert eyes.lines[1] | {"outline": "shell", "at_ms": 5000} == eyes.lines[1]
    assert eyes.lines[2]["columns"] == 90
    assert "raw" in eyes.lines[3]
    assert "raw" not in eyes.lines[4], "what is typed may be a password"


def test_an_error_may_quote_a_credential_that_nobody_saw_asked() -> None:
    secret = Statement(7, Action.QUERY, "ALTER ROLE x PASSWORD 'tell-nobody'", "ALTER ROLE", (), True)
    gallery, showing = shown(House(), Asked(secret))
    eyes = Eyes()
    gallery.watch("s1", eyes)
    showing.saw(6.0, [Faulted(7, "42601", "at 'tell-nobody'")])
    showing.saw(6.0, [Asked(secret), Faulted(7, "42601", "at 'tell-nobody'")])
    showing.saw(6.0, [Asked(Statement(8, Action.QUERY, "SELECT")), Faulted(8, "42601", "at end")])

    assert "tell-nobody" not in repr(eyes.events)
    assert [line["text"] for line in eyes.lines if line["event"] == "faulted"] == ["", "", "at end"]


def test_who_comes_late_is_told_which_requests_wait_for_the_rest_of_their_answer() -> None:
    waits, gone = (
        Asked(
            Statement(n, Action.CALL, f"GET /x?{n}", "GET /x", http=HttpRequest("GET", "h", "/x", str(n), "HTTP/2.0"))
        )
        for n in (5, 6)
    )
    head = (("content-type", "text/event-stream"),)
    gallery, _ = shown(House(), waits, gone, Answered(5, 200, "HTTP/2.0", head), Closed(6))
    eyes = Eyes()
    gallery.watch("s1", eyes)

    assert eyes.kinds == ["opened", "asked", "answered"]
    assert (eyes.lines[1]["statement"], eyes.lines[2]["status"]) == (5, 200)


def test_an_answer_may_quote_an_address_with_a_credential() -> None:
    http = HttpRequest("GET", "h", "/login", "t=tell-nobody", "HTTP/1.1")
    secret = Asked(Statement(7, Action.CALL, "GET /login?t=tell-nobody", "GET /login", (), True, http))
    gallery, showing = shown(House(), secret)
    eyes = Eyes()
    gallery.watch("s1", eyes)
    showing.saw(6.0, [Answered(7, 302, "HTTP/1.1", (("location", "/?t=tell-nobody"),))])

    assert eyes.kinds == ["opened", "asked", "answered"]
    assert "tell-nobody" not in repr(eyes.events)


def test_nothing_is_kept_for_nobody() -> None:
    gallery, showing = shown(House(), SHELL)
    assert showing._transcript is None
    leave = gallery.watch("s1", Eyes())
    showing.saw(6.0, [Streamed(2, "stdout", b"x")])
    assert showing._transcript is not None
    leave()
    showing.saw(7.0, [Completed(2, "exit 0", 0)])
    assert showing._transcript is None
    assert showing._running == {}
    showing.over(Tally(), "left")
    with pytest.raises(NotLive):
        gallery.watch("s1", Eyes())
