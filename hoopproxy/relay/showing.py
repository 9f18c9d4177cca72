"""A statement that waits, as JSON says it: to those who decide about it whole, to the operator without its literals.

Knows neither who asks nor what is decided.
"""

import re
from typing import Any

from hoopproxy.events import Format, Omitted, Parameter
from hoopproxy.relay.approvals import Request

_WITHHELD = re.compile(r"cookie|auth|token|secret|key|password|session", re.IGNORECASE)
"""Header fields whose values prove who somebody is: they are bound, and not shown."""


def outlined(request: Request) -> dict[str, Any]:
    """What may be known by whoever runs the gateway."""
    permit, statement, rule = request.passage.permit, request.statement, request.rule
    return {
        "approval_id": request.approval_id,
        "session_id": permit.session_id,
        "identity": permit.identity.name,
        "target": permit.target.name,
        "account": permit.account,
        "why": request.why,
        "statement": statement.outline,
        "parameters": len(statement.parameters),
        "since_s": request.since_s,
        "until_s": request.until_s,
        "decided_by": "operator" if rule is None else ", ".join(sorted(rule.roles)),
        "votes": sum(each.is_for for each in request.votes),
        "votes_min": 0 if rule is None else rule.votes_min,
    }


def whole(request: Request) -> dict[str, Any]:
    """Exactly what runs if it is approved, and its digest, which a vote names."""
    permit, statement = request.passage.permit, request.statement
    http = statement.http
    return {
        **outlined(request),
        "issuer": permit.identity.issuer,
        "subject": permit.identity.subject,
        "database": permit.database,
        "action": statement.action.value,
        "statement": statement.text,
        "parameters": [_value(each) for each in statement.parameters],
        "settings": list(statement.settings),
        "headers": [] if http is None else [[name, _field(name, value)] for name, value in http.headers],
        "statement_sha256": request.digest,
        "voted": [{"person": each.approver.person, "is_for": each.is_for, "note": each.note} for each in request.votes],
    }


def _value(parameter: Parameter) -> str | None:
    """A value as a person reads it: text, or the hex of what is none (PostgreSQL's `\\x…`)."""
    value = parameter.value
    if value is None:
        return None
    if isinstance(value, Omitted):
        return f"{value.bytes_count} bytes with SHA-256 {value.sha256}"
    if parameter.format is Format.TEXT:
        try:
            return value.decode()
        except UnicodeDecodeError:
            pass
    return f"\\x{value.hex()}"


def _field(name: str, value: str) -> str:
    return "(not shown)" if _WITHHELD.search(name) else value
