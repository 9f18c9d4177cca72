"""Knows people by their name and password in a directory: LDAP, Active Directory (RFC 4511, RFC 4513).

The secret is `NAME:PASSWORD`. Keeps no password; what is asked of the directory is `ldap_directory`'s.
"""

from dataclasses import replace
from weakref import WeakValueDictionary

from twisted.internet.defer import DeferredLock
from zope.interface import implementer, provider

from hoopproxy.access.allowance import Allowance
from hoopproxy.addons.ldap_directory import PASSWORD_BYTES_MAX, Account, CantTell, Directory, Person
from hoopproxy.addons.ldap_settings import Settings
from hoopproxy.errors import Refused
from hoopproxy.hands import Overloaded, in_thread
from hoopproxy.interfaces import IAddonFactory, IAuthenticator, IRechecking, ISetting, ITakesPasswords
from hoopproxy.model import Arrival, Credentials, Identity
from hoopproxy.proofs import Secret

NAME_CHARACTERS_MAX = 256

ROLE = "ldap"
"""The threads that wait for directories."""


@provider(IAddonFactory)
@implementer(IAuthenticator, IRechecking, ITakesPasswords)
class LdapAuthenticator:
    """An identity from a directory, by name and password."""

    summary = "Knows people by name and password in a directory (LDAP, Active Directory), with their groups of now."
    settings = Settings

    @classmethod
    def build(cls, name: str, settings: Settings, setting: ISetting) -> "LdapAuthenticator":
        """Make it. @raise OSError, ssl.SSLError, Unfit: what `ca_file` or `password_file` names can't be used."""
        return cls(name, settings, setting)

    def __init__(self, name: str, settings: Settings, setting: ISetting) -> None:
        self.name = name
        self._settings, self._scheduler = settings, setting.scheduler
        self._directory = Directory(settings)
        # Apart, so that a flood of made-up names leaves everybody else's attempts alone.
        self._failures, self._strangers = Allowance(settings.failures_s), Allowance(settings.failures_s)
        self._turns: WeakValueDictionary[str, DeferredLock] = WeakValueDictionary()

    async def identify(self, arrival: Arrival, credentials: Credentials) -> Identity | None:
        """Whose name and password this is; None for a secret without a colon, as tokens are.

        @raise Refused: it is nobody's, it was guessed too often, or it can't be told.
        """
        name, colon, text = credentials.secret.reveal().partition(":")
        if not colon:
            return None
        # The empty password is an anonymous bind to many directories, NUL the end of it to some.
        if not _is_name(name) or not text or "\0" in text or len(text.encode()) > PASSWORD_BYTES_MAX:
            raise self._wrong("no name, or no password that one could have")
        try:
            found = await in_thread(ROLE, self._directory.find, name)
            account = await self._proven(found, name, Secret(text))
            person = await in_thread(ROLE, self._directory.look, account.subject, self._scheduler.now_s())
        except (CantTell, Overloaded) as why:
            raise Refused(
                "The gateway can't check names and passwords at the moment; connect again in a minute, or tell the "
                "operator of the gateway.",
                reason="credentials",
                detail=f"{self.name}: {why}",
            ) from why
        if person is None:
            raise self._wrong(f"nobody like {name!r} is found by the filter with * in place of a name")
        return self._identity(self._usable(person))

    async def recheck(self, identity: Identity, credentials: Credentials) -> Identity | None:
        """Who that is now: the same for as long, with the groups of now. None: the entry is gone.

        @raise Refused: the account may not be used any more. @raise CantTell, Overloaded
        """
        person = await in_thread(ROLE, self._directory.look, identity.subject, self._scheduler.now_s())
        if person is None:
            return None
        return replace(self._identity(self._usable(person)), expires_at_s=identity.expires_at_s)

    async def _proven(self, account: Account | None, name: str, password: Secret) -> Account:
        """The account, whose password that is. @raise Refused. @raise CantTell, Overloaded: then it was no failure."""
        failures = self._failures if account else self._strangers
        who = account.subject if account else _folded(name)
        # One attempt after the other, so that those side by side are no more than may fail, and right ones all get in.
        turn = self._turns.setdefault(who, DeferredLock())
        await turn.acquire()
        try:
            if not failures.take(who, self._settings.failures_max, self._scheduler.monotonic_s()):
                raise Refused(
                    "Too many attempts with this name have failed: the gateway tries no password with it for "
                    f"{_minutes(self._settings.failures_s)}; connect again after that.",
                    reason="credentials",
                    detail=f"{self.name}: {self._settings.failures_max} attempts as {name!r} have failed",
                )
            # Who breaks off an attempt has had it: only an answer gives it back.
            try:
                is_right = await in_thread(ROLE, self._directory.proves, account, password)
            except (CantTell, Overloaded):
                failures.give_back(who)
                raise
            if account is None or not is_right:
                raise self._wrong(f"wrong password for {name!r}" if account else f"nobody is {name!r}")
            failures.give_back(who)
            return account
        finally:
            turn.release()

    def _identity(self, person: Person) -> Identity:
        return Identity(
            issuer=f"ldap:{self.name}",
            subject=person.subject,
            name=person.name or person.subject,
            groups=person.groups,
            expires_at_s=self._scheduler.now_s() + self._settings.lifetime_s_max,
            method="password",
        )

    def _usable(self, person: Person) -> Person:
        if person.trouble:
            raise Refused(
                f"Your account {person.trouble} in the directory; ask whoever looks after it there.",
                reason="credentials",
                detail=f"{self.name}: the account of {person.name!r} {person.trouble}",
            )
        return person

    def _wrong(self, detail: str) -> Refused:
        """One sentence for no such name and a wrong password alike: a difference would tell which names there are."""
        settings = self._settings
        return Refused(
            "Your name and password are not right; give both as NAME:PASSWORD and connect again. After "
            f"{settings.failures_max} failed attempts with a name the gateway refuses it for "
            f"{_minutes(settings.failures_s)}.",
            reason="credentials",
            detail=f"{self.name}: {detail}",
        )


def _is_name(name: str) -> bool:
    return 0 < len(name) <= NAME_CHARACTERS_MAX and name.isprintable() and not name.isspace()


def _folded(name: str) -> str:
    """One key for what directories hold for one name: case and spaces do not count (RFC 4518)."""
    return " ".join(name.casefold().split())


def _minutes(span_s: float) -> str:
    minutes = round(span_s / 60)
    return f"{minutes} minutes" if minutes > 1 else "a minute"
