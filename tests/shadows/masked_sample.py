"""A schema with masks made by hand: real tables with twins beside them, and, as a reference, the same tables with
masked values in them. What a session sees through the first must be what anybody sees in the second."""

from types import MappingProxyType

from hoopproxy.masks import Named, Shadow, Shadowed

TABLES = """
CREATE SCHEMA app; CREATE SCHEMA archive; CREATE SCHEMA shop;
CREATE TABLE people(id int PRIMARY KEY, name text, email text, ssn text, country text DEFAULT 'DE', born date,
  boss int);
CREATE TABLE app.people(id int PRIMARY KEY, name text, phone text);
CREATE TABLE archive.people(id int PRIMARY KEY, name text, note text);
CREATE TABLE orders(id int, person_id int, amount numeric(10, 2), iban text, made date NOT NULL, PRIMARY KEY(id, made))
  PARTITION BY RANGE (made);
CREATE TABLE orders_2025 PARTITION OF orders FOR VALUES FROM ('2025-01-01') TO ('2026-01-01');
CREATE TABLE orders_2026 PARTITION OF orders FOR VALUES FROM ('2026-01-01') TO ('2027-01-01');
CREATE TABLE shop.items(id int PRIMARY KEY, order_id int, label text, price numeric(10, 2),
  doubled numeric(10, 2) GENERATED ALWAYS AS (price * 2) STORED);
CREATE TABLE countries(code text PRIMARY KEY, label text);
CREATE VIEW contacts AS SELECT id, name, email AS mail FROM people;
CREATE FUNCTION mail_of(wanted int) RETURNS text LANGUAGE sql STABLE AS
  'SELECT email FROM public.people WHERE id = wanted';
CREATE FUNCTION label_of(wanted text) RETURNS text LANGUAGE sql STABLE AS
  'SELECT label FROM public.countries WHERE code = wanted';
INSERT INTO people SELECT n, 'Name ' || n, 'mail' || n || '@example.org', '519-45-100' || n,
  (ARRAY['DE', 'EE', 'FR'])[n % 3 + 1], date '1980-05-17' + n * 400, nullif(n / 2, 0) FROM generate_series(1, 7) n;
UPDATE people SET email = NULL WHERE id = 5;
INSERT INTO app.people SELECT n, 'App ' || n, '+49-30-10' || n FROM generate_series(1, 4) n;
INSERT INTO archive.people SELECT n, 'Old ' || n, 'note ' || n FROM generate_series(3, 6) n;
INSERT INTO orders SELECT n, n % 7 + 1, n * 10.5, 'DE0837040044053201300' || n, date '2025-01-10' + n * 60
  FROM generate_series(1, 10) n;
INSERT INTO shop.items(id, order_id, label, price) SELECT n, n % 10 + 1, 'Item ' || n, n * 3
  FROM generate_series(1, 15) n;
INSERT INTO countries VALUES ('DE', 'Germany'), ('EE', 'Estonia'), ('FR', 'France');
"""

MASKS = MappingProxyType(
    {
        ("public", "people"): {
            "email": "CASE WHEN email IS NOT NULL THEN '***' END",
            "ssn": "'***-**-' || right(ssn, 4)",
            "born": "date_trunc('year', born)::date",
        },
        ("app", "people"): {"phone": "NULL::text"},
        **{("public", name): {"iban": "left(iban, 2)"} for name in ("orders", "orders_2025", "orders_2026")},
    }
)
"""Each protected table with the SQL of its masks."""

COLUMNS = MappingProxyType(
    {
        ("public", "people"): ("id", "name", "email", "ssn", "country", "born", "boss"),
        ("app", "people"): ("id", "name", "phone"),
        ("archive", "people"): ("id", "name", "note"),
        **{
            ("public", name): ("id", "person_id", "amount", "iban", "made")
            for name in ("orders", "orders_2025", "orders_2026")
        },
        ("shop", "items"): ("id", "order_id", "label", "price", "doubled"),
        ("public", "countries"): ("code", "label"),
        ("public", "contacts"): ("id", "name", "mail"),
    }
)

TWINS = MappingProxyType({"public": "hp_7a_1", "app": "hp_7a_0"})
"""The schema of the twins for each schema."""

GROUP, LOGIN, PASSWORD = "hp_7a", "hp_7a_login", "a word for a test alone"


def _reference() -> str:
    """Masked values in the tables themselves."""
    return ";\n".join(
        f"UPDATE {schema}.{name} SET " + ", ".join(f"{column} = {mask}" for column, mask in masks.items())
        for (schema, name), masks in MASKS.items()
        if not name.startswith("orders_")
    )


def _shadows() -> str:
    """Twins of all that shows a protected column, and a role that may read nothing else of it."""
    made = [f"CREATE SCHEMA {twins}; GRANT USAGE ON SCHEMA {twins} TO {GROUP}" for twins in TWINS.values()]
    for (schema, name), masks in MASKS.items():
        shown = (f"{masks[column]} AS {column}" if column in masks else column for column in COLUMNS[schema, name])
        made += [
            f"CREATE VIEW {TWINS[schema]}.{name} AS SELECT {', '.join(shown)} FROM {schema}.{name}",
            f"GRANT SELECT, INSERT, UPDATE, DELETE ON {TWINS[schema]}.{name} TO {GROUP}",
        ]
    made += [
        "CREATE VIEW hp_7a_1.contacts AS SELECT id, name, email AS mail FROM hp_7a_1.people",
        f"GRANT SELECT ON hp_7a_1.contacts TO {GROUP}",
        "CREATE FUNCTION hp_7a_1.mail_of(wanted int) RETURNS text LANGUAGE sql STABLE AS "
        "'SELECT email FROM hp_7a_1.people WHERE id = wanted'",
    ]
    for (schema, name), columns in COLUMNS.items():
        if (schema, name) in MASKS:
            clean = ", ".join(column for column in columns if column not in MASKS[schema, name])
            made.append(f"GRANT SELECT ({clean}) ON {schema}.{name} TO {GROUP}")
        elif name != "contacts":
            made.append(f"GRANT SELECT ON {schema}.{name} TO {GROUP}")
    return ";\n".join([*made, *_rights(GROUP)])


def _rights(role: str) -> list[str]:
    """What both roles may change: all columns but the protected ones."""
    found = [f"GRANT USAGE ON SCHEMA {schema} TO {role}" for schema in ("public", "app", "archive", "shop")]
    for (schema, name), columns in COLUMNS.items():
        if name != "contacts":
            hidden = {*MASKS.get((schema, name), ()), "doubled"}
            clean = ", ".join(column for column in columns if column not in hidden)
            found.append(f"GRANT INSERT ({clean}), UPDATE ({clean}), DELETE ON {schema}.{name} TO {role}")
    return found


def account(role: str) -> str:
    """The rights of an account that a gateway logs in as: reads all, changes all but what is derived."""
    schemas = "public, app, archive, shop"
    return (
        f"GRANT USAGE ON SCHEMA {schemas} TO {role}; "
        f"GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA {schemas} TO {role}"
    )


POLICY = "".join(
    f"""
[[mask]]
target = "masked"
column = "{column}"
mask = {mask}
"""
    for column, mask in {
        "public.people.email": '"redact"',
        "public.people.ssn": "{ partial = { first = 0, last = 4 } }",
        "public.people.born": '"redact"',
        "app.people.phone": '"nullify"',
        "public.orders.iban": "{ partial = { first = 2, last = 0 } }",
    }.items()
)
"""Masks for the same columns, as policy.toml has them."""

ROLES = f"""
CREATE ROLE {GROUP} NOLOGIN; CREATE ROLE {LOGIN} LOGIN PASSWORD '{PASSWORD}' IN ROLE {GROUP};
"""

REFERENCE_RIGHTS = ";\n".join(
    [*_rights(GROUP), *(f"GRANT SELECT ON {schema}.{name} TO {GROUP}" for schema, name in COLUMNS)]
)
"""A role that may read all and change what the masked one may."""

REFERENCE = f"{TABLES};\n{_reference()};\n{REFERENCE_RIGHTS}"
MASKED = f"{TABLES};\n{_shadows()}"


def _shadowed(named: Named) -> Shadowed:
    schema, name = named
    key = ("id", "made") if name.startswith("orders") else ("id",)
    return Shadowed(
        TWINS[schema],
        name,
        COLUMNS[named],
        frozenset(MASKS.get(named, ())),
        is_written=named in MASKS,
        is_held=named in MASKS,
        has_heirs=name == "orders",
        primary_key=key if named in MASKS else (),
    )


SHADOW = Shadow(
    mask_set=GROUP,
    path=("public",),
    bearers={
        "people": frozenset({"public", "app", "archive"}),
        "contacts": frozenset({"public"}),
        "vault": frozenset({"public"}),
        "columns": frozenset({"information_schema"}),
        **{name: frozenset({"public"}) for _, name in MASKS if name != "people"},
    },
    calls={"mail_of": frozenset({"public"}), "open_vault": frozenset({"public", "app"})},
    relations={
        **{named: _shadowed(named) for named in (*MASKS, ("public", "contacts"))},
        ("information_schema", "columns"): Shadowed("hp_7a_is", "columns"),
    },
    functions={("public", "mail_of"): ("hp_7a_1", "mail_of")},
    withheld={
        ("public", "vault"): "The vault is closed in this session.",
        ("public", "open_vault"): "The vault can't be opened in this session.",
    },
    origins={},
    tripwire={},
)
