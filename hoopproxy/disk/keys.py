"""Key files: making a set for recordings, reading one of those or one of random bytes. Knows no configuration."""

import os
import stat
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey

from hoopproxy.evidence import keys
from hoopproxy.evidence.keys import KeyUnfit

NAMES = ("zone", "sealed")

RANDOM_BYTES_MAX = 4096


def make_keys(directory: Path) -> tuple[Path, ...]:
    """Make `zone.key`, `zone.pub`, `sealed.key` and `sealed.pub`, readable by their owner alone; the paths.

    The gateway needs the `.pub` files; the `.key` files belong to two other people, on no machine of the gateway.

    @raise FileExistsError: a key is never replaced.
    """
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    made = []
    for name in NAMES:
        for suffix, pem in zip((".key", ".pub"), keys.new_pair(), strict=True):
            path = directory / (name + suffix)
            with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
                file.write(pem)
            made.append(path)
    return tuple(made)


def read_public(path: Path) -> X25519PublicKey:
    """The key of a `.pub` file. @raise OSError, KeyUnfit."""
    return keys.public_key(path.read_bytes(), str(path))


def read_private(path: Path) -> X25519PrivateKey:
    """The key of a `.key` file. @raise OSError, KeyUnfit."""
    return keys.private_key(path.read_bytes(), str(path))


def read_random(path: Path, bytes_min: int) -> bytes:
    """The random bytes of a file that its owner alone may read. @raise OSError, KeyUnfit."""
    with path.open("rb") as file:
        data, mode = file.read(RANDOM_BYTES_MAX + 1), stat.S_IMODE(os.fstat(file.fileno()).st_mode)
    if mode & 0o077:
        raise KeyUnfit(f"others have the rights {mode & 0o077:03o} on {path}; wanted are none (chmod 0600)")
    if not bytes_min <= len(data) <= RANDOM_BYTES_MAX:
        raise KeyUnfit(
            f"{path} holds {len(data)} bytes; wanted are {bytes_min} to {RANDOM_BYTES_MAX} random ones "
            f"(openssl rand -out {path} {bytes_min})"
        )
    return data
