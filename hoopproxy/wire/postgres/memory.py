"""What is read again and again: answers remembered by the bytes that they are made from. Knows no message."""

from collections.abc import Callable
from functools import lru_cache

REMEMBERED = 64
"""Of one connection: an application's queries come again."""

SHORT_BYTES = 4096
"""Longer bodies are read anew each time, so that nobody fills the memory with them."""


def remembering[T](read: Callable[[bytes], T]) -> Callable[[bytes], T]:
    """`read`, which answers the same for the same body, without reading it twice."""
    known = lru_cache(REMEMBERED)(read)
    return lambda body: known(body) if len(body) <= SHORT_BYTES else read(body)
