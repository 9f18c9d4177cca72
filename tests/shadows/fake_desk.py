"""A database as a keeper sees it: a catalog that changes, login roles, and desks that get lost."""

import re
from dataclasses import dataclass, field
from datetime import datetime

from twisted.internet.defer import Deferred
from zope.interface import implementer

from hoopproxy.errors import SqlFailed, UpstreamUnreachable
from hoopproxy.masking.shadows import fingerprint
from hoopproxy.rooms import IDesk, Rows

_NAME = re.compile(r"hp_[0-9a-f]{12}_[0-9a-f]{16}")


@dataclass
class Role:
    until_s: float
    groups: set[str]
    has_power: bool = False
    can_login: bool = True
    writes: int = 1


@dataclass
class Database:
    """`catalog` is the fingerprint. `is_up` False: no desk opens, and open ones are lost at the next question, as they
    are after `restarts`. So often as `locked` says, somebody holds a lock that the catalog's reading wants; a text with
    `hangs` in it is never answered."""

    catalog: str = "1"
    roles: dict[str, Role] = field(default_factory=dict)
    used: set[str] = field(default_factory=set)
    spoiled: set[str] = field(default_factory=set)
    asked: list[str] = field(default_factory=list)
    fails: list[SqlFailed] = field(default_factory=list)
    locked: int = 0
    hangs: str = "never asked"
    is_up: bool = True
    restarts: int = 0
    opened: int = 0
    open: int = 0

    async def desk(self) -> "FakeDesk":
        if not self.is_up:
            raise UpstreamUnreachable("Target 'ledger' could not be reached.")
        self.opened += 1
        self.open += 1
        return FakeDesk(self)

    def answer(self, text: str) -> tuple[Rows, ...]:
        self.asked.append(text)
        if text == fingerprint.QUESTION:
            return (((self.catalog, " ".join(sorted(self.spoiled)) or None),),)
        if text.startswith(("CREATE ROLE", "ALTER ROLE")) and self.fails:
            raise self.fails.pop(0)
        if text.startswith("SET LOCAL lock_timeout") and self.locked:
            self.locked -= 1
            raise SqlFailed("55P03", "canceling statement due to lock timeout")
        name = _NAME.search(text)
        if text.startswith("CREATE ROLE"):
            assert name is not None
            if name[0] in self.roles:
                raise SqlFailed("42710", "role exists")
            self.roles[name[0]] = Role(_until(text), {name[0][:15]})
        elif text.startswith("ALTER ROLE"):
            assert name is not None
            role = self.roles[name[0]]
            role.until_s, role.groups = _until(text), {name[0][:15]}
            role.can_login, role.has_power = " LOGIN " in text, role.has_power and "NOSUPERUSER" not in text
            role.writes += 1
        elif text.startswith("GRANT"):
            assert name is not None
            if name[0] in self.used:
                raise SqlFailed("55006", "role is in use")
            del self.roles[name[0]]
        elif "pg_locks" in text:
            return (), (("4711", "owner", "psql", "public.customers"),)
        elif "pg_stat_activity" in text:
            now_s = _moment(re.findall(r"'(\d{4}-[^']+)'", text)[0])
            return (tuple((each,) for each, role in self.roles.items() if role.until_s < now_s),)
        elif name is not None and "rolcanlogin" in text:
            found = self.roles.get(name[0])
            if found is None:
                return ((),)
            flags = ["t" if each else "f" for each in (found.can_login, found.has_power)]
            return (((*flags, str(found.until_s), "\n".join(sorted(found.groups))),),)
        return ((),)


@implementer(IDesk)
class FakeDesk:
    def __init__(self, database: Database) -> None:
        self._database, self._is_closed, self._since = database, False, database.restarts

    async def ask(self, text: str) -> tuple[Rows, ...]:
        if not self._database.is_up or self._is_closed or self._since != self._database.restarts:
            raise UpstreamUnreachable("Target 'ledger' could not be reached.")
        if self._database.hangs in text:
            await Deferred()
        return self._database.answer(text)

    def close(self) -> None:
        if not self._is_closed:
            self._is_closed = True
            self._database.open -= 1


def _until(text: str) -> float:
    found = re.search(r"VALID UNTIL '([^']+)'", text)
    assert found is not None
    return _moment(found[1])


def _moment(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()
