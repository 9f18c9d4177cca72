"""What a value may cost: hostile ones are masked whole before they hold the loop, ordinary ones never meet the end."""

import json
from struct import pack
from typing import Any

import pytest
from stdnum.be import nn
from stdnum.dk import cpr
from stdnum.no import fodselsnummer
from stdnum.se import personnummer
from stdnum.za import idnr

from hoopproxy.events import Format
from hoopproxy.masking.content import births
from hoopproxy.masking.content.budget import Budget, TooDear
from hoopproxy.masking.content.cells import Treatment
from hoopproxy.masking.content.detector import Detector
from hoopproxy.masking.content.entities import ENTITIES, USUAL
from hoopproxy.masking.content.marks import Style
from hoopproxy.masking.types import JSON, TEXT, Kind

from .labelled import lines

DETECTOR = Detector([ENTITIES[name] for name in USUAL])
MAIL = b"ada@example.org"


def cells(oid: int, *, binary: bool = False) -> Any:
    kind = Kind(oid, -1, Format.BINARY if binary else Format.TEXT)
    return Treatment(DETECTOR, dict.fromkeys(USUAL, Style.REDACT), frozenset()).cells(kind)


def test_a_budget_that_is_spent_stays_so() -> None:
    budget = Budget(3)
    budget.spend(3)
    for _ in range(2):
        with pytest.raises(TooDear):
            budget.spend(1)


@pytest.mark.parametrize(
    "part", [b"tin 123456789;", b"id card 12345678901 ", b"tel (1)22 ", b"4539578763621486 ", b"a@b.de "]
)
def test_what_would_take_too_long_is_masked_whole(part: bytes) -> None:
    text = part * (1_000_000 // len(part))
    assert cells(TEXT)(text) == b"***"
    assert cells(16500)(text) is None
    assert cells(JSON)(b'{"a": "%b"}' % text) == b'"***"'


def test_the_parts_of_a_value_share_its_budget() -> None:
    many = [MAIL.decode()] * 50_000
    assert cells(JSON)(json.dumps(many).encode()) == b'"***"'
    assert cells(JSON)(b'["ada@example.org"%b]' % (b",[]" * 50_000)) == b'"***"'
    element = pack("!i", len(MAIL)) + MAIL
    array = pack("!iiIii", 1, 0, TEXT, len(many), 1) + element * len(many)
    assert cells(1009, binary=True)(array) == pack("!iiI", 0, 0, TEXT)
    nulls = pack("!iiIii", 1, 1, TEXT, len(many), 1) + pack("!i", -1) * len(many)
    assert cells(1009, binary=True)(nulls) == pack("!iiI", 0, 0, TEXT)


def test_ordinary_values_are_looked_at_however_dense() -> None:
    text = b"\n".join(line.text for line in lines(7, ("email", "card", "iban", "us-ssn", "phone"), 1600))
    assert len(text) > 200_000
    masked = cells(TEXT)(text)
    assert masked is not None and len(masked) > len(text) / 2
    quiet = b"the quick brown fox jumps over 12 lazy dogs; " * 370_000
    assert len(quiet) > 16_000_000 and cells(TEXT)(quiet) == quiet


# What day it is ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("check", "module", "form"),
    [
        (births.be_nn, nn, "850730{0:03}28"),
        (births.dk_cpr, cpr, "{0:02}10625629"),
        (births.no_fodselsnummer, fodselsnummer, "151086{0:05}"),
        (births.se_personnummer, personnummer, "8803{0:02}-0016"),
        (births.za_id, idnr, "75{0:04}5044089"),
    ],
)
def test_what_the_library_takes_is_taken_whatever_day_it_is(check: Any, module: Any, form: str) -> None:
    numbers = [form.format(at) for at in range(100 if ":02" in form else 1000 if ":03" in form else 10_000)]
    taken = [each for each in numbers if module.is_valid(each)]
    assert taken and all(map(check, taken))
    assert sum(map(check, numbers)) < len(numbers)


def test_numbers_of_days_to_come_are_taken() -> None:
    assert births.dk_cpr("211036-9000") and births.no_fodselsnummer("010239 50096") and births.be_nn("99.01.01-001.47")
    assert not births.be_nn("99.01.01-001.48") and not births.no_fodselsnummer("010239 50097")
