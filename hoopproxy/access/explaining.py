"""Why somebody may or may not reach a target, rule by rule: as admission decides it, told beforehand.

Pure. Takes where the client and the three other places lie from whoever asks; how well that is known is told only when
somebody connects. Knows no addon but by the tables that say whom its rules bind.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from hoopproxy.access.binding import Binding
from hoopproxy.access.changes import in_words
from hoopproxy.access.policy import GrantRule, Policy
from hoopproxy.access.request_rule import RequestRule
from hoopproxy.model import SubjectKind, Target

YES, NO, NOTE = "yes", "no", "note"


@dataclass(frozen=True, slots=True)
class Question:
    """Who wants to go where. `account` "" leaves it to the gateway; `target` None is one that is not there.

    `places` are the zones that each of the four places lies in. `at_s` is POSIX time.
    """

    groups: frozenset[str]
    target: Target | None
    account: str
    places: Mapping[SubjectKind, frozenset[str]]
    at_s: float


@dataclass(frozen=True, slots=True)
class Guard:
    """A statement guard of the configuration: whom each of its rules binds."""

    name: str
    use: str
    bindings: tuple[Binding, ...]


@dataclass(frozen=True, slots=True)
class Step:
    """One rule that was looked at: `outcome` is "yes", "no" or "note"; `why` is in words."""

    rule: str
    outcome: str
    why: str


@dataclass(frozen=True, slots=True)
class Explanation:
    """What comes of it. `grant` and `account` are those by which somebody would come in, "" where nobody does.

    `not_after_s` is the latest end of such a session by that grant. `requests` are the rules under which somebody may
    ask for it.
    """

    is_allowed: bool
    roles: frozenset[str]
    grant: str
    account: str
    not_after_s: float
    requests: tuple[str, ...]
    steps: tuple[Step, ...]


def explain(policy: Policy, question: Question, guards: Sequence[Guard] = ()) -> Explanation:
    """Each rule in the order in which it is asked, and what follows."""
    roles = frozenset(role.name for role in policy.roles if role.groups & question.groups)
    steps = [
        Step(f"role {role.name}", YES, f"by the group {min(role.groups & question.groups)}")
        if role.name in roles
        else Step(f"role {role.name}", NO, f"it needs one of the groups {_listed(role.groups)}")
        for role in policy.roles
    ]
    target = question.target
    if target is None:
        return Explanation(False, roles, "", "", 0.0, (), (*steps, Step("target", NO, "there is none of that name")))
    account, chosen = _account(policy, question, target, roles), None
    for rule in policy.grants:
        refused = _refused(rule, question, target, account, roles)
        if refused:
            steps.append(Step(f"grant {rule.name}", NO, refused))
        elif chosen is None:
            chosen = rule
            steps.append(Step(f"grant {rule.name}", YES, _given(rule, account)))
        else:
            steps.append(Step(f"grant {rule.name}", NOTE, f"it would do, too; {chosen.name} comes first"))
    requests = []
    for each in policy.requests:
        refused = _out_of_reach(each, question, target, question.account, roles)
        steps.append(Step(f"request {each.name}", NO if refused else NOTE, refused or "it may be asked for"))
        requests += [] if refused else [each.name]
    if chosen is not None:
        steps += _hidden(policy, chosen, question, target, roles)
        steps += _guarded(guards, target, roles)
    return Explanation(
        is_allowed=chosen is not None,
        roles=roles,
        grant=chosen.name if chosen else "",
        account=account if chosen else "",
        not_after_s=(chosen.closes_s(question.at_s) or 0.0) if chosen else 0.0,
        requests=tuple(requests),
        steps=tuple(steps),
    )


def _account(policy: Policy, question: Question, target: Target, roles: frozenset[str]) -> str:
    """The account asked for, or the one that admission picks: the target's first that the first grant has."""
    if question.account:
        return question.account
    for grant in policy.grants_for(roles, target.name, question.at_s):
        if fitting := [account for account in target.accounts if account in grant.accounts]:
            return fitting[0]
    return ""


def _refused(rule: GrantRule, question: Question, target: Target, account: str, roles: frozenset[str]) -> str:
    """What keeps a grant from being somebody's, in the order in which it is asked; "" for nothing."""
    if refused := _out_of_reach(rule, question, target, account, roles):
        return refused
    if rule.closes_s(question.at_s) is None:
        return f"it holds {in_words(rule.hours)}, and not on {datetime.fromtimestamp(question.at_s, UTC):%a %H:%M} UTC"
    return ""


def _out_of_reach(
    rule: GrantRule | RequestRule, question: Question, target: Target, account: str, roles: frozenset[str]
) -> str:
    """The same, of what a grant and a request have in common."""
    if not rule.roles & roles:
        return f"it is for {_listed(rule.roles)}"
    if target.name not in rule.targets:
        return f"it is for the targets {_listed(rule.targets)}"
    accounts = rule.accounts & target.accounts.keys()
    if not (accounts & {account} if account else accounts):
        return f"it is for the accounts {_listed(rule.accounts)}"
    for kind, zones in question.places.items():
        wanted = frozenset(rule.client_zones) if kind is SubjectKind.CLIENT else frozenset({rule.zone})
        if not zones & wanted:
            return f"the {kind.value} must lie in {' or '.join(sorted(wanted))}"
    return ""


def _given(rule: GrantRule, account: str) -> str:
    """What somebody gets by it, and what is still to be shown."""
    parts = [f"as {account}", f"for up to {rule.duration_s_max:g} s"]
    if rule.hours is not None:
        parts.append(f"in its hours, {in_words(rule.hours)}")
    if rule.actions:
        parts.append(f"to do no more than {_listed(rule.actions)}")
    needed = [f"{kind.value} {wanted.name.lower()}" for kind, wanted in rule.assurance_min.items()]
    if needed:
        parts.append(f"if these places are known so well: {', '.join(sorted(needed))}")
    return "; ".join(parts)


def _hidden(policy: Policy, rule: GrantRule, question: Question, target: Target, roles: frozenset[str]) -> list[Step]:
    zones = question.places.get(SubjectKind.CLIENT, frozenset())
    masks = {
        mask.column: type(mask.mask).__name__.lower()
        for database in target.databases or ("",)
        for mask in reversed(policy.masks_for(target.name, database, roles, zones, rule.reveals))
    }
    fields, regulated = policy.fields_for(target.name, roles, zones)
    documents = {f"{each.endpoint} {each.field}".strip(): type(each.mask).__name__.lower() for each in fields}
    return [
        *(Step(f"mask {name}", NOTE, f"hidden: {kind}") for name, kind in sorted((masks | documents).items())),
        *(Step(f"regulated {each.endpoint}", NOTE, f"shown: {', '.join(each.fields)}") for each in regulated),
    ]


def _guarded(guards: Sequence[Guard], target: Target, roles: frozenset[str]) -> list[Step]:
    found = []
    for guard in guards:
        binding = sum(each.holds(target.name, roles) for each in guard.bindings)
        said = f"{binding} of its {len(guard.bindings)} rules bind" if guard.bindings else "asked about each statement"
        found.append(Step(f"guard {guard.name}", NOTE, f"{guard.use}: {said}"))
    return found


def _listed(names: frozenset[str]) -> str:
    return ", ".join(sorted(names))
