"""Tokens for services and scripts, made by the gateway: `hpx_ID_SECRET`, of which it keeps a digest alone.

The prefix and a check sum let scanners find one that lies where it should not. Knows nothing of where digests are kept.
"""

import re
import secrets
import string
from hashlib import sha256
from hmac import compare_digest
from pathlib import Path
from typing import Annotated
from zlib import crc32

from pydantic import BaseModel, ConfigDict, Field
from zope.interface import implementer, provider

from hoopproxy.disk.token_file import TokenFile
from hoopproxy.errors import Refused
from hoopproxy.interfaces import (
    IAddonFactory,
    IAuthenticator,
    IIssuesTokens,
    INoticesChanges,
    IRechecking,
    ISetting,
    ITokenShelf,
)
from hoopproxy.model import Arrival, Credentials, Identity
from hoopproxy.proofs import ServiceToken
from hoopproxy.rooms import IScheduler

PREFIX = "hpx_"
"""By which scanners for secrets tell it: letters that nothing else begins with, as GitHub's `ghp_`."""

ID_CHARACTERS = 10
SECRET_CHARACTERS = 43
"""256 bits: 43 letters and digits, of 62 each."""

CHECK_CHARACTERS = 6
"""CRC-32 of all before it, in base 62: whoever scans for tokens needs nobody to ask whether it is one."""

NAME_CHARACTERS_MAX = 255
GROUPS_MAX = 100

_LETTERS = string.digits + string.ascii_uppercase + string.ascii_lowercase
_ID_LETTERS = string.digits + string.ascii_lowercase
_TOKEN = re.compile(
    rf"({PREFIX}([{_ID_LETTERS}]{{{ID_CHARACTERS}}})_[{_LETTERS}]{{{SECRET_CHARACTERS}}})"
    rf"([{_LETTERS}]{{{CHECK_CHARACTERS}}})"
)
_NOBODYS = "0" * 64
"""What the token of nobody is compared with, so that an id that is known takes no longer than one that is not."""


class Settings(BaseModel):
    """The keys of `[addon.NAME]` with `use = "service-tokens"`. `lifetime_s_max` is the most that a new one gets."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    lifetime_s_max: Annotated[float, Field(ge=60, le=31622400)] = 7776000.0


@provider(IAddonFactory)
@implementer(IAuthenticator, IRechecking, INoticesChanges, IIssuesTokens)
class ServiceTokens:
    """An identity from a token that this gateway made."""

    summary = "Knows services by tokens that it made itself and keeps the SHA-256 of."
    settings = Settings

    @classmethod
    def build(cls, name: str, settings: Settings, setting: ISetting) -> "ServiceTokens":
        """Make it. @raise ConfigError: what is kept can't be believed."""
        return cls(name, settings, TokenFile(Path(setting.state_dir) / name), setting.scheduler)

    def __init__(self, name: str, settings: Settings, shelf: ITokenShelf, scheduler: IScheduler) -> None:
        self.name = name
        self._lifetime_s_max, self._shelf, self._scheduler = settings.lifetime_s_max, shelf, scheduler

    # Whose it is ------------------------------------------------------------------------------------------------------

    async def identify(self, arrival: Arrival, credentials: Credentials) -> Identity | None:
        """The service that the token was made for; None for whatever does not begin as one."""
        text = credentials.secret.reveal()
        if not text.startswith(PREFIX):
            return None
        token = await self._shown(text)
        await self._shelf.used(token.token_id, self._scheduler.now_s())
        return self._identity(token)

    async def recheck(self, identity: Identity, credentials: Credentials) -> Identity | None:
        """The same for as long as the token counts."""
        return self._identity(await self._shown(credentials.secret.reveal()))

    def has_changed(self) -> bool:
        """Whether tokens were made or revoked, by whomever."""
        return self._shelf.has_changed()

    async def _shown(self, text: str) -> ServiceToken:
        """@raise Refused: it is none, or counts no more. Only who has it whole learns which."""
        found = _TOKEN.fullmatch(text)
        if found is None or _check(found[1]) != found[3]:
            raise self._refused("a token that is not whole")
        token_id = found[2]
        token: ServiceToken | None = await self._shelf.find(token_id)
        digest = token.sha256 if token else _NOBODYS
        if not compare_digest(digest, sha256(text.encode()).hexdigest()) or token is None:
            raise self._refused(f"token {token_id} is {'another' if token else 'nobody'}'s")
        if token.revoked_s:
            raise self._refused(f"token {token_id} was revoked", "was revoked")
        if token.expires_s <= self._scheduler.now_s():
            raise self._refused(f"token {token_id} has expired", "has expired")
        return token

    def _refused(self, detail: str, what: str = "is not valid here") -> Refused:
        return Refused(
            f"Your service token {what}; ask the operator of the gateway for another.",
            reason="credentials",
            detail=f"{self.name}: {detail}",
        )

    def _identity(self, token: ServiceToken) -> Identity:
        return Identity(
            issuer=f"service-tokens:{self.name}",
            subject=token.subject,
            name=token.subject,
            groups=token.groups,
            expires_at_s=token.expires_s,
            method="service-token",
        )

    # Making them ------------------------------------------------------------------------------------------------------

    def make(
        self, subject: str, groups: frozenset[str], lifetime_s: float, made_by: str, note: str
    ) -> tuple[str, ServiceToken]:
        """A new token, and what is to be kept of it. @raise Refused: for no such name, or not for so long."""
        texts = {
            "subject": subject,
            "made_by": made_by,
            "note": note or "none",
            **{f"group {each}": each for each in groups},
        }
        for what, text in texts.items():
            if not 0 < len(text) <= NAME_CHARACTERS_MAX or not text.isprintable():
                raise _unfit(f"The {what:.40} is not 1 to {NAME_CHARACTERS_MAX} printable characters.")
        if len(groups) > GROUPS_MAX:
            raise _unfit(f"There are {len(groups)} groups; wanted are up to {GROUPS_MAX}.")
        if not 60 <= lifetime_s <= self._lifetime_s_max:
            raise _unfit(f"It would count for {lifetime_s:g} s; wanted are 60 to {self._lifetime_s_max:g}.")
        token_id, now_s = _random(_ID_LETTERS, ID_CHARACTERS), self._scheduler.now_s()
        whole = f"{PREFIX}{token_id}_{_random(_LETTERS, SECRET_CHARACTERS)}"
        text = whole + _check(whole)
        digest = sha256(text.encode()).hexdigest()
        kept = ServiceToken(token_id, digest, subject, groups, now_s, now_s + lifetime_s, made_by, note)
        return text, kept

    async def keep(self, token: ServiceToken) -> None:
        """From now on it counts."""
        await self._shelf.add(token)

    async def tokens(self) -> tuple[ServiceToken, ...]:
        """All, the newest first."""
        found: tuple[ServiceToken, ...] = await self._shelf.all()
        return found[::-1]

    async def revoke(self, token_id: str) -> None:
        """From now on it does not count."""
        await self._shelf.revoke(token_id, self._scheduler.now_s())


def _random(letters: str, count: int) -> str:
    return "".join(secrets.choice(letters) for _ in range(count))


def _check(text: str) -> str:
    number, digits = crc32(text.encode()), ""
    for _ in range(CHECK_CHARACTERS):
        number, rest = divmod(number, len(_LETTERS))
        digits = _LETTERS[rest] + digits
    return digits


def _unfit(sentence: str) -> Refused:
    return Refused(sentence, reason="credentials")
