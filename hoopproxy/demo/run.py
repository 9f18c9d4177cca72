"""Runs the demonstration from start to end: a directory, a stage on it, the tour, and out again without a trace.

Knows neither what the tour shows nor how the stage is made.
"""

import shutil
import signal
import socket
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

from hoopproxy.demo.show import Show
from hoopproxy.demo.stage import COUNTRIES, FILES, PORTS, Stage, line
from hoopproxy.demo.tour import Tour
from hoopproxy.testing.installations import ClusterError
from hoopproxy.testing.process import GatewayFailed

ENDS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class DemoFailed(Exception):
    """It did not start, or did not show what it must: sentences for a terminal."""


def run(*, once: bool, as_json: bool, directory: Path | None, port: int) -> None:
    """The demonstration; returns when it is over. A signal in `ENDS` ends it in order. @raise DemoFailed."""
    show = Show()
    try:
        with _ended_by_signals(), _directory(directory) as place:
            for each in range(port, port + PORTS) if port else ():
                _require_free(each)
            if not as_json:
                show.say("Starting PostgreSQL, sshd, three services, an identity provider and the gateway …", "dim")
            with _stage(place, port) as stage:
                if as_json:
                    sys.stdout.write(line(stage.described()) + "\n")
                    sys.stdout.flush()
                elif failed := Tour(stage, show).walk():
                    raise DemoFailed("These stops did not show what they must: " + "; ".join(failed) + ".")
                if once:
                    return
                if not as_json:
                    _say_how_to_go_on(stage, show)
                stage.stand.gateway.wait()
                raise DemoFailed(f"The gateway has ended. Its log:\n{stage.stand.gateway.log()}")
    except _Ended:
        if once:
            raise DemoFailed("The tour was ended before its last stop.") from None


class _Ended(BaseException):
    """A signal came. No Exception, so that nothing on the way takes it for a failure of its own."""


@contextmanager
def _ended_by_signals() -> Iterator[None]:
    """The first signal unwinds everything; further ones must not keep children from being ended."""

    def end(number: int, frame: FrameType | None) -> None:
        for each in ENDS:
            signal.signal(each, signal.SIG_IGN)
        raise _Ended

    before = {number: signal.signal(number, end) for number in ENDS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def _directory(wanted: Path | None) -> Iterator[Path]:
    """An empty directory: the one that is wanted, or a temporary one that goes at the end."""
    if wanted is not None:
        try:
            wanted.mkdir(mode=0o700, parents=True, exist_ok=True)
            is_empty = not any(wanted.iterdir())
        except OSError as why:
            raise DemoFailed(f"--state {wanted}: {why.strerror}.") from why
        if not is_empty:
            raise DemoFailed(f"--state {wanted} is not empty; wanted is a new or empty directory.")
        yield wanted.resolve()
        return
    made = Path(tempfile.mkdtemp(prefix="hoopproxy-demo-"))
    try:
        yield made
    finally:
        shutil.rmtree(made, ignore_errors=True)


@contextmanager
def _stage(directory: Path, port: int) -> Iterator[Stage]:
    try:
        stage = Stage(directory, port)
    except (GatewayFailed, ClusterError) as why:
        raise DemoFailed(str(why)) from why
    with stage:
        yield stage


def _require_free(port: int) -> None:
    """Said before anything starts."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as why:
            raise DemoFailed(f"Port {port} can't be used ({why.strerror}); name another one by --port-base.") from why


def _say_how_to_go_on(stage: Stage, show: Show) -> None:
    show.title("Everything stays up until Ctrl-C; go on in another shell like this")
    show.command(stage.preparation())
    for person, place in (("ada", "Frankfurt"), *(("franz", place) for place in COUNTRIES)):
        show.say(f"{person.title()}, from {place}:", "dim")
        show.command(str(stage.psql(person, place=place)))
    if not stage.without_ssh:
        show.say("Ada, on the machine with the files:", "dim")
        show.command(str(stage.ssh("ada", FILES)))
    show.say("Ada, over HTTP, and in the cluster:", "dim")
    for command in (
        stage.curl("ada", "/customers"),
        stage.kube_config("ada"),
        stage.kubectl("ada", "get", "pods", "--watch"),
    ):
        show.command(str(command))
    show.say("Who is here, what happened, and the evidence:", "dim")
    for words in (("sessions", "list"), ("sessions", "follow"), ("evidence", "head"), ("check",)):
        show.command(str(stage.hoopproxy(*words)))
    show.say(f"The configuration, to read and to change: {stage.stand.config.parent}", "dim")
