"""Signed policies: one way to write them, and no byte of them that could be another."""

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from hoopproxy.access.bundle import (
    PAYLOAD_TYPE,
    REVISION_MAX,
    Bundle,
    BundleRefused,
    Revision,
    Signing,
    follow,
    number_of,
    pae,
    sha256_of,
    text_of,
)

KEYS = {name: Ed25519PrivateKey.from_private_bytes(name.encode().ljust(32)) for name in ("ada", "bob", "eve")}
SIGNING = Signing({name: KEYS[name].public_key().public_bytes_raw() for name in ("ada", "bob")}, 2)
TEXT = 'revision = 7\n# Grüße\n[[role]]\nname = "x"\ngroups = ["y"]\n'
REVISION = Revision.of(TEXT, "ab" * 32)
UNSIGNED = Bundle(REVISION, {})
BOTH = UNSIGNED.signed("ada", KEYS["ada"]).signed("bob", KEYS["bob"])
WRITTEN = BOTH.written()


def counts(data: bytes, signing: Signing = SIGNING) -> bool:
    try:
        Bundle.read(data).verify(signing)
    except BundleRefused:
        return False
    return True


def test_a_bundle_is_read_as_it_was_written_and_its_text_is_the_same_to_the_byte() -> None:
    assert Bundle.read(WRITTEN) == BOTH
    assert Bundle.read(WRITTEN).verify(SIGNING) == ("ada", "bob")
    assert text_of(WRITTEN) == text_of(TEXT.encode()) == TEXT
    assert BOTH.revision.sha256 == sha256_of(TEXT)


def test_any_other_byte_in_any_place_makes_it_no_bundle_that_counts() -> None:
    for place in range(len(WRITTEN)):
        for bit in range(8):
            changed = bytearray(WRITTEN)
            changed[place] ^= 1 << bit
            assert not counts(bytes(changed)), (place, bit)


@given(st.data())
def test_nor_does_anything_that_is_cut_off_put_in_or_moved(data: st.DataObject) -> None:
    start = data.draw(st.integers(0, len(WRITTEN)))
    end = data.draw(st.integers(start, len(WRITTEN)))
    put = data.draw(st.binary(max_size=8))
    changed = WRITTEN[:start] + put + WRITTEN[end:]
    assert counts(changed) == (changed == WRITTEN)


@given(st.binary(max_size=200))
def test_what_is_no_bundle_is_refused_with_a_sentence(data: bytes) -> None:
    with pytest.raises(BundleRefused, match=r"\.$"):
        Bundle.read(data)


def test_it_needs_as_many_people_as_are_wanted_and_each_counts_once() -> None:
    one = UNSIGNED.signed("ada", KEYS["ada"])
    assert one.signed("ada", KEYS["ada"]) == one
    with pytest.raises(BundleRefused, match="signed by 1 of the 2 people"):
        one.verify(SIGNING)
    with pytest.raises(BundleRefused, match="signed by 0 of the 2 people"):
        UNSIGNED.verify(SIGNING)


def test_one_signature_that_does_not_count_spoils_all() -> None:
    with pytest.raises(BundleRefused, match="'eve' has signed this policy, who is none"):
        BOTH.signed("eve", KEYS["eve"]).verify(SIGNING)
    with pytest.raises(BundleRefused, match="The signature of 'bob' is not one of this policy"):
        UNSIGNED.signed("ada", KEYS["ada"]).signed("bob", KEYS["ada"]).verify(SIGNING)
    with pytest.raises(BundleRefused, match="not one of this policy"):
        Bundle(Revision.of(TEXT + "\n", "ab" * 32), BOTH.signatures).verify(SIGNING)
    with pytest.raises(BundleRefused, match="not one of this policy"):
        Bundle(Revision.of(TEXT, ""), BOTH.signatures).verify(SIGNING)


def test_the_number_is_that_of_the_text() -> None:
    lie = Bundle(Revision(8, TEXT, ""), {}).written()
    with pytest.raises(BundleRefused, match="says that it is revision 8, and the policy in it says otherwise"):
        Bundle.read(lie)


@pytest.mark.parametrize(
    "top", ["", "revision = 0", "revision = true", 'revision = "7"', f"revision = {REVISION_MAX + 1}"]
)
def test_a_policy_without_a_number_is_not_signed(top: str) -> None:
    with pytest.raises(BundleRefused, match="which revision it is"):
        number_of(top)


def test_what_is_signed_is_dsse() -> None:
    """The test vector of its protocol.md."""
    said = pae(b"http://example.com/HelloWorld", b"hello world")
    assert said == b"DSSEv1 29 http://example.com/HelloWorld 11 hello world"
    KEYS["ada"].public_key().verify(BOTH.signatures["ada"], pae(PAYLOAD_TYPE.encode(), REVISION.payload))


@pytest.mark.parametrize(
    ("number", "previous", "says"),
    [
        (7, "", "not above 7"),
        (1, "", "an older policy never comes back"),
        (8, "", "was not made from the revision 7"),
        (8, sha256_of("another"), "was not made from the revision 7"),
        (8, sha256_of(TEXT), ""),
        (9, "", ""),
    ],
)
def test_a_revision_follows_the_highest_that_ever_was(number: int, previous: str, says: str) -> None:
    bundle = Bundle(Revision.of(f"revision = {number}", previous), {})
    if says:
        with pytest.raises(BundleRefused, match=says):
            follow(bundle, 7, sha256_of(TEXT))
    else:
        follow(bundle, 7, sha256_of(TEXT))
