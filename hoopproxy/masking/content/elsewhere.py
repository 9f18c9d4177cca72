"""The table of numbers of people in Asia, Africa and Oceania, by python-stdnum where it knows them. Knows no text."""

from stdnum.au import tfn
from stdnum.cn import ric
from stdnum.id import nik
from stdnum.il import idnr as teudat
from stdnum.in_ import aadhaar, pan
from stdnum.jp import in_ as my_number
from stdnum.kr import rrn
from stdnum.my import nric
from stdnum.nz import ird
from stdnum.pk import cnic
from stdnum.th import pin

from hoopproxy.masking.content import births, checks
from hoopproxy.masking.content.checks import by
from hoopproxy.masking.content.entity import Certainty, Entity
from hoopproxy.masking.content.signs import D8, D9, D12, D13, D16, NATIONAL, TAX

ELSEWHERE = (
    Entity(
        "in-aadhaar",
        "India: Aadhaar",
        "Verhoeff's check digit",
        "2341 2341 2346",
        weak=(D12, r"\b\d{4}[ -]\d{4}[ -]\d{4}\b"),
        words=("aadhaar", "aadhar", "uidai", "uid"),
        check=by(aadhaar),
        digits=12,
        shown=(0, 4),
    ),
    Entity(
        "in-pan",
        "India: taxpayer (PAN)",
        "its form, with a kind of holder in it",
        "ACUPA7085R",
        weak=(r"\b[A-Z]{5}\d{4}[A-Z]\b",),
        words=("pan", "permanent account", "income tax", *TAX),
        check=by(pan),
        certainty=Certainty.STRUCTURE,
        digits=4,
    ),
    Entity(
        "pk-cnic",
        "Pakistan: identity card",
        "province and sex",
        "34201-0891231-8",
        strong=(r"\b\d{5}-\d{7}-\d\b",),
        weak=(D13,),
        words=("cnic", "nic", *NATIONAL),
        check=by(cnic),
        certainty=Certainty.STRUCTURE,
        digits=13,
    ),
    Entity(
        "il-id",
        "Israel: person",
        "Luhn's check digit",
        "3933742-3",
        weak=(r"\b\d{7,8}-?\d\b",),
        words=("teudat zehut", "teudat", "תעודת זהות", *NATIONAL),
        check=by(teudat),
        digits=8,
    ),
    Entity(
        "cn-ric",
        "China: resident",
        "county, date and check character",
        "360426199101010071",
        strong=(r"\b\d{6}(?:19|20)\d{9}[0-9Xx]\b",),
        check=by(ric),
        digits=17,
    ),
    Entity(
        "jp-my-number",
        "Japan: individual number",
        "check digit",
        "6214 9832 0257",
        weak=(D12, r"\b\d{4}[ -]\d{4}[ -]\d{4}\b"),
        words=("my number", "mynumber", "マイナンバー", "個人番号", "individual number"),
        check=by(my_number),
        digits=12,
    ),
    Entity(
        "kr-rrn",
        "South Korea: resident",
        "date, place and check digit",
        "971013-9019902",
        strong=(r"\b\d{6}-\d{7}\b",),
        weak=(D13,),
        words=("rrn", "resident registration", "주민등록번호", "jumin"),
        check=by(rrn),
        digits=13,
    ),
    Entity(
        "my-nric",
        "Malaysia: identity card",
        "date and place of birth",
        "770305-02-1234",
        strong=(r"\b\d{6}-\d{2}-\d{4}\b",),
        weak=(D12,),
        words=("nric", "mykad", "ic no", "kad pengenalan", *NATIONAL),
        check=by(nric),
        certainty=Certainty.STRUCTURE,
        digits=12,
    ),
    Entity(
        "id-nik",
        "Indonesia: person",
        "district and date",
        "3171011708450001",
        weak=(D16,),
        words=("nik", "ktp", "nomor induk"),
        check=by(nik),
        certainty=Certainty.STRUCTURE,
        digits=16,
    ),
    Entity(
        "th-pin",
        "Thailand: person",
        "check digit",
        "1-2345-45678-78-1",
        strong=(r"\b\d-\d{4}-\d{5}-\d{2}-\d\b",),
        weak=(D13,),
        words=("thai id", "บัตรประชาชน", *NATIONAL),
        check=by(pin),
        digits=13,
    ),
    Entity(
        "za-id",
        "South Africa: person",
        "date and Luhn's check digit",
        "7503305044089",
        weak=(D13,),
        words=("rsa id", "sa id", "id number", "id no", *NATIONAL),
        check=births.za_id,
        digits=13,
    ),
    Entity(
        "au-tfn",
        "Australia: tax file",
        "check digit",
        "123 456 782",
        weak=(D8, D9, r"\b\d{3} \d{3} \d{3}\b"),
        words=("tfn", "tax file", *TAX),
        check=by(tfn),
        digits=8,
    ),
    Entity(
        "au-medicare",
        "Australia: Medicare card",
        "begins with 2 to 6; check digit",
        "2123 45670 1",
        weak=(r"\b[2-6]\d{3} ?\d{5} ?\d(?:/?\d)?\b",),
        words=("medicare",),
        check=checks.medicare,
        digits=10,
    ),
    Entity(
        "nz-ird",
        "New Zealand: taxpayer",
        "check digit",
        "49-091-850",
        weak=(D8, D9, r"\b\d{2,3}-\d{3}-\d{3}\b"),
        words=("ird", "inland revenue", *TAX),
        check=by(ird),
        digits=8,
    ),
    Entity(
        "passport-mrz",
        "Passport's machine-readable lines",
        "its form, and in the second line all five check digits (ICAO Doc 9303)",
        "L898902C36UTO7408122F1204159ZE184226B<<<<<10",
        strong=(
            r"(?:^|[^A-Z0-9<])([A-Z0-9<]{9}\d[A-Z<]{3}\d{7}[MF<]\d{7}[A-Z0-9<]{14}[0-9<]\d)",
            r"(?:^|[^A-Z0-9<])(P[A-Z<][A-Z<]{3}[A-Z]+(?:<[A-Z]+)*<<[A-Z<]{1,36})",
        ),
        check=lambda text: checks.mrz(text) if len(text) == 44 and text[9].isdigit() else len(text) == 44,
        digits=0,
        literals=(b"<",),
    ),
)
