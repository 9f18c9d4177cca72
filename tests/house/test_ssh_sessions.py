"""SSH through the whole house: what guards see, what a refusal leaves alive, and how a session ends."""

import struct
from typing import Any

import pytest
from twisted.internet.defer import Deferred

from hoopproxy.errors import Refused
from hoopproxy.events import Action, Asked, Completed, Rejected, Statement, Streamed, Terminal
from hoopproxy.model import Allow, Answer, Arrival, Credentials, Identity, Passage, Refuse
from hoopproxy.proofs import Secret
from hoopproxy.session import run
from hoopproxy.settings import Limits
from hoopproxy.testing.healthy import AllowsAll, KnowsEverybody
from hoopproxy.testing.ssh_speaker import execute, open_session
from hoopproxy.wire.ssh import messages
from hoopproxy.wire.ssh.messages import channel_request, string

from .conftest import end_all
from .ssh_scene import Scene, SshClient, Talk, Visit, furnished

TERMINAL = string(b"xterm") + struct.pack("!IIII", 80, 24, 0, 0) + string(b"")
KEEPALIVE = bytes((messages.GLOBAL_REQUEST,)) + string(b"keepalive@openssh.com") + b"\1"


class Sees(AllowsAll):
    """A guard that writes down what it is asked, and refuses what is `forbidden`."""

    def __init__(self, *forbidden: str) -> None:
        self.seen: list[tuple[Action, str]] = []
        self._forbidden = forbidden

    async def examine(self, passage: Passage, statement: Statement) -> Answer:
        self.seen.append((statement.action, statement.text))
        is_forbidden = any(word in statement.text for word in self._forbidden)
        return Refuse("That is not done here.") if is_forbidden else Allow()


def guarded(*forbidden: str) -> tuple[Talk, Sees]:
    addons, guard = furnished(), Sees(*forbidden)
    addons.guards = [guard]
    return Scene(addons).connect(), guard


def events(talk: Talk) -> list[Any]:
    recorder: Any = talk.scene.addons.recorder
    return list(recorder.recordings[0].events)


def terminal(talk: Talk) -> None:
    """A shell on a terminal, and what one does there."""
    talk.client.says(
        open_session(0),
        channel_request(0, "pty-req", True, TERMINAL),
        channel_request(0, "env", False, string(b"LANG") + string(b"C")),
        channel_request(0, "shell", True, b""),
        channel_request(0, "window-change", False, struct.pack("!IIII", 100, 30, 0, 0)),
        channel_request(0, "signal", False, string(b"INT")),
    )


def test_guards_see_every_channel_and_every_request() -> None:
    talk, guard = guarded()
    terminal(talk)
    assert guard.seen == [
        (Action.OPEN, "session"),
        (Action.REQUEST, "pty-req xterm 80x24"),
        (Action.REQUEST, "env LANG=C"),
        (Action.RUN, "shell"),
        (Action.REQUEST, "window-change 100x30"),
        (Action.REQUEST, "signal INT"),
    ]
    asked = [event.statement.text for event in events(talk) if isinstance(event, Asked)]
    assert asked == [text for _, text in guard.seen]
    assert [(event.columns, event.rows) for event in events(talk) if isinstance(event, Terminal)] == [
        (80, 24),
        (100, 30),
    ]


@pytest.mark.parametrize("word", ["pty-req", "shell", "window-change", "signal"])
def test_what_a_guard_refuses_never_reaches_the_target_and_the_session_goes_on(word: str) -> None:
    talk, _ = guarded(word)
    terminal(talk)
    assert not any(word.encode() in payload for payload in talk.sshd.heard)
    (rejected,) = [event for event in events(talk) if isinstance(event, Rejected)]
    assert rejected.sentence == "That is not done here."
    assert b"That is not done here." in b"".join(talk.client.heard_of(messages.EXTENDED_DATA))
    assert not talk.visit.over
    talk.client.says(open_session(1), execute(0, "uptime"))
    assert len(talk.client.heard_of(messages.CHANNEL_OPEN_CONFIRMATION)) == 2


def test_a_channel_that_a_guard_refuses_is_not_opened_and_the_next_one_is() -> None:
    talk, guard = guarded("session")
    talk.client.says(open_session(0))
    (failed,) = talk.client.heard_of(messages.CHANNEL_OPEN_FAILURE)
    assert b"That is not done here." in failed and not talk.sshd.heard
    guard._forbidden = ()
    talk.client.says(open_session(0))
    assert talk.client.heard_of(messages.CHANNEL_OPEN_CONFIRMATION) and not talk.visit.over


def test_a_command_is_recorded_with_what_it_said_and_how_it_ended() -> None:
    talk, _ = guarded()
    talk.runs("uptime")
    talk.sshd.says(channel_request(0, "exit-status", False, struct.pack("!I", 3)))
    talk.sshd.says(messages.close(0))
    (streamed,) = [event for event in events(talk) if isinstance(event, Streamed)]
    (completed,) = [event for event in events(talk) if isinstance(event, Completed)]
    assert (streamed.stream, streamed.raw) == ("stdout", b"hello\n")
    assert completed.tag == "exit 3"
    assert len(talk.client.heard_of(messages.CHANNEL_REQUEST)) == 1


def test_the_log_says_what_becomes_of_the_bytes() -> None:
    talk, _ = guarded()
    (confirmed,) = talk.scene.entries("confirmed")
    assert confirmed["treatment"] == "parsed, output masked"


def test_an_hour_of_keep_alives_is_no_idle_hour() -> None:
    talk, guard = guarded()
    talk.runs("sleep 9999")
    seen = len(guard.seen)
    for _ in range(4 * 60 * 2):
        talk.scene.clock.advance(15)
        talk.client.says(KEEPALIVE)
    assert not talk.visit.over
    assert len(talk.client.heard_of(messages.REQUEST_FAILURE)) == 480, "each is answered"
    assert len(guard.seen) == seen, "a sign of life is no statement"


def test_an_hour_without_any_is_one() -> None:
    talk, _ = guarded()
    talk.runs("sleep 9999")
    for _ in range(4 * 60 - 1):
        talk.scene.clock.advance(15)
    assert not talk.visit.over
    talk.scene.clock.advance(15)
    assert talk.visit.over
    (why,) = talk.client.refusals
    assert getattr(why, "limit", "") == "limits.idle_s_max"
    assert b"Your session was idle for 3600 s" in b"".join(talk.client.heard_of(messages.EXTENDED_DATA))


def test_a_session_ends_with_its_right_and_says_so_on_the_terminal() -> None:
    made = Scene(limits=Limits(session_s_max=100.0))
    talk = made.connect()
    talk.runs()
    made.clock.advance(99)
    assert not talk.visit.over
    made.clock.advance(1)
    assert talk.visit.over and talk.sshd.closed and talk.sshd.interrupted
    assert b"expired" in b"".join(talk.client.heard_of(messages.EXTENDED_DATA))


def test_a_kill_is_read_on_every_terminal() -> None:
    talk, _ = guarded()
    talk.client.says(open_session(0), open_session(1), execute(0, "top"), execute(1, "top"))
    end_all(talk.scene.gateway.leases)
    assert talk.visit.over
    assert talk.scene.entries("ended")[0]["reason"] == "revoked"
    shown = talk.client.heard_of(messages.EXTENDED_DATA)
    assert [each[4] for each in shown] == [0, 1]
    assert all(b"An operator ended your session." in each for each in shown)


class OneKey(KnowsEverybody):
    """Knows one credential, and refuses all others."""

    async def identify(self, arrival: Arrival, credentials: Credentials) -> Identity | None:
        if credentials.secret.reveal() == "right":
            return await super().identify(arrival, credentials)
        raise Refused("That is not your token.", reason="credentials")


class Tries(SshClient):
    """Shows one credential after the other, up to six."""

    def __init__(self, scene: Scene, *shown: str) -> None:
        arrival = Scene().connect().client.arrival
        super().__init__(arrival, Credentials("shell", "", "", Secret("")), scene)
        self._shown, self._failures = list(shown), 0

    async def credentials(self) -> Credentials | None:
        return Credentials("shell", "", "", Secret(self._shown.pop(0)))

    def again(self, why: Exception) -> bool:
        self._failures += 1
        return self._failures < 6


def tried(*shown: str) -> tuple[Scene, Tries, Visit]:
    addons = furnished()
    addons.authenticators = [OneKey()]
    made = Scene(addons)
    client = Tries(made, *shown)
    return made, client, Visit(client, Deferred.fromCoroutine(run(client, made.gateway)))


def test_the_sixth_wrong_credential_closes_the_door_and_the_log_has_one_line() -> None:
    made, client, visit = tried(*["wrong"] * 6)
    assert visit.over and client.closed
    assert [entry["kind"] for entry in made.entries()] == ["denied"]
    assert made.entries()[0]["reason"] == "credentials"
    assert [why.sentence for why in client.refusals] == ["That is not your token."]


def test_the_right_credential_after_wrong_ones_comes_in_and_the_log_has_no_denial() -> None:
    made, client, visit = tried("wrong", "wrong", "right")
    assert client.welcomed and not visit.over and not client.refusals
    assert [entry["kind"] for entry in made.entries()] == ["permitted", "confirmed"]


def test_all_attempts_together_have_as_long_as_a_login_may_take() -> None:
    class Slow(Tries):
        handshake_limit = "login_s_max"

        async def credentials(self) -> Credentials | None:
            await made.scheduler.sleep(made.gateway.limits.login_s_max / 2 + 1)
            return await super().credentials()

    addons = furnished()
    addons.authenticators = [OneKey()]
    made = Scene(addons)
    client = Slow(made, "wrong", "right")
    visit = Visit(client, Deferred.fromCoroutine(run(client, made.gateway)))
    made.clock.advance(made.gateway.limits.login_s_max / 2 + 1)
    assert not visit.over
    made.clock.advance(made.gateway.limits.login_s_max / 2 - 1)
    assert visit.over and not client.welcomed
    assert [entry["limit"] for entry in made.entries()] == ["limits.login_s_max"]


def test_who_fails_for_another_reason_may_not_try_again() -> None:
    class Broken(KnowsEverybody):
        async def identify(self, arrival: Arrival, credentials: Credentials) -> Identity | None:
            raise ValueError("broken")

    addons = furnished()
    addons.authenticators = [Broken()]
    made = Scene(addons)
    client = Tries(made, *["any"] * 6)
    visit = Visit(client, Deferred.fromCoroutine(run(client, made.gateway)))
    assert visit.over and len(client._shown) == 5
    assert made.entries()[0]["code"] == "addon-failure"
