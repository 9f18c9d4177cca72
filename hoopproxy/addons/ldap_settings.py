"""What an operator says of a directory: where it is, how people and their groups are found there, and what is believed.

Asks no directory anything.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from ldap3.core.exceptions import LDAPExceptionError
from ldap3.operation.search import parse_filter
from ldap3.utils.dn import parse_dn
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, PlainValidator

IN_CHAIN = ":1.2.840.113556.1.4.1941:="
"""LDAP_MATCHING_RULE_IN_CHAIN: Active Directory follows groups within groups itself (MS-ADTS §3.1.1.3.4.4.3)."""

DESCRIPTION = r"[A-Za-z][A-Za-z0-9-]*"
"""How an attribute is called (RFC 4512 §1.4, descr)."""


@dataclass(frozen=True, slots=True)
class Place:
    """A server of the directory. TLS begins with the first byte (`is_tls`, LDAPS), or by StartTLS before all else."""

    host: str
    port: int
    is_tls: bool

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{'ldaps' if self.is_tls else 'ldap'}://{host}:{self.port}"


def _place(text: Any) -> Place:
    try:
        url = urlsplit(str(text))
        port, more = url.port, any((url.username, url.password, url.path.strip("/"), url.query, url.fragment))
    except ValueError:  # a port that is none
        url, port, more = urlsplit(""), None, True
    if url.scheme not in ("ldap", "ldaps") or not url.hostname or port == 0 or more:
        raise ValueError(
            'wanted is a server such as "ldaps://ldap.example.com" or, for StartTLS, "ldap://ldap.example.com:389"'
        )
    is_tls = url.scheme == "ldaps"
    return Place(url.hostname, port or (636 if is_tls else 389), is_tls)


def _name(text: str) -> str:
    try:
        parse_dn(text, strip=True)
    except (LDAPExceptionError, IndexError) as why:
        raise ValueError('wanted is a distinguished name such as "ou=people,dc=example,dc=com"') from why
    return text


def _template(text: str, place: str) -> str:
    try:
        parse_filter(text.replace(place, "x"), None, True, True, None, False)
        is_filter = text.startswith("(") and place in text
    except (LDAPExceptionError, IndexError):
        is_filter = False
    if not is_filter:
        raise ValueError(f'wanted is a filter (RFC 4515) with {place} in it, such as "(member={place})"')
    return text


def _person(text: str) -> str:
    return _template(text, "{name}")


def _group(text: str) -> str:
    return _template(text, "{dn}") if text else text


type Name = Annotated[str, AfterValidator(_name)]
type Attribute = Annotated[str, Field(pattern=f"^{DESCRIPTION}$")]


class Settings(BaseModel):
    """The keys of `[addon.NAME]` with `use = "ldap"`. Groups are those that somebody's `groups_attribute` names
    or, with a `group_filter`, those that it finds; all of them below `group_base` (default: `base`)."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    servers: tuple[Annotated[Place, PlainValidator(_place)], ...] = Field(min_length=1, max_length=8)
    ca_file: Path
    account: Name
    password_file: Path
    base: Name
    filter: Annotated[str, AfterValidator(_person)] = "(uid={name})"
    subject_attribute: Attribute = "entryUUID"
    name_attribute: Attribute = "cn"
    groups_attribute: Attribute = "memberOf"
    group_filter: Annotated[str, AfterValidator(_group)] = ""
    group_base: Name | None = None
    group_names: Literal["cn", "dn"] = "cn"
    nested_depth_max: Annotated[int, Field(ge=0, le=32)] = 8
    failures_max: Annotated[int, Field(ge=1, le=100)] = 4
    failures_s: Annotated[float, Field(ge=60, le=86400)] = 900.0
    lifetime_s_max: Annotated[float, Field(ge=60, le=604800)] = 43200.0
    timeout_s_max: Annotated[int, Field(ge=1, le=30)] = 2

    @property
    def groups_below(self) -> str:
        """The only place whose groups count."""
        return self.group_base or self.base

    @property
    def follows_groups(self) -> bool:
        """Whether groups within groups are followed here, and not by the directory, or not at all."""
        return self.nested_depth_max > 0 and IN_CHAIN not in self.group_filter
