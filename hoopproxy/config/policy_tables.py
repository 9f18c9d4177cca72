"""The shape of every table of policy.toml: its keys, their types, ranges and defaults.

Says what is well-formed on its own; whether names lead anywhere is `hoopproxy.config.references`' question.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from hoopproxy.access.actions import is_word
from hoopproxy.config.opening import HoursTable
from hoopproxy.config.sentences import Form, settings
from hoopproxy.config.tables import Name, Table, Text, text
from hoopproxy.masking import documents, fields
from hoopproxy.model import Assurance, SubjectKind


def _json_path(text: str) -> str:
    fields.steps(text)
    return text


def _document_path(text: str) -> str:
    documents.branch((text,))
    return text


PATHS_MAX = 100
"""Each is a piece of the query that shows a column."""

type Column = Annotated[str, text('a column as "schema.table.column"', r"[^.\x00]+\.[^.\x00]+\.[^.\x00]+")]
type JsonPath = Annotated[str, AfterValidator(Form('a path such as "$.cards[*].number" or "$..iban"', _json_path))]
type DocumentPath = Annotated[
    str,
    AfterValidator(
        Form(
            'a path such as "$.medical.diagnosis" or "$.cards[*].number", without "..", as a column\'s document is not '
            "searched at any depth",
            _document_path,
        )
    ),
]
# Behind a check of `mask` itself nothing is JSON any more, and an array no tuple to strict mode.
type DocumentPaths = Annotated[
    tuple[DocumentPath, ...],
    BeforeValidator(lambda raw: tuple(raw) if isinstance(raw, list) else raw),
    Field(max_length=PATHS_MAX),
]
type Where = Annotated[
    str,
    text('a path template of the target, or in a cluster "RESOURCE" or "GROUP/RESOURCE"', r"[^\x00-\x20\x7f]{1,255}"),
]


def _action(text: str) -> str:
    if not is_word(text):
        raise ValueError(text)
    return text


type Action = Annotated[
    str, AfterValidator(Form('what may be done on a target, such as "read", "shell", "GET" or "list"', _action))
]


class RoleTable(Table):
    """`[[role]]`."""

    name: Name
    groups: frozenset[Text] = Field(min_length=1)


type Class = Literal["declared", "corroborated", "attested", "measured"]


class AssuranceTable(Table):
    """`assurance_min` of a grant: how well each of the four places must be known."""

    destination: Class | None = None
    client: Class | None = None
    gateway: Class | None = None
    storage: Class | None = None

    def values(self) -> Mapping[SubjectKind, Assurance]:
        """The places that are named, with their class."""
        return {SubjectKind(place): Assurance[name.upper()] for place, name in self.model_dump().items() if name}


class GrantTable(Table):
    """`[[grant]]`."""

    name: Name
    roles: frozenset[Name] = Field(min_length=1)
    targets: frozenset[Name] = Field(min_length=1)
    accounts: frozenset[Text] = Field(min_length=1)
    zone: Text
    client_zones: tuple[Text, ...] = Field(min_length=1)
    assurance_min: AssuranceTable = AssuranceTable()
    duration_s_max: float = Field(ge=1, le=31536000)
    reveals: frozenset[Column] = frozenset()
    hours: HoursTable | None = None
    actions: Annotated[frozenset[Action], Field(min_length=1)] | None = None


class RevealTable(Table):
    """One item of `reveal`."""

    roles: frozenset[Name] = Field(min_length=1)
    client_zones: frozenset[Text] = Field(min_length=1)


class PartialTable(Table):
    """`mask = {partial = {…}}`."""

    first: int = Field(0, ge=0, le=1000)
    last: int = Field(4, ge=0, le=1000)


class GeneraliseTable(Table):
    """`mask = {generalise = {…}}`."""

    step: int = Field(ge=2, le=10**18)


class HashTable(Table):
    """`mask = {hash = {…}}`."""

    key_file: Path


class TokenTable(Table):
    """`mask = {token = {…}}`."""

    key_file: Path


class JsonTable(Table):
    """`mask = {json = {…}}`."""

    show: DocumentPaths = ()
    hide: DocumentPaths = ()

    @model_validator(mode="after")
    def _means_one_thing(self) -> "JsonTable":
        if bool(self.show) == bool(self.hide):
            raise ValueError("wanted is exactly one of show, the paths that alone are shown, and hide, which are not")
        return self


class MaskKind(Table):
    """What stands behind `mask`: exactly one of these."""

    redact: Table | None = None
    nullify: Table | None = None
    partial: PartialTable | None = None
    truncate: Literal["year", "month"] | None = None
    generalise: GeneraliseTable | None = None
    hash: HashTable | None = None
    token: TokenTable | None = None
    document: JsonTable | None = Field(None, alias="json")  # pydantic's own models have a `json`


_MASKS = (
    'wanted is "redact", "nullify", {partial = {first = 0, last = 4}}, {truncate = "year"}, '
    '{generalise = {step = 1000}}, {hash = {key_file = "…"}}, {token = {key_file = "…"}} or {json = {show = ["$.…"]}}'
)


def _mask(raw: Any) -> Any:
    if isinstance(raw, str) and raw in ("redact", "nullify"):
        return {raw: {}}
    if not isinstance(raw, Mapping) or (len(raw) != 1 and set(raw) <= settings(MaskKind).keys()):
        raise ValueError(_MASKS)
    return raw


class MaskTable(Table):
    """`[[mask]]`."""

    target: Name
    databases: frozenset[Text] = frozenset()
    column: Column | None = None
    endpoint: Where | None = None
    field: JsonPath | None = None
    mask: Annotated[MaskKind, BeforeValidator(_mask)]
    reveal: tuple[RevealTable, ...] = ()

    @model_validator(mode="after")
    def _means_one_thing(self) -> "MaskTable":
        if (self.column is None) == (self.field is None):
            raise ValueError("wanted is exactly one of column, which is a database's, and field, which is of JSON")
        if self.column is not None and self.endpoint is not None:
            raise ValueError("endpoint belongs to field; a column has none")
        if self.field is not None and self.mask.document is not None:
            raise ValueError("json belongs to column, which holds documents; a field is a place in one")
        if self.field is not None and self.databases:
            raise ValueError("databases belong to column; a field is in none")
        return self


class RegulatedTable(Table):
    """`[[regulated]]`."""

    target: Name
    endpoint: Where
    fields: tuple[JsonPath, ...]
    reveal: tuple[RevealTable, ...] = ()
