"""A live session on the terminal of somebody who watches it: what is asked, and what is shown as it is shown.

Knows what the gateway tells of a session, not how it is asked. Nothing but text, colours and the cursor's moves gets
through to the watcher's terminal (`hoopproxy.evidence.screen`).
"""

import sys
from collections.abc import Iterable, Mapping
from typing import Any

import click

from hoopproxy.cli.answers import printable
from hoopproxy.cli.exchanges import BODIES
from hoopproxy.cli.recorded import readable
from hoopproxy.cli.transcript import Line, Page
from hoopproxy.evidence.screen import RESET, Screen


def watch(events: Iterable[Mapping[str, Any]]) -> None:
    """Print events of the stream `watch` until there are no more."""
    pages: dict[str, LivePage] = {}
    try:
        for event in events:
            connection_id, line = event["connection_id"], readable(event["line"])
            if connection_id not in pages:
                pages[connection_id] = LivePage()
                pages[connection_id].out.print(f"[bold]connection {printable(connection_id)}[/]")
            pages[connection_id].one(line)
            if line["event"] == "closed":
                del pages[connection_id]
    finally:
        if sys.stdout.isatty():
            click.echo(RESET, nl=False)


class LivePage(Page):
    """Shows streams as they come, each through a screen of its own."""

    def __init__(self) -> None:
        super().__init__()
        self._screens: dict[int, Screen] = {}
        self._showing: int | None = None
        self._is_amid = False

    def one(self, line: Line) -> None:
        """The next line."""
        super().one(line)
        if line["event"] == "stream-ended":
            self._screens.pop(line["statement"], None)

    def streamed(self, line: Line) -> None:
        """A piece of a stream, on the watcher's screen."""
        if line["stream"] in BODIES:  # nothing that a terminal was meant to show
            self._leave()
            super().streamed(line)
            return
        (number, _), text = self.decoded(line)
        screen = self._screens.setdefault(number, Screen())
        if self._showing not in (None, number):
            self.end_streams()
            click.echo(f"#{number}")
        self._showing = number
        self._write(screen.shown(text))

    def end_streams(self) -> None:
        """The gateway's own lines begin at the left, in plain letters."""
        self._leave()
        super().end_streams()

    def _leave(self) -> None:
        if self._is_amid:
            self._write("\r\n")

    def _write(self, text: str) -> None:
        if text:
            self._is_amid = not text.endswith("\n")
            click.echo(text, nl=False)
