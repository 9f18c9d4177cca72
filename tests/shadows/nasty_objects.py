"""A schema of everything that may carry a protected value somewhere, and a statement for each that would show it.

Whether it does is not said here: the tests find out by running the statement with one set of secrets and with another.
"""

from dataclasses import dataclass

BASE = """
CREATE SCHEMA extensions; CREATE SCHEMA private;
CREATE EXTENSION hstore SCHEMA extensions; CREATE EXTENSION dblink SCHEMA extensions;
CREATE EXTENSION pgcrypto SCHEMA extensions; CREATE EXTENSION tablefunc SCHEMA extensions;
CREATE TYPE mood AS ENUM ('glad', 'sad');
CREATE TABLE customers(
    id int PRIMARY KEY, name text NOT NULL, email text, ssn text, country char(2), notes jsonb,
    domain text GENERATED ALWAYS AS (split_part(email, '@', 2)) STORED);
CREATE TABLE vip(level int) INHERITS (customers);
CREATE TABLE payments(id int, customer_id int, amount numeric(10, 2), iban text, made date NOT NULL)
    PARTITION BY RANGE (made);
CREATE TABLE payments_2025 PARTITION OF payments FOR VALUES FROM ('2025-01-01') TO ('2026-01-01');
CREATE TABLE payments_2026(iban text, made date NOT NULL, id int, customer_id int, amount numeric(10, 2));
ALTER TABLE payments ATTACH PARTITION payments_2026 FOR VALUES FROM ('2026-01-01') TO ('2027-01-01');
CREATE TABLE countries(code char(2) PRIMARY KEY, label text);
CREATE TABLE private.ledger(id int, customer_id int, total numeric);
CREATE TABLE visits(id int PRIMARY KEY, customer_id int, note text DEFAULT 'none');
CREATE TABLE secured(id int PRIMARY KEY, owner text);
CREATE FUNCTION person(customers) RETURNS text LANGUAGE sql STABLE AS 'SELECT ($1).name || '' '' || ($1).email';
CREATE FUNCTION plain(customers) RETURNS text LANGUAGE sql STABLE AS 'SELECT ($1).name';
INSERT INTO countries VALUES ('DE', 'Germany'), ('EE', 'Estonia');
INSERT INTO customers VALUES (1, 'Ada', 'ada@one.test', '519-45-6781', 'DE', '{"vip": true}'),
    (2, 'Bram', 'bram@two.test', '301-62-9974', 'EE', '{"vip": false}');
INSERT INTO vip VALUES (3, 'Chloe', 'chloe@three.test', '744-18-2250', 'DE', '{}', DEFAULT, 7);
INSERT INTO payments VALUES (1, 1, 10, 'DE08370400440532013100', '2025-03-01'),
    (2, 2, 20, 'DE78370400440532013101', '2026-03-01'), (3, 3, 30, 'DE51370400440532013102', '2026-04-01');
INSERT INTO private.ledger VALUES (1, 1, 99);
INSERT INTO visits VALUES (1, 1, 'first'), (2, 2, 'second');
INSERT INTO secured VALUES (1, 'app'), (2, 'other');
"""

OTHER_SECRETS = """
UPDATE customers SET email = 'Zed' || id || '@elsewhere.example', ssn = '999-88-77' || least(9 - id, 7);
UPDATE payments SET iban = 'EE' || id || '2200221020145685';
"""

FIRST_SECRETS = """
UPDATE customers SET email = 'ada' || id || '@one.test', ssn = '519-45-678' || id;
UPDATE payments SET iban = 'DE' || id || '8370400440532013100';
"""

GRANTS = """
GRANT USAGE ON SCHEMA extensions TO app;
GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO app;
"""

PROTECTED = ("public.customers.email", "public.customers.ssn", "public.payments.iban")


@dataclass(frozen=True)
class Nasty:
    """`sql` makes it, `probe` would show what it carries."""

    name: str
    sql: str
    probe: str


def _view(name: str, query: str, kind: str = "VIEW") -> Nasty:
    return Nasty(name, f"CREATE {kind} {name} AS {query}", f"SELECT * FROM {name} ORDER BY 1")


def _function(signature: str, rest: str, call: str = "") -> Nasty:
    name = signature.partition("(")[0]
    return Nasty(name, f"CREATE FUNCTION {signature} {rest}", f"SELECT {call or name + '(1)'}")


VIEWS = (
    _view("v_public", "SELECT id, name, country FROM customers"),
    _view("v_contact", "SELECT id, name, email AS mail_to FROM customers"),
    _view("v_nested", "SELECT v.id, upper(v.mail_to) AS m FROM v_contact v"),
    _view("v_nested_public", "SELECT v.id, upper(v.name) AS n FROM v_public v"),
    _view("v_of_contact_names", "SELECT v.id, v.name FROM v_contact v"),
    _view("v_row", "SELECT c.id, c FROM customers c"),
    _view("v_rows", "SELECT c.id, to_jsonb(c) AS doc FROM customers c"),
    _view("v_row_text", "SELECT c.id, c::text AS doc FROM customers c"),
    _view("v_star", "SELECT * FROM customers"),
    _view("v_alias_star", "SELECT v.* FROM v_contact v"),
    _view("v_renamed", "SELECT a, b FROM customers AS c(a, b, x, y, z)"),
    _view("v_renamed_secret", "SELECT a, x FROM customers AS c(a, b, x, y, z)"),
    _view("v_where", "SELECT id FROM customers WHERE ssn LIKE '519%'"),
    _view("v_order", "SELECT id, row_number() OVER (ORDER BY ssn) AS n FROM customers"),
    _view("v_having", "SELECT country FROM customers GROUP BY country HAVING min(email) < 'b'"),
    _view("v_count", "SELECT country, count(*) AS n FROM customers GROUP BY country"),
    _view("v_cte", "WITH c AS (SELECT id, ssn FROM customers) SELECT id, ssn FROM c"),
    _view("v_cte_shadow", "WITH customers AS (SELECT id, name FROM customers) SELECT * FROM customers"),
    _view("v_union", "SELECT id, name FROM customers UNION SELECT id, iban FROM payments"),
    _view("v_lateral", "SELECT c.id, x.s FROM customers c, LATERAL (SELECT c.ssn AS s) x"),
    _view("v_lateral_plain", "SELECT c.id, x.s FROM customers c, LATERAL (SELECT c.name AS s) x"),
    _view(
        "v_recursive",
        "WITH RECURSIVE r(id, s) AS (SELECT id, ssn FROM customers WHERE id = 1 UNION ALL "
        "SELECT c.id, c.ssn FROM customers c JOIN r ON c.id = r.id + 1) SELECT id, s FROM r",
    ),
    _view("v_exists", "SELECT code FROM countries k WHERE EXISTS (SELECT FROM customers c WHERE c.email > k.label)"),
    _view("v_in", "SELECT code FROM countries WHERE code IN (SELECT country FROM customers)"),
    _view("v_using", "SELECT id, p.amount FROM customers c JOIN payments p USING (id)"),
    _view("v_using_secret", "SELECT a.id FROM customers a JOIN vip b USING (ssn)"),
    _view("v_natural", "SELECT a.id FROM customers a NATURAL JOIN vip b"),
    _view("v_join_alias", "SELECT j.id, j.ssn FROM (customers c JOIN visits v(vid, cid) ON v.cid = c.id) j"),
    _view("v_generated", "SELECT id, domain FROM customers"),
    _view("v_partition", "SELECT id, iban FROM payments_2026"),
    _view("v_partition_amounts", "SELECT id, amount FROM payments_2026"),
    _view("v_child", "SELECT id, ssn FROM vip"),
    _view("v_child_level", "SELECT id, level FROM vip"),
    _view("v_function_of_row", "SELECT c.id, person(c) AS p FROM customers c"),
    _view("v_attribute_call", "SELECT c.id, c.person FROM customers c"),
    _view("v_hstore", "SELECT c.id, extensions.hstore(c) AS h FROM customers c"),
    _view("v_digest", "SELECT id, extensions.digest(name, 'sha256') AS d FROM customers"),
    _view("v_aggregate_row", "SELECT jsonb_agg(c ORDER BY id) AS a FROM customers c"),
    _view("v_xml", "SELECT query_to_xml('SELECT ssn FROM public.customers', true, true, '')::text AS x"),
    _view("v_case", "SELECT id, CASE WHEN ssn < '6' THEN 'low' ELSE 'high' END AS c FROM customers"),
    _view("v_system", "SELECT id, tableoid::regclass::text AS t FROM customers"),
    _view("v_ledger", "SELECT total FROM private.ledger"),
    _view("v_ledger_join", "SELECT l.total, c.ssn FROM private.ledger l JOIN customers c ON c.id = l.customer_id"),
    _view("v_group_by_key", "SELECT c.id, c.name, c.ssn, count(*) AS n FROM customers c GROUP BY c.id"),
    _view("v_values", "SELECT * FROM (VALUES (1, 'x')) AS v(id, ssn)"),
    _view("v_statistics", "SELECT tablename::text, most_common_vals::text FROM pg_stats WHERE tablename = 'customers'"),
    Nasty(
        "v_invoker",
        "CREATE VIEW v_invoker WITH (security_invoker = true) AS SELECT id, email FROM customers",
        "SELECT * FROM v_invoker ORDER BY 1",
    ),
    Nasty(
        "v_invoker_public",
        "CREATE VIEW v_invoker_public WITH (security_invoker = true) AS SELECT id, name FROM customers",
        "SELECT * FROM v_invoker_public ORDER BY 1",
    ),
    Nasty(
        "v_invoker_ledger",
        "CREATE VIEW extensions.v_invoker_ledger WITH (security_invoker = true) AS "
        "SELECT l.total, c.ssn FROM private.ledger l JOIN customers c ON c.id = l.customer_id;"
        "GRANT SELECT ON extensions.v_invoker_ledger TO app",
        "SELECT total FROM extensions.v_invoker_ledger ORDER BY 1",
    ),
    _view("m_cards", "SELECT id, ssn FROM customers", "MATERIALIZED VIEW"),
    _view("m_names", "SELECT id, name FROM customers", "MATERIALIZED VIEW"),
    _view("v_of_m_cards", "SELECT * FROM m_cards"),
)

FUNCTIONS = (
    _function(
        "f_card(cid int)",
        "RETURNS text LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public, pg_temp "
        "AS 'SELECT ssn FROM customers WHERE id = cid'",
    ),
    _function(
        "f_label(c int)",
        "RETURNS text LANGUAGE sql STABLE SECURITY DEFINER "
        "AS 'SELECT label FROM public.countries ORDER BY code LIMIT 1'",
    ),
    _function(
        "f_label_guarded(c int)",
        "RETURNS text LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public, pg_temp "
        "AS 'SELECT label FROM countries ORDER BY code LIMIT 1'",
    ),
    _function(
        "f_atomic(cid int)",
        "RETURNS text LANGUAGE sql STABLE SECURITY DEFINER "
        "BEGIN ATOMIC SELECT email FROM customers WHERE id = cid; END",
    ),
    _function(
        "f_atomic_plain(cid int)",
        "RETURNS text LANGUAGE sql STABLE SECURITY DEFINER BEGIN ATOMIC SELECT name FROM customers WHERE id = cid; END",
    ),
    _function(
        "f_blob(cid int)", "RETURNS jsonb LANGUAGE sql AS 'SELECT to_jsonb(c) FROM customers c WHERE c.id = cid'"
    ),
    _function("f_name(cid int)", "RETURNS text LANGUAGE sql AS 'SELECT name FROM customers WHERE id = cid'"),
    _function(
        "f_set(cid int)",
        "RETURNS SETOF customers LANGUAGE sql AS 'SELECT * FROM customers WHERE id = cid'",
    ),
    _function(
        "f_loop(cid int)",
        "RETURNS text LANGUAGE plpgsql AS 'DECLARE found text; BEGIN "
        "SELECT ssn INTO found FROM public.customers WHERE id = cid; RETURN found; END'",
    ),
    _function(
        "f_dynamic(cid int)",
        "RETURNS text LANGUAGE plpgsql AS $f$DECLARE found text; BEGIN "
        "EXECUTE 'SELECT ssn FROM public.customers WHERE id = ' || cid INTO found; RETURN found; END$f$",
    ),
    _function(
        "f_dynamic_definer(cid int)",
        "RETURNS text LANGUAGE plpgsql SECURITY DEFINER AS $f$DECLARE found text; BEGIN "
        "EXECUTE 'SELECT ssn FROM public.customers WHERE id = ' || cid INTO found; RETURN found; END$f$",
    ),
    _function("f_calls(cid int)", "RETURNS text LANGUAGE sql STABLE AS 'SELECT upper(public.f_card(cid))'"),
    _function(
        "f_calls_definer(cid int)",
        "RETURNS text LANGUAGE sql STABLE SECURITY DEFINER AS 'SELECT public.f_loop(cid)'",
    ),
    _function(
        "f_error(cid int)",
        "RETURNS int LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public, pg_temp "
        "AS 'SELECT ssn::int FROM customers WHERE id = cid'",
    ),
    _function("f_inline(cid int)", "RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT cid + 1'"),
    _function(
        "f_over(cid int)", "RETURNS text LANGUAGE sql STABLE AS 'SELECT ssn FROM public.customers WHERE id = cid'"
    ),
    Nasty(
        "f_over_text",
        "CREATE FUNCTION f_over(t text) RETURNS text LANGUAGE sql STABLE AS 'SELECT t'",
        "SELECT f_over('x'::text)",
    ),
    Nasty(
        "aggregate",
        "CREATE FUNCTION gather(state text, cid int) RETURNS text LANGUAGE sql SECURITY DEFINER SET search_path = "
        "public, pg_temp AS 'SELECT concat(state, ssn) FROM customers WHERE id = cid';"
        "CREATE AGGREGATE gathered(int) (sfunc = gather, stype = text);",
        "SELECT gathered(id ORDER BY id) FROM visits",
    ),
    Nasty(
        "operator",
        "CREATE FUNCTION spy(text, text) RETURNS bool LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public, "
        "pg_temp AS 'SELECT EXISTS (SELECT FROM customers WHERE ssn LIKE ''519%'')';"
        "CREATE OPERATOR === (leftarg = text, rightarg = text, function = spy);"
        "CREATE VIEW v_operator AS SELECT code FROM countries WHERE label === 'x'",
        "SELECT * FROM v_operator ORDER BY 1",
    ),
    Nasty(
        "cast",
        "CREATE TYPE wrapped AS (id int);"
        "CREATE FUNCTION unwrapped(wrapped) RETURNS text LANGUAGE sql STABLE SECURITY DEFINER SET search_path = "
        "public, pg_temp AS 'SELECT ssn FROM customers WHERE id = ($1).id';"
        "CREATE CAST (wrapped AS text) WITH FUNCTION unwrapped(wrapped) AS ASSIGNMENT;"
        "CREATE VIEW v_cast AS SELECT v.id, ROW(v.id)::wrapped::text AS t FROM visits v;"
        "CREATE MATERIALIZED VIEW m_cast AS SELECT v.id, ROW(v.id)::wrapped::text AS t FROM visits v",
        "SELECT * FROM v_cast UNION ALL SELECT * FROM m_cast ORDER BY 1",
    ),
    Nasty(
        "domain",
        "CREATE FUNCTION checked(int) RETURNS bool LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public, "
        "pg_temp AS 'SELECT ssn LIKE ''519%'' FROM customers WHERE id = $1';"
        "CREATE DOMAIN known AS int CHECK (checked(VALUE))",
        "SELECT 1::known",
    ),
    Nasty(
        "default",
        "CREATE FUNCTION looked_up() RETURNS text LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public, "
        "pg_temp AS 'SELECT ssn FROM customers ORDER BY id LIMIT 1';"
        "ALTER TABLE visits ADD COLUMN seen text; ALTER TABLE visits ALTER COLUMN seen SET DEFAULT looked_up()",
        "INSERT INTO visits(id) VALUES (77) RETURNING seen",
    ),
    Nasty(
        "rule",
        "CREATE TABLE ruled(id int); INSERT INTO ruled VALUES (1);"
        "CREATE RULE telling AS ON INSERT TO ruled DO ALSO SELECT id, ssn FROM customers ORDER BY id",
        "INSERT INTO ruled VALUES (2)",
    ),
    Nasty(
        "instead",
        "CREATE VIEW v_instead AS SELECT id, name FROM customers;"
        "CREATE FUNCTION instead() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $f$BEGIN "
        "NEW.name := (SELECT ssn FROM public.customers WHERE id = NEW.id); RETURN NEW; END$f$;"
        "CREATE TRIGGER instead INSTEAD OF INSERT ON v_instead FOR EACH ROW EXECUTE FUNCTION instead()",
        "INSERT INTO v_instead VALUES (1, 'x') RETURNING name",
    ),
    Nasty(
        "temporary_trigger",
        "CREATE FUNCTION stamp() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $f$BEGIN "
        "NEW.note := (SELECT ssn FROM public.customers WHERE id = NEW.id); RETURN NEW; END$f$",
        "CREATE TEMP TABLE mine(id int, note text);"
        "CREATE TRIGGER stamp BEFORE INSERT ON mine FOR EACH ROW EXECUTE FUNCTION stamp();"
        "INSERT INTO mine VALUES (1) RETURNING note",
    ),
    Nasty(
        "temporary_view",
        "CREATE FUNCTION f_hijacked() RETURNS text LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public "
        "AS 'SELECT label FROM countries ORDER BY code LIMIT 1'",
        "CREATE FUNCTION pg_temp.steal() RETURNS text LANGUAGE sql AS "
        "'SELECT string_agg(ssn, '','' ORDER BY id) FROM public.customers';"
        "CREATE TEMP VIEW countries AS SELECT 'DE' AS code, pg_temp.steal() AS label; SELECT f_hijacked()",
    ),
    Nasty(
        "temporary_cast",
        "CREATE FUNCTION f_shown(x anyelement) RETURNS text LANGUAGE sql STABLE SECURITY DEFINER SET search_path = "
        "public, pg_temp AS 'SELECT $1::pg_catalog.text'",
        "CREATE TYPE pg_temp.bait AS (id int);"
        "CREATE FUNCTION pg_temp.steal(pg_temp.bait) RETURNS text LANGUAGE sql AS "
        "'SELECT string_agg(ssn, '','' ORDER BY id) FROM public.customers';"
        "CREATE CAST (pg_temp.bait AS text) WITH FUNCTION pg_temp.steal(pg_temp.bait);"
        "SELECT f_shown(ROW(1)::pg_temp.bait)",
    ),
    Nasty(
        "foreign",
        "CREATE EXTENSION postgres_fdw SCHEMA extensions;"
        "CREATE SERVER again FOREIGN DATA WRAPPER postgres_fdw OPTIONS (dbname 'nowhere');"
        "CREATE USER MAPPING FOR PUBLIC SERVER again;"
        "CREATE FOREIGN TABLE far(id int, ssn text) SERVER again OPTIONS (table_name 'customers')",
        "SELECT * FROM far",
    ),
    Nasty("dblink", "SELECT 1", "SELECT * FROM extensions.dblink('dbname=postgres', 'SELECT 1') AS t(a int)"),
    Nasty(
        "secured",
        "ALTER TABLE secured ENABLE ROW LEVEL SECURITY; CREATE POLICY own ON secured USING (owner = current_user)",
        "SELECT * FROM secured ORDER BY 1",
    ),
    Nasty(
        "tenants",
        "CREATE TABLE tenants(id int, who text); INSERT INTO tenants VALUES (1, 'a'), (2, 'b');"
        "ALTER TABLE tenants ENABLE ROW LEVEL SECURITY; CREATE POLICY own ON tenants USING (id = 1)",
        "SELECT * FROM tenants ORDER BY 1",
    ),
)

_TABLES = tuple(
    Nasty(name, "SELECT 1", f"SELECT * FROM {name} ORDER BY 1")
    for name in (
        "customers",
        "vip",
        "payments",
        "payments_2025",
        "payments_2026",
        "countries",
        "visits",
        "private.ledger",
    )
)

STATEMENTS = (
    Nasty("column", "SELECT 1", "SELECT id, name, country FROM customers ORDER BY 1"),
    Nasty("partition_column", "SELECT 1", "SELECT id, amount FROM payments_2026 ORDER BY 1"),
    Nasty("row_function", "SELECT 1", "SELECT person(c) FROM customers c ORDER BY 1"),
    Nasty("plain_row_function", "SELECT 1", "SELECT plain(c) FROM customers c ORDER BY 1"),
    Nasty("xml", "SELECT 1", "SELECT schema_to_xml('public', true, true, '')"),
    Nasty(
        "crosstab",
        "SELECT 1",
        "SELECT * FROM extensions.crosstab('SELECT id, 1, ssn FROM public.customers ORDER BY 1') AS t(a int, b text)",
    ),
    Nasty("stats", "ANALYZE", "SELECT attname FROM pg_stats WHERE tablename = 'customers' AND attname = 'ssn'"),
)

OBJECTS = (*VIEWS, *FUNCTIONS, *_TABLES, *STATEMENTS)
