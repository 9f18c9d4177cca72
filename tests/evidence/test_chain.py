"""The chain: any change of what was written shows."""

import hashlib

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hoopproxy.evidence import chain
from hoopproxy.evidence.chain import ChainBroken, Head
from hoopproxy.evidence.entries import encoded


def log(texts: list[str]) -> list[bytes]:
    leaves, head = [], chain.EMPTY
    for text in texts:
        leaves.append(encoded({"index": head.size, "kind": "denied", "prev": head.sha256, "text": text}))
        head = chain.after(head, leaves[-1])
    return leaves


def walked(leaves: list[bytes]) -> Head:
    head = chain.EMPTY
    for leaf in leaves:
        head = chain.after(head, leaf)
    return head


TEXTS = st.lists(st.text(max_size=20), min_size=2, max_size=8)


@given(TEXTS)
def test_a_log_verifies_and_its_last_leaf_tells_its_head(texts: list[str]) -> None:
    leaves = log(texts)
    assert walked(leaves) == chain.head_after(leaves[-1])
    assert walked(leaves).size == len(texts)


@given(TEXTS, st.data())
def test_a_dropped_repeated_or_exchanged_leaf_breaks_it(texts: list[str], data: st.DataObject) -> None:
    leaves = log(texts)
    at = data.draw(st.integers(0, len(leaves) - 2))
    dropped = leaves[:at] + leaves[at + 1 :]
    repeated = leaves[: at + 1] + leaves[at:]
    exchanged = [*leaves[:at], leaves[at + 1], leaves[at], *leaves[at + 2 :]]
    for changed in (dropped, repeated, exchanged):
        with pytest.raises(ChainBroken, match=r"^Entry \d+ .*\.$"):
            walked(changed)


@given(TEXTS, st.data())
def test_a_changed_byte_breaks_it_or_changes_its_head(texts: list[str], data: st.DataObject) -> None:
    leaves = log(texts)
    at = data.draw(st.integers(0, len(leaves) - 1))
    place = data.draw(st.integers(0, len(leaves[at]) - 1))
    byte = data.draw(st.integers(0, 255).filter(lambda byte: byte != leaves[at][place]))
    changed = [*leaves]
    changed[at] = leaves[at][:place] + bytes((byte,)) + leaves[at][place + 1 :]
    try:
        head = walked(changed)
    except ChainBroken:
        return
    assert at == len(leaves) - 1
    assert head != walked(leaves)


@pytest.mark.parametrize(
    "leaf",
    [
        b"",
        b"[]",
        b'{"index": 0}',
        b'{"index":0,"kind":"x","prev":"' + chain.EMPTY.sha256.upper().encode() + b'"}',
        b'{"index":true,"kind":"x","prev":"' + chain.EMPTY.sha256.encode() + b'"}',
        b'{"kind":"x","index":0,"prev":"' + chain.EMPTY.sha256.encode() + b'"}',
        b'{"index":0,"index":0,"kind":"x","prev":"' + chain.EMPTY.sha256.encode() + b'"}',
        b'{"index":0,"kind":"x","pad":"' + b"x" * 20000 + b'","prev":"' + chain.EMPTY.sha256.encode() + b'"}',
    ],
)
def test_what_is_not_written_in_the_one_way_is_no_leaf(leaf: bytes) -> None:
    with pytest.raises(ChainBroken):
        chain.after(chain.EMPTY, leaf)


def test_the_digest_is_what_the_documentation_says() -> None:
    leaf = orjson.dumps({"index": 0, "kind": "x", "prev": chain.EMPTY.sha256})
    domain = b"hoopproxy/log/1\0"
    empty = hashlib.sha256(domain).digest()
    assert chain.EMPTY == (0, empty.hex())
    assert chain.after(chain.EMPTY, leaf) == (1, hashlib.sha256(domain + empty + leaf).hexdigest())


def test_a_head_has_32_bytes() -> None:
    with pytest.raises(ValueError, match="32 bytes"):
        chain.extend(b"short", b"leaf")
