"""The few calls by which evidence gets onto a disk and stays there; tests put a full or failing disk in their place.

Blocking. Knows no format.
"""

import os
from pathlib import Path


class Disk:
    """The four calls that a full or failing disk refuses; tests put their own in its place."""

    def allocate(self, fd: int, size: int) -> None:
        """Reserve blocks for bytes 0..size. @raise OSError."""
        os.posix_fallocate(fd, 0, size)

    def write(self, fd: int, data: bytes, offset: int) -> None:
        """Write all of `data`. @raise OSError."""
        view = memoryview(data)
        while view:
            written = os.pwrite(fd, view, offset)
            view, offset = view[written:], offset + written

    def sync(self, fd: int) -> None:
        """Make it survive a power cut. @raise OSError."""
        os.fdatasync(fd)

    def rename(self, old: Path, new: Path) -> None:
        """Rename, durably. @raise OSError."""
        os.rename(old, new)
        sync_directory(new.parent)


def sync_directory(directory: Path) -> None:
    """Make a new or renamed name in it survive a power cut. @raise OSError."""
    fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
