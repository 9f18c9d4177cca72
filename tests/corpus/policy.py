"""The policy of a corpus as `[[mask]]` tables of policy.toml. Knows no schema."""

import json
from collections.abc import Callable, Mapping
from typing import Any

WORDS = {
    "redact": '"redact"',
    "nullify": '"nullify"',
    "null": '"nullify"',
    "last4": "{ partial = { first = 0, last = 4 } }",
    "first4": "{ partial = { first = 4, last = 0 } }",
    "partial": "{ partial = { first = 1, last = 1 } }",
    "partial_email": "{ partial = { first = 1, last = 0 } }",
    "year": '{ truncate = "year" }',
    "month": '{ truncate = "month" }',
    "hash": '{ hash = { key_file = "%s" } }',
    "token": '{ token = { key_file = "%s" } }',
    "fpe": '{ token = { key_file = "%s" } }',
}
"""What a corpus calls a mask, and what policy.toml does; `%s` is the file of a key."""


def masks(policy: Mapping[str, Mapping[str, Any]], target: str, key_file: str, say: Callable[[str], None]) -> str:
    """TOML; `say` hears of words that nobody knows: they redact."""
    return "".join(
        f"\n[[mask]]\ntarget = {_toml(target)}\ncolumn = {_toml(f'{table}.{column}')}\n"
        f"mask = {_mask(f'{table}.{column}', word, key_file, say)}\n"
        for table, columns in policy.items()
        for column, word in columns.items()
    )


def _mask(column: str, word: Any, key_file: str, say: Callable[[str], None]) -> str:
    match word:
        case str() if word in WORDS:
            return WORDS[word].replace("%s", key_file)
        case {"json_paths": [*paths]} if all(isinstance(path, str) for path in paths):
            return f"{{ json = {{ hide = {_toml([_path(path) for path in paths])} }} }}"
        case {"json_show": [*paths]} if all(isinstance(path, str) for path in paths):
            return f"{{ json = {{ show = {_toml([_path(path) for path in paths])} }} }}"
        case _:
            say(f"{column}: no mask is called {word!r}; redacted")
            return WORDS["redact"]


def _path(path: str) -> str:
    return path if path.startswith("$") else f"$.{path}"


def _toml(value: object) -> str:
    """A text or an array of texts: JSON's are TOML's."""
    return json.dumps(value)
