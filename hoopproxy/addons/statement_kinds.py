"""Refuses kinds of statement, whoever's columns they touch: no DROP here, no DELETE without WHERE there.

Reads the statement's tree, not its words, so that neither comments nor quotes hide a kind, and the bodies of functions
and DO blocks in it; what it can't read it refuses. It does not see what functions do that exist already.
"""

from collections.abc import Sequence
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field
from zope.interface import implementer, provider

from hoopproxy.access.binding import Binding, filled_with
from hoopproxy.events import SQL, Statement
from hoopproxy.hands import in_thread
from hoopproxy.interfaces import IAddonFactory, ISetting, IStatementGuard
from hoopproxy.masking.deeds import MISREAD, UNREADABLE, deeds
from hoopproxy.masking.kinds import known
from hoopproxy.masking.memory import SHORT_CHARACTERS_MAX
from hoopproxy.masking.syntax import Unreadable
from hoopproxy.model import Allow, Answer, Passage, Refuse

SENTENCE = "{kind} statements are not allowed on {target}: ask its owner, or send the statement another way."


type Kind = Annotated[str, AfterValidator(known)]
type Sentence = Annotated[str, filled_with("kind", "target")]


class Rule(Binding):
    """One [[addon.NAME.rule]] table: which kinds are refused, on which targets, to people with which roles."""

    deny: tuple[Kind, ...] = Field(min_length=1, description="Kinds of statement, such as DROP.")
    sentence: Sentence = Field(default=SENTENCE, description="What the client is told, with {kind} and {target} in it.")


class Settings(BaseModel):
    """The keys of an [addon.NAME] table with `use = "statement-kinds"`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    deny: tuple[Kind, ...] = Field(default=(), description="Kinds refused to everybody on every target.")
    sentence: Sentence = Field(default=SENTENCE, description="What the client is told about those.")
    rule: tuple[Rule, ...] = Field(default=(), description="Narrower rules.")
    statement_bytes_max: int = Field(
        default=262144, ge=1024, le=1048576, description="Longer statements are refused where a rule holds."
    )


@provider(IAddonFactory)
@implementer(IStatementGuard)
class StatementKinds:
    """Kinds of statement that may not leave."""

    summary = "Refuses kinds of statement, by target and role."
    settings = Settings

    @classmethod
    def build(cls, name: str, settings: Settings, setting: ISetting) -> "StatementKinds":
        """Make it."""
        for rule in settings.rule:
            rule.check(setting.targets)
        everywhere = [Rule(deny=settings.deny, sentence=settings.sentence)] if settings.deny else []
        return cls(name, (*everywhere, *settings.rule), settings.statement_bytes_max)

    def __init__(self, name: str, rules: Sequence[Rule], statement_bytes_max: int) -> None:
        self.name = name
        self._rules = rules
        self._statement_bytes_max = statement_bytes_max

    async def examine(self, passage: Passage, statement: Statement) -> Answer:
        """Refuse when one of the statements in the text, or within them, is of a kind that a rule denies."""
        rules = [rule for rule in self._rules if rule.binds(passage.permit)]
        if not rules or statement.action not in SQL:
            return Allow()
        if len(statement.text.encode("utf-8", "replace")) > self._statement_bytes_max:
            return Refuse(
                f"A statement of more than {self._statement_bytes_max} bytes can't be checked against the rules of "
                f"{passage.permit.target.name}: send it in parts."
            )
        try:
            if len(statement.text) <= SHORT_CHARACTERS_MAX:
                done = deeds(statement.text)
            else:
                done = await in_thread("statements", deeds, statement.text)
        except Unreadable:
            return Refuse(UNREADABLE.format(target=passage.permit.target.name))
        if any(each.misreads for each in done):
            return Refuse(MISREAD.format(target=passage.permit.target.name))
        found = frozenset(kind for each in done for kind in each.kinds)
        for rule in rules:
            for kind in rule.deny:
                if kind in found:
                    return Refuse(rule.sentence.format(kind=kind, target=passage.permit.target.name))
        return Allow()
