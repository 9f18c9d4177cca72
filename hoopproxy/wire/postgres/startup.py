"""What a PostgreSQL client says first, as values; and which of it a gateway passes on.

Pure: a function from bytes to the first packet. Knows no TLS, no socket and no order of packets.
"""

import re
import shlex
import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from hoopproxy.errors import LimitReached, ProtocolViolation, Refused
from hoopproxy.model import Credentials, Side
from hoopproxy.proofs import Secret
from hoopproxy.wire.postgres.framing import Reader
from hoopproxy.wire.postgres.messages import negotiate_protocol_version

PROTOCOL_3_0, PROTOCOL_3_2 = 3 << 16, 3 << 16 | 2
"""The oldest and the newest that we speak. There is no 3.1; who asks for it is served as in 3.0, as PostgreSQL does."""

_CANCEL, _SSL, _GSSENC = 80877102, 80877103, 80877104
"""Chapter "Message Formats": numbers that no protocol version has."""

SSL_REQUEST = struct.pack("!iI", 8, _SSL)

TLS_HANDSHAKE = 0x16
"""The first byte of a TLS record that begins a handshake (RFC 8446 §5.1): direct TLS, as libpq 17 speaks it."""

KEY_BYTES_MIN, KEY_BYTES_MAX = 4, 256
"""Of a cancel key: what protocol 3.0 has room for, and the longest of 3.2."""

KEY_BYTES = 32
"""Of the keys that we give in 3.2, as PostgreSQL 18 does."""

PASSED_ON = frozenset(
    """application_name bytea_output client_encoding client_min_messages datestyle default_transaction_deferrable
    default_transaction_isolation default_transaction_read_only extra_float_digits geqo
    idle_in_transaction_session_timeout idle_session_timeout intervalstyle jit lock_timeout search_path
    standard_conforming_strings statement_timeout timezone""".split()
)
"""Settings that a client may choose at its start. What they change is its own session, never whose rights it has."""

_ENCODINGS = re.compile(r"utf8|unicode|sqlascii|latin1|iso88591|(win|windows)125[0-8]")

_OFF = frozenset("0 f fa fal fals false n no of off".split())
"""What PostgreSQL reads as false (bool.c, parse_bool_with_len)."""


@dataclass(frozen=True, slots=True)
class SslRequest:
    """Asks for TLS before anything else."""


@dataclass(frozen=True, slots=True)
class GssRequest:
    """Asks for GSSAPI encryption."""


@dataclass(frozen=True, slots=True)
class DirectTls:
    """Begins with a TLS handshake, unasked."""


@dataclass(frozen=True, slots=True)
class CancelRequest:
    """Wants the statement of another connection stopped."""

    process_id: int
    key: bytes


@dataclass(frozen=True, slots=True)
class Startup:
    """Wants a session. `options` are protocol options (`_pq_.…`) that we don't know."""

    version: int
    parameters: Mapping[str, str]
    options: tuple[str, ...]

    @property
    def negotiation(self) -> bytes:
        """What tells the client that we speak no newer version than 3.2, and none of its options; b"" when it asked for
        neither (backend_startup.c, SendNegotiateProtocolVersion)."""
        if self.version <= PROTOCOL_3_2 and not self.options:
            return b""
        return negotiate_protocol_version(min(self.version, PROTOCOL_3_2), self.options)

    @property
    def key_bytes(self) -> int:
        """How long a cancel key this client takes."""
        return KEY_BYTES if self.version >= PROTOCOL_3_2 else KEY_BYTES_MIN


def cancel_request(process_id: int, key: bytes) -> bytes:
    """A CancelRequest as on the wire."""
    return struct.pack("!iII", 12 + len(key), _CANCEL, process_id) + key


def is_readable(encoding: str) -> bool:
    """Whether ASCII bytes stand for ASCII alone in a client encoding: in others (SJIS, GBK, …) a statement reads
    differently here and there. A name counts as PostgreSQL counts it: letters and digits, in any case."""
    return _ENCODINGS.fullmatch("".join(filter(str.isalnum, encoding.lower()))) is not None


type First = SslRequest | GssRequest | DirectTls | CancelRequest | Startup


def read_first(data: bytes, bytes_max: int) -> tuple[First, int] | None:
    """The packet at the front of `data` and how many bytes it has; None while it is not whole.

    DirectTls counts no bytes: all of `data` belongs to TLS. @raise ProtocolViolation, LimitReached
    """
    if data[:1] == bytes([TLS_HANDSHAKE]):
        return DirectTls(), 0
    if len(data) < 8:
        return None
    length, code = struct.unpack_from("!iI", data)
    if length < 8:
        raise _violation("its first packet has an impossible length")
    if length > bytes_max:
        raise LimitReached(
            f"Your client's first packet has {length} bytes; the gateway takes at most {bytes_max}.",
            limit="limits.startup_bytes_max",
        )
    if len(data) < length:
        return None
    return _packet(code, data[8:length]), length


def _packet(code: int, body: bytes) -> First:
    if code in (_SSL, _GSSENC):
        if body:
            raise _violation("its request for encryption is too long")
        return SslRequest() if code == _SSL else GssRequest()
    if code == _CANCEL:
        if not KEY_BYTES_MIN <= len(body) - 4 <= KEY_BYTES_MAX:
            raise _violation("its cancel request has no key that a server gives")
        return CancelRequest(int.from_bytes(body[:4], "big"), body[4:])
    if code >> 16 == 3:
        return _startup(code, body)
    raise _violation(f"it speaks protocol {code >> 16}.{code & 0xFFFF}, and the gateway speaks 3.0 to 3.2")


def _startup(version: int, body: bytes) -> Startup:
    reader, parameters, options = Reader(Side.CLIENT, body), dict[str, str](), list[str]()
    while name := _text(reader):
        value = _text(reader)
        if name.startswith("_pq_."):
            options.append(name)
        else:
            # The last one counts, and in its own place: the names of two settings may differ in nothing but their case.
            parameters.pop(name, None)
            parameters[name] = value
    reader.end()
    return Startup(version, parameters, tuple(options))


def _text(reader: Reader) -> str:
    """No encoding is agreed upon yet, and each of these texts ends in evidence: UTF-8 it is."""
    try:
        return reader.raw_string().decode()
    except UnicodeDecodeError as why:
        raise _violation("its first packet holds a text that is not UTF-8") from why


def credentials(startup: Startup) -> Credentials:
    """What the client wants, its secret still to come.

    Either the user is an account and the database `target` or `target/database`, or the user is `account+target` and
    the database one of that target's: so tools that go from database to database need not know of targets.

    @raise Refused: something in it could give the session more than its own settings.
    """
    given = dict(startup.parameters)
    account, target, database = _destination(given.pop("user", ""), given.pop("database", ""))
    if not account:
        raise Refused("Your client names no user; the user is an account of the target.", reason="credentials")
    if given.pop("replication", "off").lower() not in _OFF:
        raise Refused(
            "Replication does not pass through this gateway, because its stream can't be masked or recorded.",
            reason="target",
        )
    settings: dict[str, str] = {}
    for name, value in [*_options(given.pop("options", "")), *given.items()]:
        settings[_allowed(name, value)] = value
    return Credentials(target, account, database, Secret(""), settings)


def _destination(user: str, database: str) -> tuple[str, str, str]:
    """Account, target, and the database of the target, "" for its default. libpq sends a user's name where it was given
    no database; then it means none."""
    account, plus, target = user.rpartition("+")
    if plus:
        return account, target, "" if database == user else database
    target, _, database = (database or user).partition("/")
    return user, target, database


def _allowed(name: str, value: str) -> str:
    known = name.lower()
    if known not in PASSED_ON:
        raise Refused(
            f"The setting '{name}' can't be chosen at the start of a session here; leave it out.", reason="target"
        )
    if known == "client_encoding" and not is_readable(value):
        raise Refused(f"The client encoding '{value}' can't be read safely by the gateway; use UTF8.", reason="target")
    if known == "standard_conforming_strings" and value.lower() not in {"on", "true", "yes", "1"}:
        raise Refused("standard_conforming_strings must stay on, so that both sides read the same.", reason="target")
    return known


def _options(text: str) -> Iterator[tuple[str, str]]:
    """`-c name=value`, `-cname=value` and `--name=value`, with a backslash before spaces (libpq's `options`)."""
    lexer = shlex.shlex(text, posix=True, punctuation_chars="")
    lexer.whitespace, lexer.whitespace_split = " \t\n\v\f\r", True  # C's isspace (postinit.c, pg_split_opts)
    lexer.commenters = lexer.quotes = ""
    try:
        words = iter(list(lexer))
    except ValueError as why:
        raise Refused("The 'options' of your client end in the middle; mend them.", reason="target") from why
    for word in words:
        if word == "-c":
            setting = next(words, "")
        elif word.startswith(("--", "-c")):
            setting = word[2:]
        else:
            raise Refused(f"The option '{word}' does not pass through this gateway; leave it out.", reason="target")
        name, equals, value = setting.partition("=")
        if not equals:
            raise Refused(f"The option '{word}' of your client sets nothing; write name=value.", reason="target")
        yield name.replace("-", "_"), value  # `search-path` is `search_path` to the server (guc.c, ParseLongOption)


def _violation(what: str) -> ProtocolViolation:
    return ProtocolViolation("client", f"Your client does not speak PostgreSQL's protocol: {what}.")
