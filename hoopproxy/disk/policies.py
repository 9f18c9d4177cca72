"""The applied policy as a gateway keeps it over restarts: the bundle in force, and the highest revision ever applied.

Two files in a directory of the gateway's own; each is replaced as a whole or not at all. Knows no signature.
"""

import errno
import os
from pathlib import Path

from hoopproxy.access.bundle import BUNDLE_BYTES_MAX

BUNDLE, NEXT, HIGHEST = "bundle", "bundle.next", "highest"


def read(path: Path) -> bytes:
    """A bundle, or the text of a policy. @raise OSError: it can't be read, or is far longer than any."""
    with path.open("rb") as file:
        data = file.read(BUNDLE_BYTES_MAX + 1)
    if len(data) > BUNDLE_BYTES_MAX:
        raise OSError(errno.EFBIG, f"it has more than {BUNDLE_BYTES_MAX} bytes", str(path))
    return data


class Kept:
    """What lies in `directory`."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def bundle(self) -> bytes | None:
        """The bundle in force; None: there is none. @raise OSError"""
        try:
            return read(self._directory / BUNDLE)
        except FileNotFoundError:
            return None

    def highest(self) -> int:
        """The highest revision that was ever applied; 0: none was. @raise OSError, ValueError: it holds no number."""
        try:
            return int((self._directory / HIGHEST).read_text(encoding="ascii"))
        except FileNotFoundError:
            return 0

    def stage(self, data: bytes) -> None:
        """Write a bundle beside the one in force: what can fail, like a full disk, fails here. @raise OSError"""
        self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        _write(self._directory / NEXT, data)

    def take(self, number: int) -> None:
        """What was staged is in force from now on, as that revision. @raise OSError

        In this order a crash between the two leaves a bundle above the highest revision, which counts, and never one
        below it, which does not.
        """
        os.replace(self._directory / NEXT, self._directory / BUNDLE)
        beside = self._directory / f"{HIGHEST}.next"
        _write(beside, f"{number}\n".encode())
        os.replace(beside, self._directory / HIGHEST)
        _sync(self._directory)


def _write(path: Path, data: bytes) -> None:
    with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    _sync(path.parent)


def _sync(directory: Path) -> None:
    handle = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
