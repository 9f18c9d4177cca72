"""FF1 by the sample vectors of NIST, and backwards."""

import pytest
from hypothesis import given
from hypothesis import strategies as some

from hoopproxy.masking.ff1 import DIGITS_MIN, Ff1

KEY = "2B7E151628AED2A6ABF7158809CF4F3CEF4359D8D580AA4F7F036D6F04FC6A94"
TWEAK = bytes.fromhex("39383736353433323130")

SAMPLES = [  # "FF1samples.pdf", NIST Cryptographic Standards and Guidelines: those in radix 10
    (16, b"", "2433477484"),
    (16, TWEAK, "6124200773"),
    (24, b"", "2830668132"),
    (24, TWEAK, "2496655549"),
    (32, b"", "6657667009"),
    (32, TWEAK, "1001623463"),
]

digits = some.text("0123456789", min_size=DIGITS_MIN, max_size=120)


@pytest.mark.parametrize(("key_bytes", "tweak", "token"), SAMPLES)
def test_the_samples_of_the_standard(key_bytes: int, tweak: bytes, token: str) -> None:
    ff1 = Ff1(bytes.fromhex(KEY)[:key_bytes])
    assert ff1.encrypt("0123456789", tweak) == token
    assert ff1.decrypt(token, tweak) == "0123456789"


@given(digits, some.binary(max_size=40), some.sampled_from((16, 24, 32)))
def test_what_is_encrypted_is_as_long_and_comes_back(text: str, tweak: bytes, key_bytes: int) -> None:
    ff1 = Ff1(bytes.fromhex(KEY)[:key_bytes])
    token = ff1.encrypt(text, tweak)
    assert len(token) == len(text) and token.isdigit()
    assert ff1.decrypt(token, tweak) == text


@given(digits)
def test_another_key_or_tweak_is_another_token_where_there_are_enough(text: str) -> None:
    if len(text) >= 30:
        one, other = Ff1(bytes(16)), Ff1(bytes(15) + b"\x01")
        assert len({one.encrypt(text), other.encrypt(text), one.encrypt(text, b"t")}) == 3


@pytest.mark.parametrize("text", ["", "12345", "12345a", "١٢٣٤٥٦", "-123456", "123 456"])
def test_too_few_digits_and_others_than_ascii_ones_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match="decimal digits"):
        Ff1(bytes(16)).encrypt(text)
    with pytest.raises(ValueError, match="decimal digits"):
        Ff1(bytes(16)).decrypt(text)


def test_a_key_of_another_length_is_refused() -> None:
    with pytest.raises(ValueError, match="key size"):
        Ff1(bytes(20))
