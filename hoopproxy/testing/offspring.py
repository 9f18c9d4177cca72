"""A command that ends together with all that it has started: `python -m hoopproxy.testing.offspring COMMAND…`.

A server such as sshd puts each of its children into a session of its own, where signals to the server do not reach
them. Linux only. Knows nothing of what it runs.
"""

import ctypes
import os
import select
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

PR_SET_CHILD_SUBREAPER = 36
"""linux/prctl.h: whose parent dies becomes a child of ours, and is not lost to init."""

POLITE_S_MAX = 5.0


def main(command: list[str]) -> int:
    """Run it until it ends or our stdin does; then end it, and whatever it has started. Its exit code."""
    ctypes.CDLL(None, use_errno=True).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    with subprocess.Popen(command, stdin=subprocess.DEVNULL) as process:
        ended = os.pidfd_open(process.pid)
        select.select([sys.stdin, ended], [], [])
        process.send_signal(signal.SIGTERM)
        with suppress(subprocess.TimeoutExpired):
            process.wait(POLITE_S_MAX)
        while children := Path(f"/proc/{os.getpid()}/task/{os.getpid()}/children").read_text().split():
            for child in map(int, children):
                os.kill(child, signal.SIGKILL)
                if child != process.pid:  # its exit code is `process`'s to fetch
                    os.waitpid(child, 0)
            process.poll()
    return process.returncode


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
