"""Masked twins as the client is to see them: by the tables that they stand for (`server` mode).

Also the tripwire: a protected column itself, which no result may hold. Knows OIDs and names, and no order of messages.
"""

import re
from dataclasses import replace

from hoopproxy.errors import MaskBroken
from hoopproxy.events import Field
from hoopproxy.masks import Shadow
from hoopproxy.wire.postgres import messages
from hoopproxy.wire.postgres.framing import Message
from hoopproxy.wire.postgres.memory import REMEMBERED, remembering

_NOWHERE = 0, 0
"""The table and column number of an expression (manual, "Message Formats", RowDescription)."""


class Twins:
    """The twins of one session."""

    def __init__(self, shadow: Shadow) -> None:
        self._origins, self._tripwire = shadow.origins, shadow.tripwire
        self._schemas = {twin.schema: schema for (schema, _), twin in shadow.relations.items()}
        self._schemas |= {schema: original for (original, _), (schema, _) in shadow.functions.items()}
        names = "|".join(map(re.escape, self._schemas))
        self._qualifier = re.compile(rf"(?<![\w$])(?:{names})(?=\.)" if names else r"(?!)")

        self._known: dict[int, tuple[tuple[Field, ...], tuple[Field, ...]]] = {}
        self.description = remembering(self._description)

    def seen(self, fields: tuple[Field, ...]) -> tuple[Field, ...]:
        """The columns of a result whose rows may come, as the client sees them. @raise MaskBroken."""
        found = self._known.get(id(fields))  # the same ones come again; to compare all that is in them costs more
        if found is not None and found[0] is fields:
            return found[1]
        if len(self._known) >= REMEMBERED:
            self._known.clear()
        self._known[id(fields)] = fields, self._seen(fields)
        return self._known[id(fields)][1]

    def _seen(self, fields: tuple[Field, ...]) -> tuple[Field, ...]:
        for each in fields:
            if each.column_number in self._tripwire.get(each.table_oid, ()):
                raise MaskBroken(
                    "The target was about to show a column unmasked that it must mask for you, so the gateway ended "
                    "this session and showed nothing of it; tell the operator of the gateway.",
                    detail=f"column {each.column_number} of the table with OID {each.table_oid}, called {each.name!r}",
                )
        return tuple(self._original(each) if each.table_oid in self._origins else each for each in fields)

    def _original(self, twin: Field) -> Field:
        table_oid, column_number = self._origin(twin.table_oid, twin.column_number)
        return replace(twin, table_oid=table_oid, column_number=column_number)

    def _description(self, body: bytes) -> bytes:
        """A RowDescription as the client sees it, as long as it was. It was read before."""
        return Message(b"T", messages.with_origins(body, self._origin)).raw

    def text(self, text: str) -> str:
        """A text of the server's with the schemas of the originals in the place of the twins'."""
        return self._qualifier.sub(lambda found: self._schemas[found[0]], text)

    def schema(self, name: str) -> str:
        """The schema that this one stands for; itself for any other."""
        return self._schemas.get(name, name)

    def _origin(self, table_oid: int, column_number: int) -> tuple[int, int]:
        origin = self._origins.get(table_oid)
        if origin is None:
            return table_oid, column_number
        number = origin.column_numbers.get(column_number)
        return _NOWHERE if number is None else (origin.table_oid, number)
