"""SFTP packets, written down by hand from draft-ietf-secsh-filexfer-02."""

from collections.abc import Iterable
from itertools import pairwise


def u32(number: int) -> bytes:
    """A uint32."""
    return number.to_bytes(4)


def u64(number: int) -> bytes:
    """A uint64."""
    return number.to_bytes(8)


def string(text: bytes | str) -> bytes:
    """A string."""
    data = text.encode() if isinstance(text, str) else text
    return u32(len(data)) + data


def packet(kind: int, *parts: bytes) -> bytes:
    """A whole packet."""
    return string(b"".join((bytes([kind]), *parts)))


INIT, VERSION = packet(1, u32(3)), packet(2, u32(3), string("posix-rename@openssh.com"), string("1"))
NO_ATTRIBUTES = u32(0)
READ, WRITE, APPEND, CREATE, TRUNCATE, EXCLUSIVE = 1, 2, 4, 8, 16, 32


def open_(number: int, path: bytes | str, flags: int = READ) -> bytes:
    """OPEN."""
    return packet(3, u32(number), string(path), u32(flags), NO_ATTRIBUTES)


def close(number: int, handle: bytes | str) -> bytes:
    """CLOSE."""
    return packet(4, u32(number), string(handle))


def read(number: int, handle: bytes | str, offset: int, length: int) -> bytes:
    """READ."""
    return packet(5, u32(number), string(handle), u64(offset), u32(length))


def write(number: int, handle: bytes | str, offset: int, data: bytes) -> bytes:
    """WRITE."""
    return packet(6, u32(number), string(handle), u64(offset), string(data))


def asks(kind: int, number: int, *paths: bytes | str) -> bytes:
    """Any request that is made of strings."""
    return packet(kind, u32(number), *map(string, paths))


def status(number: int, code: int = 0, words: bytes | str = "") -> bytes:
    """STATUS."""
    return packet(101, u32(number), u32(code), string(words), string("en"))


def handle(number: int, name: bytes | str) -> bytes:
    """HANDLE."""
    return packet(102, u32(number), string(name))


def data(number: int, content: bytes) -> bytes:
    """DATA."""
    return packet(103, u32(number), string(content))


def cut(whole: bytes, at: Iterable[int]) -> list[bytes]:
    """`whole` in pieces."""
    edges = [0, *sorted(edge % (len(whole) + 1) for edge in at), len(whole)]
    return [whole[start:end] for start, end in pairwise(edges)]
