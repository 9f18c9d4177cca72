"""The control socket, by its own client and by hand."""

import os
import socket
import stat
from collections.abc import Callable, Coroutine, Iterator, Mapping
from pathlib import Path
from typing import Any

import orjson
import pytest
from structlog.testing import capture_logs
from twisted.internet.defer import Deferred
from twisted.internet.threads import deferToThread

from hoopproxy.control import following, lines, server
from hoopproxy.control.client import ControlClient
from hoopproxy.control.following import Feed, Listener
from hoopproxy.control.lines import ControlError
from hoopproxy.control.server import ControlServer
from hoopproxy.errors import ConfigError, EvidenceUnavailable
from hoopproxy.scheduler import TwistedScheduler
from hoopproxy.settings import Limits
from tests.conftest import Spin

LIMITS = Limits(handshake_s_max=5.0, drain_s_max=0.2)


class Scene:
    """A control server with a few commands."""

    def __init__(self, reactor: Any, path: Path, **limits: Any) -> None:
        self.path, self.reactor, self.feed = path, reactor, Feed()
        self.scheduler = TwistedScheduler(reactor)
        self.unwatched = False
        self.listener: Listener
        self.server = self.another(**limits)

    def another(self, **limits: Any) -> ControlServer:
        return ControlServer(
            self.reactor,
            self.path,
            Limits(**{"handshake_s_max": 5.0, "drain_s_max": 0.2, **limits}),
            {
                "head": lambda _: {"size": 7, "place": Path("/log")},
                "kill": self.kill,
                "later": self.later,
                "broken": lambda _: 1 / 0,
                "unsayable": lambda _: {"bytes": [b"\xff"], "set": {("a", object): 1}},
                "full": self.full,
            },
            {"follow": self.feed.subscribe, "watch": self.watch},
        )

    def kill(self, arguments: Mapping[str, Any]) -> Mapping[str, Any]:
        if arguments.get("session") != "s1":
            raise ControlError(f"No live session is {arguments.get('session')!r}.")
        return {"killed": ["s1"]}

    async def later(self, _: Mapping[str, Any]) -> Mapping[str, Any]:
        await self.scheduler.sleep(0.001)
        return {"late": True}

    async def watch(self, arguments: Mapping[str, Any], listener: Listener) -> Callable[[], None]:
        """Tells who asked, twice before it is answered; says no to others."""
        await self.scheduler.sleep(0.001)
        if arguments.get("id") != "s1":
            raise ControlError("No such session.")
        self.listener = listener
        for word in arguments["words"]:
            listener.tell({"word": word})
        self.unwatched = False
        if arguments.get("ends"):
            listener.end()
        return self.unwatch

    def unwatch(self) -> None:
        self.unwatched = True

    def full(self, _: Mapping[str, Any]) -> Mapping[str, Any]:
        raise EvidenceUnavailable("The log is full.", detail="a secret of the operator's")

    def client(self, timeout_s: float = 5.0) -> ControlClient:
        return ControlClient(self.path, timeout_s)

    def call(self, command: str, **arguments: Any) -> Any:
        return deferToThread(self.client().call, command, **arguments)

    async def refusal(self, command: str, **arguments: Any) -> str:
        with pytest.raises(ControlError) as refused:
            await self.call(command, **arguments)
        return str(refused.value)

    def raw(self, *sends: bytes) -> socket.socket:
        peer = socket.socket(socket.AF_UNIX)
        peer.connect(str(self.path))
        peer.setblocking(False)
        for data in sends:
            peer.send(data)
        return peer

    async def hears(self, peer: socket.socket) -> list[Any]:
        """All lines until the end of stream."""
        received = b""
        with peer:
            while True:
                try:
                    if not (data := peer.recv(1 << 16)):
                        return [orjson.loads(line) for line in received.splitlines()]
                    received += data
                except BlockingIOError:
                    await self.scheduler.sleep(0)
                except ConnectionResetError:
                    return [*map(orjson.loads, received.splitlines()), "reset"]


@pytest.fixture
def scene(reactor: Any, spin: Spin, tmp_path: Path) -> Iterator[Scene]:
    made = Scene(reactor, tmp_path / "run" / "control.sock")
    made.server.startService()
    yield made

    async def stop() -> None:
        await made.server.stopService()
        while made.server._callers:
            await made.scheduler.sleep(0)

    spin(stop())
    assert not made.path.exists()


type Play = Callable[[], Coroutine[Any, Any, None]]


def test_a_command_is_carried_out_and_answered_at_once_or_later(scene: Scene, spin: Spin) -> None:
    async def play() -> None:
        assert await scene.call("head") == {"size": 7, "place": "/log"}
        assert await scene.call("kill", session="s1") == {"killed": ["s1"]}
        assert await scene.call("later") == {"late": True}

    spin(play())


def test_a_no_is_one_sentence_and_a_bug_is_for_the_log(scene: Scene, spin: Spin) -> None:
    async def play() -> None:
        assert await scene.refusal("kill", session="s9") == "No live session is 's9'."
        assert await scene.refusal("full") == "The log is full."
        assert (await scene.refusal("destroy")).startswith(
            "The gateway has no command 'destroy'; it has broken, follow, full, "
        )
        for bug in ("broken", "unsayable"):
            assert await scene.refusal(bug) == "The gateway failed to do this; its log says why."

    with capture_logs() as logged:
        spin(play())
    assert [entry["event"] for entry in logged] == ["control-command-failed"] * 2


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        (b"garbage\n", "one line of JSON"),
        (b"[1]\n", "an object with a command"),
        (b'{"command": "head"}\n', "an object with a command"),
        (b'{"command": 1, "arguments": {}}\n', "an object with a command"),
        (b'{"command": "head", "arguments": []}\n', "an object with a command"),
        (bytes(lines.REQUEST_BYTES_MAX + 1), "a line of up to 65536 bytes"),
        (bytes(lines.REQUEST_BYTES_MAX + 1) + b"\n", "a line of up to 65536 bytes"),
    ],
)
def test_what_is_no_request_is_refused_with_a_sentence(scene: Scene, spin: Spin, line: bytes, sentence: str) -> None:
    async def play() -> None:
        (reply, *_) = await scene.hears(scene.raw(line))
        assert reply["ok"] is False and sentence in reply["error"]

    spin(play())


def test_a_connection_has_one_request(scene: Scene, spin: Spin) -> None:
    async def play() -> None:
        request = b'{"command": "later", "arguments": {}}\n'
        assert await scene.hears(scene.raw(request * 3)) == [{"ok": True, "answer": {"late": True}}]

    spin(play())


def test_who_asks_nothing_is_let_go(reactor: Any, spin: Spin, tmp_path: Path) -> None:
    it = Scene(reactor, tmp_path / "control.sock", handshake_s_max=0.01)
    it.server.startService()

    async def play() -> None:
        await it.hears(it.raw())
        await it.server.stopService()

    spin(play())


def test_the_socket_is_the_gateway_s_alone_from_its_first_moment(scene: Scene) -> None:
    assert stat.S_IMODE(scene.path.stat().st_mode) == 0o600
    assert stat.S_IMODE(scene.path.parent.stat().st_mode) == 0o700
    assert os.umask(umask := os.umask(0o22)) == 0o22 and umask != 0o177


def test_another_user_is_told_no(scene: Scene, spin: Spin, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "_caller_uid", lambda _: 54321)

    async def play() -> None:
        assert await scene.refusal("head") == "Only the gateway's own user and root may do this."

    spin(play())


def test_the_kernel_says_who_calls() -> None:
    one, other = socket.socketpair(socket.AF_UNIX)
    with one, other:
        assert server._caller_uid(one) == os.getuid()


def test_there_is_room_for_so_many_callers(scene: Scene, spin: Spin, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "CALLERS_MAX", 1)

    async def play() -> None:
        with scene.raw():
            while not scene.server._callers:
                await scene.scheduler.sleep(0)
            assert "1 control connections already" in await scene.refusal("head")

    spin(play())


def test_a_socket_that_a_dead_gateway_left_is_replaced(reactor: Any, spin: Spin, tmp_path: Path) -> None:
    it = Scene(reactor, tmp_path / "control.sock")
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(it.path))
        dead.listen()
    it.server.startService()

    async def play() -> None:
        assert await it.call("later") == {"late": True}
        await it.server.stopService()

    spin(play())


def test_a_socket_that_somebody_answers_on_is_not_touched(scene: Scene, spin: Spin) -> None:
    with pytest.raises(ConfigError, match="another gateway answers on it"):
        scene.another().startService()

    async def play() -> None:
        assert await scene.call("later") == {"late": True}

    spin(play())


def test_what_is_no_socket_is_not_touched(reactor: Any, tmp_path: Path) -> None:
    it = Scene(reactor, tmp_path / "control.sock")
    it.path.write_text("precious")
    with pytest.raises(ConfigError, match="is no socket"):
        it.server.startService()
    assert it.path.read_text() == "precious"


def test_a_directory_that_others_may_write_to_is_refused(reactor: Any, tmp_path: Path) -> None:
    (tmp_path / "open").mkdir()
    (tmp_path / "open").chmod(0o777)
    with pytest.raises(ConfigError, match="others may write to"):
        Scene(reactor, tmp_path / "open" / "control.sock").server.startService()


# Following ------------------------------------------------------------------------------------------------------------


async def followed(scene: Scene) -> None:
    while not scene.feed._listeners:
        await scene.scheduler.sleep(0)


def test_a_follower_gets_each_event_in_order_until_the_gateway_stops(scene: Scene, spin: Spin) -> None:
    async def play() -> None:
        follows: Deferred[Any] = deferToThread(lambda: list(scene.client().follow("follow")))
        await followed(scene)
        for number in range(3):
            scene.feed.tell({"event": "denied", "number": number})
        await scene.server.stopService()
        assert await follows == [{"event": "denied", "number": number} for number in range(3)]
        assert scene.feed._listeners == []
        scene.server.startService()

    spin(play())


def test_a_follower_that_leaves_is_forgotten(scene: Scene, spin: Spin) -> None:
    async def play() -> None:
        with scene.raw(b'{"command": "follow", "arguments": {}}\n'):
            await followed(scene)
        while scene.feed._listeners:
            scene.feed.tell({"event": "x"})
            await scene.scheduler.sleep(0)

    spin(play())


def test_a_slow_follower_is_dropped_with_a_last_line_that_says_so_and_holds_up_nobody(
    scene: Scene, spin: Spin, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(following, "EVENTS_WAITING_MAX", 10)

    async def play() -> None:
        slow = scene.raw(b'{"command": "follow", "arguments": {}}\n')
        await followed(scene)
        told = 0
        while scene.feed._listeners:
            scene.feed.tell({"number": told, "padding": "x" * 20_000})
            told += 1
            await scene.scheduler.sleep(0)
        ok, *events, last = await scene.hears(slow)
        assert ok == {"ok": True, "answer": {}}
        assert last == {"ok": False, "error": server.TOO_SLOW}
        assert [event["event"]["number"] for event in events] == list(range(told - 1))

    spin(play())


def test_a_follower_that_is_only_slow_at_times_misses_nothing(scene: Scene, spin: Spin) -> None:
    async def play() -> None:
        peer = scene.raw(b'{"command": "follow", "arguments": {}}\n')
        await followed(scene)
        for number in range(100):
            scene.feed.tell({"number": number, "padding": "x" * 20_000})
            await scene.scheduler.sleep(0)
        scene.feed.tell({"number": 100})
        received = b""
        while received.count(b"\n") < 102:
            try:
                received += peer.recv(1 << 16)
            except BlockingIOError:
                await scene.scheduler.sleep(0)
        peer.close()
        _, *events = map(orjson.loads, received.splitlines())
        assert [event["event"]["number"] for event in events] == list(range(101))

    spin(play())


def test_the_client_says_in_a_sentence_that_it_was_dropped(scene: Scene, spin: Spin) -> None:
    def follows() -> str:
        events = scene.client().follow("follow")
        assert next(events) == {"number": 1}
        with pytest.raises(ControlError) as dropped:
            next(events)
        return str(dropped.value)

    async def play() -> None:
        dropped = deferToThread(follows)
        await followed(scene)
        scene.feed.tell({"number": 1})
        (caller,) = scene.server._callers
        caller._refuse(server.TOO_SLOW)
        assert await dropped == server.TOO_SLOW

    spin(play())


# Streams with arguments ----------------------------------------------------------------------------------------------


def watching(scene: Scene, **arguments: Any) -> "Deferred[Any]":
    return deferToThread(lambda: list(scene.client().follow("watch", **arguments)))


def test_a_stream_takes_arguments_and_ends_when_there_is_no_more(scene: Scene, spin: Spin) -> None:
    async def play() -> None:
        whole = watching(scene, id="s1", words=["a", "b"], ends=True)
        assert await whole == [{"word": "a"}, {"word": "b"}]
        assert scene.unwatched

        watched = watching(scene, id="s1", words=["a"])
        while not scene.server._callers or scene.unwatched:
            await scene.scheduler.sleep(0)
        scene.listener.tell({"word": "later"})
        scene.listener.end()
        scene.listener.tell({"word": "too late"})
        assert await watched == [{"word": "a"}, {"word": "later"}]
        assert scene.unwatched

    spin(play())


def test_a_stream_may_say_no(scene: Scene, spin: Spin) -> None:
    async def play() -> None:
        with pytest.raises(ControlError, match="No such session"):
            await watching(scene, id="s2", words=[])

    spin(play())


def test_who_leaves_before_a_stream_has_begun_is_told_nothing(scene: Scene, spin: Spin) -> None:
    async def play() -> None:
        scene.unwatched = False
        scene.raw(b'{"command": "watch", "arguments": {"id": "s1", "words": ["a"]}}\n').close()
        while not scene.unwatched:
            await scene.scheduler.sleep(0)

    spin(play())


def test_a_slow_follower_of_large_events_is_let_go_before_they_fill_the_memory(
    scene: Scene, spin: Spin, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(following, "EVENTS_WAITING_BYTES_MAX", 3_000_000)

    async def play() -> None:
        scene.unwatched = False
        slow = scene.raw(b'{"command": "watch", "arguments": {"id": "s1", "words": []}}\n')
        while not hasattr(scene, "listener"):
            await scene.scheduler.sleep(0)
        for _ in range(5):
            assert not scene.unwatched
            scene.listener.tell({"padding": "x" * 999_000})
        assert scene.unwatched
        ok, *events, last = await scene.hears(slow)
        assert (ok["ok"], len(events), last) == (True, 4, {"ok": False, "error": server.TOO_SLOW})

    spin(play())


# The client alone -----------------------------------------------------------------------------------------------------


def said_by(path: Path, timeout_s: float = 5.0) -> str:
    with pytest.raises(ControlError) as refused:
        ControlClient(path, timeout_s).call("head")
    return str(refused.value)


def test_a_gateway_that_is_not_running_is_said_so(tmp_path: Path) -> None:
    path = tmp_path / "control.sock"
    assert said_by(path) == f"The gateway is not running: nothing answers on {path}."
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(path))
    assert said_by(path) == f"The gateway is not running: nothing answers on {path}."


def test_a_socket_that_one_may_not_use_is_said_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Forbidden(socket.socket):
        def connect(self, _: Any) -> None:
            raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(socket, "socket", Forbidden)
    path = tmp_path / "control.sock"
    assert said_by(path) == f"You may not use {path}; run this as the gateway's user or as root."


def test_other_mistakes_are_sentences_too(tmp_path: Path) -> None:
    assert "can't be reached on" in said_by(tmp_path / ("x" * 200))
    path = tmp_path / "control.sock"
    with socket.socket(socket.AF_UNIX) as mute:
        mute.bind(str(path))
        mute.listen()
        assert said_by(path, 0.01) == "The gateway did not answer within 0.01 s."


def test_an_answer_that_breaks_off_is_said_so(scene: Scene, spin: Spin, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server._Caller, "_answer", lambda caller, _: caller._socket.loseConnection())

    async def play() -> None:
        assert "before its answer was whole" in await scene.refusal("head")

    spin(play())
