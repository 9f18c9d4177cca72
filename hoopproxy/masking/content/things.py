"""The table of entities that belong to no country's people: contacts, payments, devices, places.

Knows no text: `detector.py` looks for what stands here, and docs/detectors.md shows it.
"""

from stdnum import bitcoin, imei

from hoopproxy.masking.content import checks, phones
from hoopproxy.masking.content.entity import Certainty, Entity

CONTACTS = (
    Entity(
        "email",
        "E-mail address",
        "its form, a top-level domain of letters, no file's name such as `logo@2x.png`",
        "ada.lovelace@example.org",
        strong=(
            # No lengths: where each character may be the first, to count them takes an automaton of 2^64 states.
            r"[A-Za-z0-9_\x{80}-\x{10FFFF}][A-Za-z0-9._%+'\x{80}-\x{10FFFF}-]*"
            r"@(?:[A-Za-z0-9\x{80}-\x{10FFFF}-]+\.)+[A-Za-z]{2,24}\b",
        ),
        check=checks.email,
        certainty=Certainty.STRUCTURE,
        literals=(b"@",),
    ),
    Entity(
        "phone",
        "Telephone number",
        "the numbering plan of its country, by libphonenumber; without `+` those of " + ", ".join(phones.REGIONS),
        "+49 30 901820",
        strong=(r"\+\d{1,3}(?:[ .-]?\(0?\d{0,4}\))?(?:[ .-]?\d{1,5}){2,6}\b",),
        weak=(r"(?:\(0?\d{1,5}\) ?|\b0?\d{2,5}[ ./-])\d{2,5}(?:[ .-]?\d{2,5}){0,4}\b", r"\b\d{9,11}\b"),
        words=(
            *("phone", "telephone", "tel", "mobile", "cell", "fax", "call", "whatsapp", "sms"),
            *(
                "telefon",
                "handy",
                "mobil",
                "rufnummer",
                "tél",
                "téléphone",
                "portable",
                "teléfono",
                "telefono",
                "msisdn",
            ),
        ),
        check=phones.phone,
        certainty=Certainty.STRUCTURE,
        digits=7,
        shown=(0, 2),
    ),
)

PAYMENTS = (
    Entity(
        "card",
        "Payment card number",
        "a network's prefix at its lengths (Visa, Mastercard, American Express, Diners Club, Discover, JCB, UnionPay, "
        "Mir, Maestro, RuPay) and Luhn's check digit",
        "4539 5787 6362 1486",
        strong=(
            r"\b\d{12,19}\b",
            r"\b\d{4}[ -]\d{4}[ -]\d{4}[ -]\d{4}\b",
            r"\b\d{4}[ -]\d{4}[ -]\d{4}[ -]\d{4}[ -]\d{3}\b",
            r"\b3\d{3}[ -]\d{6}[ -]\d{4,5}\b",
        ),
        check=checks.card,
        digits=12,
        shown=(0, 4),
    ),
    Entity(
        "iban",
        "International bank account number",
        "ISO 13616: mod 97, and the length that its country registered",
        "DE89 3704 0044 0532 0130 00",
        strong=(
            r"\b[A-Z]{2}\d{2}[A-Z0-9]{11,30}\b",
            r"\b[A-Z]{2}\d{2}(?: [A-Z0-9]{4}){2,7}(?: [A-Z0-9]{1,3})?\b",
            r"\b[A-Z]{2}\d{2}(?: [A-Z0-9]{4}){2,7}\b",
            r"\b[a-z]{2}\d{2}[a-z0-9]{11,30}\b",
        ),
        check=checks.iban,
        digits=6,
        shown=(2, 4),
    ),
    Entity(
        "bic",
        "Bank identifier (SWIFT)",
        "ISO 9362: its form, with the code of a country in it",
        "DEUTDEFF500",
        weak=(r"\b[A-Z]{6}[A-Z0-9]{2}(?:[A-Z0-9]{3})?\b",),
        words=("bic", "swift", "bank identifier"),
        check=checks.bic,
        certainty=Certainty.SHAPE,
    ),
    Entity(
        "bitcoin-address",
        "Bitcoin address",
        "Base58Check or Bech32",
        "1NEDqZPvTWRaoho48qXuLLsrYomMXPABfD",
        strong=(r"\b[13][1-9A-HJ-NP-Za-km-z]{25,34}\b", r"\bbc1[02-9ac-hj-np-z]{11,87}\b"),
        check=checks.by(bitcoin),
        digits=1,
    ),
    Entity(
        "ethereum-address",
        "Ethereum address",
        "its form alone",
        "0x52908400098527886E0F7030069857D2E4169EE7",
        weak=(r"\b0x[0-9A-Fa-f]{40}\b",),
        words=("ethereum", "ether", "eth", "wallet", "erc20"),
        certainty=Certainty.SHAPE,
        literals=(b"0x",),
    ),
)

DEVICES = (
    Entity(
        "imei",
        "Mobile device (IMEI)",
        "Luhn's check digit",
        "35-686800-004141-8",
        weak=(r"\b\d{15}\b", r"\b\d{2}[ -]\d{6}[ -]\d{6}[ -]\d\b"),
        words=("imei", "device id", "handset"),
        check=lambda text: checks.by(imei)(text) and len([each for each in text if each.isdigit()]) == 15,
        digits=15,
    ),
    Entity(
        "vin",
        "Vehicle",
        "its check character (49 CFR 565)",
        "1M8GDM9AXKP042788",
        strong=(r"\b[A-HJ-NPR-Z0-9]{13}\d{4}\b",),
        check=checks.vin,
        digits=4,
    ),
    Entity(
        "ip-address",
        "IP address, version 4 or 6",
        "it can be an address, and neither unspecified nor loopback",
        "203.0.113.77",
        strong=(
            r"\b\d{1,3}\.\d{1,3}\.\d{1,3}\.\d{1,3}\b",
            r"\b[0-9A-Fa-f]{1,4}:(?:[0-9A-Fa-f]{0,4}:){1,6}[0-9A-Fa-f]{0,4}\b",
        ),
        unless=("version", "v", "release", "build"),
        check=checks.address,
        certainty=Certainty.STRUCTURE,
        literals=(b".", b":"),
        is_usual=False,
    ),
    Entity(
        "mac-address",
        "Hardware address",
        "its form; neither all zeros nor broadcast",
        "D0:50:99:84:A2:A0",
        strong=(
            r"\b[0-9A-Fa-f]{2}(?::[0-9A-Fa-f]{2}){5}\b",
            r"\b[0-9A-Fa-f]{2}(?:-[0-9A-Fa-f]{2}){5}\b",
        ),
        check=checks.mac,
        certainty=Certainty.STRUCTURE,
        literals=(b":", b"-"),
        is_usual=False,
    ),
)

PLACES = (
    Entity(
        "coordinates",
        "Latitude and longitude",
        "within 90 and 180 degrees",
        "52.520008, 13.404954",
        weak=(r"[+-]?\b\d{1,2}\.\d{3,15}[,;\s]\s?[+-]?\d{1,3}\.\d{3,15}\b",),
        words=(
            "lat",
            "latitude",
            "lon",
            "longitude",
            "gps",
            "coordinate",
            "coord",
            "location",
            "position",
            "geo",
            "latlng",
        ),
        check=checks.coordinates,
        certainty=Certainty.SHAPE,
        digits=8,
    ),
    Entity(
        "date-of-birth",
        "Date of birth",
        "a day of the calendar from 1900 to 2099",
        "1985-07-30",
        weak=(r"\b\d{4}-\d{1,2}-\d{1,2}\b", r"\b\d{4}[/.]\d{1,2}[/.]\d{1,2}\b", r"\b\d{1,2}[-/.]\d{1,2}[-/.]\d{4}\b"),
        words=(
            *("dob", "date of birth", "birth date", "birthday", "birth", "born", "born on", "bday"),
            *(
                "geboren",
                "geburtsdatum",
                "geb",
                "né le",
                "née le",
                "naissance",
                "nato il",
                "nata il",
                "nascita",
                "nacimiento",
            ),
        ),
        check=checks.birth,
        certainty=Certainty.STRUCTURE,
        digits=6,
    ),
)

THINGS = (*CONTACTS, *PAYMENTS, *DEVICES, *PLACES)
