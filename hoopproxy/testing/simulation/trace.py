"""What happened in one simulation, line by line: equal seeds give equal traces, and a digest says so.

Knows nothing of what happens. A line never holds what is random by nature (keys, nonces, digests of sealed bytes).
"""

import hashlib
from collections import deque
from collections.abc import Callable

LINES_KEPT = 40
"""Shown with a finding: enough to see what led to it."""


class Trace:
    """`note` each event; `digest` covers all, `last` holds the newest, and `everything` is called with each line."""

    def __init__(self, now_s: Callable[[], float], everything: Callable[[str], object] | None = None) -> None:
        self._now_s, self._everything = now_s, everything
        self._start_s = now_s()
        self._sum = hashlib.sha256()
        self._last: deque[str] = deque(maxlen=LINES_KEPT)
        self.count = 0

    def note(self, who: str, what: str) -> None:
        """`who` is a connection, a disk, an addon; `what` is told in a few words."""
        line = f"{self._now_s() - self._start_s:10.4f} {who:12} {what}"
        self.count += 1
        self._sum.update(line.encode() + b"\n")
        self._last.append(line)
        if self._everything is not None:
            self._everything(line)

    @property
    def last(self) -> tuple[str, ...]:
        """The newest lines, oldest first."""
        return tuple(self._last)

    @property
    def digest(self) -> str:
        """SHA-256 over all lines, in hex."""
        return self._sum.hexdigest()
