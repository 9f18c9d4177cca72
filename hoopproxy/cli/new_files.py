"""Files that are derived from evidence: new ones, for their owner alone. Knows nothing of what is in them."""

import os
from collections.abc import Iterable
from pathlib import Path

from hoopproxy.cli.answers import Negative


def write_new(output: Path, pieces: Iterable[bytes]) -> None:
    """Write a file that nobody else may read; whatever fails leaves none. @raise Negative: it can't be written."""
    try:
        handle = os.open(output, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError as why:
        raise Negative(f"{output} exists already; evidence never replaces a file.") from why
    except OSError as why:
        raise Negative(f"{output}: {why.strerror}.") from why
    try:
        with open(handle, "wb") as file:
            file.writelines(pieces)
    except BaseException as why:
        output.unlink()
        if isinstance(why, OSError):
            raise Negative(f"{output}: {why.strerror}.") from why
        raise
