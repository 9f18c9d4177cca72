"""One TOML file, taken apart table by table, collecting every mistake on the way instead of stopping at the first.

Knows no particular table and no other file.
"""

import hashlib
import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from hoopproxy.config.sentences import Key, checked, dotted, hint, shown
from hoopproxy.errors import ConfigError

FILE_BYTES_MAX = 4 * 1024 * 1024

_SECRET = re.compile(r"(?:^|_)(?:password|passwd|passphrase|secret|token|api_?key)$", re.IGNORECASE)
_PRIVATE_KEY = "PRIVATE KEY-----"
"""How PEM begins one (RFC 7468), whatever the setting is called."""


class Document:
    """A file of configuration. What is wrong with it goes to `problems`; `broken` says that nothing of it is known.

    `data` is read in place of what the file holds.
    """

    def __init__(self, path: Path, problems: list[str], data: bytes | None = None) -> None:
        self.path = path
        self.file = path.name
        self.digest = b""
        self.broken = True
        self._problems = problems
        self._raw: dict[str, Any] = {}
        self._asked: set[str] = set()
        if data is None:
            data = self._held()
        if data is not None:
            self._read(data)

    def _held(self) -> bytes | None:
        try:
            with self.path.open("rb") as file:
                return file.read(FILE_BYTES_MAX + 1)
        except OSError as why:
            self.say(f"{self.path} can't be read ({why.strerror}); wanted is a TOML file.")
            return None

    def _read(self, data: bytes) -> None:
        if len(data) > FILE_BYTES_MAX:
            self.say(f"the file is longer than {FILE_BYTES_MAX} bytes; wanted is a shorter one.")
            return
        self.digest = hashlib.sha256(data).digest()
        try:
            self._raw = tomllib.loads(data.decode())
        except UnicodeDecodeError as why:
            line = data.count(b"\n", 0, why.start) + 1
            self.say(f"line {line} holds bytes that are no UTF-8; wanted is TOML, which is UTF-8.")
            return
        except tomllib.TOMLDecodeError as why:
            text, _, place = str(why).partition(" (at ")
            self.say(f"{place.rstrip(')') or 'somewhere'}: {text}; wanted is TOML (https://toml.io).")
            return
        self.broken = False
        self._take_secrets_out(self._raw, ())

    def say(self, problem: str) -> None:
        """Note a mistake."""
        self._problems.append(f"{self.file}: {problem}")

    def resolve(self, path: Path) -> Path:
        """A path of this file: relative ones start where the file stands."""
        return self.path.parent.absolute() / path

    def text(self, table: str, key: str, default: str) -> str:
        """A text before its table was checked: what can't be used here is reported when the table is."""
        found = self._raw.get(table)
        value = found.get(key, default) if isinstance(found, Mapping) else default
        return value if isinstance(value, str) else default

    def table[M: BaseModel](self, key: str, model: type[M]) -> M | None:
        """The table `[key]`; an absent one is checked as an empty one, so that each missing key is named."""
        return self._checked(model, self._take(key, {}), (key,))

    def optional[M: BaseModel](self, key: str, model: type[M]) -> M | None:
        """The table `[key]` if there is one; None, too, when it is malformed, which is reported."""
        self._asked.add(key)
        return self.table(key, model) if key in self._raw else None

    def number(self, key: str, most: int) -> int:
        """The whole number from 1 to `most` that stands under `key` at the top of the file; 0 when there is none."""
        value = self._take(key, 0)
        if key in self._raw and (type(value) is not int or not 1 <= value <= most):
            self.say(f"{key} is {shown(value)}; wanted is a whole number from 1 to {most}.")
            return 0
        return int(value)

    def tables[M: BaseModel](self, key: str, model: type[M]) -> tuple[tuple[str, M], ...]:
        """The well-formed ones of the array `[[key]]`, each with its place, such as `target[2]`."""
        array = self._take(key, [])
        if not isinstance(array, list):
            self.say(f"{key} is {shown(array)}; wanted is an array of tables, each under [[{key}]].")
            return ()
        found = ((dotted((key, index)), self._checked(model, raw, (key, index))) for index, raw in enumerate(array))
        return tuple((place, table) for place, table in found if table is not None)

    def named[M: BaseModel](self, key: str, model: type[M]) -> Mapping[str, M]:
        """The well-formed ones of the tables `[key.NAME]`, by name."""
        tables = self._take(key, {})
        if not isinstance(tables, Mapping):
            self.say(f"{key} is {shown(tables)}; wanted is one table [{key}.NAME] for each.")
            return {}
        found = {name: self._checked(model, raw, (key, name)) for name, raw in tables.items()}
        return {name: table for name, table in found.items() if table is not None}

    def names(self, key: str, named: str = "name") -> frozenset[str] | None:
        """All that the file names under `key`, in malformed tables, too. None: that can't be told."""
        found = self._raw.get(key, [])
        if self.broken or not isinstance(found, list | dict):
            return None
        names = found if isinstance(found, dict) else [raw.get(named) for raw in found if isinstance(raw, dict)]
        return frozenset(name for name in names if isinstance(name, str))

    def finish(self) -> None:
        """Report what nobody asked for."""
        for key in [key for key in self._raw if key not in self._asked]:
            self.say(f"{dotted((key,))} is not a setting{hint(key, self._asked)}")

    def _take(self, key: str, default: Any) -> Any:
        self._asked.add(key)
        return self._raw.get(key, default)

    def _checked[M: BaseModel](self, model: type[M], raw: Any, at: Key) -> M | None:
        if self.broken:
            return None
        if not isinstance(raw, Mapping):
            self.say(f"{dotted(at)} is {shown(raw)}; wanted is a table.")
            return None
        try:
            return checked(model, raw, self.file, at)
        except ConfigError as why:
            name = raw.get("name")
            which = f" {dotted(at)} is the one named {shown(name)}." if len(at) > 1 and isinstance(name, str) else ""
            self._problems.extend(problem + which for problem in why.problems)
            return None

    def _take_secrets_out(self, raw: Any, at: Key) -> None:
        """Report secrets without showing them, and forget them."""
        if isinstance(raw, list):
            for index, item in enumerate(raw):
                self._take_secrets_out(item, (*at, index))
        elif isinstance(raw, dict):
            for key, value in list(raw.items()):
                is_key = isinstance(value, str) and _PRIVATE_KEY in value
                if is_key or (_SECRET.search(key) and not isinstance(value, dict)):
                    del raw[key]
                    self.say(
                        f"{dotted((*at, key))} looks like a secret, and secrets never stand in configuration; put it "
                        "where a credential source reads it (with file-credentials: a file of its directory) and write "
                        "only its name here."
                    )
                else:
                    self._take_secrets_out(value, (*at, key))
