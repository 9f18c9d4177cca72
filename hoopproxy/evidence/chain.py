"""The hash chain over the log's leaves: each names its place and the digest of everything before it.

Pure. Knows three keys of a leaf (`index`, `prev`, `kind`) and no file. The C2SP log takes the place of this module.
"""

import hashlib
from typing import Any, NamedTuple

import orjson

LEAF_BYTES_MAX = 16384
"""What one leaf may hold: far below the 65,535 bytes of an entry bundle (C2SP tlog-tiles)."""

_DOMAIN = b"hoopproxy/log/1\x00"


class Head(NamedTuple):
    """How many leaves there are and the digest over all of them, in hex. Kept outside, it shows a truncation."""

    size: int
    sha256: str


EMPTY = Head(0, hashlib.sha256(_DOMAIN).hexdigest())


class ChainBroken(Exception):
    """A leaf does not continue what is before it. The text is one full sentence that names the entry."""


def extend(head: bytes, leaf: bytes) -> bytes:
    """The digest over everything up to `leaf`; `head` is the 32 bytes before it."""
    if len(head) != 32:
        raise ValueError(f"a head has 32 bytes, not {len(head)}")
    return hashlib.sha256(_DOMAIN + head + leaf).digest()


def after(head: Head, leaf: bytes) -> Head:
    """The head once `leaf` is added to what `head` stands for. @raise ChainBroken: it does not belong there."""
    entry = parsed(leaf, head.size)
    if entry["index"] != head.size:
        raise ChainBroken(
            f"Entry {head.size} is missing or out of place: entry {entry['index']} stands where it belongs."
        )
    if entry["prev"] != head.sha256:
        raise ChainBroken(
            f"Entry {head.size} does not continue what is before it: it, or an entry before it, was changed."
        )
    return Head(head.size + 1, extend(bytes.fromhex(head.sha256), leaf).hex())


def head_after(leaf: bytes) -> Head:
    """The head of a log that ends with `leaf`, by the leaf's own word. @raise ChainBroken: it is no leaf."""
    entry = parsed(leaf, None)
    return after(Head(entry["index"], entry["prev"]), leaf)


def parsed(leaf: bytes, index: int | None) -> dict[str, Any]:
    """A leaf as a dictionary, in the one way of writing it that counts. `index` is for the sentence.

    @raise ChainBroken: it is no JSON object with the three keys, or not written canonically (sorted, no spaces).
    """
    name = "A leaf" if index is None else f"Entry {index}"
    if len(leaf) > LEAF_BYTES_MAX:
        raise ChainBroken(f"{name} has {len(leaf)} bytes; {LEAF_BYTES_MAX} are allowed.")
    try:
        entry: dict[str, Any] = orjson.loads(leaf)
    except orjson.JSONDecodeError as why:
        raise ChainBroken(f"{name} is no JSON ({why}).") from why
    if not isinstance(entry, dict) or orjson.dumps(entry, option=orjson.OPT_SORT_KEYS) != leaf:
        raise ChainBroken(f"{name} is not written canonically: wanted is an object with sorted keys and no spaces.")
    index_found, prev = entry.get("index"), entry.get("prev")
    if type(index_found) is not int or not isinstance(entry.get("kind"), str) or not _is_digest(prev):
        raise ChainBroken(f"{name} lacks one of index, kind and prev.")
    return entry


def _is_digest(prev: Any) -> bool:
    return isinstance(prev, str) and len(prev) == 64 and not prev.strip("0123456789abcdef")
