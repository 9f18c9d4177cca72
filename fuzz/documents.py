"""Harness: what a target answers, at endpoints where something is masked: JSON, lines of it, events and text, packed.

Beside the strict reader stands the standard library's: what the first takes, the second takes, too, and as the same.
"""

import gzip
import json
import zlib
from collections.abc import Callable, Iterator
from functools import reduce
from typing import Any

import brotli
import zstandard

from fuzz.choices import Choices, damaged
from fuzz.http_says import CANARY
from hoopproxy.settings import Limits
from tests.wire.http.plainly import CUSTOMER, PAN, Scene, Withheld, cards, cuts, regulated, rule

LIMITS = Limits(document_bytes_max=4096)
TYPES = ("application/json",) * 4 + ("application/x-ndjson", "text/event-stream", "text/event-stream", "text/plain")
NAMES = ("pan", "pan", "id", "a", "b", "name", "p\\u0061n", "", "odd name", "\\n", "PAN")
PANS = ("pan", "p\\u0061n")
SCALARS = (
    *("1", "-0.5e+3", "0", "true", "null", '"x"', '"\\ud83d\\ude00"', '"é"', "1e999"),
    *("NaN", "01", "1.", "+1", '"\\ud800"', '"\t"', "'x'", "tru", "-", '"\\x"', "Infinity", '""', '"\\/"'),
)
SPACES = ("", "", "", " ", "\n", "\t", "\r", "\ufeff", "\x0b", "\u00a0")
DEPTH_MAX = 6
SIZES = (1, 7, 64, 4096)

PACKED: tuple[tuple[str, Callable[[bytes], bytes]], ...] = (
    *(("identity", lambda data: data),) * 3,
    ("gzip", gzip.compress),
    ("x-gzip", lambda data: gzip.compress(data[:9]) + gzip.compress(data[9:])),
    ("deflate", zlib.compress),
    ("deflate", lambda data: zlib.compress(data, wbits=-15)),
    ("br", lambda data: brotli.compress(data)),
    ("zstd", lambda data: zstandard.ZstdCompressor().compress(data)),
    ("zstd", lambda data: b"".join(map(zstandard.ZstdCompressor().compress, (data[:9], data[9:])))),
)


def run(data: bytes) -> None:
    """@raise AssertionError: a promise was broken."""
    choices = Choices(reduce(lambda left, _: left.replace(CANARY.encode(), b""), range(8), data))
    ways, media_type = choices.byte(), choices.pick(TYPES)
    body = "".join(_said(choices, media_type)).encode("utf-8", "surrogatepass")
    if ways & 3 == 2 or media_type == "text/plain":
        _by_content(choices, body.replace(CANARY.encode(), PAN.encode()), media_type)
        return
    body = damaged(choices, body) if ways & 3 == 3 else body
    coding, pack = choices.pick(PACKED)
    packed = pack(body)
    is_damaged = ways & 12 == 12
    packed = damaged(choices, packed) if is_damaged else packed
    rules = [regulated("$.id", "$.b[*]", "$.a..name")] if ways & 16 else [rule("$..pan", CUSTOMER)]
    fields = () if coding == "identity" else (("Content-Encoding", coding),)

    def masked(size: int) -> tuple[str, bytes]:
        scene = Scene(*rules, limits=LIMITS)
        try:
            return "", scene.masked(cuts(packed, size), media_type, fields=fields)
        except Withheld as withheld:
            sentence, shown = withheld.args
            assert CANARY not in sentence and CANARY.encode() not in shown
            return sentence, b""

    refusal, shown = masked(1 << 20)
    assert CANARY.encode() not in shown, "a masked value was shown"
    assert len(shown) <= 2 * LIMITS.document_bytes_max + 64 * len(packed) + 64
    again, other = masked(choices.pick(SIZES))
    assert (bool(refusal), shown) == (bool(again), other), "it depends on how it was cut"
    if not refusal and not is_damaged and media_type == "application/json":
        _as_the_library_has_it(body, shown, is_listed=bool(ways & 16))


def _by_content(choices: Choices, body: bytes, media_type: str) -> None:
    """Where values are masked by what they look like, wherever they stand."""

    def masked(size: int) -> bytes:
        try:
            return Scene(maskers=[cards()], limits=LIMITS).masked(cuts(body, size), media_type)
        except Withheld as withheld:
            return bytes(withheld.args[1])

    for size in (1 << 20, choices.pick(SIZES)):
        assert PAN.encode() not in masked(size), "a masked value was shown"


def _said(choices: Choices, media_type: str) -> Iterator[str]:
    match media_type:
        case "application/json":
            yield from _document(choices)
        case "text/event-stream":
            for _ in range(choices.below(4)):
                end = choices.pick(("\n", "\r\n", "\r"))
                yield choices.pick((f": ping{end}", f"id: 1{end}", f"event: x{end}", "", "\ufeff", "data"))
                yield from ("data:", choices.pick(("", " ")), *_document(choices), end)
                yield choices.pick((end, end, "", end * 2, "\n"))
        case _:
            for _ in range(choices.below(4)):
                yield from (*_document(choices), choices.pick(("\n", "\n", "\r\n", "\r", " ")))


def _document(choices: Choices, depth: int = 0, *, is_pan: bool = False) -> Iterator[str]:
    yield choices.pick(SPACES)
    ways = choices.byte()
    if depth == DEPTH_MAX or ways & 3 == 0:
        yield f'"{CANARY}"' if is_pan and ways & 4 else choices.pick(SCALARS)
    elif ways & 3 == 1:
        yield "["
        for number in range(choices.below(4)):
            yield from ("," if number else "", *_document(choices, depth + 1, is_pan=is_pan))
        yield "]" if ways & 124 != 124 else choices.pick((",]", "}", ""))
    else:
        yield "{"
        for number in range(choices.below(5)):
            name = choices.pick(NAMES)
            yield from ("," if number else "", choices.pick(SPACES), f'"{name}"', ":")
            yield from _document(choices, depth + 1, is_pan=is_pan or name in PANS)
        yield "}" if ways & 124 != 124 else choices.pick((",}", "]", ""))
    yield choices.pick(SPACES)


def _as_the_library_has_it(body: bytes, shown: bytes, *, is_listed: bool) -> None:
    """A strict reading is one that everybody has, and only what is masked differs in it."""

    def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        assert len(dict(pairs)) == len(pairs), "a name stands twice"
        return dict(pairs)

    def never(text: str) -> None:
        raise AssertionError(f"{text} is no JSON")

    before = json.loads(body, object_pairs_hook=once, parse_constant=never)
    after = json.loads(shown, object_pairs_hook=once, parse_constant=never)
    if not is_listed:
        assert _without_pans(before) == _without_pans(after)
        if '"pan"' not in json.dumps(before, ensure_ascii=False):
            assert shown == body


def _without_pans(value: Any) -> Any:
    match value:
        case dict():
            return {name: "" if name == "pan" else _without_pans(each) for name, each in value.items()}
        case list():
            return [_without_pans(each) for each in value]
    return value
