"""What an entry of a directory says: who that is, what they are called, and why they may not come in.

Asks nothing; knows neither connections nor the gateway.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from uuid import UUID

from ldap3.core.exceptions import LDAPExceptionError
from ldap3.utils.conv import escape_bytes
from ldap3.utils.dn import parse_dn

SUBJECT_CHARACTERS_MAX = 255
NAME_CHARACTERS_MAX = 100

STATE = (
    "userAccountControl",
    "msDS-User-Account-Control-Computed",
    "accountExpires",
    "pwdAccountLockedTime",
    "nsAccountLock",
)
"""Attributes that tell whether an account may be used; a directory leaves out those that it has not."""

CONTROL = {0x2: "is disabled", 0x10: "is locked", 0x800000: "has an expired password"}
"""Bits of both userAccountControl: UF_ACCOUNT_DISABLE, UF_LOCKOUT, UF_PASSWORD_EXPIRED (MS-ADTS §2.2.16)."""

NEVER = frozenset((0, 0x7FFFFFFFFFFFFFFF))
"""accountExpires of those who don't (MS-ADTS §2.2.18 and the schema's Account-Expires)."""

EPOCH_S = 11_644_473_600
"""From 1601, where a FILETIME begins, to 1970 (MS-DTYP §2.3.3, which counts in 100 ns)."""

_PAIR = re.compile(rb"\\([0-9A-Fa-f]{2}|.)", re.DOTALL)
"""RFC 4514 §3, pair."""


class Unfit(Exception):
    """The entry does not say what is needed; the text is for the operator."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One entry: its distinguished name, and the values of its attributes by their names in lower case."""

    dn: str
    attributes: Mapping[str, Sequence[bytes]]

    def values(self, attribute: str) -> Sequence[bytes]:
        """All values of an attribute. @raise Unfit: the directory holds some back (MS-ADTS §3.1.1.3.1.3.3)."""
        wanted = attribute.lower()
        if any(name.startswith(f"{wanted};range=") for name in self.attributes):
            raise Unfit(f"{self.dn} has more values of {attribute} than the directory shows at once")
        return self.attributes.get(wanted, ())

    def texts(self, attribute: str) -> tuple[str, ...]:
        """The same as texts. @raise Unfit"""
        try:
            return tuple(value.decode() for value in self.values(attribute))
        except UnicodeDecodeError as why:
            raise Unfit(f"{self.dn} has a value of {attribute} that is no UTF-8") from why

    def shown(self, attribute: str) -> str:
        """A name for people's eyes: no control characters that could rewrite a terminal. "" for none."""
        text = next(iter(self.texts(attribute)), "")
        return "".join(filter(str.isprintable, text))[:NAME_CHARACTERS_MAX].strip()

    def number(self, attribute: str) -> int:
        """A number, 0 when there is none. @raise Unfit"""
        text = next(iter(self.texts(attribute)), "0")
        try:
            return int(text)
        except ValueError as why:
            raise Unfit(f"{self.dn} has a {attribute} that is no number") from why


def subject_of(entry: Entry, attribute: str) -> str:
    """The one value by which somebody stays the same. @raise Unfit"""
    values = entry.values(attribute)
    if len(values) != 1:
        raise Unfit(f"{entry.dn} shows {len(values)} values of {attribute}; wanted is one that the account may read")
    if _is_guid(attribute):
        if len(values[0]) != 16:
            raise Unfit(f"{entry.dn} has a {attribute} that is no GUID")
        return str(UUID(bytes_le=bytes(values[0])))
    (subject,) = entry.texts(attribute)
    if not 0 < len(subject) <= SUBJECT_CHARACTERS_MAX or not subject.isprintable():
        raise Unfit(f"{entry.dn} has a {attribute} that is empty, too long or unprintable")
    return subject


def subject_filter(attribute: str, subject: str) -> str:
    """The filter that finds whom `subject_of` named."""
    value = escape_bytes(UUID(subject).bytes_le) if _is_guid(attribute) else escaped(subject)
    return f"({attribute}={value})"


def escaped(text: str) -> str:
    """A text as a value in a filter, each byte of it escaped (RFC 4515 §3): nothing is left to read in two ways.

    ldap3's own `escape_filter_chars` leaves white space at the ends, which its parser of filters then cuts off.
    """
    return str(escape_bytes(text.encode()))


def trouble_of(entry: Entry, now_s: float) -> str:
    """Why this account may not be used now, as the end of a sentence; "" when it may. @raise Unfit

    Directories refuse the password of such an account; this is for those who are in already.
    """
    control = entry.number("userAccountControl") | entry.number("msDS-User-Account-Control-Computed")
    for bit, trouble in CONTROL.items():
        if control & bit:
            return trouble
    expires = entry.number("accountExpires")
    if expires not in NEVER and expires / 1e7 - EPOCH_S <= now_s:
        return "has expired"
    if entry.values("pwdAccountLockedTime"):  # draft-behera-ldap-password-policy-11 §5.3.3
        return "is locked"
    if any(value.lower() == "true" for value in entry.texts("nsAccountLock")):
        return "is disabled"
    return ""


def is_below(dn: str, base: str) -> bool:
    """Whether an entry lies below another. `base` is an operator's, who may have put spaces behind its commas. @raise
    Unfit: the directory's `dn` is none."""
    mine, theirs = _steps(_parts(dn)), _steps(_parts(base, strip=True))
    return len(mine) > len(theirs) and mine[-len(theirs) :] == theirs


def common_name(dn: str) -> str | None:
    """The name that an entry has among its siblings, if that is a cn. @raise Unfit"""
    attribute, value, separator = _parts(dn)[0]
    if attribute.lower() != "cn" or separator == "+":
        return None
    return _PAIR.sub(_plain, value.encode()).decode()


def _plain(pair: re.Match[bytes]) -> bytes:
    return bytes.fromhex(pair[1].decode()) if len(pair[1]) == 2 else pair[1]


def _steps(parts: Iterable[tuple[str, str, str]]) -> list[str]:
    """From an entry up to the root, each by its own name; case does not count."""
    steps = [""]
    for attribute, value, separator in parts:
        steps[-1] += f"{attribute}={value}".lower()
        if separator == "+":
            steps[-1] += "+"
        elif separator:
            steps.append("")
    return steps


def _parts(dn: str, *, strip: bool = False) -> list[tuple[str, str, str]]:
    """Attribute, value with its escapes, and what stands behind it ("+" within one entry's own name)."""
    try:
        return list(parse_dn(dn, escape=True, strip=strip))
    except (LDAPExceptionError, IndexError) as why:
        raise Unfit(f"the directory shows the name {dn!r:.200}, which is none") from why


def _is_guid(attribute: str) -> bool:
    return attribute.lower() == "objectguid"
