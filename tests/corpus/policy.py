"""The policy of a corpus as `[[mask]]` tables of policy.toml. Knows no schema."""

import json
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from hoopproxy.masking import documents

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


def masks(policy: Mapping[str, Any], target: str, key_file: str, say: Callable[[str], None]) -> str:
    """TOML; `say` hears of words that nobody knows: they redact."""
    return "".join(
        f"\n[[mask]]\ntarget = {_toml(target)}\ncolumn = {_toml(path)}\nmask = {_mask(path, word, key_file, say)}\n"
        for path, word in _columns(policy)
    )


def _columns(policy: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """Paths to words: policies name tables with their columns, or columns in full, and may quote names as SQL does."""
    for name, columns in policy.items():
        if isinstance(columns, Mapping):
            table = _plain(name)
            for column, word in columns.items():
                yield f"{table if '.' in table else f'public.{table}'}.{_plain(column)}", word
        else:
            yield _plain(name), columns


def _plain(name: str) -> str:
    """A name, dotted or not, without the quotes that SQL would want."""
    found = re.fullmatch(r'("(?:[^"]|"")+"|[^".]+)(\.("(?:[^"]|"")+"|[^".]+))*', name) if '"' in name else None
    if found is None:
        return name
    parts = re.findall(r'"(?:[^"]|"")+"|[^".]+', name)
    return ".".join(part[1:-1].replace('""', '"') if part.startswith('"') else part for part in parts)


def _mask(column: str, word: Any, key_file: str, say: Callable[[str], None]) -> str:
    match word:
        case str() if word in WORDS:
            return WORDS[word].replace("%s", key_file)
        case {"json_paths": [*paths]} if _are_paths(paths):
            return f"{{ json = {{ hide = {_toml([*map(_path, paths)])} }} }}"
        case {"json_show": [*paths]} if _are_paths(paths):
            return f"{{ json = {{ show = {_toml([*map(_path, paths)])} }} }}"
        case _:
            say(f"{column}: no mask is called {word!r}; redacted")
            return WORDS["redact"]


def _are_paths(paths: list[Any]) -> bool:
    try:
        return bool(paths) and bool(documents.branch(tuple(map(_path, paths))))
    except ValueError:
        return False


def _path(path: object) -> str:
    text = str(path)
    return text if text.startswith("$") else f"$.{text}"


def _toml(value: object) -> str:
    """A text or an array of texts: JSON's are TOML's."""
    return json.dumps(value)
