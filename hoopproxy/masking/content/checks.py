"""Checks that no library has, or not as fast: check digits, prefixes and structures, each from its public standard.

All take the text as found and answer for any text. Knows no pattern.
"""

import json
import re
import zlib
from base64 import urlsafe_b64decode
from collections.abc import Callable
from datetime import date
from ipaddress import ip_address
from types import ModuleType

import phonenumbers

from hoopproxy.masking.content.budget import LOOKUP

_BLANKS = str.maketrans("", "", " -./")


class by:  # a word of the tables, `check=by(iban)`, so it is written like one
    """The check of a module of python-stdnum. What it stumbles over it does not know to be one."""

    work = LOOKUP

    def __init__(self, module: ModuleType) -> None:
        self._is_valid: Callable[[str], bool] = module.is_valid

    def __call__(self, text: str) -> bool:
        """@raise nothing."""
        try:
            return self._is_valid(text)
        except Exception:  # noqa: BLE001 # a county that its table lacks is a KeyError, say
            return False


def luhn(digits: str) -> bool:
    """Whether the last digit is right (ISO/IEC 7812-1, annex B)."""
    values = digits.encode().translate(_VALUES)
    return (sum(values[-1::-2]) + sum(values[-2::-2].translate(_DOUBLED))) % 10 == 0


_VALUES = bytes.maketrans(b"0123456789", bytes(range(10)))
_DOUBLED = bytes.maketrans(bytes(range(10)), bytes((0, 2, 4, 6, 8, 1, 3, 5, 7, 9)))

_NETWORKS = re.compile(
    r"4(?:\d{12}|\d{15}|\d{18})"  # Visa: 13, 16, 19
    r"|(?:5[1-5]\d{2}|222[1-9]|22[3-9]\d|2[3-6]\d{2}|27[01]\d|2720)\d{12}"  # Mastercard
    r"|3[47]\d{13}"  # American Express
    r"|30[0-5]\d{11}|3095\d{10}|3[689]\d{12}"  # Diners Club
    r"|(?:6011|64[4-9]\d|65\d{2})\d{12}(?:\d{3})?"  # Discover
    r"|35(?:2[89]|[3-8]\d)\d{12}(?:\d{3})?"  # JCB
    r"|62\d{14}(?:\d{3})?"  # UnionPay
    r"|220[0-4]\d{12}(?:\d{3})?"  # Mir
    r"|(?:5018|5020|5038|5893|6304|6759|676[1-3])\d{8,15}"  # Maestro
    r"|(?:60|8[12])\d{14}|508\d{13}"  # RuPay
)


def card(text: str) -> bool:
    """A payment card: a network's prefix at that network's lengths, and the check digit."""
    digits = text.translate(_BLANKS)
    return bool(_NETWORKS.fullmatch(digits)) and len(set(digits)) > 2 and luhn(digits)


_IBAN_LENGTHS = {
    each[:2]: int(each[2:])
    for each in (
        "AD24 AE23 AL28 AT20 AZ28 BA20 BE16 BG22 BH22 BI27 BR29 BY28 CH21 CR22 CY28 CZ24 DE22 DJ27 DK18 DO28 EE20 EG29 "
        "ES24 FI18 FK18 FO18 FR27 GB22 GE22 GI23 GL18 GR27 GT28 HN28 HR21 HU28 IE22 IL23 IQ23 IS26 IT27 JO30 KW30 KZ20 "
        "LB28 LC32 LI21 LT20 LU20 LV21 LY25 MC27 MD24 ME22 MK19 MN20 MR27 MT31 MU30 NI28 NL18 NO15 OM23 PK24 PL28 PS29 "
        "PT25 QA29 RO24 RS22 RU33 SA24 SC31 SD18 SE24 SI19 SK24 SM27 SO23 ST25 SV28 TL23 TN24 TR26 UA29 VA22 VG24 XK20 "
        "YE30"
    ).split()
}
"""As registered with SWIFT (IBAN registry, release 101)."""


def iban(text: str) -> bool:
    """ISO 13616: a country's length, and mod 97."""
    compact = text.translate(_BLANKS).upper()
    if len(compact) != _IBAN_LENGTHS.get(compact[:2]):
        return False
    return int((compact[4:] + compact[:4]).translate(_BASE36)) % 97 == 1


_BASE36 = {each: str(each - 55) for each in range(ord("A"), ord("Z") + 1)}

_SSN = re.compile(r"(?!000|666|9)\d{3}[- ]?(?!00)\d{2}[- ]?(?!0000)\d{4}")


def ssn(text: str) -> bool:
    """US Social Security: no area, group or serial that is never given out (20 CFR 422.103)."""
    return bool(_SSN.fullmatch(text))


_FILES = frozenset({"png", "jpg", "jpeg", "gif", "svg", "webp", "css", "js", "html", "json", "xml", "pdf", "txt"})


def email(text: str) -> bool:
    """No dots in a row, no label that begins or ends with a hyphen, and no file's name (`logo@2x.png`)."""
    local, _, domain = text.rpartition("@")
    return not (
        ".." in local
        or local.startswith(".")
        or local.endswith(".")
        or ("-" in domain and ("-." in domain or ".-" in domain or domain.startswith("-")))
        or domain.rpartition(".")[2].lower() in _FILES
    )


def nino(text: str) -> bool:
    """UK national insurance: the prefixes that are not given out (HMRC, NIM39110)."""
    return text[:2].upper() not in {"BG", "GB", "KN", "NK", "NT", "TN", "ZZ"}


def medicare(text: str) -> bool:
    """Australian Medicare: the ninth digit checks the first eight (weights 1 3 7 9)."""
    digits = [int(each) for each in text.translate(_BLANKS)]
    weights = (1, 3, 7, 9, 1, 3, 7, 9)
    return sum(weight * digit for weight, digit in zip(weights, digits, strict=False)) % 10 == digits[8]


def npi(text: str) -> bool:
    """US National Provider Identifier: Luhn behind the prefix 80840 (45 CFR 162.406)."""
    return luhn(f"80840{text}")


def dea(text: str) -> bool:
    """US DEA registration: the last digit of (1st+3rd+5th) + 2·(2nd+4th+6th) is the seventh."""
    digits = [int(each) for each in text[2:]]
    return (sum(digits[0:6:2]) + 2 * sum(digits[1:6:2])) % 10 == digits[6]


_VIN_VALUES = dict(
    zip(
        "ABCDEFGHJKLMNPRSTUVWXYZ0123456789", [*range(1, 9), 1, 2, 3, 4, 5, 7, 9, *range(2, 10), *range(10)], strict=True
    )
)
_VIN_WEIGHTS = (8, 7, 6, 5, 4, 3, 2, 10, 0, 9, 8, 7, 6, 5, 4, 3, 2)


def vin(text: str) -> bool:
    """A vehicle: the ninth character checks the others (49 CFR 565.15)."""
    left = sum(_VIN_VALUES[each] * weight for each, weight in zip(text, _VIN_WEIGHTS, strict=True)) % 11
    return text[8] == "0123456789X"[left] and not text.isdigit() and not text.isalpha()


def mrz(text: str) -> bool:
    """The second line of a passport (ICAO Doc 9303-4): four check digits (weights 7 3 1) and one over all."""
    parts = ((0, 9), (13, 19), (21, 27), (28, 42))
    numbers = [text[start:end] for start, end in parts]
    checks = [text[end] for _, end in parts]
    whole = text[0:10] + text[13:20] + text[21:43]
    numbers.append(whole)
    checks.append(text[43])
    return all(
        _mrz_digit(number) == (0 if check == "<" else int(check, 36))
        for number, check in zip(numbers, checks, strict=True)
    )


def _mrz_digit(text: str) -> int:
    return sum((7, 3, 1)[at % 3] * (0 if each == "<" else int(each, 36)) for at, each in enumerate(text)) % 10


def jwt(text: str) -> bool:
    """RFC 7519: the first part is the JSON of a header with an algorithm."""
    head = text.partition(".")[0]
    try:
        header = json.loads(urlsafe_b64decode(head + "=" * (-len(head) % 4)))
    except (ValueError, RecursionError):
        return False
    return isinstance(header, dict) and "alg" in header


_BASE62 = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"


def github(text: str) -> bool:
    """A GitHub token: its last six characters are the CRC-32 of the thirty before, in base 62."""
    body, check = text[4:34], text[34:]
    value = 0
    for each in check:
        value = value * 62 + _BASE62.index(each)
    return zlib.crc32(body.encode()) == value


def address(text: str) -> bool:
    """An IP address of a machine: neither unspecified nor loopback."""
    if text.count(":") != 7 and "::" not in text and "." not in text:
        return False  # the time of a day, say
    try:
        found = ip_address(text)
    except ValueError:
        return False
    return not (found.is_unspecified or found.is_loopback)


def mac(text: str) -> bool:
    """Neither nobody's address nor everybody's."""
    return len(set(text.translate(str.maketrans("", "", ":-.")).lower())) > 2


_ISO_DATE = re.compile(r"(\d{4})[-/.](\d{1,2})[-/.](\d{1,2})")
_OTHER_DATE = re.compile(r"(\d{1,2})[-/.](\d{1,2})[-/.](\d{4})")


def birth(text: str) -> bool:
    """A day of a calendar between 1900 and 2099, in one of the usual orders."""
    if found := _ISO_DATE.fullmatch(text):
        year, month, day = map(int, found.groups())
        orders = [(year, month, day)]
    elif found := _OTHER_DATE.fullmatch(text):
        first, second, year = map(int, found.groups())
        orders = [(year, second, first), (year, first, second)]
    else:
        return False
    return 1900 <= year <= 2099 and any(is_day(*order) for order in orders)


def is_day(year: int, month: int, day: int) -> bool:
    """Whether the calendar has it."""
    try:
        date(year, month, day)
    except ValueError:
        return False
    return True


def coordinates(text: str) -> bool:
    """A latitude within 90 degrees and a longitude within 180."""
    latitude, longitude = (float(part) for part in re.split(r"[,;\s]+", text))
    return abs(latitude) <= 90 and abs(longitude) <= 180


_COUNTRIES = frozenset(phonenumbers.SUPPORTED_REGIONS)


def bic(text: str) -> bool:
    """ISO 9362: the fifth and sixth letters are a country (ISO 3166-1) that has telephones."""
    return text[4:6] in _COUNTRIES
