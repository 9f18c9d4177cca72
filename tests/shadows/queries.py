"""Random scripts over the sample, from a grammar: each production is a method, and counts itself.

A script is what one client sends in one transaction. Results are compared, so nothing here may depend on the order of
rows (LIMIT has an ORDER BY over a key), on the clock or on OIDs.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from random import Random

TYPES = {
    "public.people": {"id": "int", "name": "text", "email": "text", "ssn": "text", "country": "text", "born": "date"},
    "app.people": {"id": "int", "name": "text", "phone": "text"},
    "archive.people": {"id": "int", "name": "text", "note": "text"},
    "public.orders": {"id": "int", "person_id": "int", "amount": "numeric", "iban": "text", "made": "date"},
    "public.orders_2025": {"id": "int", "person_id": "int", "amount": "numeric", "iban": "text", "made": "date"},
    "shop.items": {"id": "int", "order_id": "int", "label": "text", "price": "numeric"},
    "public.countries": {"code": "text", "label": "text"},
    "public.contacts": {"id": "int", "name": "text", "mail": "text"},
}
HIDDEN = {"public.people": ("email", "ssn", "born"), "public.orders": ("iban",), "app.people": ("phone",)}
CLEAN = {"public.people": ("name", "country"), "public.orders": ("amount",), "app.people": ("name",)}


@dataclass(frozen=True)
class Source:
    """Something in FROM: how it stands there, how its columns are referred to, and what columns it has."""

    text: str
    reference: str
    columns: dict[str, str]

    def of(self, kind: str) -> list[str]:
        """References to its columns of a type."""
        return [f"{self.reference}.{name}" for name, is_of in self.columns.items() if is_of == kind]


class Queries:
    """The grammar. `hits` counts productions; `depth` keeps queries short."""

    def __init__(self, random: Random) -> None:
        self.random, self.hits, self._names, self._depth = random, Counter[str](), 0, 0

    def pick[**P, T](self, productions: Sequence[Callable[P, T]], *given: P.args, **named: P.kwargs) -> T:
        """What one of the productions makes: of two that chance names the one that was hit less."""
        chosen = min(self.random.choices(productions, k=2), key=lambda production: self.hits[production.__name__])
        self.hits[chosen.__name__] += 1
        return chosen(*given, **named)

    def name(self) -> str:
        self._names += 1
        return f"n{self._names}"

    # Names, spelled in the ways of the manual ------------------------------------------------------------------------

    def spelled(self, path: str) -> str:
        """A dotted name in one of its spellings; `public.` may be left out."""
        path = self.random.choice([path, path.removeprefix("public.")])
        parts = [self.random.choice([part, part.upper(), f'"{part}"', part]) for part in path.split(".")]
        return self.random.choice([".", ".", " . ", "./* a /* b */ */"]).join(parts)

    def table(self) -> Source:
        path = self.random.choice(list(TYPES))
        return self.pick([self.alias, self.bare, self.qualified, self.only], path)

    def alias(self, path: str) -> Source:
        name = self.name()
        return Source(f"{self.spelled(path)} {self.random.choice(['', 'AS '])}{name}", name, TYPES[path])

    def bare(self, path: str) -> Source:
        return Source(self.spelled(path), path.split(".")[1], TYPES[path])

    def qualified(self, path: str) -> Source:
        return Source(path, path, TYPES[path])

    def only(self, path: str) -> Source:
        path, name = "public.people" if path == "public.orders" else path, self.name()
        return Source(f"ONLY {self.spelled(path)} {name}", name, TYPES[path])

    # Expressions -----------------------------------------------------------------------------------------------------

    def text(self, *sources: Source) -> str:
        """An expression of type text."""
        columns = [column for source in sources for column in source.of("text")] or ["'none'"]
        column = self.random.choice(columns)

        def plain() -> str:
            return column

        def transformed() -> str:
            return self.random.choice(
                [f"upper({column})", f"reverse({column})", f"left({column}, 3)", f"md5({column})"]
            )

        def concatenated() -> str:
            return f"{column} || '-' || coalesce({self.random.choice(columns)}, 'none')"

        def conditional() -> str:
            return f"CASE WHEN {column} LIKE '%1%' THEN 'one' ELSE {column} END"

        def called() -> str:
            return f"{self.spelled('public.mail_of')}({self.random.randrange(9)})"

        def scalar_subquery() -> str:
            inner = self.table()
            return f"(SELECT max({self.random.choice(inner.of('text'))}) FROM {inner.text})"

        def document() -> str:
            source = self.random.choice(sources)
            row = source.reference if "." not in source.reference else f"row({source.reference}.*)"
            return f"to_jsonb({row})::text"

        def row_text() -> str:
            aliased = [source.reference for source in sources if "." not in source.reference]
            return f"{self.random.choice(aliased)}::text" if aliased else column

        made = [plain, transformed, concatenated, conditional, called, scalar_subquery, document, row_text]
        return self.pick(made)

    def condition(self, *sources: Source) -> str:
        """An expression of type boolean."""
        text = self.random.choice([column for source in sources for column in source.of("text")] or ["'none'"])

        def compared() -> str:
            return f"{text} {self.random.choice(['>', '<>', '<', '='])} '{self.random.choice('*5DNm')}'"

        def matched() -> str:
            return f"{text} LIKE '{self.random.choice(['%1%', '***%', 'N%', '%@%'])}'"

        def null() -> str:
            return f"{text} IS {self.random.choice(['', 'NOT '])}NULL"

        def in_subquery() -> str:
            inner = self.table()
            return f"{text} IN (SELECT {self.random.choice(inner.of('text'))} FROM {inner.text})"

        def exists() -> str:
            inner = self.table()
            return f"EXISTS (SELECT * FROM {inner.text} WHERE {self.random.choice(inner.of('text'))} >= {text})"

        return self.pick([compared, matched, null, in_subquery, exists])

    # Queries ---------------------------------------------------------------------------------------------------------

    def query(self) -> str:
        """A SELECT or what stands for one."""
        self._depth += 1
        made = [
            self.listed, self.starred, self.aggregated, self.grouped_by_key, self.windowed, self.limited,
            self.distinct, self.cast_fails,
        ]  # fmt: skip
        if self._depth < 3:
            made += [
                self.joined, self.lateral, self.from_subquery, self.set_operation, self.cte, self.cte_hides,
                self.recursive_cte, self.changing_cte, self.whole_row, self.two_schemas, self.table_command,
                self.values_list, self.grouping_sets,
            ]  # fmt: skip
        try:
            return self.pick(made)
        finally:
            self._depth -= 1

    def one_text(self) -> str:
        """A query of one column of type text."""
        source = self.table()
        return f"SELECT {self.text(source)} AS t FROM {source.text} WHERE {self.condition(source)}"

    def listed(self) -> str:
        source = self.table()
        return f"SELECT {self.text(source)}, {self.text(source)} FROM {source.text} WHERE {self.condition(source)}"

    def starred(self) -> str:
        source = self.table()
        return f"SELECT {self.random.choice(['*', source.reference + '.*'])} FROM {source.text}"

    def cast_fails(self) -> str:
        """With nothing beside it that might be evaluated first, and spare it."""
        source = self.table()
        return f"SELECT {self.random.choice(source.of('text'))}::int FROM {source.text}"

    def aggregated(self) -> str:
        source, text = self.table(), ""
        text = self.random.choice(source.of("text"))
        return (
            f"SELECT {text}, count(*), min({self.text(source)}) FROM {source.text} GROUP BY {text} "
            f"HAVING max({text}) <> '{self.random.choice('*N')}'"
        )

    def grouped_by_key(self) -> str:
        """All other columns follow from the key, which a twin has not."""
        source = self.pick([self.alias, self.bare], self.random.choice(["public.people", "app.people"]))
        shown = [self.text(source), self.random.choice([source.reference + ".*", source.reference + ".name", "name"])]
        rest = f"GROUP BY {self.random.choice([source.reference + '.id', 'id'])} HAVING {self.condition(source)}"
        if self.random.random() < 0.5:
            return f"SELECT {', '.join(shown)}, count(*) FROM {source.text} {rest} ORDER BY {source.reference}.name"
        key = f"{source.reference}.id"
        joined = f"{source.text} LEFT JOIN shop.items i ON i.order_id = {key}"
        return f"SELECT {key}, {shown[0]}, {key} + count(i.id) FROM {joined} GROUP BY {self.random.choice(['1', key])}"

    def grouping_sets(self) -> str:
        source = self.table()
        text = self.random.choice(source.of("text"))
        return f"SELECT {text}, count(*), GROUPING({text}) FROM {source.text} GROUP BY CUBE ({text})"

    def windowed(self) -> str:
        source = self.alias("public.people")
        text = self.random.choice(source.of("text"))
        key = f"{source.reference}.id"
        return (
            f"SELECT {key}, rank() OVER (PARTITION BY {text} ORDER BY {key}), lag({text}) OVER w FROM {source.text} "
            f"WINDOW w AS (ORDER BY {key})"
        )

    def limited(self) -> str:
        source = self.pick([self.alias, self.bare], self.random.choice(["public.people", "app.people"]))
        key = f"{source.reference}.id"
        return f"SELECT {self.text(source)} FROM {source.text} ORDER BY {key} LIMIT 3 OFFSET {self.random.randrange(3)}"

    def distinct(self) -> str:
        source = self.table()
        return f"SELECT DISTINCT {self.text(source)} FROM {source.text}"

    def joined(self) -> str:
        left, right = self.table(), self.alias(self.random.choice(list(TYPES)))
        kind = self.random.choice(["JOIN", "LEFT JOIN", "FULL JOIN"])
        on = f"{self.random.choice(left.of('text'))} = {self.random.choice(right.of('text'))}"
        return f"SELECT {self.text(left, right)}, {self.text(right)} FROM {left.text} {kind} {right.text} ON {on}"

    def lateral(self) -> str:
        source, inner, name = self.table(), self.alias("public.people"), self.name()
        text = self.text(source, inner)
        return (
            f"SELECT {name}.t, {self.text(source)} FROM {source.text}, LATERAL (SELECT {text} AS t FROM {inner.text} "
            f"WHERE {self.condition(inner, source)}) {name}"
        )

    def from_subquery(self) -> str:
        name = self.name()
        return f"SELECT upper({name}.t), count(*) FROM ({self.one_text()}) {name} GROUP BY 1"

    def set_operation(self) -> str:
        kind = self.random.choice(["UNION", "UNION ALL", "INTERSECT", "EXCEPT"])
        return f"({self.one_text()}) {kind} {self.one_text()}"

    def cte(self) -> str:
        name = self.name()
        return f"WITH {name} AS ({self.one_text()}) SELECT a.t, b.t FROM {name} a JOIN {name} b ON a.t = b.t"

    def cte_hides(self) -> str:
        """A CTE with a table's name, which hides it from the outside alone."""
        inner = self.random.choice(["SELECT id, email AS t FROM people", "SELECT 1 AS id, 'x' AS t"])
        outer = self.random.choice(["people", "people p", "(SELECT * FROM people) s", "people, public.people q"])
        return f"WITH {self.random.choice(['people', 'PEOPLE'])} AS ({inner}) SELECT * FROM {outer}"

    def recursive_cte(self) -> str:
        return (
            "WITH RECURSIVE up AS (SELECT id, boss, email FROM people WHERE boss IS NULL UNION ALL "
            f"SELECT p.id, p.boss, up.email || p.ssn FROM {self.spelled('public.people')} p JOIN up ON p.boss = up.id) "
            "SELECT * FROM up"
        )

    def changing_cte(self) -> str:
        name = self.name()
        return f"WITH {name} AS ({self.returning()}) SELECT count(*), max({name}::text) FROM {name}"

    def whole_row(self) -> str:
        source = self.alias(self.random.choice(list(TYPES)))
        row = source.reference
        column = self.random.choice(list(source.columns))
        return f"SELECT {row}, ({row}).{column}, row_to_json({row}) FROM {source.text}"

    def two_schemas(self) -> str:
        return self.random.choice(
            [
                "SELECT public.people.ssn, app.people.phone FROM public.people, app.people",
                "SELECT public.people.*, archive.people.note FROM people JOIN archive.people ON archive.people.id = "
                "public.people.id",
                "SELECT app.people.* FROM app.people WHERE EXISTS (SELECT public.people.email FROM public.people "
                "WHERE public.people.id = app.people.id)",
            ]
        )

    def table_command(self) -> str:
        return f"TABLE {self.spelled(self.random.choice(list(TYPES)))}"

    def values_list(self) -> str:
        return f"VALUES (({self.one_text()} ORDER BY 1 LIMIT 1)), ('x')"

    # Changes ---------------------------------------------------------------------------------------------------------

    def returning(self) -> str:
        return self.pick([self.insert_returning, self.update_returning, self.delete_returning, self.upsert_returning])

    def insert_returning(self) -> str:
        shown = self.random.choice(["*", "email", "id, name", "people", "to_jsonb(people)"])
        return f"INSERT INTO {self.spelled('public.people')} (id, name) VALUES ({self.key()}, 'New') RETURNING {shown}"

    def upsert_returning(self) -> str:
        return (
            f"INSERT INTO people AS p (id, name) VALUES ({self.random.randrange(1, 9)}, 'Up') ON CONFLICT (id) "
            f"{self.random.choice(['DO NOTHING', 'DO UPDATE SET name = excluded.name'])} RETURNING p.*"
        )

    def update_returning(self) -> str:
        path = self.random.choice(list(CLEAN))
        target = self.pick([self.alias, self.bare, self.qualified], path)
        column = self.random.choice(CLEAN[path])
        where = f"{target.reference}.id < {self.random.randrange(9)}"
        value = f"{target.reference}.{column}"
        return f"UPDATE {target.text} SET {column} = {value} WHERE {where} RETURNING {target.reference}.*"

    def delete_returning(self) -> str:
        path = self.random.choice(list(CLEAN))
        target = self.pick([self.alias, self.bare], path)
        return f"DELETE FROM {target.text} WHERE {target.reference}.id = {self.random.randrange(9)} RETURNING *"

    def key(self) -> int:
        return self.random.randrange(5, 30)
