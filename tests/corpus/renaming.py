"""Changes what a corpus is made of: the names of its tables, columns and functions, and every secret value.

Knows no SQL: names and values are words in texts, and so are their beginnings, their ends and their halves. What a case
derives from a value (a sum, a digest) it can't follow: cases are to be seen leaking before they are believed.
"""

import re
import struct
from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta
from random import Random
from typing import Any

SYLLABLES = "ba bel cor dan dor fel gim hal jor kel lum mar nor pel quin ras sol tam ur vel wen yor zan".split()

NAMES = """
customers payments employees countries email ssn card country customer_id currency iban
created_at full_name salary dob manager_id badge photo v_contact v_public v_nested v_rows mv_cards customer_card
customer_blob country_label customers_country_idx mail_to pan clinic patients visits staff doctors rooms wards national
born weight stay letter account plate bed patient_id pin beds everything marked ranked counted joined lateral_view
unioned exists_view spelled snapshot by_ward national_of row_text ward_side announce glue via_function sided heavier
visit_ids suppliers invoices tell
own_room patients_stats visits_day_idx wards_side_idx shout
""".split()
"""Those that are words of nothing else in the corpus."""

PEOPLE = """
Ada Okonkwo|Bram Ilves|Chloe Dubois|Dmitri Sato|Esi Mensah|Grace Lindqvist|Hugo Baptiste|Ines Kowalska|Jun Park|
Nora Quist|Otto Brandt|Pia Lindahl|Rut Ek|Sven Dal|Tove Aas
""".replace("\n", "").split("|")

FORM_CHARACTERS_MIN, END_CHARACTERS_MIN = 6, 3


class Renaming:
    """One seed's words for old ones. `text` changes a text, `secrets` the document secrets.json."""

    def __init__(self, random: Random, secrets: Mapping[str, Any]) -> None:
        self._random = random
        self._taken: set[str] = set(NAMES)
        self.words = {name: self.word() for name in NAMES}
        self.words |= {person: self.word().title() + " " + self.word().title() for person in PEOPLE}
        self.words["corp.test"] = f"{self.word()}.test"
        self.values = {value: self._value(value) for value in (*secrets["text"], *secrets["numbers"])}
        self._anywhere = self._forms()
        self._bounded = {**self._fragments(), **self._spellings()}
        self._longest: dict[str, int] = {}  # by the first two characters, the length of the longest that begins so
        for old in (*self._anywhere, *self._bounded):
            self._longest[old[:2]] = max(len(old), self._longest.get(old[:2], 0))

    def text(self, text: str) -> str:
        """The text in new words."""
        made, at = list[str](), 0
        while at < len(text):
            old, new = self._at(text, at)
            made.append(new)
            at += len(old)
        return "".join(made)

    def _at(self, text: str, at: int) -> tuple[str, str]:
        """The longest that is known there, and what it becomes; or the character itself."""
        if longest := self._longest.get(text[at : at + 2]):
            is_begin = at == 0 or not text[at - 1].isalnum()
            for end in range(min(len(text), at + longest), at + 1, -1):
                old = text[at:end]
                if old in self._anywhere:
                    return old, self._anywhere[old]
                if is_begin and old in self._bounded and (end == len(text) or not text[end].isalnum()):
                    return old, self._bounded[old]
        return text[at], text[at]

    def case(self, case: Any) -> Any:
        """A case with all its texts changed, but for those that name the case."""
        told = {"sql", "secret_visible_if_leaked"}
        return {key: [*map(self.text, value)] if key in told else value for key, value in case.items()}

    def secrets(self, secrets: Mapping[str, Any]) -> dict[str, Any]:
        """The document for the new values."""
        return {
            "text": [self.values[value] for value in secrets["text"]],
            "numbers": [self.values[value] for value in secrets["numbers"]],
            "binary_len_prefixed": [
                {"t": each["t"], "hex": self._binary(each["t"], bytes.fromhex(each["hex"]))}
                for each in secrets["binary_len_prefixed"]
            ],
            "binary_raw": [self._raw(each) for each in secrets["binary_raw"]],
            "policy": {
                self.text(table): {self.text(column): self._mask(mask) for column, mask in columns.items()}
                for table, columns in secrets["policy"].items()
            },
        }

    def _mask(self, mask: Any) -> Any:
        """Keys of documents are words of a corpus, too; the names of masks are not."""
        return {kind: [*map(self.text, paths)] for kind, paths in mask.items()} if isinstance(mask, dict) else mask

    def word(self) -> str:
        """A new word that is none in any statement."""
        while True:
            word = "".join(self._random.choices(SYLLABLES, k=self._random.randint(2, 3))) + "q"
            if word not in self._taken:
                self._taken.add(word)
                return word

    # Values -------------------------------------------------------------------------------------------------------

    def _value(self, value: str) -> str:
        """One of the same form: what begins it stays, as statements compare by it, and what orders values."""
        if re.fullmatch(r"\d{4}-\d\d-\d\d", value):
            half = (2, 14) if int(value[8:]) < 15 else (16, 28)  # so that what begins before ends after
            return f"{value[:8]}{self._random.randint(*half):02}"
        if re.fullmatch(r"\d{6}", value):
            return str(int(value) + self._random.choice((-1, 1)) * self._random.randint(20, 1900))
        if re.fullmatch(r"\d\d\.\d{4}", value):
            return f"{value[:3]}{self._random.randint(1001, 2999) * 2 + 1:04}"
        if re.fullmatch(r"(\d+\.){3}\d+", value):
            return ".".join([value.split(".")[0], *(str(self._random.randint(2, 250)) for _ in range(3))])
        is_hex = re.fullmatch(r"[0-9a-f-]{20,}", value) is not None
        local, at, domain = value.partition("@")
        keep = 2 if value[:2].isupper() and value[2:4].isdigit() else 1
        made = local[:keep] + "".join(self._character(each, is_hex) for each in local[keep:])
        return made + at + domain.replace("corp.test", self.words["corp.test"])

    def _character(self, character: str, is_hex: bool) -> str:
        if is_hex and character != "-":
            return self._random.choice("0123456789abcdef")
        if character.isdigit():
            return self._random.choice("0123456789")
        if character.isalpha():
            made = self._random.choice("bcdfghjklmnpqrstvwxz")
            return made.upper() if character.isupper() else made
        return character

    def _forms(self) -> dict[str, str]:
        """Whole values, as they are, in capitals, in hex and without dashes."""
        forms: dict[str, str] = {}
        for old, new in self.values.items():
            for form in (str, str.upper, _hex, _no_dash):
                if len(form(old)) >= FORM_CHARACTERS_MIN:
                    forms.setdefault(form(old), form(new))
        return forms

    def _fragments(self) -> dict[str, str]:
        """Beginnings and ends of values, where they are words of their own; of two that fit, the longer value's."""
        fragments: dict[str, str] = {}
        forms = {form(old): form(new) for old, new in self.values.items() for form in (str, _hex, _no_dash)}
        for old, new in sorted(forms.items(), key=lambda pair: -len(pair[0])):
            for length in range(len(old), 1, -1):
                if _tells(old[:length]):
                    fragments.setdefault(old[:length], new[:length])
                if length >= END_CHARACTERS_MIN + old[-length:][0].isalnum():
                    fragments.setdefault(old[-length:], new[-length:])
        return fragments

    def _binary(self, kind: str, raw: bytes) -> str:
        match kind:
            case "int4" | "int8":
                code = "!i" if kind == "int4" else "!q"
                made = struct.pack(code, int(self.values[str(struct.unpack(code, raw)[0])]))
            case "float8":
                made = struct.pack("!d", float(self.values[str(struct.unpack("!d", raw)[0])]))
            case "inet":
                made = raw[:4] + bytes(map(int, self.values[".".join(map(str, raw[4:]))].split(".")))
            case "date":
                old = date(2000, 1, 1) + timedelta(days=struct.unpack("!i", raw)[0])
                made = struct.pack("!i", (date.fromisoformat(self.values[str(old)]) - date(2000, 1, 1)).days)
            case "timestamptz":
                since = datetime(2000, 1, 1, tzinfo=UTC)
                at = since + timedelta(microseconds=struct.unpack("!q", raw)[0])
                moved = date.fromisoformat(self.values[str(at.date())]) - at.date()
                made = struct.pack("!q", (at + moved - since) // timedelta(microseconds=1))
            case _:
                raise ValueError(f"the binary form of {kind} is not known here")
        return made.hex()

    def _raw(self, old: str) -> str:
        return next(_no_dash(new) for value, new in self.values.items() if _no_dash(value) == old)

    def _spellings(self) -> dict[str, str]:
        """Names as they are, in capitals, cut in two by `||`, and with a letter as its code point."""
        spellings: dict[str, str] = {}
        for old, new in self.words.items():
            spellings |= {old: new, old.upper(): new.upper()}
            for at in range(1, len(old)):
                spellings[f"{old[:at]}'||'{old[at:]}"] = f"{new[:at]}'||'{new[at:]}"
            for at, letter in enumerate(old):
                for mark in "\\!":
                    to = min(at, len(new) - 1)
                    old_spelling = f"{old[:at]}{mark}{ord(letter):04x}{old[at + 1 :]}"
                    spellings[old_spelling] = f"{new[:to]}{mark}{ord(new[to]):04x}{new[to + 1 :]}"
        return spellings


def _tells(beginning: str) -> bool:
    """Whether it is a value's and no word of SQL."""
    if beginning.isalpha():
        return len(beginning) >= 5 or (len(beginning) == 2 and beginning.isupper())
    return len(beginning) >= 3


def _hex(text: str) -> str:
    return text.encode().hex()


def _no_dash(text: str) -> str:
    return text.replace("-", "")
