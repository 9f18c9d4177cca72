"""One recording's file: made once, only ever longer, never overwritten.

Blocking. Knows no format: bytes come sealed.
"""

import os
import re
from pathlib import Path

from hoopproxy.disk.calls import Disk, sync_directory

SUFFIX = ".hprec"
_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")


class RecordingFile:
    """`directory/session/connection.hprec`, open for appending."""

    def __init__(self, directory: Path, session_id: str, connection_id: str, start: bytes, disk: Disk | None = None):
        """Make the file with `start` in it, durable. @raise OSError, FileExistsError: that id was used before."""
        self._fd = -1
        for name in (session_id, connection_id):
            if not _ID.fullmatch(name):
                raise ValueError(f"{name!r} can't name a recording")
        self.location = f"{session_id}/{connection_id}{SUFFIX}"
        self.size = 0
        self._disk = disk or Disk()
        path = directory / self.location
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            self.append(start)
            sync_directory(path.parent)
            sync_directory(directory)
        except BaseException:
            self.close()
            path.unlink()
            raise

    def append(self, data: bytes) -> None:
        """Returns when `data` survives a power cut. @raise OSError: the file is as long as before."""
        try:
            self._disk.write(self._fd, data, self.size)
            self._disk.sync(self._fd)
        except OSError:
            os.ftruncate(self._fd, self.size)
            raise
        self.size += len(data)

    def __del__(self) -> None:
        # A caller that gave up while the file was made never got it to close.
        self.close()

    def close(self) -> None:
        """Close the file; safe to call twice."""
        if self._fd != -1:
            os.close(self._fd)
            self._fd = -1


def recording_paths(directory: Path) -> list[Path]:
    """All recordings of a directory, in order of their names."""
    return sorted(path for path in directory.glob(f"*/*{SUFFIX}") if path.is_file())
