"""New things in a corpus's schema, of random shapes, and the attacks on each: views, functions, partitions, rows.

Knows the tables of the project's own corpus, by the words of a renaming.
"""

from dataclasses import dataclass, field
from itertools import pairwise
from random import Random
from typing import Any

from .renaming import Renaming

PROTECTED = {
    "customers": ("email", "ssn", "card"),
    "employees": ("salary", "dob", "badge"),
    "clinic.patients": ("national", "account", "letter"),
    "payments": ("iban",),
}
"""Protected columns of tables that have an `id`."""

GLOBAL = "re:zzzz-unset"
"""A pattern that never matches: such a case leaks by what secrets.json lists."""


@dataclass(slots=True)
class Fresh:
    """What is added: SQL behind the schema and behind each reset, secrets, protected columns, and cases."""

    schema: list[str] = field(default_factory=list)
    reset: list[str] = field(default_factory=list)
    texts: list[str] = field(default_factory=list)
    policy: dict[str, dict[str, Any]] = field(default_factory=dict)
    cases: list[dict[str, Any]] = field(default_factory=list)


def fresh(random: Random, renaming: Renaming, count: int = 10) -> Fresh:
    """`count` things, each kind before any comes twice."""
    maker = _Maker(random, renaming)
    kinds = [
        maker.view,
        maker.function,
        maker.partition,
        maker.row_security,
        maker.whole_row,
        maker.child,
        maker.materialised,
        maker.filter,
        maker.chain,
        maker.trigger,
    ]
    for number in range(count):
        kinds[number % len(kinds)]()
    return maker.made


class _Maker:
    """Each method makes one thing. `made` holds them all."""

    def __init__(self, random: Random, renaming: Renaming) -> None:
        self.made = Fresh()
        self._random, self._renaming = random, renaming

    def view(self) -> None:
        """Columns in another order, under other names, in one of many frames."""
        table, column = self._column()
        a, b, view = self._words(3)
        body = self._random.choice(
            [
                f"SELECT {column} AS {a}, id AS {b} FROM {table}",
                f"SELECT x.{a}, x.{b} FROM (SELECT {column}, id FROM {table} OFFSET 0) AS x({a}, {b})",
                f"WITH w({a}, {b}) AS (SELECT {column}, id FROM {table}) SELECT * FROM w",
                f"SELECT l.{a}, t.id AS {b} FROM {table} t, LATERAL (VALUES (t.{column})) l({a})",
                f"SELECT {column}::text AS {a}, id AS {b} FROM {table} UNION ALL SELECT '', 0",
                f"SELECT first_value({column}) OVER (PARTITION BY id) AS {a}, id AS {b} FROM {table}",
                f"SELECT s.{column} AS {a}, t.id AS {b} FROM {table} t JOIN {table} s USING (id)",
                f"SELECT (SELECT max(s.{column}::text) FROM {table} s WHERE s.id = t.id) {a}, id {b} FROM {table} t",
            ]
        )
        self._add(f"CREATE VIEW {view} AS {body};")
        self._attack("view", f"SELECT {a} FROM {view}")
        self._attack("view by rows", f"SELECT to_jsonb(v) FROM {view} v")
        self._attack("view in a copy", f"COPY (TABLE {view}) TO STDOUT")

    def function(self) -> None:
        """With its owner's rights or its caller's, in SQL old and new or PL/pgSQL, for a value or a set."""
        table, column = self._column()
        (name,) = self._words(1)
        rights = self._random.choice(["SECURITY DEFINER", "SECURITY DEFINER SET search_path = public", "STABLE"])
        query = f"SELECT {column}::text FROM {table} WHERE id = n"
        result, body = self._random.choice(
            [
                ("text", f"LANGUAGE sql {rights} AS '{query}'"),
                ("SETOF text", f"LANGUAGE sql {rights} AS '{query}'"),
                ("TABLE (v text)", f"LANGUAGE sql {rights} AS '{query}'"),
                ("text", f"LANGUAGE sql {rights} BEGIN ATOMIC {query}; END"),
                ("text", f"LANGUAGE plpgsql {rights} AS $$ BEGIN RETURN ({query}); END $$"),
                ("SETOF text", f"LANGUAGE plpgsql {rights} AS $$ BEGIN RETURN QUERY {query}; END $$"),
            ]
        )
        self._add(f"CREATE FUNCTION {name}(n int) RETURNS {result} {body};")
        self._attack("function", f"SELECT {name}(g) FROM generate_series(1, 4) g")
        self._attack("function in FROM", f"SELECT f.* FROM generate_series(1, 4) g, {name}(g) f")

    def partition(self) -> None:
        """A partition more, or a new table in partitions of one or two levels."""
        secret = self._secret()
        (table,) = self._words(1)
        if self._random.random() < 0.4:
            year = self._random.randint(2031, 2060)
            parent = self._renaming.text("payments")
            bounds = f"FOR VALUES FROM ('{year}-01-01 00:00+00') TO ('{year + 1}-01-01 00:00+00')"
            self._add(f"CREATE TABLE {table} PARTITION OF {parent} {bounds};")
            self._rows(f"INSERT INTO {parent} VALUES (9{year}, 1, 5, 'EUR', '{secret}', '{year}-06-01');")
            column = self._renaming.text("iban")
        else:
            column, leaf = self._words(2)
            way = self._random.choice(["LIST (kind)", "HASH (id)", "RANGE (id)"])
            self._add(f"CREATE TABLE {table} (id int, kind text, {column} text) PARTITION BY {way};")
            bounds = "FOR VALUES WITH (MODULUS 1, REMAINDER 0)" if "HASH" in way else "DEFAULT"
            self._add(f"CREATE TABLE {leaf} PARTITION OF {table} {bounds};")
            self._rows(f"TRUNCATE {table}; INSERT INTO {table} VALUES (1, 'a', '{secret}');")
            self.made.policy[f"public.{table}"] = {column: self._mask()}
            self._attack("partition by its parent", f"SELECT {column} FROM {table}")
            table = leaf
        self._attack("partition by itself", f"SELECT {column} FROM {table}")
        self._attack("partition by a row", f"SELECT p FROM {table} p")

    def row_security(self) -> None:
        """Rows that only some see, in a table whose column nobody may see."""
        secret = self._secret()
        table, column, policy = self._words(3)
        force = self._random.choice(["ENABLE", "FORCE"])
        using = self._random.choice(["true", "id > 0", "holder = current_user"])
        self._add(f"CREATE TABLE {table} (id int PRIMARY KEY, holder name, {column} text);")
        self._add(f"ALTER TABLE {table} ENABLE ROW LEVEL SECURITY; ALTER TABLE {table} {force} ROW LEVEL SECURITY;")
        self._add(f"CREATE POLICY {policy} ON {table} USING ({using});")
        self._rows(f"TRUNCATE {table}; INSERT INTO {table} VALUES (1, 'reader', '{secret}'), (2, 'x', '{secret}');")
        self.made.policy[f"public.{table}"] = {column: self._mask()}
        self._attack("row security", f"SELECT {column} FROM {table}")
        self._attack("row security by a row", f"SELECT row_to_json(t) FROM {table} t")

    def whole_row(self) -> None:
        """A view that holds a row as one value, along with single columns, which hides what it reads from pg_depend."""
        table, _ = self._column()
        view, a = self._words(2)
        value = self._random.choice(
            ["to_jsonb({})", "({})::text", "ROW(({}).*)::text", "row_to_json({})::text", "hstore({})::text"]
        )
        body = self._random.choice(
            [
                f"SELECT t.id, {value.format('t')} AS {a} FROM {table} t",
                f"SELECT s.id, {value.format('s.t')} AS {a} FROM (SELECT t, t.id FROM {table} t) s",
                f"SELECT 1 AS id, string_agg({value.format('t')}::text, ',') AS {a} FROM {table} t",
            ]
        )
        self._add(f"CREATE VIEW {view} AS {body};")
        self._attack("whole row", f"SELECT {a} FROM {view}")
        self._attack("whole row in an expression", f"SELECT reverse(reverse({a}::text)) FROM {view}")

    def child(self) -> None:
        """A table that inherits a protected column."""
        secret = self._secret()
        table, column = self._words(2)
        staff, pin = self._renaming.text("clinic.staff"), self._renaming.text("pin")
        self._add(f"CREATE TABLE {table} ({column} text) INHERITS ({staff});")
        self._rows(f"TRUNCATE {table}; INSERT INTO {table} VALUES (77, 'x', '{secret}', 1, 'y');")
        self._attack("child", f"SELECT {pin} FROM {table}")
        self._attack("child by its parent", f"SELECT {pin} FROM {staff} WHERE id = 77")

    def materialised(self) -> None:
        """A copy of values, an expression of them, or of rows."""
        table, column = self._column()
        view, a = self._words(2)
        value = self._random.choice(
            [column, f"{column}::text || ''", "t::text", f"ARRAY[{column}]", f"ROW({column}, 1)::text"]
        )
        self._add(f"CREATE MATERIALIZED VIEW {view} AS SELECT id, {value} AS {a} FROM {table} t;")
        self._attack("materialised view", f"SELECT {a} FROM {view}")
        self._attack("materialised view by rows", f"SELECT array_agg(v) FROM {view} v")

    def filter(self) -> None:
        """A view that shows nothing protected, and whose rows tell a value all the same."""
        (view,) = self._words(1)
        table, name, ssn = (self._renaming.text(each) for each in ("customers", "name", "ssn"))
        person, prefix = self._renaming.text("Ada Okonkwo"), self._renaming.text("519-45-6781")[:5]
        like = f"{ssn} LIKE '{prefix}%'"
        body = self._random.choice(
            [
                f"SELECT id, {name} FROM {table} WHERE {like}",
                f"SELECT id, {name} FROM {table} t WHERE EXISTS (SELECT FROM {table} s WHERE s.id = t.id AND s.{like})",
                f"SELECT id, {name} FROM {table} t WHERE (t::text) LIKE '%{prefix}%'",
                f"SELECT max(id) AS id, max({name}) AS {name} FROM {table} GROUP BY {ssn} HAVING {like}",
            ]
        )
        self._add(f"CREATE VIEW {view} AS {body};")
        self._attack("filtering view", f"SELECT {name} FROM {view}", see=person)

    def chain(self) -> None:
        """A view upon a view, two to four deep."""
        table, column = self._column()
        names = self._words(self._random.randint(2, 4))
        self._add(f"CREATE VIEW {names[0]} AS SELECT id, {column} AS c0 FROM {table};")
        for at, (below, above) in enumerate(pairwise(names)):
            self._add(f"CREATE VIEW {above} AS SELECT v.id, v.c{at} AS c{at + 1} FROM {below} v;")
        self._attack("chain of views", f"SELECT c{len(names) - 1} FROM {names[-1]}")
        self._attack("chain of views by a row", f"SELECT v::text FROM {names[-1]} v")

    def trigger(self) -> None:
        """What tells a row's old values when somebody changes it."""
        table, column, name = self._words(3)
        secret = self._secret()
        said = self._random.choice(["OLD", f"OLD.{column}", f"reverse(reverse(OLD.{column}))"])
        self._add(f"CREATE TABLE {table} (id int PRIMARY KEY, {column} text, note text);")
        body = f"BEGIN RAISE NOTICE '%', {said}; RETURN NEW; END"
        self._add(f"CREATE FUNCTION {name}() RETURNS trigger LANGUAGE plpgsql AS $$ {body} $$;")
        self._add(f"CREATE TRIGGER {name} BEFORE UPDATE ON {table} FOR EACH ROW EXECUTE FUNCTION {name}();")
        self._rows(f"TRUNCATE {table}; INSERT INTO {table} VALUES (1, '{secret}', 'n');")
        self.made.policy[f"public.{table}"] = {column: self._mask()}
        self._attack("trigger", f"UPDATE {table} SET note = 'm' WHERE id = 1", writes=True, expect="denied")

    # What they share ----------------------------------------------------------------------------------------------

    def _column(self) -> tuple[str, str]:
        table = self._random.choice(sorted(PROTECTED))
        return self._renaming.text(table), self._renaming.text(self._random.choice(PROTECTED[table]))

    def _words(self, count: int) -> list[str]:
        return [self._renaming.word() for _ in range(count)]

    def _mask(self) -> str:
        return self._random.choice(["redact", "nullify", "hash"])

    def _secret(self) -> str:
        secret = f"{self._renaming.word()}-{self._random.randint(10_000, 99_999)}-{self._renaming.word()}"
        self.made.texts.append(secret)
        return secret

    def _add(self, statement: str) -> None:
        self.made.schema.append(statement)

    def _rows(self, statement: str) -> None:
        self.made.schema.append(statement)
        self.made.reset.append(statement)

    def _attack(
        self, note: str, *statements: str, see: str = GLOBAL, writes: bool = False, expect: str = "masked"
    ) -> None:
        self.made.cases.append(
            {
                "id": f"fresh-{len(self.made.cases) + 1:03d}",
                "class": "fresh",
                "sql": list(statements),
                "secret_visible_if_leaked": [see],
                "expect": expect,
                "note": note,
                "writes": writes,
            }
        )
