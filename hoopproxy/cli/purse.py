"""The tokens that one person got on this machine, encrypted at rest (AES-256-GCM, NIST SP 800-38D).

The key is in the keyring of the operating system where Python's `keyring` is installed and finds one, else in a file of
its own, in another directory than the tokens. Knows neither how tokens are got nor what they say.
"""

import fcntl
import os
import stat
from base64 import b64decode, b64encode
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from secrets import token_bytes
from tempfile import NamedTemporaryFile
from typing import Any

import orjson
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from hoopproxy.cli.answers import Mistake, Negative

FILE_BYTES_MAX = 4 << 20
NONCE_BYTES = 12
SERVICE, ACCOUNT = "hoopproxy", "tokens"
"""The name of the key in the keyring."""

_HEADS = {"keyring": b"hoopproxy tokens 1 keyring\n", "file": b"hoopproxy tokens 1 file\n"}
"""How a file begins, and which key opens it."""


class Purse:
    """What is kept, by name. Use it within `opened`."""

    def __init__(self, kept: dict[str, Any]) -> None:
        self.kept = kept

    def find(self, name: str) -> Mapping[str, Any] | None:
        """What is kept under that name; with "" what came last."""
        found = self.kept.get(name or str(self.kept.get("latest", "")))
        return found if isinstance(found, dict) else None

    def put(self, name: str, what: Mapping[str, Any]) -> None:
        """Keep it, as the latest."""
        self.kept |= {name: dict(what), "latest": name}

    def drop(self, name: str) -> None:
        """Forget it."""
        self.kept.pop(name, None)
        if self.kept.get("latest") == name:
            del self.kept["latest"]
            for other in list(self.kept)[-1:]:
                self.kept["latest"] = other


@contextmanager
def opened(*, anew: bool = False) -> Iterator[Purse]:
    """The purse, for as long as nobody else has it: a refresh token counts once. What was changed is kept.

    With `anew` one that can't be opened is an empty one. @raise Mistake, Negative
    """
    directory = _directory("XDG_STATE_HOME", ".local/state")
    try:
        handle = os.open(directory / "lock", os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX)
            before = _read(directory / "tokens", anew)
            purse = Purse(dict(before))
            try:
                yield purse
            finally:
                if purse.kept != before:
                    _write(directory / "tokens", purse.kept)
        finally:
            os.close(handle)
    except OSError as why:
        raise Negative(f"Your tokens can't be kept in {directory}: {why.strerror}.") from why


def _read(file: Path, anew: bool) -> dict[str, Any]:
    try:
        data = _private(file)
    except FileNotFoundError:
        return {}
    try:
        place, head = next((place, head) for place, head in _HEADS.items() if data.startswith(head))
        key = _from_keyring() if place == "keyring" else _private(_key_file())
        nonce, sealed = data[len(head) :][:NONCE_BYTES], data[len(head) + NONCE_BYTES :]
        found: dict[str, Any] = orjson.loads(AESGCM(key or b"").decrypt(nonce, sealed, head))
        return found
    except (StopIteration, FileNotFoundError, InvalidTag, ValueError) as why:
        if anew:
            return {}
        raise Mistake(f"{file} can't be opened with the key of this machine; run `hoopproxy login` again.") from why


def _write(file: Path, kept: Mapping[str, Any]) -> None:
    place, key = _key()
    nonce, head = token_bytes(NONCE_BYTES), _HEADS[place]
    _replace(file, head + nonce + AESGCM(key).encrypt(nonce, orjson.dumps(kept), head))


def _key() -> tuple[str, bytes]:
    """Where the key is, and the key; a new one where there was none."""
    key = _from_keyring(token_bytes(32))
    if key:
        return "keyring", key
    try:
        key = _private(_key_file())
    except FileNotFoundError:
        key = b""
    if len(key) != 32:
        key = token_bytes(32)
        _replace(_key_file(), key)
    return "file", key


def _from_keyring(new: bytes = b"") -> bytes:
    """The key in the operating system's keyring, or `new` if there is none; b"" when there is no keyring."""
    try:
        keyring: Any = import_module("keyring")
        held = keyring.get_password(SERVICE, ACCOUNT)
        if held is None and new:
            keyring.set_password(SERVICE, ACCOUNT, b64encode(new).decode())
            held = keyring.get_password(SERVICE, ACCOUNT)
        return b64decode(held or "")
    except Exception:  # noqa: BLE001 # not installed, none of its backends works, locked: it is no keyring to us
        return b""


def _key_file() -> Path:
    return _directory("XDG_CONFIG_HOME", ".config") / "tokens.key"


def _directory(variable: str, usual: str) -> Path:
    """Ours below the person's own (XDG Base Directory Specification)."""
    named = os.environ.get(variable, "")
    directory = (Path(named) if os.path.isabs(named) else Path.home() / usual) / "hoopproxy"
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    return directory


def _private(file: Path) -> bytes:
    """What it holds, if it is this person's alone. @raise Mistake, OSError"""
    with file.open("rb") as opened_file:
        status = os.fstat(opened_file.fileno())
        if status.st_uid != os.geteuid() or stat.S_IMODE(status.st_mode) & 0o077:
            raise Mistake(f"Others may use {file}; wanted is a file of yours alone (chmod 0600 {file}).")
        return opened_file.read(FILE_BYTES_MAX)


def _replace(file: Path, data: bytes) -> None:
    """All of it or nothing, for its owner alone."""
    with NamedTemporaryFile(dir=file.parent, prefix=f".{file.name}-", delete=False) as fresh:
        try:
            fresh.write(data)
            fresh.flush()
            os.fsync(fresh.fileno())
            Path(fresh.name).replace(file)
        except BaseException:
            Path(fresh.name).unlink(missing_ok=True)
            raise
