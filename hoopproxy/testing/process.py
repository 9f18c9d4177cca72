"""A gateway as a process of its own, as in production: started, heard, ended. Knows nothing of its files."""

import os
import re
import signal
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any

import orjson

import hoopproxy

READY_S_MAX = 30.0
"""A start takes a second or two; on a busy machine with a cold disk ten times as much."""

STOP_S_MAX = 20.0
"""More than `limits.drain_s_max` of any stand."""

LINES_MAX = 5000
"""Of the log only the last lines are kept."""


def environment() -> dict[str, str]:
    """Ours, and in it this very code first: a child runs what its parent runs, installed or not."""
    here = str(Path(hoopproxy.__file__).resolve().parent.parent)
    return os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, (here, os.environ.get("PYTHONPATH"))))}


class GatewayFailed(Exception):
    """The gateway did not get ready; the text ends with what it said."""


class GatewayProcess:
    """`twistd -n hoopproxy --config FILE` in a session of its own, so that a terminal's Ctrl-C is the owner's alone.

    Made when it is ready; `endpoints` maps each listener to its sockets as `host:port`. `said()` tells what it logged.
    """

    def __init__(self, config: Path) -> None:
        """@raise GatewayFailed"""
        twistd = Path(sys.executable).with_name("twistd")
        self._lines: deque[str] = deque(maxlen=LINES_MAX)
        self._changed = threading.Condition()
        self._has_ended = False
        self.endpoints: Mapping[str, tuple[str, ...]] = {}
        self._process = subprocess.Popen(
            [twistd, "-n", "--pidfile=", "hoopproxy", "--config", config],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            start_new_session=True,
            env=environment(),
        )
        # However this process ends, it closes its end of the guard's pipe, and the gateway goes with it.
        self._guard = subprocess.Popen(
            ["sh", "-c", f"read _; kill -TERM {self._process.pid}"],
            stdin=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        assert self._process.stdout is not None
        self._ear = threading.Thread(target=self._listen, args=(self._process.stdout,), daemon=True)
        self._ear.start()
        try:
            ready = self.heard("ready", READY_S_MAX)
        except BaseException:
            self.stop()
            raise
        self.endpoints = {name: tuple(sockets) for name, sockets in ready["endpoints"].items()}

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    def said(self) -> list[dict[str, Any]]:
        """The events that it logged, the oldest first."""
        with self._changed:
            return [event for line in self._lines if (event := _event(line)) is not None]

    def log(self) -> str:
        """Its log as text."""
        with self._changed:
            return "".join(self._lines)

    def heard(self, event: str, within_s: float = READY_S_MAX, *, holding: str = "") -> dict[str, Any]:
        """The first logged event of that name with that text in it, waiting for it if need be.

        @raise GatewayFailed: it does not come.
        """

        def found() -> dict[str, Any] | None:
            return next((one for one in self.said() if one.get("event") == event and holding in str(one)), None)

        with self._changed:
            self._changed.wait_for(lambda: self._has_ended or found() is not None, within_s)
            if told := found():
                return told
        ending = "ended" if self._has_ended else f"did not say {event!r} within {within_s:g} s"
        raise GatewayFailed(f"The gateway {ending}. Its log:\n{self.log()}")

    def wait(self) -> int:
        """Until it ends; its exit code."""
        return self._process.wait()

    def stop(self, *, within_s: float = STOP_S_MAX) -> int:
        """Ask it to stop, and make it if it doesn't; its exit code. Safe to call twice."""
        self._dismiss_guard()
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)
        try:
            self._process.wait(within_s)
        except subprocess.TimeoutExpired:
            self.kill()
        self._ear.join()
        return self._process.returncode

    def kill(self) -> None:
        """End it without a warning, as a power cut would."""
        self._dismiss_guard()
        self._process.kill()
        self._process.wait()

    def _dismiss_guard(self) -> None:
        """Before the gateway's number may be another process's."""
        assert self._guard.stdin is not None
        self._guard.kill()
        self._guard.wait()
        self._guard.stdin.close()

    def _listen(self, pipe: IO[str]) -> None:
        with pipe:
            for line in pipe:
                with self._changed:
                    self._lines.append(line)
                    self._changed.notify_all()
        with self._changed:
            self._has_ended = True
            self._changed.notify_all()


def _event(line: str) -> dict[str, Any] | None:
    """The event in a line of the log, if it is one: JSON, behind what twistd puts before it."""
    found = re.search(r"(\{.*\})\s*$", line)
    try:
        return orjson.loads(found[1]) if found else None
    except orjson.JSONDecodeError:
        return None
