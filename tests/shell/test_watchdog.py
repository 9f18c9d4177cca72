"""Who keeps the loop from turning is named, once, with the place in its code."""

import sys
import threading
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from structlog.testing import capture_logs
from twisted.internet.task import Clock

from hoopproxy.scheduler import TwistedScheduler
from hoopproxy.settings import Limits
from hoopproxy.watchdog import Frame, Watchdog, stack_of
from tests.conftest import Spin

OURS = Frame("hoopproxy.session", "session.py", 7)
ADDON = Frame("acme.redactor.text", "text.py", 42)
LIBRARY = Frame("re", "re.py", 1)
POLLING = Frame("twisted.internet.epollreactor", "epollreactor.py", 200)
MODULES = {"acme.redactor": "acme", "hoopproxy.addons.oidc": "corp"}


class Scene:
    """A watchdog whose time and whose loop's stack the test sets."""

    def __init__(self, *stack: Frame) -> None:
        self.now_s, self.stack = 100.0, stack
        self.dog = Watchdog(
            Clock(),
            Limits(blocking_ms_max=100),
            MODULES,
            monotonic_s=lambda: self.now_s,
            stack=lambda _: self.stack,
        )
        self.dog.beat()

    def after(self, seconds: float) -> list[dict[str, Any]]:
        """What a look then logs."""
        self.now_s += seconds
        with capture_logs() as logged:
            self.dog.look()
        return [dict(entry) for entry in logged]


def test_a_loop_that_turns_in_time_is_not_worth_a_word() -> None:
    scene = Scene(ADDON)
    assert scene.after(0.12) == []


def test_the_innermost_code_of_an_addon_is_blamed_for_what_it_called() -> None:
    (entry,) = Scene(LIBRARY, ADDON, Frame("hoopproxy.addons.oidc", "oidc.py", 3), OURS, POLLING).after(0.2)
    assert entry == {
        "event": "loop-blocked",
        "log_level": "warning",
        "addon": "acme",
        "where": "text.py:42",
        "blocked_ms": 200,
    }


def test_the_gateway_s_own_code_is_named_without_an_addon() -> None:
    (entry,) = Scene(LIBRARY, OURS, POLLING).after(0.2)
    assert (entry["addon"], entry["where"]) == (None, "re.py:1")


@pytest.mark.parametrize("stack", [(POLLING, OURS), ()])
def test_a_machine_that_was_asleep_is_nobody_s_fault(stack: tuple[Frame, ...]) -> None:
    assert Scene(*stack).after(60) == []


def test_one_incident_is_one_warning_and_its_end_tells_how_long_it_took() -> None:
    scene = Scene(ADDON)
    assert len(scene.after(0.2)) == 1 and scene.after(5) == []
    with capture_logs() as logged:
        scene.now_s += 0.1
        scene.dog.beat()
        scene.dog.beat()
    assert [dict(entry) for entry in logged] == [{"event": "loop-turns-again", "log_level": "info", "blocked_ms": 5300}]
    assert len(scene.after(0.2)) == 1


def test_a_stack_is_told_from_inside_out_and_of_no_thread_there_is_none() -> None:
    innermost, *outer = stack_of(threading.get_ident())
    assert innermost.module == "hoopproxy.watchdog" and outer[0].file == __file__
    assert stack_of(0) == ()


def test_an_addon_that_computes_for_too_long_is_caught_in_the_act(reactor: Any, spin: Spin, tmp_path: Path) -> None:
    source = tmp_path / "busy.py"
    source.write_text("def work(done):\n    while not done():\n        pass\n")
    busy = ModuleType("busy_addon_of_a_test")
    exec(compile(source.read_text(), str(source), "exec"), busy.__dict__)
    sys.modules[busy.__name__] = busy
    try:
        with capture_logs() as logged:
            dog = Watchdog(reactor, Limits(blocking_ms_max=20), {busy.__name__: "busy"})
            dog.startService()

            async def scene() -> None:
                await TwistedScheduler(reactor).sleep(0.03)
                busy.work(lambda: any(entry.get("addon") for entry in logged))
                await TwistedScheduler(reactor).sleep(0.03)

            spin(scene())
            dog.stopService()
    finally:
        del sys.modules[busy.__name__]
    blamed = [entry for entry in logged if entry.get("addon")]
    assert [(entry["event"], entry["addon"]) for entry in blamed] == [("loop-blocked", "busy")]
    assert blamed[0]["where"].startswith(f"{source}:") and blamed[0]["blocked_ms"] >= 20
    assert any(entry["event"] == "loop-turns-again" for entry in logged)
