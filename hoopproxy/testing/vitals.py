"""How a process of this machine is: its memory, its time on a CPU, its descriptors. Reads Linux's /proc alone."""

import os
from pathlib import Path

KIB = 1024


class Vitals:
    """Of the process `pid`, which must be ours. @raise OSError: it is gone."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self._proc = Path("/proc", str(pid))

    @property
    def rss_bytes(self) -> int:
        """Memory in RAM (VmRSS)."""
        return self._status("VmRSS") * KIB

    @property
    def peak_bytes(self) -> int:
        """The most that `rss_bytes` ever was, or since `forget_peak` (VmHWM): the kernel misses no moment."""
        return self._status("VmHWM") * KIB

    @property
    def cpu_s(self) -> float:
        """Time on a CPU, of all its threads."""
        tasks = (self._proc / "task").glob("*/schedstat")
        return sum(int(task.read_text().split()[0]) for task in tasks) / 1e9  # proc(5): nanoseconds come first

    @property
    def descriptors(self) -> int:
        """How many files and sockets are open."""
        return len(os.listdir(self._proc / "fd"))

    def forget_peak(self) -> None:
        """`peak_bytes` begins anew (proc(5), clear_refs)."""
        (self._proc / "clear_refs").write_text("5")

    def _status(self, name: str) -> int:
        (line,) = (line for line in (self._proc / "status").read_text().splitlines() if line.startswith(name + ":"))
        return int(line.split()[1])
