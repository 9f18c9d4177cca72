"""Target secrets from files that only the gateway may read: one file for each credential, read at each login.

Knows no target. Keeps nothing in memory, so that a replaced file counts from the next login on.
"""

import re
import tomllib
from pathlib import Path
from typing import Self

from pydantic import BaseModel, ConfigDict, ValidationError, model_validator
from zope.interface import implementer, provider

from hoopproxy.disk.private import Unfit, read_private
from hoopproxy.errors import Refused
from hoopproxy.interfaces import IAddonFactory, ICredentialSource, ISetting
from hoopproxy.model import Passage
from hoopproxy.proofs import Secret, TargetSecret

FILE_BYTES_MAX = 65536


class Settings(BaseModel):
    """The keys of `[addon.NAME]` with `use = "file-credentials"`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    directory: Path


class _Content(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, hide_input_in_errors=True)

    username: str
    password: str | None = None
    private_key: str | None = None
    authority_key: str | None = None

    @model_validator(mode="after")
    def _one_secret(self) -> Self:
        if [self.password, self.private_key, self.authority_key].count(None) != 2:
            raise ValueError("wanted is one secret")
        return self


@provider(IAddonFactory)
@implementer(ICredentialSource)
class FileCredentials:
    """The credential NAME in `directory/NAME.toml`: TOML with a `username` and one of `password`, `private_key` and
    `authority_key` (see `TargetSecret`)."""

    summary = "Reads target credentials from files of one directory, each readable by the gateway alone."
    settings = Settings

    @classmethod
    def build(cls, name: str, settings: Settings, setting: ISetting) -> "FileCredentials":
        """Make it. @raise NotADirectoryError."""
        return cls(name, settings.directory)

    def __init__(self, name: str, directory: Path) -> None:
        self.name = name
        self._directory = directory
        if not directory.is_dir():
            raise NotADirectoryError(f"{directory} is no directory; wanted is one with a file for each credential")

    async def secret(self, passage: Passage | None, credential: str) -> TargetSecret | None:
        """What the file says; None when there is no such file. @raise Refused: others could read or write it."""
        # A name can't climb out of the directory: it has no slash and does not begin with a dot.
        if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", credential):
            return None
        path = self._directory / f"{credential}.toml"
        try:
            content = _read(path)
        except FileNotFoundError:
            return None
        except (OSError, Unfit) as why:
            raise Refused(
                "The gateway can't use its own credential for this target; tell the operator of the gateway.",
                reason="credentials",
                detail=f"{self.name}: {path}: {why}",
            ) from why
        return TargetSecret(
            content.username,
            Secret(content.password or ""),
            private_key=_secret(content.private_key),
            authority_key=_secret(content.authority_key),
        )


def _secret(text: str | None) -> Secret | None:
    return None if text is None else Secret(text)


def _read(path: Path) -> _Content:
    try:
        return _Content.model_validate(tomllib.loads(read_private(path, FILE_BYTES_MAX).decode()))
    except (UnicodeDecodeError, tomllib.TOMLDecodeError, ValidationError):
        # The cause would quote the file: it is left out on purpose.
        raise Unfit(
            "it is not what is wanted: TOML with a username and one of password, private_key and authority_key"
        ) from None
