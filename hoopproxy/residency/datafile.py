"""A TOML file of residency data as a model, or the sentences that tell what is wrong with it.

Pure: bytes in, values out. Knows neither zones nor networks, and not where the bytes come from.
"""

import tomllib
from collections.abc import Sequence

from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic_core import ErrorDetails

from hoopproxy.errors import ConfigError

SHOWN_CHARACTERS_MAX = 60


class Table(BaseModel):
    """A table whose keys are known: any other key is a mistake."""

    model_config = ConfigDict(extra="forbid", frozen=True)


def parsed[M: BaseModel](model: type[M], name: str, data: bytes) -> M:
    """The file called `name`, as a `model`. @raise ConfigError: a sentence for each mistake."""
    try:
        return model.model_validate(tomllib.loads(data.decode()))
    except (UnicodeDecodeError, tomllib.TOMLDecodeError) as why:
        raise ConfigError((f"{name}: it is no TOML ({why}).",)) from why
    except ValidationError as why:
        raise ConfigError(tuple(f"{name}: {_said(error)}." for error in why.errors(include_url=False))) from why


def shown(value: object) -> str:
    """A value, cut short."""
    text = repr(str(value))
    return text if len(text) <= SHOWN_CHARACTERS_MAX else f"{text[:SHOWN_CHARACTERS_MAX]}…"


def _said(error: ErrorDetails) -> str:
    key = _dotted(error["loc"])
    match error["type"]:
        case "extra_forbidden":
            return f"{key} is not a setting"
        case "missing":
            return f"{key} is missing"
        case "value_error":
            words = str(error["ctx"]["error"])
        case _:
            words = error["msg"][0].lower() + error["msg"][1:]
    found = error["input"]
    return f"{key}: {words}" if isinstance(found, dict | list | BaseModel) else f"{key} is {shown(found)}; {words}"


def _dotted(key: Sequence[str | int]) -> str:
    """A key as one would say it: `entry[3].country`, the first entry being 0."""
    return "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in key).lstrip(".")
