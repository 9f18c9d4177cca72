"""Files that hold a secret: read only when nobody but the gateway and root could have read or written them.

Knows nothing of what stands in them.
"""

import os
import stat
from pathlib import Path


class Unfit(Exception):
    """The file must not be used; the text is for the operator and holds nothing of the file."""


def read_private(path: Path, bytes_max: int) -> bytes:
    """The content of a regular file that nobody else may touch, judged by the open file and not by its name.

    @raise OSError, Unfit
    """
    # A few hundred bytes from a local disk are there sooner than a thread could be; a pipe must not hold us up.
    with open(path, "rb", opener=lambda name, flags: os.open(name, flags | os.O_NONBLOCK)) as file:
        status = os.fstat(file.fileno())
        if not stat.S_ISREG(status.st_mode):
            raise Unfit("it is no regular file")
        if status.st_uid not in (0, os.geteuid()):
            raise Unfit(f"it belongs to user {status.st_uid}; wanted is the user of the gateway or root")
        if mode := stat.S_IMODE(status.st_mode) & 0o077:
            raise Unfit(f"others have the rights {mode:03o} on it; wanted are none (chmod 0600)")
        data = file.read(bytes_max + 1)
    if len(data) > bytes_max:
        raise Unfit(f"it is longer than {bytes_max} bytes")
    return data
