"""One packet of SFTP version 3, field by field (draft-ietf-secsh-filexfer-02).

Knows what a packet is made of, not what was asked before it.
"""

from enum import IntEnum

from hoopproxy.errors import ProtocolViolation
from hoopproxy.model import Side

PATH_BYTES_MAX = 4096
"""PATH_MAX of Linux: a longer one names nothing there."""

OUTCOME_CHARS_MAX = 200


class Type(IntEnum):
    """The packets' numbers: draft 02, §3."""

    INIT = 1
    VERSION = 2
    OPEN = 3
    CLOSE = 4
    READ = 5
    WRITE = 6
    LSTAT = 7
    FSTAT = 8
    SETSTAT = 9
    FSETSTAT = 10
    OPENDIR = 11
    READDIR = 12
    REMOVE = 13
    MKDIR = 14
    RMDIR = 15
    REALPATH = 16
    STAT = 17
    RENAME = 18
    READLINK = 19
    SYMLINK = 20
    STATUS = 101
    HANDLE = 102
    DATA = 103
    NAME = 104
    ATTRS = 105
    EXTENDED = 200
    EXTENDED_REPLY = 201


STATUSES = (
    "ok",
    "end of file",
    "no such file",
    "permission denied",
    "failure",
    "bad message",
    "no connection",
    "connection lost",
    "unsupported",
)
"""Draft 02, §7, for servers that say no more than the number."""

HAS_SIZE, HAS_OWNER, HAS_MODE, HAS_TIMES, HAS_EXTENDED = 0x01, 0x02, 0x04, 0x08, 0x80000000
"""What a file's attributes begin with: draft 02, §5."""

FLAGS = ((0x04, "append"), (0x08, "create"), (0x10, "truncate"), (0x20, "exclusive"))
"""How a file is opened besides for reading (1) and writing (2): draft 02, §6.3."""


class Fields:
    """The fields of one packet, taken one after the other. @raise ProtocolViolation: there is no such field."""

    def __init__(self, side: Side, packet: bytes) -> None:
        self._side = side
        self._packet = memoryview(packet)
        self._at = 1
        self.type = packet[0]

    def number(self) -> int:
        """A uint32."""
        return int.from_bytes(self._bytes(4))

    def long(self) -> int:
        """A uint64."""
        return int.from_bytes(self._bytes(8))

    def string(self) -> memoryview:
        """A string of bytes, not copied."""
        return self._bytes(self.number())

    def path(self) -> str:
        """A path; bytes that are no UTF-8 as lone surrogates."""
        path = self.string()
        if len(path) > PATH_BYTES_MAX:
            raise wrong(self._side, f"a path is longer than {PATH_BYTES_MAX} bytes")
        return bytes(path).decode("utf-8", "surrogateescape")

    def attributes(self) -> str:
        """What of a file is set, in words: `size=0 mode=0644 owner=0:0 times`."""
        flags = self.number()
        told = []
        if flags & HAS_SIZE:
            told.append(f"size={self.long()}")
        if flags & HAS_OWNER:
            told.append(f"owner={self.number()}:{self.number()}")
        if flags & HAS_MODE:
            told.append(f"mode={self.number() & 0o7777:04o}")
        if flags & HAS_TIMES:
            self._bytes(8)
            told.append("times")
        if flags & HAS_EXTENDED:
            told.append("extended")
            for _ in range(self.number()):
                self.string(), self.string()
        return " ".join(told)

    def status(self) -> str:
        """ "ok", or the server's words."""
        if (code := self.number()) == 0:
            return "ok"
        words = printable(bytes(self.string())) if self._at < len(self._packet) else ""
        if words not in ("", "ok"):
            return words
        return STATUSES[code] if code < len(STATUSES) else f"status {code}"

    def _bytes(self, count: int) -> memoryview:
        start, self._at = self._at, self._at + count
        if self._at > len(self._packet):
            raise wrong(self._side, "a packet ends amid a field")
        return self._packet[start : self._at]


def opened_for(flags: int) -> str:
    """What a file is opened for: whoever may do more than read is said to write."""
    return "write" if flags & ~1 else "read"


def opened_how(flags: int) -> str:
    """The rest of the flags in words."""
    return " ".join(word for bit, word in FLAGS if flags & bit)


def printable(words: bytes) -> str:
    """A peer's words, fit to be kept and shown."""
    text = words[: 4 * OUTCOME_CHARS_MAX].decode("utf-8", "replace")[:OUTCOME_CHARS_MAX]
    return "".join(one if one.isprintable() else "\N{REPLACEMENT CHARACTER}" for one in text)


def wrong(side: Side, what: str) -> ProtocolViolation:
    """This peer does not speak SFTP as it should."""
    return ProtocolViolation(
        side.value,
        f"The gateway can't follow this SFTP session, so it has ended: the {side.value} erred.",
        detail=f"SFTP: {what}",
    )
