"""The shape of the tables of policy.toml that say who may ask for access, who decides, and who is one person.

Whether names lead anywhere is `hoopproxy.config.references`' question.
"""

import re
from types import MappingProxyType
from typing import Annotated

from pydantic import AfterValidator, Field, model_validator

from hoopproxy.access.people import People
from hoopproxy.access.request import ApprovalRule
from hoopproxy.access.request_rule import BreakGlass, RequestRule
from hoopproxy.config.policy_tables import AssuranceTable, Column
from hoopproxy.config.sentences import Form
from hoopproxy.config.tables import Name, Table, Text

DAY_S = 86400


def _pattern(text: str) -> str:
    re.compile(text)
    return text


type Pattern = Annotated[
    str,
    Field(min_length=1, max_length=100),
    AfterValidator(Form('a regular expression such as "OPS-[0-9]+"', _pattern)),
]


class ApproversTable(Table):
    """`approvers = {…}`."""

    roles: frozenset[Name] = Field(min_length=1)
    votes_min: int = Field(1, ge=1, le=20)
    veto: bool = True
    client_zones: frozenset[Text] = frozenset()


class BreakGlassTable(Table):
    """`break_glass = {…}`."""

    roles: frozenset[Name] = Field(min_length=1)
    duration_s_max: float = Field(ge=60, le=DAY_S)
    review_s_max: float = Field(DAY_S, ge=60, le=30 * DAY_S)


class RequestTable(Table):
    """`[[request]]`."""

    name: Name
    roles: frozenset[Name] = Field(min_length=1)
    targets: frozenset[Name] = Field(min_length=1)
    accounts: frozenset[Text] = Field(min_length=1)
    zone: Text
    client_zones: tuple[Text, ...] = Field(min_length=1)
    assurance_min: AssuranceTable = AssuranceTable()
    duration_s_max: float = Field(ge=60, le=14 * DAY_S)
    pending_s_max: float = Field(3600, ge=60, le=14 * DAY_S)
    approvers: ApproversTable
    reveals: frozenset[Column] = frozenset()
    ticket: Pattern | None = None
    sessions_max: int | None = Field(None, ge=1, le=1000000)
    rows_max: int | None = Field(None, ge=1)
    bytes_max: int | None = Field(None, ge=1)
    wait: bool = True
    break_glass: BreakGlassTable | None = None

    def rule(self) -> RequestRule:
        """As the gateway goes by it."""
        approvers = self.approvers
        return RequestRule(
            name=self.name,
            roles=self.roles,
            targets=self.targets,
            accounts=self.accounts,
            zone=self.zone,
            client_zones=self.client_zones,
            assurance_min=MappingProxyType(dict(self.assurance_min.values())),
            duration_s_max=self.duration_s_max,
            pending_s_max=self.pending_s_max,
            approval=ApprovalRule(approvers.roles, approvers.votes_min, approvers.veto, approvers.client_zones),
            reveals=self.reveals,
            ticket=self.ticket or "",
            sessions_max=self.sessions_max,
            rows_max=self.rows_max,
            bytes_max=self.bytes_max,
            does_wait=self.wait,
            break_glass=BreakGlass(**self.break_glass.model_dump()) if self.break_glass else None,
        )


class AccountTable(Table):
    """One item of `accounts` of a link. An issuer's name holds no space."""

    issuer: Annotated[Text, Field(pattern=r"^\S+$")]
    subject: Text


class LinkTable(Table):
    """`[[link]]`: accounts of one human being."""

    accounts: tuple[AccountTable, ...] = Field(min_length=2, max_length=100)

    @model_validator(mode="after")
    def _are_several(self) -> "LinkTable":
        if len(self.keys) < 2:
            raise ValueError("all of its accounts are the same; wanted are two or more different ones")
        return self

    @property
    def keys(self) -> frozenset[tuple[str, str]]:
        """The accounts."""
        return frozenset((each.issuer, each.subject) for each in self.accounts)


def people(links: tuple[tuple[str, LinkTable], ...]) -> People:
    """Who is who."""
    return People(link.keys for _, link in links)
