"""Masks payment card numbers in text results, wherever they come from: every digit but the last four.

A number counts when it begins like a card network's and its check digit is right. Knows no column and no policy. The
example for plugin authors: see docs/plugins.md.
"""

import re
from collections.abc import Mapping

from pydantic import BaseModel
from zope.interface import implementer, provider

from hoopproxy.events import Format, Shape
from hoopproxy.interfaces import IAddonFactory, IMasker, ISetting
from hoopproxy.masks import Mask, PerCell
from hoopproxy.model import Passage, Permit

# 13 to 19 digits behind an issuer's prefix (ISO/IEC 7812-1): Visa, Mastercard, Amex, JCB, Diners, Discover, Maestro, …
_CANDIDATE = re.compile(rb"(?<!\d)(?:4|5[0-8]|2[2-7]|3[04-9]|6\d)(?:[ -]?\d){11,18}(?!\d)")
_TEXTS = frozenset({19, 25, 114, 142, 1042, 1043})  # types whose binary form is their text (pg_type.dat)


def mask_pans(value: bytes) -> bytes:
    """`value` with `*` for the digits of each card number in it, the last four excepted."""
    return _CANDIDATE.sub(lambda found: _masked(found[0]), value)


def _masked(run: bytes) -> bytes:
    for end in range(len(run), 12, -1):  # other digits may follow the card's, behind a space
        if not run[end : end + 1].isdigit() and _luhn([byte - 48 for byte in run[:end] if byte >= 48]):
            return re.sub(rb"\d(?=(?:[ -]?\d){4})", b"*", run[:end]) + run[end:]
    return run


def _luhn(digits: list[int]) -> bool:
    doubled = (digit * 2 - 9 * (digit > 4) for digit in digits[-2::-2])
    return 13 <= len(digits) <= 19 and (sum(digits[::-2]) + sum(doubled)) % 10 == 0


class Settings(BaseModel, frozen=True, extra="forbid"):
    """`targets` are the names of those in which it masks; without any, it masks in all."""

    targets: frozenset[str] = frozenset()


@provider(IAddonFactory)
@implementer(IMasker)
class MaskPan:
    """A masker by content: every column of text gets the same function."""

    summary = "Masks payment card numbers (check digit verified) in every text column."
    settings = Settings

    @classmethod
    def build(cls, name: str, settings: Settings, setting: ISetting) -> "MaskPan":
        """Make it."""
        return cls(name, settings.targets)

    def __init__(self, name: str, targets: frozenset[str]) -> None:
        self.name = name
        self._targets = targets

    async def protects(self, permit: Permit) -> frozenset[str]:
        """Values, whatever column they are in."""
        return frozenset({"*"} if self._masks_in(permit) else ())

    async def plan(self, passage: Passage, shape: Shape) -> Mapping[int, Mask]:
        """The columns whose cells are text."""
        if not self._masks_in(passage.permit):
            return {}
        mask = PerCell(mask_pans, self.name)
        return {i: mask for i, each in enumerate(shape.fields) if each.format is Format.TEXT or each.type_oid in _TEXTS}

    def _masks_in(self, permit: Permit) -> bool:
        return not self._targets or permit.target.name in self._targets
