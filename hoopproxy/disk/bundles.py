"""Exporting a bundle from the files of a gateway, and verifying one: the hands of `hoopproxy.evidence.bundle`.

Blocking. Needs no gateway: reads its files, also while it writes them.
"""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from hoopproxy.disk.recordings import recording_paths
from hoopproxy.disk.segments import segment_paths
from hoopproxy.evidence import bundle
from hoopproxy.evidence.bundle import Report
from hoopproxy.evidence.chain import ChainBroken, Head
from hoopproxy.evidence.framing import FramesBroken, frames


def export(log_directory: Path, recordings_directory: Path | None, output: Path) -> Head:
    """Write everything into one new zip; the head of the log, to be kept outside.

    @raise ChainBroken: the log was changed; the sentence names file and entry. @raise OSError.
    """
    # The log is read first: each recording is then at least as long as the log says.
    leaves = list(_leaves(log_directory))
    recordings = None if recordings_directory is None else _opened(recordings_directory)
    with open(os.open(output, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600), "w+b") as file:
        try:
            return bundle.write(file, leaves, recordings)
        except BaseException:
            output.unlink()
            raise


def verify(path: Path, head: tuple[int, str] | None = None) -> Report:
    """Verify the bundle in a file. @raise OSError."""
    with path.open("rb") as file:
        return bundle.verify(file, head)


def _leaves(directory: Path) -> Iterator[bytes]:
    for path in segment_paths(directory):
        try:
            for frame in frames(path.read_bytes()):
                yield from frame.leaves
        except FramesBroken as why:
            raise ChainBroken(f"{path}: The log is damaged at byte {why.offset}, and entries follow.") from why


def _opened(directory: Path) -> Iterator[tuple[str, IO[bytes]]]:
    for path in recording_paths(directory):
        with path.open("rb") as file:
            yield str(path.relative_to(directory)), file
