"""From what somebody types who asks for access to the terms that others decide about.

Knows neither who decides nor what becomes of it.
"""

from collections.abc import Mapping

from hoopproxy.access.caller import Caller
from hoopproxy.access.in_force import InForce
from hoopproxy.access.policy import Policy
from hoopproxy.access.request import NotPossible
from hoopproxy.access.request_rule import RequestRule, pin
from hoopproxy.access.terms import Terms
from hoopproxy.access.wish import TEXT_CHARACTERS_MAX, Wish
from hoopproxy.model import Target


def rule_for(
    policy: Policy | InForce, targets: Mapping[str, Target], caller: Caller, wish: Wish, *, is_break_glass: bool
) -> RequestRule:
    """The first rule under which he may ask for it. @raise NotPossible: there is none, or no such target."""
    for rule in policy.requests:
        if (
            rule.roles & caller.roles
            and wish.target_name in rule.targets
            and wish.target_name in targets
            and wish.rule in ("", rule.name)
            and (not wish.accounts or wish.accounts <= rule.accounts)
            and (not is_break_glass or (rule.break_glass and rule.break_glass.roles & caller.roles))
        ):
            return rule
    how = " at once, in an emergency," if is_break_glass else ""
    raise NotPossible(
        f"You may not ask{how} for access to '{wish.target_name}' with these accounts, or there is no such target; "
        "check the names, or ask the owner of the data."
    )


def terms_of(
    caller: Caller, wish: Wish, rule: RequestRule, target: Target | None, policy_revision: str, nonce: str
) -> Terms:
    """What is asked for, in full. @raise NotPossible: it lacks a reason, or its words are none."""
    if target is None or not (reason := line(wish.reason, "reason")):
        raise NotPossible("A request needs a reason; name it with --reason.")
    return Terms(
        requester=caller.person,
        rule=rule.name,
        target_name=target.name,
        target_pin=pin(target),
        accounts=wish.accounts or rule.accounts.intersection(target.accounts),
        zone=rule.zone,
        client_zones=rule.client_zones,
        reveals=rule.reveals,
        reason=reason,
        ticket=line(wish.ticket, "ticket"),
        duration_s=float(round(wish.duration_s)),
        policy_revision=policy_revision,
        nonce=nonce,
        not_before_s=float(round(wish.not_before_s)),
        sessions_max=rule.sessions_max if wish.sessions_max is None else wish.sessions_max,
        rows_max=rule.rows_max if wish.rows_max is None else wish.rows_max,
        bytes_max=rule.bytes_max if wish.bytes_max is None else wish.bytes_max,
        renews=wish.renews,
    )


def line(text: str, what: str) -> str:
    """One line, as it is shown to people and to terminals. @raise NotPossible"""
    text = " ".join(text.split())
    if len(text) > TEXT_CHARACTERS_MAX or not text.isprintable():
        raise NotPossible(f"The {what} is one line of up to {TEXT_CHARACTERS_MAX} printable characters.")
    return text
