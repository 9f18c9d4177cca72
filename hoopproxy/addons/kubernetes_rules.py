"""Refuses requests to Kubernetes clusters by verb, resource, namespace and name: narrower than a cluster's own roles.

The first rule that fits decides. Knows nothing of what a request carries: a `create` may be of any name. What a cluster
itself refuses stays refused: the gateway's word comes before that, never in its place.
"""

from collections.abc import Iterable
from fnmatch import fnmatchcase
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator
from zope.interface import implementer, provider

from hoopproxy.access.approvers import Approvers
from hoopproxy.access.binding import Binding, filled_with
from hoopproxy.events import Statement
from hoopproxy.interfaces import IAddonFactory, IApprovals, IAsksPeople, ISetting, IStatementGuard
from hoopproxy.model import Allow, Answer, Passage, Permit, Refuse
from hoopproxy.requests import KubernetesRequest

SENTENCE = "{verb} {resource} is not allowed on {target}: ask its owner."

NEEDS = "On {target}, {verb} {resource} needs an approval."

VERBS = ("get", "list", "watch", "create", "update", "patch", "delete", "deletecollection", "head", "put", "post")
"""Those of Kubernetes' authorization; the last three are for paths that are no resources, as get, patch and delete."""

DISCOVERY = (
    "/api",
    "/api/*",
    "/apis",
    "/apis/*",
    "/openapi",
    "/openapi/*",
    "/version",
    "/healthz",
    "/livez",
    "/readyz",
)
"""What clients read before they do anything, and each cluster shows to everybody (ClusterRole `system:discovery`)."""


def _verb(verb: str) -> str:
    if verb != "*" and verb not in VERBS:
        raise ValueError(f'{verb!r} is no verb: wanted is "*" or one of {", ".join(VERBS)}')
    return verb


def _path(path: str) -> str:
    if not path.startswith(("/", "*")):
        raise ValueError(f'{path!r} is no path: it begins with "/"')
    return path


type Verb = Annotated[str, AfterValidator(_verb)]
type Path = Annotated[str, AfterValidator(_path)]
type Sentence = Annotated[str, filled_with("verb", "resource", "namespace", "name", "target")]
type Decision = Literal["allow", "deny", "approve"]


class Rule(Binding):
    """One [[addon.NAME.rule]] table. Patterns are a shell's, and "*" stands for "/", too; an empty list means all."""

    decision: Decision = Field(description='"allow", "deny" or "approve".')
    approvers: Approvers | None = Field(default=None, description="With approve: who decides; else the operator.")
    verbs: frozenset[Verb] = Field(default=frozenset(), description="Such as get, list, watch, create, delete.")
    resources: tuple[str, ...] = Field(
        default=(), description='Patterns such as "pods", "pods/exec", "apps/deployments", "*/scale".'
    )
    paths: tuple[Path, ...] = Field(default=(), description="Patterns of paths that are no resources.")
    namespaces: tuple[str, ...] = Field(default=(), description="Patterns of namespaces.")
    names: tuple[str, ...] = Field(default=(), description="Patterns of objects' names.")
    sentence: Sentence = Field(default=SENTENCE, description="What the client of a refused request is told.")

    @model_validator(mode="after")
    def _whole(self) -> "Rule":
        if self.approvers is not None and self.decision != "approve":
            raise ValueError("approvers belong to the decision approve")
        return self

    def fits(self, asked: KubernetesRequest, path: str) -> bool:
        """Whether the rule is about this request."""
        if self.verbs and not self.verbs & {asked.verb, "*"}:
            return False
        if not asked.resource:
            if self.resources or self.namespaces or self.names:
                return False
            return not self.paths or _fits(path, self.paths)
        if self.paths and not self.resources:
            return False
        return (
            (not self.resources or _fits(_full_name(asked), self.resources))
            and self._fits_place(asked)
            and (not self.names or self._fits_any(asked.name, self.names))
        )

    def _fits_place(self, asked: KubernetesRequest) -> bool:
        if not self.namespaces:
            return True
        if not asked.namespace and asked.name:
            return False  # it lies in no namespace at all
        return self._fits_any(asked.namespace, self.namespaces)

    def _fits_any(self, name: str, patterns: Iterable[str]) -> bool:
        """What names nothing may be about anything: an "allow" does not fit it, and the others do."""
        return _fits(name, patterns) if name else self.decision != "allow" or "*" in patterns


def _fits(text: str, patterns: Iterable[str]) -> bool:
    return any(fnmatchcase(text, pattern) for pattern in patterns)


def _full_name(asked: KubernetesRequest) -> str:
    return "/".join(filter(None, (asked.group, asked.resource, asked.subresource)))


class Settings(BaseModel):
    """The keys of an [addon.NAME] table with `use = "kubernetes-rules"`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    default: Literal["allow", "deny"] = Field(default="deny", description="What becomes of requests that no rule fits.")
    sentence: Sentence = Field(default=SENTENCE, description="What the client is told when that is deny.")
    rule: tuple[Rule, ...] = Field(default=(), description="The first that fits decides.")


@provider(IAddonFactory)
@implementer(IStatementGuard, IAsksPeople)
class KubernetesRules:
    """What may be asked of clusters."""

    summary = "Refuses requests to Kubernetes clusters by verb, resource, namespace and name."
    settings = Settings
    approvals: Any = None

    @classmethod
    def build(cls, name: str, settings: Settings, setting: ISetting) -> "KubernetesRules":
        """Make it."""
        for rule in settings.rule:
            rule.check(setting.targets)
            if rule.approvers is not None:
                rule.approvers.check({role.name for role in setting.policy.roles})
            for target in sorted(rule.targets):
                if setting.targets[target].kubernetes is None:
                    raise ValueError(f"a rule names the target {target!r}, which is no Kubernetes cluster")
        return cls(name, settings)

    def __init__(self, name: str, settings: Settings) -> None:
        self.name = name
        self._settings = settings

    async def examine(self, passage: Passage, statement: Statement) -> Answer:
        """What the first rule that fits says."""
        asked, permit = statement.kubernetes, passage.permit
        if asked is None:
            return Allow()
        path = statement.http.path if statement.http else ""
        for rule in self._settings.rule:
            if rule.binds(permit) and rule.fits(asked, path):
                if rule.decision == "approve":
                    return self._asked(rule, passage, statement, asked)
                return Allow() if rule.decision == "allow" else _refused(rule.sentence, asked, path, permit)
        if self._settings.default == "allow" or _is_discovery(asked, path):
            return Allow()
        return _refused(self._settings.sentence, asked, path, permit)

    def _asked(self, rule: Rule, passage: Passage, statement: Statement, asked: KubernetesRequest) -> Answer:
        approvals: IApprovals = self.approvals
        sentence, path = (
            NEEDS if rule.sentence == SENTENCE else rule.sentence,
            statement.http.path if statement.http else "",
        )
        why = _refused(sentence, asked, path, passage.permit).sentence
        return approvals.answer(passage, statement, why, rule.approvers and rule.approvers.approval)


def _is_discovery(asked: KubernetesRequest, path: str) -> bool:
    return not asked.resource and asked.verb in ("get", "head") and _fits(path.rstrip("/"), DISCOVERY)


def _refused(sentence: str, asked: KubernetesRequest, path: str, permit: Permit) -> Refuse:
    told = {
        "verb": asked.verb,
        "resource": _full_name(asked) or path,
        "namespace": asked.namespace,
        "name": asked.name,
        "target": permit.target.name,
    }
    return Refuse(sentence.format(**told))
