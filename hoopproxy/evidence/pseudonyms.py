"""Keyed pseudonyms: who acts in the log can be recognised again, and named only by whoever holds the key.

Pure. Knows no entry and no file; the key is read elsewhere.
"""

import hashlib
import hmac

KEY_BYTES_MIN = 32
"""A key as long as the hash's output (RFC 2104 §3)."""

_DOMAIN = b"hoopproxy/pseudonym/1"


class Pseudonyms:
    """HMAC-SHA256 (RFC 2104) under one key, cut to 128 bits: `actor-5f3a…`, `client-07c1…`."""

    __slots__ = ("_key",)

    def __init__(self, key: bytes) -> None:
        """@raise ValueError: the key is shorter than 32 bytes."""
        if len(key) < KEY_BYTES_MIN:
            raise ValueError(f"the pseudonym key has {len(key)} bytes, wanted are {KEY_BYTES_MIN} or more")
        self._key = key

    def of(self, kind: str, *parts: str) -> str:
        """The pseudonym of what `parts` name together; another `kind` or another cutting gives another one."""
        message = bytearray(_DOMAIN)
        for part in (kind, *parts):
            # What a client sends may hold lone surrogates; they must not keep its denial out of the log.
            data = part.encode("utf-8", "surrogatepass")
            message += len(data).to_bytes(4) + data
        return f"{kind}-{hmac.new(self._key, message, hashlib.sha256).hexdigest()[:32]}"
