"""Which requests may leave, by method, path and header fields, and which people decide about: the first rule that fits.

A deny or approve holds for every spelling of a path that some server could take for it, an allow for the exact one.
Sees no body, and nothing of what a target makes of a request. Knows HTTP alone.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator
from zope.interface import implementer, provider

from hoopproxy.access.approvers import Approvers
from hoopproxy.access.binding import Binding, filled_with
from hoopproxy.events import Statement
from hoopproxy.interfaces import IAddonFactory, IApprovals, IAsksPeople, ISetting, IStatementGuard
from hoopproxy.model import Allow, Answer, Passage, Refuse, Target
from hoopproxy.requests import HttpRequest
from hoopproxy.wire.http.endpoints import Ambiguous, fits, plain
from hoopproxy.wire.http.fields import folded

SENTENCE = "{method} {path} is not allowed on {target}: ask its owner for what you need."

NEEDS = "On {target}, {method} {path} needs an approval."

PROTOCOLS = ("http", "kubernetes")

_REQUEST = re.compile(r"(\*|[A-Z]+(?:,[A-Z]+)*) (/\S*)")

_SEGMENT = r"/[^/*{}]*(?:\*|\{[^/*{}]*\})?[^/*{}]*"
_PATH = re.compile(rf"(?:{_SEGMENT})*(?:/(?:\*\*|\{{[^/*{{}}]*\*\}}))?")
"""One thing that may vary in each segment, and any rest at the end: compared in one pass, however long a path is."""


def _request(text: str) -> str:
    found = _REQUEST.fullmatch(text)
    if not found:
        raise ValueError(f'{text!r} is no request: wanted is one such as "GET /v1/**", "* /admin/*" or "PUT,POST /x"')
    if not _PATH.fullmatch(found[2]):
        raise ValueError(f"{text!r} has more than one * or {{}} between two slashes, or ** before its end")
    return text


type Request = Annotated[str, AfterValidator(_request)]
type Sentence = Annotated[str, filled_with("method", "path", "target")]


class Rule(Binding):
    """One [[addon.NAME.rule]] table: requests that are allowed, denied or left to people, on which targets, to which
    roles."""

    allow: tuple[Request, ...] = Field(default=(), description='Requests such as "GET /v1/customers/{id}".')
    deny: tuple[Request, ...] = Field(default=(), description='Requests such as "* /admin/**".')
    approve: tuple[Request, ...] = Field(default=(), description='Requests such as "DELETE /v1/**".')
    approvers: Approvers | None = Field(default=None, description="With approve: who decides; else the operator.")
    headers: Mapping[str, str] = Field(default={}, description="Fields that it takes, with shell patterns of values.")
    sentence: Sentence = Field(
        default=SENTENCE, description="What the client is told, with {method}, {path} and {target} in it."
    )

    @model_validator(mode="after")
    def _decides(self) -> "Rule":
        if sum(map(bool, (self.allow, self.deny, self.approve))) != 1:
            raise ValueError("wanted is exactly one of allow, deny and approve")
        if self.approvers is not None and not self.approve:
            raise ValueError("approvers belong to approve")
        return self


class Settings(BaseModel):
    """The keys of an [addon.NAME] table with `use = "request-rules"`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    default: Literal["allow", "deny"] = Field(default="allow", description="What holds where no rule fits.")
    sentence: Sentence = Field(default=SENTENCE, description="What the client is told where no rule fits.")
    rule: tuple[Rule, ...] = Field(default=(), description="In their order; the first that fits decides.")


@dataclass(frozen=True, slots=True)
class _Pattern:
    """One request of a rule, ready to be compared. GET is also HEAD, which tells of the same."""

    methods: frozenset[str]
    fits: Callable[[str], object]

    @classmethod
    def of(cls, text: str, *, loosely: bool) -> "_Pattern":
        found = _REQUEST.fullmatch(text)
        assert found is not None  # the settings were checked
        methods = frozenset(found[1].split(","))
        return cls(methods | {"HEAD"} if "GET" in methods else methods, fits(found[2], loosely=loosely))

    def means(self, request: HttpRequest) -> bool:
        return bool(self.methods & {"*", request.method} and self.fits(request.path))


@provider(IAddonFactory)
@implementer(IStatementGuard, IAsksPeople)
class RequestRules:
    """Requests that may not leave, or not like that."""

    summary = "Allows and refuses HTTP requests by method, path and header fields, by target and role."
    settings = Settings
    approvals: Any = None

    @classmethod
    def build(cls, name: str, settings: Settings, setting: ISetting) -> "RequestRules":
        """Make it."""
        for rule in settings.rule:
            rule.check(setting.targets)
            if rule.approvers is not None:
                rule.approvers.check({role.name for role in setting.policy.roles})
            for target in sorted(rule.targets):
                _speaks_http(setting.targets[target])
        return cls(name, settings)

    def __init__(self, name: str, settings: Settings) -> None:
        self.name = name
        self._default, self._sentence = settings.default, settings.sentence
        self._rules = [
            (rule, [_Pattern.of(each, loosely=not rule.allow) for each in rule.allow or rule.deny or rule.approve])
            for rule in settings.rule
        ]

    async def examine(self, passage: Passage, statement: Statement) -> Answer:
        """As the first rule has it that binds the person and fits the request."""
        request = statement.http
        rules = [(rule, patterns) for rule, patterns in self._rules if rule.binds(passage.permit)]
        if request is None or not (rules or self._default == "deny"):
            return Allow()
        try:
            plain(request.path)
        except Ambiguous as why:
            return Refuse(str(why))
        rule = _first(rules, request)
        if rule is None and self._default == "deny":
            return _refusal(self._sentence, request, passage)
        if rule and rule.approve:
            return self._asked(rule, request, passage, statement)
        return _refusal(rule.sentence, request, passage) if rule and rule.deny else Allow()

    def _asked(self, rule: Rule, request: HttpRequest, passage: Passage, statement: Statement) -> Answer:
        approvals: IApprovals = self.approvals
        why = _refusal(NEEDS if rule.sentence == SENTENCE else rule.sentence, request, passage).sentence
        return approvals.answer(passage, statement, why, rule.approvers and rule.approvers.approval)


def _speaks_http(target: Target) -> None:
    if target.protocol not in PROTOCOLS:
        raise ValueError(
            f"a rule names the target {target.name!r}, which speaks {target.protocol}; wanted is one over HTTP"
        )


def _first(rules: Sequence[tuple[Rule, Sequence[_Pattern]]], request: HttpRequest) -> Rule | None:
    """The first rule that fits."""
    fitting = (
        rule for rule, patterns in rules if any(each.means(request) for each in patterns) and _has_fields(rule, request)
    )
    return next(fitting, None)


def _has_fields(rule: Rule, request: HttpRequest) -> bool:
    """Whether the request's fields are those of the rule: one of several values is enough, but to allow it all of
    them must fit."""
    for name, pattern in rule.headers.items():
        values = [fnmatchcase(value, pattern) for each, value in request.headers if folded(each) == folded(name)]
        if not (values and (all(values) if rule.allow else any(values))):
            return False
    return True


def _refusal(sentence: str, request: HttpRequest, passage: Passage) -> Refuse:
    return Refuse(sentence.format(method=request.method, path=request.path, target=passage.permit.target.name))
