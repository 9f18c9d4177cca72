"""Whether digits are a telephone number of some country's plan, by the plans that libphonenumber has.

Its own check takes a tenth of a millisecond for each number and country, and texts hold many numbers: here each plan is
one pattern. Knows no text around a number.
"""

import re
from collections.abc import Iterable, Mapping

from phonenumbers import COUNTRY_CODE_TO_REGION_CODE, PhoneMetadata
from phonenumbers.phonemetadata import PhoneNumberDesc

from hoopproxy.masking.content.patterns import Pattern

REGIONS = ("US", "GB", "DE", "FR", "IT", "ES", "NL", "BE", "AT", "CH", "SE", "DK", "PL", "BR", "IN", "AU")
"""Whose national forms are known, behind a word such as "phone"."""

_KINDS = (
    *("fixed_line", "mobile", "toll_free", "premium_rate", "shared_cost", "personal_number", "pager", "uan"),
    *("voicemail", "voip"),
)
"""The descriptions in a country's plan by which libphonenumber takes a number for valid (`_number_type_helper`)."""

_NO_DIGITS = re.compile(r"\D+")


def phone(text: str) -> bool:
    """A number in its international form, or in the national one of these regions."""
    digits = _NO_DIGITS.sub("", text.replace("(0)", ""))
    if text.startswith("+"):
        return any(plan.fullmatch(digits, size) for size in (1, 2, 3) if (plan := _COUNTRIES.get(digits[:size])))
    return _NATIONAL.fits(digits.encode())


def _plan(regions: Iterable[str]) -> str:
    """The numbers of all these regions, without their code; the first says what may stand before."""
    patterns: set[str] = set()
    prefix: str | None = None
    for region in regions:
        found = PhoneMetadata.metadata_for_region_or_calling_code(_CODES.get(region, 0), region)
        if found is None:
            continue
        prefix = prefix or found.national_prefix
        for kind in _KINDS:
            numbers: PhoneNumberDesc | None = getattr(found, kind)
            if numbers is not None and numbers.national_number_pattern:
                patterns.add(numbers.national_number_pattern)
    return f"(?:{prefix or ''})?(?:{'|'.join(sorted(patterns))})"


_CODES = {region: code for code, regions in COUNTRY_CODE_TO_REGION_CODE.items() for region in regions}

_COUNTRIES: Mapping[str, re.Pattern[str]] = {
    str(code): re.compile(_plan(regions))
    for code, regions in COUNTRY_CODE_TO_REGION_CODE.items()
    if regions != ("001",)
}

_NATIONAL = Pattern(rf"\A(?:{'|'.join(_plan([region]) for region in REGIONS)})\z", None)
