"""Live sessions are judged again: whoever has lost something is ended, whoever has not is left alone."""

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from twisted.internet.defer import Deferred
from zope.interface import implementer

from hoopproxy.admit.rechecking import AT_ONCE_MAX, Counts
from hoopproxy.errors import Refused, Revoked
from hoopproxy.interfaces import IAuthenticator, INoticesChanges, IRechecking
from hoopproxy.model import Arrival, Credentials, Finding, Grant, Identity, Pending, Permit, Place, SubjectKind, Target
from hoopproxy.testing.healthy import FAR_S, GrantsAll, KnowsEverybody, RedactsOne, SaysGermany
from hoopproxy.testing.house import PROTECTED, House, Visit, query

from .ssh_scene import Scene, furnished

HANGS = "hangs"
ADA = Identity("https://idp.example", "ada", "Ada", frozenset({"analysts"}), FAR_S, "test")


@implementer(IAuthenticator, IRechecking)
class Directory:
    """Knows Ada until `answer` says otherwise: an identity, None, something to raise, or `HANGS`."""

    def __init__(self, name: str = "corp") -> None:
        self.name = name
        self.answer: Any = ADA
        self.asked: list[Credentials] = []

    async def identify(self, arrival: Arrival, credentials: Credentials) -> Identity | None:
        return ADA

    async def recheck(self, identity: Identity, credentials: Credentials) -> Identity | None:
        self.asked.append(credentials)
        if isinstance(self.answer, Exception):
            raise self.answer
        found: Identity | None = await Deferred() if self.answer == HANGS else self.answer
        return found


class Changing(GrantsAll):
    """Grants as `change` makes them of the usual one."""

    def __init__(self) -> None:
        self.change: Callable[[Grant], Any] = lambda grant: (grant,)

    async def grants(self, identity: Identity, roles: frozenset[str], target: Target, at_s: float) -> Any:
        (grant,) = await super().grants(identity, roles, target, at_s)  # type: ignore[misc] # it is never Pending
        found = self.change(grant)
        if isinstance(found, Exception):
            raise found
        return found


class Atlas(SaysGermany):
    """Everything lies in Germany, but what `moved` says."""

    def __init__(self) -> None:
        self.moved: dict[SubjectKind, str] = {}

    async def examine(self, place: Place) -> Finding:
        return replace(await super().examine(place), country=self.moved.get(place.kind, "DE"))


class Masks(RedactsOne):
    """Protects one column, and what is added."""

    def __init__(self) -> None:
        super().__init__(PROTECTED)
        self.more: frozenset[str] = frozenset()

    async def protects(self, permit: Permit) -> frozenset[str]:
        return await super().protects(permit) | self.more


class Watched:
    """A house whose sessions are judged again; all that they depend on can be changed."""

    def __init__(self, **limits: float) -> None:
        self.directory, self.grants, self.atlas, self.masks = Directory(), Changing(), Atlas(), Masks()
        self.house = House().with_limits(**limits)
        addons = self.house.addons
        addons.authenticators, addons.grants = [self.directory], [self.grants]
        addons.residency, addons.maskers = [self.atlas], [self.masks]
        self.house = House(addons, self.house.limits)
        self.clock = self.house.clock
        self.running = self.house.recheck()

    def passes(self, duration_s: float) -> None:
        for _ in range(int(duration_s * 4)):
            self.clock.advance(0.25)

    def ended(self) -> list[tuple[str, str]]:
        log: Any = self.house.addons.evidence
        entries = map(json.loads, log.leaves)
        return [(entry["reason"], entry["cause"]) for entry in entries if entry["kind"] == "ended"]

    def connect(self, **how: str) -> Visit:
        visit = self.house.connect(query("SELECT 1"), **how)
        assert visit.frontend.welcomed and not visit.over
        return visit


@pytest.fixture
def it() -> Any:
    watched = Watched()
    yield watched
    watched.running.cancel()


def sentence(visit: Visit) -> str:
    (why,) = visit.frontend.refusals
    assert isinstance(why, Revoked)
    return why.sentence


def lost_group(it: Watched) -> None:
    it.directory.answer = replace(ADA, groups=frozenset({"cooks"}))


def refused(it: Watched) -> None:
    it.directory.answer = Refused("Your account is locked; ask the help desk.", reason="credentials")


def nobody(it: Watched) -> None:
    it.directory.answer = None


def somebody_else(it: Watched) -> None:
    it.directory.answer = replace(ADA, subject="eve")


def no_grant(it: Watched) -> None:
    it.grants.change = lambda _: ()


def another_grant(it: Watched) -> None:
    it.grants.change = lambda grant: (replace(grant, grant_id="g2"),)


def asks_a_person(it: Watched) -> None:
    it.grants.change = lambda _: Pending("ask", FAR_S)


def refuses_the_grant(it: Watched) -> None:
    it.grants.change = lambda _: Refused("No.", reason="grant")


def other_accounts(it: Watched) -> None:
    it.grants.change = lambda grant: (replace(grant, accounts=frozenset({"writer"})),)


def over(it: Watched) -> None:
    it.grants.change = lambda grant: (replace(grant, not_after_s=0.0),)


def fewer_client_zones(it: Watched) -> None:
    it.grants.change = lambda grant: (replace(grant, client_zones=("US",)),)


def client_moved(it: Watched) -> None:
    it.atlas.moved = {SubjectKind.CLIENT: "US"}


def gateway_moved(it: Watched) -> None:
    it.atlas.moved = {SubjectKind.GATEWAY: "US"}


def storage_moved(it: Watched) -> None:
    it.atlas.moved = {SubjectKind.STORAGE: "US"}


def target_moved(it: Watched) -> None:
    it.atlas.moved = {SubjectKind.DESTINATION: "US"}


def client_in_fewer_zones(it: Watched) -> None:
    it.atlas.moved = {SubjectKind.CLIENT: "CH"}  # may still come in, but masks follow from zones


def more_is_masked(it: Watched) -> None:
    it.masks.more = frozenset({"public.customers.id"})


@pytest.mark.parametrize(
    ("lose", "cause", "told"),
    [
        (lost_group, "group-lost", "no longer in a group"),
        (refused, "identity-gone", "Your account is locked"),
        (nobody, "identity-gone", "does not know you any more"),
        (somebody_else, "identity-gone", "does not know you any more"),
        (no_grant, "grant-gone", "no longer in force"),
        (another_grant, "grant-gone", "no longer in force"),
        (asks_a_person, "grant-gone", "no longer in force"),
        (refuses_the_grant, "grant-gone", "no longer in force"),
        (other_accounts, "grant-gone", "no longer in force"),
        (over, "grant-gone", "no longer in force"),
        (fewer_client_zones, "zone-lost", "Your session has ended: "),
        (client_moved, "zone-lost", "Your session has ended: "),
        (gateway_moved, "zone-lost", "Your session has ended: "),
        (storage_moved, "zone-lost", "Your session has ended: "),
        (target_moved, "zone-lost", "Your session has ended: "),
        (client_in_fewer_zones, "zone-lost", "other zones now"),
        (more_is_masked, "policy-changed", "more is hidden from you"),
    ],
)
def test_who_has_lost_something_is_ended_at_the_next_check(
    it: Watched, lose: Callable[[Watched], None], cause: str, told: str
) -> None:
    visit = it.connect()
    it.passes(50)
    lose(it)
    it.passes(3)
    assert not visit.over, "it is not due yet"
    it.passes(8)
    assert visit.over and told in sentence(visit)
    assert it.ended() == [("revoked", cause)]
    assert it.house.dialer.peers[0].closed


def test_who_has_lost_nothing_is_left_alone(it: Watched) -> None:
    visit = it.connect()
    it.passes(1200)
    assert not visit.over
    assert 20 <= len(it.directory.asked) <= 23
    assert it.directory.asked[0].secret.reveal() == "token", "it may look again at what it was shown"


def test_what_was_gained_ends_nobody(it: Watched) -> None:
    visit = it.connect()
    it.directory.answer = replace(ADA, groups=ADA.groups | {"chiefs"}, name="Ada L.")
    it.grants.change = lambda grant: (replace(grant, reveals=frozenset({PROTECTED})),)
    it.passes(200)
    assert not visit.over


def test_an_authenticator_that_cannot_look_again_is_believed(it: Watched) -> None:
    house = House(it.house.addons)
    house.addons.authenticators = [KnowsEverybody()]
    house = House(house.addons)
    running, visit = house.recheck(), house.connect(query("SELECT 1"))
    house.advance(visit, 600)
    assert not visit.over and len(house.leases.live()) == 1
    running.cancel()


@pytest.mark.parametrize("away", [OSError("no route to host"), TimeoutError(), HANGS])
def test_while_it_cannot_be_told_a_session_lives_for_so_long_and_then_ends(it: Watched, away: Any) -> None:
    visit = it.connect()
    it.passes(100)
    it.directory.answer = away
    # Its last complete check was 54 to 60 seconds after it came.
    it.passes(250)
    assert not visit.over
    assert [fields["session"] for event, fields in it.house.told if event == "not-rechecked"][:1] == ["s1"]
    it.passes(11)
    assert visit.over and "could not check for 300 s" in sentence(visit)
    assert it.ended() == [("revoked", "unchecked")]


def test_a_directory_that_comes_back_in_time_ends_nobody(it: Watched) -> None:
    visit = it.connect()
    it.directory.answer = OSError("no route to host")
    it.passes(230)
    it.directory.answer = ADA
    it.passes(900)
    assert not visit.over


def test_a_grant_source_that_fails_matters_only_where_no_other_has_the_grant(it: Watched) -> None:
    broken = Changing()
    broken.change = lambda _: OSError("away")
    visit = it.connect()
    it.house.addons.grants.insert(0, broken)
    it.passes(400)
    assert not visit.over
    it.house.addons.grants.remove(it.grants)
    it.passes(230)
    assert not visit.over
    it.passes(80)
    assert visit.over and it.ended() == [("revoked", "unchecked")]


def test_the_end_only_ever_comes_nearer(it: Watched) -> None:
    visit = it.connect()
    it.directory.answer = replace(ADA, expires_at_s=it.clock.seconds() + 200)
    it.passes(61)
    it.directory.answer = ADA
    it.passes(135)
    assert not visit.over
    it.passes(6)
    assert visit.over and "has expired" in sentence(visit) and it.ended() == [("revoked", "expired")]


def test_all_connections_of_a_session_are_one_question_and_one_end(it: Watched) -> None:
    pool = [it.connect() for _ in range(20)]
    it.passes(61)
    assert len(it.directory.asked) == 1
    nobody(it)
    it.passes(61)
    assert all(each.over for each in pool) and it.ended() == [("revoked", "identity-gone")] * 20


def test_sessions_are_not_judged_all_in_one_turn(it: Watched) -> None:
    visits = [it.connect(client=f"198.51.100.{number}") for number in range(100)]
    asked, most = 0, 0
    for _ in range(600):
        it.passes(0.25)
        most = max(most, len(it.directory.asked) - asked)
        asked = len(it.directory.asked)
    assert asked >= 200 and most <= 30
    assert not any(each.over for each in visits)


def test_only_so_many_are_asked_side_by_side(it: Watched) -> None:
    for number in range(30):
        it.connect(client=f"198.51.100.{number}")
    it.directory.answer = HANGS
    it.passes(61)
    assert AT_ONCE_MAX <= len(it.directory.asked) <= 2 * AT_ONCE_MAX  # the first of them were given up after 5 s


def test_people_of_one_directory_do_not_wait_for_another_that_hangs(it: Watched) -> None:
    other = Directory("other")
    it.house.addons.authenticators = [other, it.directory]  # they are asked in this order
    house = House(it.house.addons)
    running = house.recheck()
    for number in range(20):
        house.connect(query("SELECT 1"), client=f"198.51.100.{number}")
    house.addons.authenticators.reverse()
    mine = house.connect(query("SELECT 1"), client="203.0.113.9")
    other.answer, it.directory.answer = HANGS, None
    for _ in range(61 * 4):
        house.clock.advance(0.25)
    assert mine.over and len(house.leases.live()) == 20
    running.cancel()


def test_everybody_is_judged_at_once_when_asked_to(it: Watched) -> None:
    visits = [it.connect(client=f"198.51.100.{number}") for number in range(50)]
    it.passes(1)
    no_grant(it)
    told: list[Counts] = []
    Deferred.fromCoroutine(it.house.gateway.rechecks.recheck_all("policy 2")).addCallback(told.append)
    for _ in range(200):
        it.clock.advance(0)
    assert all(each.over for each in visits)
    assert told == [Counts(50, 50, 0)]
    assert ("rechecked", {"because": "policy 2", "checked": 50, "ended": 50, "unchecked": 0}) in it.house.told


def test_who_is_on_the_way_in_meanwhile_is_judged_inside(it: Watched) -> None:
    release: Deferred[None] = Deferred()
    reach = it.house.dialer.reach

    async def slowly(permit: Permit) -> Any:
        await release
        return await reach(permit)

    it.house.dialer.reach = slowly  # type: ignore[method-assign] # the network is slow today
    visit = it.house.connect(query("SELECT 1"))
    it.passes(1)
    nobody(it)
    done = Deferred.fromCoroutine(it.house.gateway.rechecks.recheck_all("locked"))
    it.passes(1)
    assert done.called and not visit.over, "there was no session to judge yet"
    release.callback(None)
    it.passes(1.25)
    assert visit.over and it.ended() == [("revoked", "identity-gone")]


def test_what_an_authenticator_notices_acts_at_once() -> None:
    @implementer(IAuthenticator, IRechecking, INoticesChanges)
    class Noticing(Directory):
        changed = False

        def has_changed(self) -> bool:
            was, self.changed = self.changed, False
            return was

    addons = House().addons
    directory = Noticing()
    addons.authenticators = [directory]
    house = House(addons)
    running, visit = house.recheck(), house.connect(query("SELECT 1"))
    for _ in range(20):
        house.clock.advance(0.25)
    assert not directory.asked
    directory.answer, directory.changed = None, True
    for _ in range(2):
        house.clock.advance(0.25)
    assert visit.over
    running.cancel()


def test_who_comes_through_a_session_is_judged_and_ends_with_it() -> None:
    directory = Directory()
    addons = furnished()
    addons.authenticators = [directory]
    scene = Scene(addons)
    running = Deferred.fromCoroutine(scene.gateway.rechecks.run())
    running.addErrback(lambda _: None)
    talk = scene.connect()
    talk.runs()
    child = talk.forwards()
    for _ in range(61 * 4):
        scene.clock.advance(0.25)
    assert len(directory.asked) == 1 and not child.over, "it is one person"
    directory.answer = None
    for _ in range(61 * 4):
        scene.clock.advance(0.25)
    assert talk.visit.over and child.over
    assert {entry["cause"] for entry in scene.entries("ended")} == {"identity-gone"}
    running.cancel()


def test_a_gateway_that_stops_judges_no_more(it: Watched) -> None:
    it.connect()
    it.running.cancel()
    it.passes(200)
    assert not it.directory.asked
