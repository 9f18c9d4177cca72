"""A terminal with a program in it, for tests that type and read: a pty of this machine. Knows no SSH."""

import fcntl
import os
import pty
import re
import select
import struct
import subprocess
import termios
from collections.abc import Sequence
from typing import Self

S_MAX = 60.0


class Terminal:
    """`command`, running in a terminal of its own of `size` (columns, rows); a context manager that ends it."""

    def __init__(self, command: Sequence[str], size: tuple[int, int] = (80, 24)) -> None:
        self._ours, theirs = pty.openpty()
        self.resize(*size)
        # `setsid --ctty` makes its standard input the controlling terminal, so that resizing and ^C are told as always.
        self._process = subprocess.Popen(
            ["setsid", "--ctty", *command],
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            env=os.environ | {"TERM": "xterm-256color"},
        )
        os.close(theirs)
        self._seen = b""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *why: object) -> None:
        self._process.kill()
        self._process.wait()
        os.close(self._ours)

    def resize(self, columns: int, rows: int) -> None:
        """As a window does when its corner is pulled."""
        fcntl.ioctl(self._ours, termios.TIOCSWINSZ, struct.pack("4H", rows, columns, 0, 0))

    def type(self, keys: bytes) -> None:
        """Press keys."""
        os.write(self._ours, keys)

    def reads(self, pattern: bytes) -> re.Match[bytes]:
        """Wait until what was shown since the last match matches."""
        while True:
            if found := re.search(pattern, self._seen):
                self._seen = self._seen[found.end() :]
                return found
            more = self._more()
            assert more, f"it ended and showed {self._seen!r}, wanted is {pattern!r}"
            self._seen += more

    def ends(self) -> tuple[bytes, int]:
        """Wait for its end: what it had still shown, and its exit code."""
        while more := self._more():
            self._seen += more
        return self._seen, self._process.wait(S_MAX)

    def _more(self) -> bytes:
        assert select.select([self._ours], [], [], S_MAX)[0], f"it says no more than {self._seen!r}"
        try:
            return os.read(self._ours, 65536)
        except OSError:  # EIO: nobody has the other end open any more
            return b""
