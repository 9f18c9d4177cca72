"""Login roles: one for each person and mask set, whose name and password follow from a key, so that nothing is kept.

Knows no connection: makes SQL and reads rows. Passwords reach a server as SCRAM verifiers alone.
"""

import hmac
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256

from hoopproxy.masking.shadows.naming import GROUP_CHARACTERS, LOGIN, set_of_login
from hoopproxy.masking.shadows.quoting import literal, quoted
from hoopproxy.masking.shadows.spelling import listed
from hoopproxy.model import Identity
from hoopproxy.proofs import Secret, TargetSecret
from hoopproxy.rooms import Rows
from hoopproxy.wire.postgres import scram

KEY_BYTES_MIN = 32

ITERATIONS = 1
"""Of SCRAM: more of them slow down guessing, and nobody guesses 256 random bits."""

SALT_BYTES = 16
"""As many as PostgreSQL's own (SCRAM_DEFAULT_SALT_LEN)."""

ATTRIBUTES = "NOSUPERUSER NOREPLICATION NOBYPASSRLS NOCREATEDB NOCREATEROLE"

REAPED_MAX = 100
"""Roles dropped at once: the others wait for the next time."""

LEFT_OUT = frozenset({"search_path", "role", "session_authorization"})
"""Settings of an account that its logins don't have: the first they have from the shadow, the others are another's."""

LISTS = frozenset({"temp_tablespaces", "local_preload_libraries", "session_preload_libraries"})
"""Other settings whose values are lists of quoted names (GUC_LIST_QUOTE)."""


@dataclass(frozen=True, slots=True)
class Kind:
    """What all login roles of a mask set have in common: the group, and the settings by name."""

    group: str
    settings: Mapping[str, tuple[str, ...]]

    @classmethod
    def of(cls, group: str, path: tuple[str, ...], settings: tuple[str, ...]) -> "Kind":
        """For logins with a search path and the account's own settings (`name=value`)."""
        pairs = (setting.partition("=") for setting in settings)
        kept = {name: _listed(name, value) for name, _, value in pairs if name not in LEFT_OUT}
        return cls(group, kept | {"search_path": path or ("",)})


class Logins:
    """The login roles of one target. `salt` gives so many random bytes."""

    def __init__(self, key: bytes, target_name: str, salt: Callable[[int], bytes]) -> None:
        assert len(key) >= KEY_BYTES_MIN, "a key that could be guessed"
        self._key = hmac.digest(key, b"target\0" + target_name.encode(), sha256)
        self._salt = salt

    def secret(self, group: str, identity: Identity) -> TargetSecret:
        """As whom the gateway logs in for somebody who sees what the group may see."""
        person = "\0".join((group, identity.issuer, identity.subject))
        name = f"{group}_{hmac.digest(self._key, b'login\0' + person.encode(), sha256).hex()[:16]}"
        password = hmac.digest(self._key, b"password\0" + name.encode(), sha256).hex()
        return TargetSecret(name, Secret(password), is_random=True)

    def writing(self, secret: TargetSecret, kind: Kind, until_s: float, found: "Found | None") -> str:
        """Makes the role as it should be, from how it was found. One text, and so all or nothing."""
        return self._creation(secret, kind, until_s) if found is None else self._renewal(secret, kind, until_s, found)

    def _creation(self, secret: TargetSecret, kind: Kind, until_s: float) -> str:
        name = quoted(secret.username)
        return (
            f"CREATE ROLE {name} LOGIN {ATTRIBUTES} INHERIT PASSWORD {self._verifier(secret)} "
            f"VALID UNTIL {_moment(until_s)} IN ROLE {quoted(kind.group)}; {_settings(name, kind)}"
        )

    def _renewal(self, secret: TargetSecret, kind: Kind, until_s: float, found: "Found") -> str:
        name = quoted(secret.username)
        # Who is no superuser may not even say that a role is none.
        attributes = f"{ATTRIBUTES} " if found.has_power else ""
        revoked = "".join(f"REVOKE {quoted(group)} FROM {name}; " for group in sorted(found.groups - {kind.group}))
        granted = "" if kind.group in found.groups else f"GRANT {quoted(kind.group)} TO {name}; "
        return (
            f"ALTER ROLE {name} LOGIN {attributes}INHERIT PASSWORD {self._verifier(secret)} "
            f"VALID UNTIL {_moment(until_s)}; {revoked}{granted}ALTER ROLE {name} RESET ALL; {_settings(name, kind)}"
        )

    def _verifier(self, secret: TargetSecret) -> str:
        return literal(scram.verifier(secret.password, self._salt(SALT_BYTES), ITERATIONS))


@dataclass(frozen=True, slots=True)
class Found:
    """A login role as it is. `until_s` is when its password ends, POSIX time."""

    can_login: bool
    has_power: bool
    until_s: float
    groups: frozenset[str]

    def serves(self, group: str, until_s: float) -> bool:
        """Whether it is as it should be, up to that time."""
        return self.can_login and not self.has_power and self.groups == {group} and self.until_s >= until_s


def inquiry(name: str) -> str:
    """Asks for one login role."""
    return f"""
    SELECT rolcanlogin AND rolinherit,
        rolsuper OR rolcreaterole OR rolcreatedb OR rolreplication OR rolbypassrls,
        extract(epoch FROM CASE WHEN isfinite(rolvaliduntil) THEN rolvaliduntil END),
        (SELECT string_agg(g.rolname, E'\\n') FROM pg_auth_members m JOIN pg_roles g ON g.oid = m.roleid
         WHERE m.member = r.oid)
    FROM pg_roles r WHERE rolname = {literal(name)}"""


def found(answer: tuple[Rows, ...]) -> Found | None:
    """The role, None when there is none. @raise ValueError, IndexError: it is no answer to the question."""
    if not answer[0]:
        return None
    ((can_login, has_power, until_s, groups),) = answer[0]
    return Found(
        can_login == "t", has_power == "t", float(until_s) if until_s else 0.0, frozenset((groups or "").splitlines())
    )


def idle(groups: frozenset[str], now_s: float) -> str:
    """Asks for login roles of these groups whose time is over, and which nobody uses. One that owns something stays:
    that is somebody's work, and the role can't log in any more."""
    wanted = ", ".join(map(literal, sorted(groups)))
    return f"""
    SELECT rolname FROM pg_roles r
    WHERE rolname ~ '^{LOGIN}$' AND left(rolname, {GROUP_CHARACTERS}) IN ({wanted})
    AND rolvaliduntil < {_moment(now_s)}
    AND NOT EXISTS (SELECT FROM pg_stat_activity a WHERE a.usesysid = r.oid)
    AND NOT EXISTS (SELECT FROM pg_shdepend d
        WHERE d.refclassid = 'pg_authid'::regclass AND d.refobjid = r.oid AND d.deptype = 'o')
    ORDER BY rolvaliduntil LIMIT {REAPED_MAX}"""


def names(answer: tuple[Rows, ...]) -> tuple[str, ...]:
    """The roles that `idle` asks for. @raise ValueError, IndexError: it is no answer to the question."""
    return tuple(name or "" for (name,) in answer[0])


def reaping(name: str) -> str:
    """Drops a login role, and what was granted to it."""
    assert set_of_login(name), name
    role = quoted(name)
    return f"GRANT {role} TO CURRENT_USER; DROP OWNED BY {role}; DROP ROLE {role}"


def _listed(name: str, value: str) -> tuple[str, ...]:
    """A setting's value as SET takes it: of a list of names, one by one."""
    return listed(value) if name in LISTS else (value,)


def _settings(name: str, kind: Kind) -> str:
    return "; ".join(
        f"ALTER ROLE {name} SET {quoted(setting)} TO {', '.join(map(literal, values))}"
        for setting, values in sorted(kind.settings.items())
    )


def _moment(at_s: float) -> str:
    return literal(datetime.fromtimestamp(at_s, UTC).strftime("%Y-%m-%d %H:%M:%S+00"))
