"""Service tokens in a directory of the gateway's own, without the tokens: one file of digests, replaced as a whole.

Whoever changes it does so under a lock, and whoever reads it sees the last whole one. Knows nothing of who shows what.
"""

import fcntl
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import orjson
from pydantic import Field, TypeAdapter, ValidationError
from zope.interface import implementer

from hoopproxy.errors import ConfigError, Refused
from hoopproxy.hands import in_thread
from hoopproxy.interfaces import ITokenShelf
from hoopproxy.proofs import ServiceToken

TOKENS_MAX = 10_000
"""Of one gateway; each is a service's or a script's."""

FILE_BYTES_MAX = 16 << 20
"""So many tokens with names and groups of the longest."""

REMEMBERED_S = 90 * 86_400.0
"""How long one that counts no more stays listed, for whoever asks what it was."""

USED_S = 3600.0
"""How exact a last use is: a file's time is set no more often."""

_FORM: TypeAdapter[list[ServiceToken]] = TypeAdapter(Annotated[list[ServiceToken], Field(max_length=TOKENS_MAX)])

type Tokens = dict[str, ServiceToken]


@implementer(ITokenShelf)
class TokenFile:
    """`tokens.json` (0600) in `directory` (0700), which is made with the first token; beside it, a file for each token,
    whose time is that of its last use. @raise ConfigError: it is there and can't be believed."""

    def __init__(self, directory: Path) -> None:
        self._directory, self._path, self._uses = directory, directory / "tokens.json", directory / "used"
        try:
            self._mark, self._tokens = self._read()
        except OSError as why:
            raise ConfigError((f"{why.filename or directory} can't be used ({why.strerror}).",)) from why
        self._noticed = self._mark

    def has_changed(self) -> bool:
        noticed, self._noticed = self._noticed, self._mark_now()
        return noticed != self._noticed

    async def find(self, token_id: str) -> ServiceToken | None:
        return (await self._current()).get(token_id)

    async def all(self) -> tuple[ServiceToken, ...]:
        found = (await self._current()).values()
        return await in_thread("service-tokens", lambda: tuple(map(self._with_use, found)))

    async def add(self, token: ServiceToken) -> None:
        def added(tokens: Tokens) -> Tokens:
            kept = {name: each for name, each in tokens.items() if _end_s(each) + REMEMBERED_S > token.created_s}
            for name in tokens.keys() - kept.keys():
                (self._uses / name).unlink(missing_ok=True)
            if len(kept) >= TOKENS_MAX:
                raise Refused(
                    f"There are {TOKENS_MAX} service tokens already; revoke some first.", reason="credentials"
                )
            return kept | {token.token_id: token}

        await in_thread("service-tokens", self._change, added)

    async def revoke(self, token_id: str, at_s: float) -> None:
        def revoked(tokens: Tokens) -> Tokens:
            return {
                name: replace(each, revoked_s=at_s) if name == token_id and not each.revoked_s else each
                for name, each in tokens.items()
            }

        await in_thread("service-tokens", self._change, revoked)

    async def used(self, token_id: str, at_s: float) -> None:
        def touch() -> None:
            path = self._uses / token_id
            if at_s - self._last_use(token_id) >= USED_S:
                os.close(os.open(path, os.O_WRONLY | os.O_CREAT, 0o600))
                os.utime(path, (at_s, at_s))

        with suppress(OSError):
            await in_thread("service-tokens", touch)

    def _last_use(self, token_id: str) -> float:
        try:
            return (self._uses / token_id).stat().st_mtime
        except OSError:
            return 0.0

    def _with_use(self, token: ServiceToken) -> ServiceToken:
        return replace(token, used_s=self._last_use(token.token_id) // USED_S * USED_S)

    # The file ---------------------------------------------------------------------------------------------------------

    async def _current(self) -> Tokens:
        if self._mark_now() != self._mark:
            self._mark, self._tokens = await in_thread("service-tokens", self._read)
        return self._tokens

    def _mark_now(self) -> tuple[int, ...]:
        try:
            return _mark(self._path.stat())
        except FileNotFoundError:
            return ()

    def _read(self) -> tuple[tuple[int, ...], Tokens]:
        try:
            with open(self._path, "rb", opener=_own) as file:
                status, data = os.fstat(file.fileno()), file.read(FILE_BYTES_MAX + 1)
        except FileNotFoundError:
            return (), {}
        if status.st_uid not in (0, os.geteuid()) or status.st_mode & 0o077:
            raise ConfigError((f"{self._path}: others may read or change it; wanted is mode 0600 and your own user.",))
        if len(data) > FILE_BYTES_MAX:
            raise ConfigError((f"{self._path}: it is longer than {FILE_BYTES_MAX} bytes.",))
        try:
            found = _FORM.validate_json(data)
        except ValidationError as why:
            raise ConfigError((f"{self._path}: it is no list of service tokens; restore it from a backup.",)) from why
        return _mark(status), {token.token_id: token for token in found}

    def _change(self, change: Callable[[Tokens], Tokens]) -> None:
        with self._alone():
            _, tokens = self._read()
            written = orjson.dumps(list(change(tokens).values()), default=sorted, option=orjson.OPT_INDENT_2)
            new = self._path.with_suffix(".new")
            with open(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
                file.write(written)
                file.flush()
                os.fsync(file.fileno())
            new.replace(self._path)
            directory = os.open(self._directory, os.O_RDONLY | os.O_DIRECTORY)
            try:
                os.fsync(directory)
            finally:
                os.close(directory)

    @contextmanager
    def _alone(self) -> Iterator[None]:
        self._uses.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._directory.chmod(0o700)  # parents get what the umask leaves
        lock = os.open(self._directory / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)  # closing it unlocks it
            yield
        finally:
            os.close(lock)


def _own(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NOFOLLOW | os.O_NONBLOCK)


def _mark(status: os.stat_result) -> tuple[int, ...]:
    """What changes with a file."""
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns


def _end_s(token: ServiceToken) -> float:
    return min(token.expires_s, token.revoked_s or token.expires_s)
