"""Questions to a directory over LDAP: who has this name, is this the password, who is that now and in which groups.

Each is asked on a connection of its own, over TLS alone, of the first server that answers. Blocks: to be called in a
thread. Knows nothing of the gateway.
"""

import ssl
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from itertools import batched, count
from socket import SHUT_RDWR, socket
from threading import Timer
from typing import Any
from uuid import uuid4

from ldap3 import AUTO_BIND_NONE, BASE, DEREF_NEVER, NO_ATTRIBUTES, NONE, SIMPLE, SUBTREE, SYNC, Connection, Server, Tls
from ldap3.core import results

from hoopproxy.addons.ldap_entry import (
    STATE,
    Entry,
    common_name,
    escaped,
    is_below,
    subject_filter,
    subject_of,
    trouble_of,
)
from hoopproxy.addons.ldap_settings import Place, Settings
from hoopproxy.disk import private
from hoopproxy.proofs import Secret

GROUPS_MAX = 1000
"""Of one person. Active Directory shows no more entries of one search (MaxPageSize)."""

NAMES_AT_ONCE = 50
"""Groups whose own groups one search asks for."""

PASSWORD_BYTES_MAX = 1024

WRONG = frozenset(
    (
        results.RESULT_INVALID_CREDENTIALS,
        results.RESULT_INAPPROPRIATE_AUTHENTICATION,  # it has no password
        results.RESULT_NO_SUCH_OBJECT,
        results.RESULT_CONSTRAINT_VIOLATION,  # locked: 389 Directory Server
        results.RESULT_INSUFFICIENT_ACCESS_RIGHTS,
        results.RESULT_UNWILLING_TO_PERFORM,  # disabled: 389 Directory Server
    )
)
"""Results of a bind that mean no (RFC 4511 §4.1.9); the others mean that it can't be told."""


class CantTell(Exception):
    """No server gave an answer that can be used; the text is for the operator and holds no secret."""


@dataclass(frozen=True, slots=True)
class Account:
    """Whom a name means."""

    dn: str
    subject: str


@dataclass(frozen=True, slots=True)
class Person:
    """Who that is now. `trouble` is why the account may not be used, as the end of a sentence; "" when it may."""

    subject: str
    name: str
    groups: frozenset[str]
    trouble: str


class Directory:
    """One directory on one or more servers. All questions may be asked by several threads at a time.

    The server that answered last is asked first: while one is away, it is waited for once and not at each question.
    """

    def __init__(self, settings: Settings) -> None:
        """@raise OSError, ssl.SSLError, Unfit: what `ca_file` or `password_file` names can't be used."""
        self._settings = settings
        self._tls = _Verified(settings)
        self._places = settings.servers
        self._password()

    def find(self, name: str) -> Account | None:
        """The one whom `filter` finds by this name. @raise CantTell: it finds several, too."""
        text = self._settings.filter.replace("{name}", escaped(name))

        def ask(connection: Connection) -> Account | None:
            found = self._search(connection, self._settings.base, text, (self._settings.subject_attribute,), 1)
            return next((Account(each.dn, subject_of(each, self._settings.subject_attribute)) for each in found), None)

        return self._as_itself(ask)

    def proves(self, account: Account | None, password: Secret) -> bool:
        """Whether this is the password of the account. @raise CantTell

        Without an account an entry is asked for that nobody has: a name without one must not be known by its speed.
        """
        # An empty name or password would be an anonymous bind, which proves nothing (RFC 4513 §5.1.2).
        dn = account.dn if account else f"cn={uuid4()},{self._settings.base}"
        if not password.reveal() or not dn:
            return False
        return self._first(lambda place: self._is_bound(place, dn, password)) and account is not None

    def look(self, subject: str, now_s: float) -> Person | None:
        """Who that is now; None: nobody whom `filter` would find by any name. @raise CantTell"""
        settings = self._settings
        # `{name}` is whatever name there is: somebody who was renamed is the same person.
        text = f"(&{subject_filter(settings.subject_attribute, subject)}{settings.filter.replace('{name}', '*')})"
        attributes = (settings.subject_attribute, settings.name_attribute, *STATE)

        def ask(connection: Connection) -> Person | None:
            for entry in self._search(connection, settings.base, text, attributes, 1):
                return Person(
                    subject_of(entry, settings.subject_attribute),
                    entry.shown(settings.name_attribute),
                    self._groups(connection, entry.dn),
                    trouble_of(entry, now_s),
                )
            return None

        return self._as_itself(ask)

    # Groups ----------------------------------------------------------------------------------------------------------

    def _groups(self, connection: Connection, dn: str) -> frozenset[str]:
        """The names of all groups that somebody is in. @raise CantTell, Unfit: some of them would be missing."""
        above = self._groups_that_hold if self._settings.group_filter else self._groups_named_in
        found: dict[str, str] = {}
        ring: Sequence[str] = (dn,)
        for depth in count():
            fresh = {each.lower(): each for each in above(connection, ring)}
            fresh = {key: each for key, each in fresh.items() if key not in found and self._counts(each)}
            if not fresh:
                break
            if depth > self._settings.nested_depth_max:
                raise CantTell(f"the groups of {dn} are nested deeper than nested_depth_max")
            found |= fresh
            if len(found) > GROUPS_MAX:
                raise CantTell(f"{dn} is in more than {GROUPS_MAX} groups")
            if not self._settings.follows_groups:
                break
            ring = tuple(fresh.values())
        return frozenset(map(self._called, found.values()))

    def _groups_that_hold(self, connection: Connection, members: Sequence[str]) -> Iterator[str]:
        for some in batched(members, NAMES_AT_ONCE):
            each = (self._settings.group_filter.replace("{dn}", escaped(dn)) for dn in some)
            text = f"(|{''.join(each)})"
            for entry in self._search(connection, self._settings.groups_below, text, (NO_ATTRIBUTES,), GROUPS_MAX):
                yield entry.dn

    def _groups_named_in(self, connection: Connection, members: Sequence[str]) -> Iterator[str]:
        attribute = self._settings.groups_attribute
        for dn in members:
            for entry in self._search(connection, dn, "(objectClass=*)", (attribute,), 1, scope=BASE):
                yield from entry.texts(attribute)

    def _counts(self, dn: str) -> bool:
        """Elsewhere anybody may be allowed to make groups, and to call them as they like."""
        return is_below(dn, self._settings.groups_below) and (
            self._settings.group_names == "dn" or common_name(dn) is not None
        )

    def _called(self, dn: str) -> str:
        return dn if self._settings.group_names == "dn" else common_name(dn) or dn

    # Connections ------------------------------------------------------------------------------------------------------

    def _as_itself[T](self, ask: Callable[[Connection], T]) -> T:
        """The answer to what the gateway asks by its own account. @raise CantTell"""

        def at(place: Place) -> T:
            with self._connected(place, self._settings.account, self._password()) as connection:
                connection.bind(read_server_info=False)
                _require(connection, "the bind by the gateway's own account")
                return ask(connection)

        return self._first(at)

    def _is_bound(self, place: Place, dn: str, password: Secret) -> bool:
        with self._connected(place, dn, password.reveal().encode()) as connection:
            connection.bind(read_server_info=False)
            if connection.result["result"] in WRONG:
                return False
            _require(connection, "a bind")
            # RFC 4532: "" is nobody, and this server takes a bind for a proof that is none.
            who = connection.extend.standard.who_am_i()
            _require(connection, '"Who am I?"')
            if not who:
                raise CantTell("a bind by name and password was taken for an anonymous one")
            return True

    def _first[T](self, ask: Callable[[Place], T]) -> T:
        """What the first server says that can be asked. @raise CantTell: none can."""
        troubles = []
        places = self._places
        for number, place in enumerate(places):
            try:
                answer = ask(place)
            except Exception as why:  # noqa: BLE001 # whatever keeps one server from a usable answer, another may have it
                troubles.append(f"{place}: {type(why).__name__}: {why}")
            else:
                self._places = places[number:] + places[:number]
                return answer
        raise CantTell("; ".join(troubles))

    @contextmanager
    def _connected(self, place: Place, dn: str, password: bytes) -> Iterator[Connection]:
        """A connection over TLS to a server that has proved its name, with nothing said yet."""
        limit_s = self._settings.timeout_s_max
        connection = Connection(
            Server(place.host, place.port, use_ssl=place.is_tls, tls=self._tls, get_info=NONE, connect_timeout=limit_s),
            dn,
            password,
            authentication=SIMPLE,
            client_strategy=SYNC,
            auto_bind=AUTO_BIND_NONE,
            auto_referrals=False,  # they would lead to servers that nobody has configured, password in hand
            auto_range=False,
            check_names=False,
            read_only=True,
            receive_timeout=limit_s,
            return_empty_attributes=False,
        )
        # `receive_timeout` bounds one read; a server that drips would be listened to for ever.
        end = Timer(limit_s, _hang_up, (connection,))
        end.start()
        try:
            connection.open(read_server_info=False)
            if not place.is_tls:
                connection.start_tls(read_server_info=False)
            if not isinstance(connection.socket, ssl.SSLSocket):
                raise CantTell("it did not begin TLS")
            yield connection
        finally:
            end.cancel()
            if connection.socket is not None:
                connection.socket.close()

    def _search(
        self, connection: Connection, base: str, text: str, attributes: Sequence[str], most: int, scope: Any = SUBTREE
    ) -> list[Entry]:
        """What is found, up to `most` entries. @raise CantTell: there are more, or it was not searched."""
        connection.search(
            base,
            text,
            scope,
            dereference_aliases=DEREF_NEVER,
            attributes=list(attributes),
            size_limit=most,
            time_limit=self._settings.timeout_s_max,
        )
        code = connection.result["result"]
        found = [each for each in connection.response if each["type"] == "searchResEntry"]  # and no references
        if code == results.RESULT_SIZE_LIMIT_EXCEEDED or len(found) > most:
            raise CantTell(f"more than {most} entries below {base} fit {text!r:.300}")
        if code == results.RESULT_NO_SUCH_OBJECT and scope == BASE:
            return []
        _require(connection, f"a search below {base}")
        return [
            Entry(each["dn"], {name.lower(): values for name, values in each["raw_attributes"].items()})
            for each in found
        ]

    def _password(self) -> bytes:
        """@raise OSError, Unfit"""
        password = private.read_private(self._settings.password_file, PASSWORD_BYTES_MAX).rstrip(b"\r\n")
        if not password:
            raise private.Unfit(f"{self._settings.password_file} holds no password")
        return password


class _Verified(Tls):  # type: ignore[misc] # ldap3 has no annotations
    """TLS to a server whose certificate and name Python's own `ssl` has verified: ldap3 would do it after the
    handshake, with a copy of what Python has dropped."""

    def __init__(self, settings: Settings) -> None:
        super().__init__(validate=ssl.CERT_REQUIRED)
        self._context = ssl.create_default_context(cafile=str(settings.ca_file))

    def wrap_socket(self, connection: Any, do_handshake: bool = False) -> None:
        connection.socket = self._context.wrap_socket(connection.socket, server_hostname=connection.server.host)


def _require(connection: Connection, what: str) -> None:
    """@raise CantTell: the last operation did not succeed."""
    result = connection.result
    if result["result"] != results.RESULT_SUCCESS:
        raise CantTell(f"{what} ended with {result['description']} {result['message']!r:.200}")


def _hang_up(connection: Connection) -> None:
    # Not by the method of SSLSocket, which forgets the encryption first: a word could still be said in the clear.
    if connection.socket is not None:
        with suppress(OSError):
            socket.shutdown(connection.socket, SHUT_RDWR)
