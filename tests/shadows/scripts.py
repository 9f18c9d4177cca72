"""Random statements and scripts around the queries of the grammar: changes, cursors, temporary tables, search paths."""

from random import Random

from tests.shadows.queries import CLEAN, HIDDEN, Queries

RULED_OUT = "42501"
"""What the server must say to a change that a mask would decide."""


class Scripts(Queries):
    """A script is a list of texts, each sent as one. `acting` are the texts that must end in 42501."""

    def __init__(self, random: Random) -> None:
        super().__init__(random)
        self.acting: set[str] = set()

    def script(self) -> list[str]:
        """What one client sends within a transaction."""
        self._names = 0
        scripts = [
            self.two_queries, self.cursor, self.prepared, self.copies, self.moved_path, self.local_path,
            self.path_function, self.hiding_table, self.hiding_view, self.made_table, self.savepoint, self.block,
            self.own_function, self.at_once, self.quoted_query, self.acts_on_mask, self.other,
        ]  # fmt: skip
        changes = [
            self.insert_returning, self.upsert_returning, self.update_returning, self.delete_returning,
            self.insert_select, self.update_from, self.delete_using, self.merge, self.multiple_assignment,
        ]  # fmt: skip
        made = self.pick([*scripts, *changes])
        return [made, self.query()] if isinstance(made, str) else made

    def two_queries(self) -> list[str]:
        return [self.query(), self.query()]

    def insert_select(self) -> str:
        return f"INSERT INTO countries SELECT DISTINCT q.t, 'x' FROM ({self.one_text()}) q WHERE q.t <> '' RETURNING *"

    def update_from(self) -> str:
        source = self.alias("public.people")
        where = f"{source.reference}.id = items.id"
        return f"UPDATE shop.items SET label = {self.text(source)} FROM {source.text} WHERE {where}"

    def multiple_assignment(self) -> str:
        source = self.alias("public.people")
        return (
            f"UPDATE app.people t SET (name) = ROW ({self.text(source)}) FROM {source.text} "
            f"WHERE {source.reference}.id = t.id RETURNING t.name, {source.reference}.email"
        )

    def delete_using(self) -> str:
        source = self.alias("public.people")
        return (
            f"DELETE FROM shop.items i USING {source.text} WHERE {source.reference}.id = i.id AND "
            f"{self.condition(source)} RETURNING i.id, {source.reference}"
        )

    def merge(self) -> str:
        source = self.alias("public.people")
        key, value = f"{source.reference}.id", f"{source.reference}.ssn"
        return (
            f"MERGE INTO shop.items i USING {source.text} ON i.id = {key} WHEN MATCHED AND {self.condition(source)} "
            f"THEN UPDATE SET label = {value} WHEN NOT MATCHED THEN INSERT (id, label) VALUES ({key}, {value})"
        )

    def cursor(self) -> list[str]:
        kind = self.random.choice(["", "SCROLL ", "NO SCROLL "])
        return [f"DECLARE c {kind}CURSOR FOR {self.query()}", "FETCH ALL FROM c", "CLOSE c"]

    def prepared(self) -> list[str]:
        source = self.pick([self.alias, self.bare, self.qualified], "public.people")
        query = f"SELECT {self.text(source)} FROM {source.text} WHERE {source.reference}.id < $1"
        name = self.name()
        return [f"PREPARE {name}_ AS {query}", f"EXECUTE {name}_ (5)", f"EXECUTE {name}_ (2)", f"DEALLOCATE {name}_"]

    def copies(self) -> list[str]:
        return [
            self.random.choice(
                [
                    "COPY people TO STDOUT",
                    f'COPY {self.spelled("public.people")} (id, email /* ) */, "ssn") TO STDOUT (FORMAT csv, HEADER)',
                    f"COPY ({self.query()}) TO STDOUT",
                    f"COPY {self.spelled('app.people')} TO STDOUT WITH CSV",
                    "COPY shop.items TO STDOUT",
                ]
            )
        ]

    def moved_path(self) -> list[str]:
        path = self.random.choice(
            ["app", "app, public", "archive, app", "'app'", '"$user", App', "public, app", "shop"]
        )
        set_it = self.random.choice(["SET search_path = ", "SET SESSION search_path TO "])
        return [set_it + path, "SELECT * FROM people", self.query(), "RESET search_path", "SELECT * FROM people"]

    def local_path(self) -> list[str]:
        return ["SET LOCAL search_path = app, public", "SELECT * FROM people", self.query()]

    def path_function(self) -> list[str]:
        path = self.random.choice(["app", "app, public", '"archive" , app', ""])
        is_local = self.random.choice(["true", "false"])
        return [f"SELECT set_config('search_path', '{path}', {is_local})", "SELECT count(*) FROM people", self.query()]

    def hiding_table(self) -> list[str]:
        made = self.random.choice(
            ["AS SELECT id, email FROM people", "(id int, email text)", "ON COMMIT DROP AS TABLE people"]
        )
        drop = self.random.choice(["DROP TABLE people", "DISCARD PLANS", "ALTER TABLE people RENAME TO others"])
        return [f"CREATE TEMP TABLE people {made}", "SELECT * FROM people", self.query(), drop, "SELECT * FROM people"]

    def hiding_view(self) -> list[str]:
        return [f"CREATE TEMP VIEW people AS {self.one_text()}", "SELECT * FROM people", "SELECT * FROM public.people"]

    def made_table(self) -> list[str]:
        made = self.random.choice(
            [f"CREATE TEMP TABLE made AS {self.one_text()}", "SELECT * INTO TEMP made FROM people"]
        )
        return [made, "SELECT * FROM made"]

    def savepoint(self) -> list[str]:
        undo = self.random.choice(["ROLLBACK TO SAVEPOINT a", "RELEASE SAVEPOINT a"])
        inside = self.random.choice(
            ["SET search_path = app", "CREATE TEMP TABLE people (i int)", "SET LOCAL search_path = shop"]
        )
        return ["SAVEPOINT a", inside, undo, "SELECT * FROM people"]

    def block(self) -> list[str]:
        source = self.pick([self.alias, self.bare, self.qualified], "public.people")
        text = self.text(source)
        say, where = "INSERT INTO said VALUES (v)", f"FROM {source.text}"
        body = self.random.choice(
            [
                f"DECLARE v text; BEGIN FOR v IN SELECT {text} {where} LOOP {say}; END LOOP; END",
                f"DECLARE v text; BEGIN v := (SELECT max({text}) {where}); {say}; END",
                f"DECLARE v text; BEGIN SELECT {text} INTO v {where} WHERE {source.reference}.id = 1; {say}; END",
                f"BEGIN INSERT INTO said SELECT {text} {where}; END",
            ]
        )
        return ["CREATE TEMP TABLE said (t text)", f"DO $do$ {body} $do$", "SELECT * FROM said"]

    def own_function(self) -> list[str]:
        query = self.one_text().replace("'", "''")
        procedure = f"BEGIN RETURN QUERY {self.one_text()}; END"
        made = self.random.choice(
            [
                f"LANGUAGE sql AS '{query}'",
                f"LANGUAGE sql AS $f${self.one_text()}$f$",
                f"LANGUAGE plpgsql AS $f${procedure}$f$",
            ]
        )
        return [f"CREATE FUNCTION pg_temp.f() RETURNS SETOF text {made}", "SELECT pg_temp.f()"]

    def quoted_query(self) -> list[str]:
        query = self.one_text().replace("'", "''")
        table = self.random.choice(["people", "public.people", "app.people", "countries"])
        return [
            self.random.choice(
                [
                    f"SELECT query_to_xml('{query} ORDER BY 1', true, false, '')",
                    f"SELECT query_to_xml($q${self.one_text()} ORDER BY 1$q$, true, true, '')",
                    f"SELECT table_to_xml('{table}', true, false, '')",
                    f"SELECT * FROM ts_stat('SELECT to_tsvector(''simple'', q.t) FROM ({query}) q')",
                ]
            )
        ]

    def at_once(self) -> list[str]:
        """Several statements in one text."""
        return ["; ".join(["SET search_path = app, public", "SELECT * FROM people", self.query(), self.query()])]

    def acts_on_mask(self) -> list[str]:
        """A change that a mask would decide, or that would write one into the table that it hides."""
        path = self.random.choice(list(HIDDEN))
        hidden, clean = self.random.choice(HIDDEN[path]), CLEAN[path][0]
        target = self.pick([self.alias, self.bare], path)
        column = f"{target.reference}.{hidden}"
        text = self.random.choice(
            [
                f"DELETE FROM {target.text} WHERE {column} IS NOT NULL{self.random.choice(['', ' RETURNING *'])}",
                f"UPDATE {target.text} SET {clean} = NULL WHERE {column} IS NULL RETURNING *",
                f"UPDATE {target.text} SET {hidden} = NULL RETURNING id",
                f"DELETE FROM {target.text} WHERE {target.reference}::text LIKE '%1%' RETURNING *",
            ]
        )
        self.acting.add(text)
        return [text]

    def other(self) -> list[str]:
        return [
            self.random.choice(
                [
                    f"EXPLAIN {self.query()}",
                    "LOCK TABLE people IN ACCESS SHARE MODE",
                    "SELECT * FROM people p FOR SHARE OF p",
                    "SELECT 'people'::regclass::text, to_regclass('app.people')::text",
                    "SELECT * FROM {} ( 'it''s', $$people$$ )".format("pg_catalog.concat"),
                    "SELECT no_column FROM people",
                    "SELECT * FROM no_table",
                    "SELECT 'ünïcode', email FROM people -- people",
                    'SELECT U&"\\0065mail" FROM people',
                    "SELECT * FROM mail_of(3) m",
                ]
            )
        ]
