"""Rules on statements, by what they do: refused, warned of, left to people to approve, or bounded in their rows.

Of SQL it reads the tree, not the words; of what is to run over SSH, the words. What cannot be read is refused where a
rule could have refused it. All rules that bind and fit count: one that denies goes before one that asks for approval,
and that before warnings and bounds.
"""

import re
from collections.abc import Iterator, Sequence
from fnmatch import fnmatchcase
from functools import lru_cache
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator
from zope.interface import implementer, provider

from hoopproxy.access.approvers import Approvers
from hoopproxy.access.binding import Binding, filled_with
from hoopproxy.events import SQL, Action, Statement
from hoopproxy.hands import in_thread
from hoopproxy.interfaces import IAddonFactory, IApprovals, IAsksPeople, ISetting, IStatementGuard
from hoopproxy.masking import kinds
from hoopproxy.masking.deeds import MISREAD, UNREADABLE, WORDS, Deeds, deeds
from hoopproxy.masking.memory import SHORT_CHARACTERS_MAX
from hoopproxy.masking.syntax import Unreadable, fold
from hoopproxy.masks import Named
from hoopproxy.model import Allow, Answer, Passage, Refuse

SENTENCES = {
    "deny": "{what} is not allowed on {target}: ask its owner, or send the statement another way.",
    "warn": "This statement has {what} in it, which the owner of {target} wants you to think about.",
    "approve": "On {target}, {what} needs an approval.",
}
"""Without a sentence of the rule's own."""

REMEMBERED = 4096

_KEPT = "On {target}, what needs an approval can't be prepared by PREPARE: send it as a statement of its own."
_LONG = "A statement of more than {bytes_max} bytes can't be checked against the rules of {target}: send it in parts."


def _word(word: str) -> str:
    if word not in WORDS:
        raise ValueError(f"{word!r} is no word: wanted is one of {', '.join(WORDS)}")
    return word


def _name(name: str) -> str:
    if not re.fullmatch(r'(?:[^."*]+\.)?[^."*]+|[^."*]+\.\*', name):
        raise ValueError(f'{name!r} is no name: wanted is one such as "payroll", "public.payroll" or "archive.*"')
    return name


def _parts(name: str) -> Named:
    """A schema, "" for any, and a name in it; folded on the safe side, so that case does not count."""
    schema, _, bare = name.rpartition(".")
    return fold(schema), fold(bare)


type Word = Annotated[str, AfterValidator(_word)]
type Kind = Annotated[str, AfterValidator(kinds.known)]
type Name = Annotated[str, AfterValidator(_name)]
type Sentence = Annotated[str, filled_with("what", "target")]


class Rule(Binding):
    """One [[addon.NAME.rule]] table: what becomes of statements that do one of these things, on which targets, by whom.

    With `tables` it must name one of those as well.
    """

    effect: Literal["deny", "warn", "approve", "limit"] = Field(description="What becomes of a statement that fits.")
    match: frozenset[Word] = Field(default=frozenset(), description="Words such as ddl, delete-without-where.")
    kinds: frozenset[Kind] = Field(default=frozenset(), description="Kinds of statement, such as DROP.")
    functions: tuple[Name, ...] = Field(default=(), description="Functions that are called: pg_sleep, public.f.")
    tables: tuple[Name, ...] = Field(default=(), description="Tables that are named: public.payroll, archive.*.")
    commands: tuple[str, ...] = Field(default=(), description="Over SSH, patterns: exec *, shell, subsystem sftp.")
    rows_max: int = Field(default=0, ge=0, description="With limit: so many rows of a result.")
    approvers: Approvers | None = Field(default=None, description="With approve: who decides; else the operator.")
    sentence: Sentence = Field(default="", description="What people are told, with {what} and {target} in it.")

    @model_validator(mode="after")
    def _whole(self) -> "Rule":
        if (self.effect == "limit") != bool(self.rows_max):
            raise ValueError("rows_max belongs to the effect limit, which needs it")
        if self.effect == "limit" and self.sentence:
            raise ValueError("the effect limit has no sentence: what ends a result says how many rows it had")
        of_sql = self.match or self.kinds or self.functions or self.tables
        if self.effect != "limit" and not (of_sql or self.commands):
            raise ValueError("wanted is at least one of match, kinds, functions and tables, or commands")
        if self.commands and (of_sql or self.effect == "limit"):
            raise ValueError("commands are of SSH, and stand alone: with deny, warn or approve")
        if self.approvers is not None and self.effect != "approve":
            raise ValueError("approvers belong to the effect approve")
        return self

    @property
    def is_strict(self) -> bool:
        """Whether it may keep a statement from the target: then nothing goes by unread."""
        return self.effect in ("deny", "approve")

    def command(self, text: str) -> str:
        """What is to run, if the rule is about it; else ""."""
        return text if any(fnmatchcase(text, pattern) for pattern in self.commands) else ""

    def fits(self, done: Sequence[Deeds]) -> str:
        """What one of the statements of a text does of what this rule is about, in words; "" for none of it."""
        return next(filter(None, map(self._does, done)), "")

    def bounds(self, done: Sequence[Deeds]) -> bool:
        """Whether it bounds the rows of one of them. Those of FETCH and EXECUTE may be of any query."""
        is_opaque = "unbounded-select" in self.match and any(each.is_opaque for each in done)
        return self.effect == "limit" and (is_opaque or bool(self.fits(done)))

    def said(self, what: str, target: str) -> str:
        """The sentence for a statement that it fits, which does that."""
        return (self.sentence or SENTENCES[self.effect]).format(what=what, target=target)

    def _does(self, done: Deeds) -> str:
        table = next((name for name in self.tables if _is_named(_parts(name), done.tables)), "")
        if self.tables and not table:
            return ""
        if not (self.match or self.kinds or self.functions):
            return table or "this"
        return next(self._deed(done), "")

    def _deed(self, done: Deeds) -> Iterator[str]:
        yield from (phrase for word, phrase in WORDS.items() if word in self.match & done.words)
        yield from sorted(self.kinds & done.kinds)
        for name in self.functions:
            if _is_named(_parts(name), done.functions) or _parts(name)[1] in done.fields:
                yield f"the function {name}"


def _is_named(wanted: Named, named: frozenset[Named]) -> bool:
    """Whether one of the names that a statement has is the wanted one. Without a schema either may be of any."""
    schema, bare = wanted
    if bare == "*":
        return any(each == schema for each, _ in named)
    if not schema:
        return any(each == bare for _, each in named)
    return bool(named & {wanted, ("", bare), (schema, "*")})


class Settings(BaseModel):
    """The keys of an [addon.NAME] table with `use = "statement-rules"`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    rule: tuple[Rule, ...] = Field(default=(), description="All that bind and fit count.")
    statement_bytes_max: int = Field(
        default=262144, ge=1024, le=1048576, description="Longer statements are refused where one could be denied."
    )


@provider(IAddonFactory)
@implementer(IStatementGuard, IAsksPeople)
class StatementRules:
    """Statements that may not leave, or not like that."""

    summary = "Refuses, warns of, bounds or has approved SQL statements by what they do, by target and role."
    settings = Settings
    approvals: Any = None

    @classmethod
    def build(cls, name: str, settings: Settings, setting: ISetting) -> "StatementRules":
        """Make it."""
        for rule in settings.rule:
            rule.check(setting.targets)
            if rule.approvers is not None:
                rule.approvers.check({role.name for role in setting.policy.roles})
        return cls(name, settings)

    def __init__(self, name: str, settings: Settings) -> None:
        self.name = name
        self._rules, self._bytes_max = settings.rule, settings.statement_bytes_max
        self._remembered = lru_cache(REMEMBERED)(deeds)

    async def examine(self, passage: Passage, statement: Statement) -> Answer:
        """As all rules have it that bind the session and fit the statement."""
        rules = [rule for rule in self._rules if rule.binds(passage.permit)]
        if statement.action is Action.RUN and statement.http is None:
            return self._command(passage, statement, rules)
        rules = [rule for rule in rules if not rule.commands]
        if not rules or statement.action not in SQL:
            return Allow()
        target = passage.permit.target.name
        try:
            done = await self._deeds(statement.text)
        except Unreadable as why:
            if any(rule.is_strict for rule in rules):
                sentence = _LONG if isinstance(why, TooLong) else UNREADABLE
                return Refuse(sentence.format(target=target, bytes_max=self._bytes_max))
            return Allow(rows_max=_least(rules))
        if refused := _refused(rules, done, target):
            return Refuse(refused)
        if statement.action is Action.PREPARE:
            return Allow()  # nothing runs yet
        approving, bounding = _fitting("approve", rules, done), [rule for rule in rules if rule.bounds(done)]
        if approving:
            decided = self._decided(passage, statement, approving, done)
            if not isinstance(decided, Allow):
                return decided
        warnings = (rule.said(rule.fits(done), target) for rule in _fitting("warn", rules, done))
        return Allow(" ".join(warnings), _least(bounding))

    def _command(self, passage: Passage, statement: Statement, rules: Sequence[Rule]) -> Answer:
        """The same, of what is to run over SSH."""
        target, text = passage.permit.target.name, statement.text
        fitting = [rule for rule in rules if rule.command(text)]
        for effect in ("deny", "approve"):
            for rule in fitting:
                if rule.effect == effect:
                    why = rule.said(text, target)
                    return Refuse(why) if effect == "deny" else self._asked(passage, statement, why, fitting)
        return Allow(" ".join(rule.said(text, target) for rule in fitting))

    def _decided(
        self, passage: Passage, statement: Statement, approving: Sequence[Rule], done: Sequence[Deeds]
    ) -> Answer:
        """What people say, who must be shown what is asked for; and asked each time."""
        why = approving[0].said(approving[0].fits(done), passage.permit.target.name)
        if any(each.is_kept for each in done):
            return Refuse(_KEPT.format(target=passage.permit.target.name))
        if not statement.outline:
            return Refuse(f"{why} It is too long to be shown to somebody, so it can't have one: send it in parts.")
        return self._asked(passage, statement, why, approving)

    def _asked(self, passage: Passage, statement: Statement, why: str, rules: Sequence[Rule]) -> Answer:
        """The first rule that names people has the word: the operator decides only where none does."""
        approvers = next((rule.approvers for rule in rules if rule.approvers is not None), None)
        approvals: IApprovals = self.approvals
        return approvals.answer(passage, statement, why, approvers and approvers.approval)

    async def _deeds(self, text: str) -> tuple[Deeds, ...]:
        if len(text.encode("utf-8", "replace")) > self._bytes_max:
            raise TooLong
        if len(text) <= SHORT_CHARACTERS_MAX:
            return self._remembered(text)
        return await in_thread("statements", deeds, text)


class TooLong(Unreadable):
    """More than `statement_bytes_max`."""


def _refused(rules: Sequence[Rule], done: Sequence[Deeds], target: str) -> str:
    """Why the statement is refused whoever might approve it; "" when it is not."""
    if any(rule.is_strict for rule in rules) and any(each.misreads for each in done):
        return MISREAD.format(target=target)
    denying = _fitting("deny", rules, done)
    return denying[0].said(denying[0].fits(done), target) if denying else ""


def _fitting(effect: str, rules: Sequence[Rule], done: Sequence[Deeds]) -> list[Rule]:
    return [rule for rule in rules if rule.effect == effect and rule.fits(done)]


def _least(rules: Sequence[Rule]) -> int:
    return min((rule.rows_max for rule in rules if rule.rows_max), default=0)
