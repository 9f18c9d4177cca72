"""What is wrong with a table of settings, said in whole sentences: file, key, what was found, what is wanted.

Pydantic checks, we speak: its messages name Python types, ours name what to write. Knows no particular table.
"""

import json
import re
from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import date, time
from difflib import get_close_matches
from enum import Enum
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, TypeAliasType, Union, get_args, get_origin

from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

from hoopproxy.errors import ConfigError

type Key = tuple[str | int, ...]
"""Where a value stands in its file: names of tables and keys, and indexes of arrays from 0."""

SHOWN_CHARACTERS_MAX = 60

_PLAIN = {
    str: "a text",
    bool: "true or false",
    int: "a whole number",
    float: "a number",
}


def checked[M: BaseModel](model: type[M], raw: Mapping[str, Any], file: str, at: Key) -> M:
    """`raw`, a table that stands at `at` in `file`, as a `model`. @raise ConfigError: a sentence for each mistake.

    The table goes through JSON because that is where pydantic's strict mode fits TOML: a text is no number and a
    number no truth value, but an array may become a tuple or a set and a text a path or an address.
    """
    try:
        return model.model_validate_json(json.dumps(dict(raw), default=_iso), strict=True)
    except ValidationError as why:
        said = dict.fromkeys(_sentence(model, raw, file, at, error) for error in why.errors(include_url=False))
        raise ConfigError(tuple(said)) from why


def _iso(moment: date | time) -> str:
    """What TOML knows and JSON does not."""
    return moment.isoformat()


def dotted(key: Key) -> str:
    """A key as one would say it: `target[2].tls.pins`."""
    text = ""
    for part in key:
        if isinstance(part, int):
            text += f"[{part}]"
        else:
            name = part if re.fullmatch(r"[A-Za-z0-9_-]+", part) else json.dumps(part, ensure_ascii=False)
            text += f".{name}" if text else name
    return text


def shown(value: Any) -> str:
    """A value as it stands in the file, cut short."""
    if isinstance(value, Mapping):
        return "a table"
    text = json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= SHOWN_CHARACTERS_MAX else f"{text[: SHOWN_CHARACTERS_MAX - 1]}…"


def hint(name: str, known: Collection[str], prefix: str = "") -> str:
    """How to go on after an unknown name."""
    if close := get_close_matches(name, known, n=1):
        return f"; did you mean {prefix}{close[0]}?"
    return f"; there are {', '.join(sorted(known))}." if known else "; there are none."


def settings(table: type[BaseModel]) -> Mapping[str, FieldInfo]:
    """The keys of a table as they stand in files."""
    return {field.alias or name: field for name, field in table.model_fields.items()}


class Form:
    """A check of one value, with the words for what it wants; goes into a pydantic validator."""

    def __init__(self, form: str, check: Callable[[Any], Any]) -> None:
        self.form = form
        self._check = check

    def __call__(self, value: Any) -> Any:
        """The value, as `check` makes it."""
        try:
            return self._check(value)
        except ValueError as why:
            raise ValueError(f"wanted is {self.form}") from why


def wanted(annotation: Any, rules: Sequence[Any] = ()) -> str:
    """What a setting of this type and these constraints takes."""
    annotation, rules = _bare(annotation, rules)
    for rule in rules:
        if isinstance(form := getattr(rule, "func", None), Form):
            return form.form
    origin, arguments = get_origin(annotation), get_args(annotation)
    kind = origin or annotation
    if origin is Literal:
        return _either([shown(value) for value in arguments])
    if origin in (Union, UnionType):
        return _either([wanted(one, rules) for one in arguments if one is not NoneType])
    if not isinstance(kind, type):
        return "another value"
    if issubclass(kind, Enum):
        return _either([shown(member.value) for member in kind])
    if issubclass(kind, BaseModel):
        return f"a table with {', '.join(settings(kind))}"
    if kind in _PLAIN:
        return _PLAIN[kind] + _range(rules)
    if issubclass(kind, Mapping):
        return f"a table{_size(rules)}, each value {wanted(arguments[1])}" if arguments else "a table"
    if issubclass(kind, Collection):
        return f"an array{_size(rules)}, each {wanted(arguments[0])}" if arguments else "an array"
    return f"a {kind.__name__.lower()}"


def _sentence(model: type[BaseModel], raw: Any, file: str, at: Key, error: ErrorDetails) -> str:
    place, known, annotation, rules = _descend(model, raw, error["loc"])
    key = dotted((*at, *place))
    match error["type"]:
        case "extra_forbidden":
            prefix = dotted((*at, *place[:-1]))
            return f"{file}: {key} is not a setting" + hint(str(place[-1]), known, f"{prefix}." if prefix else "")
        case "missing":
            return f"{file}: {key} is missing; wanted is {wanted(annotation, rules)}."
        case "value_error" | "assertion_error":
            found = ":" if isinstance(error["input"], dict) else f" is {shown(error['input'])};"
            return f"{file}: {key}{found} {str(error['ctx']['error']).rstrip('.')}."
        case _:
            expected = error["msg"] if annotation is None else wanted(annotation, rules)
            return f"{file}: {key} is {shown(error['input'])}; wanted is {expected}."


def _descend(model: type[BaseModel], raw: Any, loc: Key) -> tuple[Key, Collection[str], Any, Sequence[Any]]:
    """Follow pydantic's location through the raw data and the types side by side.

    Answers the place in the file (pydantic's own labels of union members are no places), the names of the settings
    that are known around it, and the type and constraints that are wanted there (None when that is not to be told).
    """
    place: Key = ()
    known: Collection[str] = ()
    annotation: Any = model
    rules: Sequence[Any] = ()
    for part in loc:
        annotation, rules = _bare(annotation, rules)
        table = annotation if isinstance(annotation, type) and issubclass(annotation, BaseModel) else None
        within = _holds(raw, part)
        if table is not None:
            field = settings(table).get(str(part))
            if field is None and not within:
                continue
            known = settings(table)
            annotation, rules = (field.annotation, field.metadata) if field else (None, ())
        elif within:
            annotation, rules = (get_args(annotation) or (None,))[0 if isinstance(part, int) else -1], ()
        else:
            continue
        place = (*place, part)
        raw = raw[part] if within else None
    return place, known, annotation, rules


def _holds(raw: Any, part: str | int) -> bool:
    if isinstance(raw, Mapping):
        return part in raw
    return isinstance(raw, list) and isinstance(part, int) and part < len(raw)


def _bare(annotation: Any, rules: Sequence[Any]) -> tuple[Any, Sequence[Any]]:
    """A type without its alias, its `| None` and its annotations, which join the rules."""
    while True:
        arguments = [one for one in get_args(annotation) if one is not NoneType]
        if isinstance(annotation, TypeAliasType):
            annotation = annotation.__value__
        elif get_origin(annotation) is Annotated:
            annotation, rules = arguments[0], [*arguments[1:], *rules]
        elif get_origin(annotation) in (Union, UnionType) and len(arguments) == 1:
            annotation = arguments[0]
        else:
            return annotation, rules


def _bounds(rules: Sequence[Any]) -> Mapping[str, Any]:
    names = ("ge", "gt", "le", "lt", "min_length", "max_length")
    single = [one for rule in rules for one in (rule.metadata if isinstance(rule, FieldInfo) else [rule])]
    return {name: getattr(rule, name) for rule in single for name in names if getattr(rule, name, None) is not None}


def _range(rules: Sequence[Any]) -> str:
    bounds = _bounds(rules)
    if "ge" in bounds and "le" in bounds:
        return f" from {bounds['ge']} to {bounds['le']}"
    words = {
        "ge": "not below {}",
        "gt": "above {}",
        "le": "not above {}",
        "lt": "below {}",
        "min_length": "of {} or more characters",
        "max_length": "of up to {} characters",
    }
    return "".join(f" {words[name].format(value)}" for name, value in bounds.items())


def _size(rules: Sequence[Any]) -> str:
    bounds = _bounds(rules)
    return f" of {bounds['min_length']} or more" if "min_length" in bounds else ""


def _either(choices: Sequence[str]) -> str:
    distinct = list(dict.fromkeys(choices))
    return " or ".join(filter(None, [", ".join(distinct[:-1]), distinct[-1]]))
