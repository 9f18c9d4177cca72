"""The gateway's own login to a PostgreSQL target, as a machine: startup message to the first ReadyForQuery.

Knows no socket and no policy. Shows a password only as SCRAM's proof; a server that wants it in clear is refused.
"""

import struct
from collections.abc import Mapping
from dataclasses import dataclass, field

from hoopproxy.errors import ProtocolViolation, UpstreamRefused
from hoopproxy.model import Side
from hoopproxy.proofs import TargetSecret
from hoopproxy.wire.postgres import scram
from hoopproxy.wire.postgres.framing import Message, Reader, Splitter, message, string
from hoopproxy.wire.postgres.messages import (
    read_backend_key_data,
    read_fields,
    read_negotiate_protocol_version,
    read_parameter_status,
)
from hoopproxy.wire.postgres.startup import KEY_BYTES_MAX, KEY_BYTES_MIN, PROTOCOL_3_0, PROTOCOL_3_2, is_readable

MESSAGE_BYTES_MAX = 65_536
MESSAGES_MAX = 200
"""Before its first ReadyForQuery an honest server sends about twenty messages of under a hundred bytes."""

PINNED = {"standard_conforming_strings": "on"}
"""What a role's or database's own default may not change: with it off, a statement reads differently here and there."""

_NOT_THIS_VERSION = ("08P01", "0A000")
"""How servers refuse a version that they don't know (protocol_violation, feature_not_supported)."""

_AUTHENTICATION_OK, _SASL, _SASL_CONTINUE, _SASL_FINAL = 0, 10, 11, 12


@dataclass(frozen=True, slots=True)
class LoggedIn:
    """A session that the target opened. `parameters` are what it reported; the key is what cancels its statements."""

    parameters: Mapping[str, str]
    process_id: int
    key: bytes = field(repr=False)


class VersionRefused(UpstreamRefused):
    """Nothing but the version was said yet, and that was too much: some poolers know 3.0 and don't negotiate."""


class Login:
    """`start`, then `feed` until `done` is set, then `rest`.

    Asks for `version`, and takes 3.0 from a server that negotiates it down. Whatever is wrong raises UpstreamRefused
    (VersionRefused: worth another try with 3.0), ProtocolViolation or LimitReached.
    """

    def __init__(
        self,
        secret: TargetSecret,
        database: str,
        parameters: Mapping[str, str],
        nonce: str,
        end_point: bytes = b"",
        version: int = PROTOCOL_3_2,
    ) -> None:
        self.done: LoggedIn | None = None
        self._secret, self._database, self._given = secret, database, parameters
        self._nonce, self._end_point = nonce, end_point
        self._splitter = Splitter(Side.SERVER)
        self._count = 0
        self._version = version
        self._scram: scram.Scram | None = None
        self._is_proved = self._is_in = False
        self._reported: dict[str, str] = {}
        self._process_id, self._key = 0, b""

    def start(self) -> bytes:
        """The StartupMessage."""
        pairs = {**self._given, **PINNED, "user": self._secret.username, "database": self._database}
        body = b"".join(string(name) + string(value) for name, value in pairs.items()) + b"\0"
        return struct.pack("!iI", len(body) + 8, self._version) + body

    def feed(self, data: bytes) -> bytes:
        """What to send for what the server sent; b"" in `data` is its end of stream."""
        if not data:
            kind = UpstreamRefused if self._count else VersionRefused
            raise kind(
                "The target closed the connection while the gateway was logging in; tell the operator of the gateway.",
                detail="end of stream during login",
            )
        self._splitter.append(data)
        answers: list[bytes] = []
        while self.done is None:
            received = self._splitter.next(MESSAGE_BYTES_MAX, "a message during login")
            if received is None:
                break
            self._count += 1
            if self._count > MESSAGES_MAX:
                raise ProtocolViolation("server", "The target sends without end instead of letting the gateway log in.")
            answers.append(self._answer(received))
        return b"".join(answers)

    @property
    def rest(self) -> bytes:
        """What the target sent behind its ReadyForQuery: a notice, perhaps."""
        return bytes(self._splitter.buffer)

    def _answer(self, received: Message) -> bytes:
        match received.kind:
            case b"R":
                return self._authenticate(received.body)
            case b"E":
                raise _refused(read_fields(received.body), is_first=self._count == 1)
            case b"S" if self._is_in:
                name, value = read_parameter_status(received.body)
                self._reported[name] = value
            case b"K" if self._is_in:
                self._process_id, self._key = read_backend_key_data(received.body)
                bytes_max = KEY_BYTES_MIN if self._version == PROTOCOL_3_0 else KEY_BYTES_MAX
                if not KEY_BYTES_MIN <= len(self._key) <= bytes_max:
                    raise ProtocolViolation("server", "The target sent a cancel key that no server gives.")
            case b"v" if self._count == 1:
                self._negotiate(*read_negotiate_protocol_version(received.body))
            case b"Z" if self._is_in and received.body == b"I":
                self._require_readable()
                self.done = LoggedIn(dict(self._reported), self._process_id, self._key)
            case b"N":
                pass  # a notice before the session has begun is for nobody
            case _:
                raise ProtocolViolation(
                    "server",
                    "The target does not speak PostgreSQL's protocol; tell the operator of the gateway.",
                    detail=f"message {received.kind!r} during login",
                )
        return b""

    def _negotiate(self, newest: int, options: tuple[str, ...]) -> None:
        """We asked for 3.2 and for no options, and 3.1 was never used: an older server can only want 3.0."""
        if newest != PROTOCOL_3_0 or options:
            raise ProtocolViolation(
                "server",
                "The target wants another protocol than the gateway offered; tell the operator of the gateway.",
                detail=f"it negotiates {newest >> 16}.{newest & 0xFFFF} and the options {', '.join(options)[:200]!r}",
            )
        self._version = PROTOCOL_3_0

    def _authenticate(self, body: bytes) -> bytes:
        reader = Reader(Side.SERVER, body)
        (code,) = reader.numbers("I")
        if code == _SASL and self._scram is None:
            offered = set[str]()
            while name := reader.string():
                offered.add(name)
            reader.end()
            chosen = self._scram = self._choose(offered)
            first = chosen.first()
            return message(b"p", string(chosen.mechanism) + struct.pack("!i", len(first)) + first)
        if code == _SASL_CONTINUE and self._scram is not None:
            return message(b"p", self._scram.reply(reader.rest()))
        if code == _SASL_FINAL and self._scram is not None and not self._is_proved:
            self._scram.check(reader.rest())
            self._is_proved = True
            return b""
        if code == _AUTHENTICATION_OK and self._is_proved and not self._is_in:
            reader.end()
            self._is_in = True
            return b""
        raise UpstreamRefused(
            "The gateway could not log in to the target; tell the operator of the gateway.",
            detail=f"the target asks for authentication {code}; wanted is scram-sha-256 in its pg_hba.conf",
        )

    def _require_readable(self) -> None:
        """A role's or a database's defaults may have set what the client did not."""
        if any(self._reported.get(name) != value for name, value in PINNED.items()):
            raise ProtocolViolation("server", "The target does not keep standard_conforming_strings on.")
        encoding = self._reported.get("client_encoding", "")
        if not is_readable(encoding):
            raise UpstreamRefused(
                f"The target would talk to you in {encoding or 'an unknown encoding'}, which the gateway can't read "
                "safely; connect with client_encoding=UTF8.",
                detail=f"client_encoding is {encoding!r} by default of the role or the database",
            )

    def _choose(self, offered: set[str]) -> scram.Scram:
        mechanism = scram.PLUS if self._end_point and scram.PLUS in offered else scram.PLAIN
        if mechanism in offered:
            iterations_min = 1 if self._secret.is_random else scram.ITERATIONS_MIN
            return scram.Scram(self._secret.password, self._nonce, mechanism, self._end_point, iterations_min)
        raise UpstreamRefused(
            "The gateway could not log in to the target; tell the operator of the gateway.",
            detail=f"the target offers {sorted(offered)}; wanted is {scram.PLAIN} or {scram.PLUS}",
        )


def _refused(fields: Mapping[str, str], is_first: bool) -> UpstreamRefused:
    """The server's own words: they tell of the database or the account, which its user may know."""
    text, code = (_utf8(fields.get(letter, "")) for letter in "MC")
    text, code = text[:500] or "no reason given", code[:5]
    kind = VersionRefused if is_first and code in _NOT_THIS_VERSION else UpstreamRefused
    return kind(
        f"The target refused the gateway's login: {text} (SQLSTATE {code}); tell the operator of the gateway.",
        detail=f"SQLSTATE {code}: {text}",
    )


def _utf8(text: str) -> str:
    """Before a session has begun, a server speaks in whatever encoding it likes; what we repeat is kept as JSON."""
    return text.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
