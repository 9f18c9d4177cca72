"""The example plugin, by the published suite and by what a card number is."""

import re
from typing import cast

import pytest
from hoopproxy_plugins.mask_pan import MaskPan, mask_pans
from hypothesis import given
from hypothesis import strategies as some

from hoopproxy.interfaces import ISetting
from hoopproxy.testing.conformance import SHAPE, a_passage, answered, masker_suite

NOWHERE = cast(ISetting, None)

TestMaskPan = masker_suite(MaskPan, b"card 4539 5787 6362 1486.", b"card **** **** **** 1486.")


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (b"4539578763621486", b"************1486"),
        (b"377361204857198", b"***********7198"),
        (b"4222222222222", b"*********2222"),
        (b"5168-2093-4417-7021", b"****-****-****-7021"),
        (b'{"card":"6011772645309186","n":1}', b'{"card":"************9186","n":1}'),
        (b"4539578763621486 12", b"************1486 12"),
        (b"4539578763621486,5168209344177021", b"************1486,************7021"),
        ("Zoë 4012889901726350".encode(), "Zoë ************6350".encode()),
    ],
)
def test_a_card_number_keeps_its_last_four_digits(before: bytes, after: bytes) -> None:
    assert mask_pans(before) == after


@pytest.mark.parametrize(
    "value",
    [
        b"4539578763621487",  # another check digit
        b"1000000000000008",  # nobody's prefix
        b"45395787636214861234567890",  # part of something longer
        b"453957876362",  # too short
        b"2025-01-15 10:00:00+00",
        b"DE08370400440532013100",
        b"",
        b"\xff\xfe",
    ],
)
def test_other_numbers_stay(value: bytes) -> None:
    assert mask_pans(value) == value


@given(some.binary())
def test_nothing_but_digits_changes_and_never_the_length(value: bytes) -> None:
    masked = mask_pans(value)
    assert len(masked) == len(value)
    assert all(now == was or now == ord("*") for was, now in zip(value, masked, strict=True))


@given(some.from_regex(r"\A4[0-9]{14}\Z"))
def test_every_number_with_its_check_digit_is_masked(body: str) -> None:
    def valid(number: str) -> bool:
        doubled = [int(digit) * (1 + place % 2) for place, digit in enumerate(reversed(number))]
        return sum(sum(map(int, str(each))) for each in doubled) % 10 == 0

    number = next(f"{body}{digit}" for digit in range(10) if valid(f"{body}{digit}"))
    assert re.fullmatch(rb"\*{12}\d{4}", mask_pans(number.encode()))


def test_it_masks_in_the_targets_that_it_is_told_and_in_no_other() -> None:
    passage = a_passage()
    here, elsewhere = (
        MaskPan.build("cards", MaskPan.settings(targets=frozenset({name})), NOWHERE)
        for name in (passage.permit.target.name, "another")
    )
    assert answered(here.protects(passage.permit)) == {"*"}
    assert answered(here.plan(passage, SHAPE))
    assert answered(elsewhere.protects(passage.permit)) == frozenset()
    assert answered(elsewhere.plan(passage, SHAPE)) == {}
