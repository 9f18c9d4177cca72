"""Masks values by what they look like, wherever they come from: card numbers, e-mail addresses, what patterns say.

Reads rules and picks fields; what an entity is, and what becomes of one, is `hoopproxy.masking.content`'s to know.
"""

from collections.abc import Iterable, Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field
from zope.interface import implementer, provider

from hoopproxy.access.binding import Binding
from hoopproxy.events import Field as Column
from hoopproxy.events import Shape
from hoopproxy.interfaces import IAddonFactory, IMasker, ISetting
from hoopproxy.masking.content.cells import Treatment
from hoopproxy.masking.content.detector import Detector, detector_of
from hoopproxy.masking.content.entities import ENTITIES, USUAL
from hoopproxy.masking.content.entity import Certainty, Entity
from hoopproxy.masking.content.marks import Style
from hoopproxy.masking.content.patterns import Pattern
from hoopproxy.masking.fields import covers, steps
from hoopproxy.masking.types import Kind
from hoopproxy.masks import Mask, PerCell
from hoopproxy.model import Passage, Permit


def _pattern(text: str) -> str:
    Pattern(text)
    return text


def _place(text: str) -> str:
    endpoint, blank, path = text.partition(" ")
    if blank:
        try:
            steps(path)
        except ValueError as why:
            raise ValueError(f"{text!r} names no field: wanted is `ENDPOINT $.path`, as in policy.toml") from why
    elif endpoint.count(".") != 2 and endpoint != "*":
        raise ValueError(f"{text!r} names no column: wanted is `schema.table.column`, each a name or a shell pattern")
    return text


class OwnPattern(BaseModel):
    """One [[addon.NAME.pattern]] table: an entity of one's own."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str = Field(pattern=r"^[a-z][a-z0-9-]{0,30}$", description="What rules call it, and its label.")
    pattern: Annotated[str, AfterValidator(_pattern)] = Field(
        description="How it is written, for RE2; where it has a group, the first is what is masked."
    )
    context: tuple[str, ...] = Field(default=(), description="Words of which one must stand near; empty: none.")

    def entity(self) -> Entity:
        """The same as those of the table."""
        strong, weak = ((), (self.pattern,)) if self.context else ((self.pattern,), ())
        return Entity(
            self.name, "", "", "", strong=strong, weak=weak, words=self.context, certainty=Certainty.STRUCTURE
        )


class Rule(Binding):
    """One [[addon.NAME.rule]] table: what is looked for in which fields, and what becomes of it."""

    entities: tuple[str, ...] = Field(default=(), description="Names of entities and own patterns; empty: the usual.")
    columns: tuple[Annotated[str, AfterValidator(_place)], ...] = Field(
        default=(), description="`schema.table.column`, or `ENDPOINT $.path`; empty: every field."
    )
    mask: Style = Field(default=Style.REDACT, description="`redact`, `partial` or `whole`.")

    def covers(self, field: Column) -> bool:
        """Whether it speaks of the field. One whose origin nobody knows may be any."""
        if not self.columns or not field.path:
            return True
        return any(covers(each, field.path) if " " in each else fnmatchcase(field.path, each) for each in self.columns)


class Settings(BaseModel):
    """The keys of an [addon.NAME] table with `use = "content-masks"`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    rule: tuple[Rule, ...] = Field(default=(Rule(),), description="Of two that speak of an entity the first counts.")
    pattern: tuple[OwnPattern, ...] = Field(default=(), description="Entities of one's own.")


@provider(IAddonFactory)
@implementer(IMasker)
class ContentMasks:
    """Entities that no session under a rule is shown."""

    summary = "Masks card numbers, e-mail addresses, national identifiers, … wherever they stand."
    settings = Settings

    @classmethod
    def build(cls, name: str, settings: Settings, setting: ISetting) -> "ContentMasks":
        """Make it; all patterns are compiled now."""
        entities = dict(ENTITIES)
        for own in settings.pattern:
            if own.name in entities:
                raise ValueError(f"the pattern {own.name!r} has the name of another entity: call it something else")
            entities[own.name] = own.entity()
        usual = (*USUAL, *(own.name for own in settings.pattern))
        for rule in settings.rule:
            unknown = set(rule.entities) - entities.keys()
            if unknown:
                raise ValueError(f"a rule names the entity {min(unknown)!r}, which is neither built in nor a pattern")
            if rule.targets:
                rule.check(setting.targets)
        return cls(name, settings.rule, entities, usual)

    def __init__(self, name: str, rules: Sequence[Rule], entities: Mapping[str, Entity], usual: Sequence[str]) -> None:
        self.name = name
        self._rules = [(rule, rule.entities or tuple(usual)) for rule in rules]
        self._entities = entities
        for _, names in self._rules:
            self._detector(names)

    def _detector(self, names: Iterable[str]) -> Detector:
        return detector_of(tuple(self._entities[each] for each in names))

    async def protects(self, permit: Permit) -> frozenset[str]:
        """Values, whatever they come from, where a rule binds the session."""
        return frozenset({"*"} if any(rule.binds(permit) for rule, _ in self._rules) else ())

    async def plan(self, passage: Passage, shape: Shape) -> Mapping[int, Mask]:
        """A function for each field of a type in which something can be found."""
        rules = [(rule, names) for rule, names in self._rules if rule.binds(passage.permit)]
        plan: dict[int, Mask] = {}
        for index, field in enumerate(shape.fields):
            styles: dict[str, Style] = {}
            for rule, names in rules:
                if rule.covers(field):
                    styles = {**dict.fromkeys(names, rule.mask), **styles}
            if not styles:
                continue
            detector = self._detector(styles)
            treatment = Treatment(detector, styles, detector.named(_name(field)))
            kind = Kind(field.type_oid, field.type_modifier, field.format)
            if cells := treatment.cells(kind):
                plan[index] = PerCell(cells, self.name, reads_binary=True)
        return plan


def _name(field: Column) -> bytes:
    """What may say what a field holds: the column's name, and for JSON the names of the members that lead to it."""
    _, blank, path = field.path.partition(" ")
    return f"{path if blank else field.path.rpartition('.')[2]} {field.name}".encode()
