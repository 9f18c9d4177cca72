"""What may be asked for: a [[request]] table of policy.toml, and whether terms keep to it.

Knows neither who asks nor what became of it.
"""

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass

from hoopproxy.access.request import AccessRequest, ApprovalRule
from hoopproxy.access.terms import Terms
from hoopproxy.model import Assurance, Grant, SubjectKind, Target


@dataclass(frozen=True, slots=True)
class BreakGlass:
    """Who of those that may ask may take it at once, for how long, and until when somebody must have looked at it."""

    roles: frozenset[str]
    duration_s_max: float
    review_s_max: float


@dataclass(frozen=True, slots=True)
class RequestRule:
    """Who may ask for what, and who decides.

    People with one of `roles` may ask for accounts of targets for up to `duration_s_max`; the places are those of a
    standing grant, and what they get reveals the columns `reveals`. `ticket` is a pattern that the whole of a ticket's
    number must fit, "" where none is needed. Maxima of None: none but those of the gateway. With `does_wait` a client
    that connects while its request waits is kept waiting, too.
    """

    name: str
    roles: frozenset[str]
    targets: frozenset[str]
    accounts: frozenset[str]
    zone: str
    client_zones: tuple[str, ...]
    assurance_min: Mapping[SubjectKind, Assurance]
    duration_s_max: float
    pending_s_max: float
    approval: ApprovalRule
    reveals: frozenset[str] = frozenset()
    ticket: str = ""
    sessions_max: int | None = None
    rows_max: int | None = None
    bytes_max: int | None = None
    does_wait: bool = True
    break_glass: BreakGlass | None = None

    def breach(self, terms: Terms) -> str:
        """Why these terms may not be asked for under this rule: a full sentence, "" when they may."""
        if terms.target_name not in self.targets:
            return f"'{self.name}' is not for target '{terms.target_name}'."
        if not terms.accounts or terms.accounts - self.accounts:
            return f"'{self.name}' is for {_listed(self.accounts)}; ask for one of these accounts."
        if (terms.zone, terms.client_zones, terms.reveals) != (self.zone, self.client_zones, self.reveals):
            return f"'{self.name}' says something else now of places or columns than when it was asked for; ask anew."
        if not 0 < terms.duration_s <= self.duration_s_max:
            return f"'{self.name}' is for {_span(self.duration_s_max)} at most; ask for less."
        if self.ticket and not re.fullmatch(self.ticket, terms.ticket):
            return f"'{self.name}' needs the number of a ticket such as {self.ticket}; name it with --ticket."
        for name in ("sessions_max", "rows_max", "bytes_max"):
            most, asked = getattr(self, name), getattr(terms, name)
            if most is not None and (asked is None or asked > most):
                return f"'{self.name}' is for {most} {name.removesuffix('_max')} at most; ask for no more."
        return ""

    def grant(self, request: AccessRequest) -> Grant:
        """The right that an approved request gives, with what is left of it."""
        terms = request.terms
        rows_max, bytes_max = request.left
        return Grant(
            grant_id=grant_id(request.request_id),
            roles=self.roles,
            target_name=terms.target_name,
            accounts=terms.accounts,
            zone=terms.zone,
            client_zones=terms.client_zones,
            assurance_min=self.assurance_min,
            not_after_s=request.not_after_s,
            reveals=terms.reveals,
            rows_max=rows_max,
            bytes_max=bytes_max,
        )


def grant_id(request_id: str) -> str:
    """How sessions and the log name the grant of a request."""
    return f"request:{request_id}"


def request_id(grant: str) -> str | None:
    """The request behind a grant's id; None: it is another kind of grant."""
    return grant.removeprefix("request:") if grant.startswith("request:") else None


def pin(target: Target) -> str:
    """What a target is, in hex: approvals are for this endpoint with this proof, and void when it is another."""
    tls = target.tls
    parts = (
        target.protocol,
        target.host,
        str(target.port),
        target.zone,
        tls.server_name if tls else "",
        *sorted(tls.pins if tls else ()),
        *sorted(target.host_keys),
    )
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()


def _listed(names: frozenset[str]) -> str:
    return ", ".join(sorted(names))


def _span(duration_s: float) -> str:
    minutes, seconds = divmod(round(duration_s), 60)
    hours, minutes = divmod(minutes, 60)
    return " ".join(f"{count} {unit}" for count, unit in ((hours, "h"), (minutes, "min"), (seconds, "s")) if count)
