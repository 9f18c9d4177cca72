"""Checks of numbers with a birth date where python-stdnum asks what day it is today: the same, but for that question.

What is no number today is none tomorrow: a masker that changes its mind overnight can't be tested, and a number of the
future is masked rather than shown. (Its check for South Korea can ask, but does not unless told to; no other of those
that are used here does.) Knows no pattern.
"""

from stdnum.dk import cpr
from stdnum.exceptions import ValidationError
from stdnum.no import fodselsnummer

from hoopproxy.masking.content.checks import is_day, luhn

_SEPARATORS = str.maketrans("", "", " -+.:")


def be_nn(text: str) -> bool:
    """Belgium: mod 97 of the first nine digits, with a 2 before them for the years from 2000; a month or none."""
    number = text.translate(_SEPARATORS)
    check = int(number[9:])
    return int(number[2:4]) <= 12 and any(97 - int(century + number[:9]) % 97 == check for century in ("", "2"))


def dk_cpr(text: str) -> bool:
    """Denmark: a date."""
    try:
        return bool(cpr.get_birth_date(text))
    except ValidationError:
        return False


def no_fodselsnummer(text: str) -> bool:
    """Norway: both check digits, and a date."""
    number = text.translate(_SEPARATORS)
    try:
        return (
            number[-2] == fodselsnummer.calc_check_digit1(number)
            and number[-1] == fodselsnummer.calc_check_digit2(number)
            and bool(fodselsnummer.get_birth_date(number))
        )
    except ValidationError:
        return False


def se_personnummer(text: str) -> bool:
    """Sweden: a date, its century given or any, and Luhn's check digit."""
    number = text.translate(_SEPARATORS)
    year, month, day = int(number[:-8]), int(number[-8:-6]), int(number[-6:-4])
    return is_day(year if len(number) == 12 else 2000 + year, month, day) and luhn(number[-10:])


def za_id(text: str) -> bool:
    """South Africa: a date of any century, citizen or resident, and Luhn's check digit."""
    return is_day(2000 + int(text[:2]), int(text[2:4]), int(text[4:6])) and text[10] in "01" and luhn(text)
