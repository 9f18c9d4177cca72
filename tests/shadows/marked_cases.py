"""Statements by what the rewriter must do to them. `{people}` marks a name that becomes its twin's, `{people@app}` one
that means another schema than `public`; all else must stay as it is, to the byte."""

import re

READ = r"""
SELECT * FROM {people}
select*from {people}
SELECT ssn FROM {public.people}
SELECT ssn FROM {PUBLIC.People}
SELECT ssn FROM {"public"."people"}
SELECT ssn FROM {public . people}
SELECT ssn FROM {public/* a /* nested */ comment */.people}
SELECT ssn/**/FROM/**/{people}
SELECT ssn FROM {"people"}AS"c"
SELECT ssn FROM {people} AS "ünïcode", {orders} o WHERE 'äöü' = o.iban
SELECT 'äöü€𝄞', name FROM {people} WHERE name = '𝄞' AND EXISTS (SELECT FROM {people} p2)
SELECT phone FROM {app.people}
SELECT note FROM archive.people
SELECT label FROM countries
SELECT p.*, o.* FROM {people} p, {orders} o
SELECT p.* FROM {people} p JOIN {orders} o ON o.person_id = p.id LEFT JOIN shop.items i ON i.order_id = o.id
SELECT * FROM ({people} p CROSS JOIN {orders}) AS j
SELECT * FROM {people} NATURAL JOIN {app.people} a
SELECT people.email FROM {people}
SELECT {public.people}.email FROM {public.people}
SELECT {public.people}.* FROM {public.people}
SELECT {public.people}.* FROM {people}
SELECT {public . people} . email FROM {people}
SELECT row({public.people}.*) FROM {people}
SELECT {public.people}.id, {app.people}.id FROM {public.people}, {app.people}
SELECT public.people.email FROM {people} p
SELECT archive.people.note, {app.people}.phone FROM archive.people, {app.people}
SELECT p FROM {people} p
SELECT people FROM {people}
SELECT (p).ssn, (people).email FROM {people} p, {people}
SELECT to_jsonb(p)->'ssn' FROM {people} p
SELECT 1 FROM countries WHERE EXISTS (SELECT 1 FROM {people})
SELECT (SELECT max(ssn) FROM {people}), ARRAY(SELECT email FROM {people})
SELECT id FROM countries WHERE code IN (SELECT country FROM {people} WHERE ssn = ANY (SELECT iban FROM {orders}))
SELECT * FROM (SELECT * FROM (SELECT * FROM {people}) a) b
SELECT * FROM countries c, LATERAL (SELECT ssn FROM {people} WHERE country = c.code) l
SELECT * FROM {people} JOIN LATERAL (SELECT {public.people}.ssn) l ON true
SELECT ssn FROM {people} UNION SELECT iban FROM {orders} EXCEPT SELECT phone FROM {app.people}
(SELECT ssn FROM {people}) INTERSECT ALL (SELECT iban FROM {orders}) ORDER BY 1
TABLE {people}
TABLE {public.people}
TABLE ONLY {people}
SELECT * FROM ONLY {people}
SELECT * FROM ONLY ({people})
SELECT * FROM {people} *
SELECT * FROM {orders_2025} UNION TABLE {orders_2026}
SELECT mail FROM {contacts}
VALUES ((SELECT ssn FROM {people} LIMIT 1)), ('x')
SELECT * FROM (VALUES ((SELECT ssn FROM {people} LIMIT 1))) v
SELECT count(*) FILTER (WHERE ssn > (SELECT min(ssn) FROM {people})) OVER w FROM {people} WINDOW w AS (ORDER BY id)
SELECT * FROM {people} ORDER BY (SELECT iban FROM {orders} LIMIT 1) LIMIT (SELECT count(*) FROM {people})
SELECT * FROM {people} FOR UPDATE
SELECT * FROM {people} p FOR SHARE OF p NOWAIT
SELECT * FROM {people}, {orders} FOR UPDATE OF people, orders SKIP LOCKED
SELECT CASE WHEN EXISTS (TABLE {people}) THEN 1 END
SELECT * FROM generate_series(1, (SELECT count(*)::int FROM {people})) g
SELECT * FROM ROWS FROM (generate_series(1, 2), {mail_of}(1)) g
SELECT xmltable.* FROM {people}, XMLTABLE('/a' PASSING (ssn::xml) COLUMNS b text)
SELECT GROUPING(country) FROM {people} GROUP BY ROLLUP (country) HAVING max(ssn) < (SELECT max(iban) FROM {orders})
SELECT people.people FROM archive.people
SELECT U&"\0065mail" FROM {people}
SELECT $tag$FROM people$tag$, ssn FROM {people}
SELECT ' FROM people', E'it\'s people', "ssn" FROM {people} -- FROM people
SELECT e'\\', B'1', X'1F', U&'\0041' FROM {people}
SELECT 'a'
 'people', ssn FROM {people}
SELECT people.id FROM countries people
SELECT table_name FROM {information_schema.columns}
SELECT relname FROM pg_class WHERE oid = 'public.people'::regclass
SELECT pg_get_viewdef('contacts'), to_regclass('people'), 'people'::regclass::oid
SELECT obj_description('public.people'::regclass), has_table_privilege('public.people', 'SELECT')
SELECT NULL::people, NULL::public.people
SELECT 1 AS people, 'x' "people"
SELECT * FROM db.{public.people}
SELECT db.{public.people}.ssn FROM db.{public.people}
"""

SCOPED = r"""
WITH people AS (SELECT 1) SELECT * FROM people
WITH people AS (SELECT * FROM {people}) SELECT * FROM people
WITH people AS (SELECT * FROM {people}) SELECT * FROM people, {public.people} p
WITH RECURSIVE people AS (SELECT 1 UNION ALL SELECT * FROM people) SELECT * FROM people
WITH a AS (SELECT * FROM {people}), people AS (SELECT 1), b AS (SELECT * FROM people) SELECT * FROM a, b, people
WITH RECURSIVE a AS (SELECT * FROM people), people AS (SELECT 1) SELECT * FROM a, {orders}
WITH a AS (WITH people AS (SELECT 1) SELECT * FROM people) SELECT * FROM a, {people}
WITH people AS (SELECT 1) SELECT (SELECT max(x) FROM (SELECT * FROM people) x), (WITH orders AS (SELECT 2) TABLE orders)
WITH people AS (SELECT 1) SELECT * FROM {orders} WHERE id IN (SELECT * FROM people)
(WITH people AS (SELECT 1) SELECT * FROM people) UNION ALL SELECT id FROM {people}
WITH people AS (SELECT 1) SELECT * FROM people UNION ALL SELECT * FROM people
WITH x AS (SELECT 1) SELECT * FROM {people}, x, (WITH people AS (SELECT 2) SELECT * FROM people) y
WITH people AS (SELECT 1 AS id) DELETE FROM countries USING people WHERE code = id::text
WITH people AS (SELECT 1 AS id) UPDATE people SET country = 'x' FROM people s WHERE s.id = 1
WITH people AS MATERIALIZED (SELECT * FROM {people}) SELECT * FROM people
WITH x AS (INSERT INTO countries SELECT ssn, email FROM {people} RETURNING *) SELECT * FROM x
WITH x AS (DELETE FROM shop.items RETURNING *) SELECT * FROM x JOIN {people} p ON p.id = x.id
WITH x AS (UPDATE {people} SET country = country RETURNING *) SELECT ssn FROM x
WITH x(people) AS (SELECT 1) SELECT people FROM x
WITH RECURSIVE t AS (SELECT id, boss FROM {people} UNION ALL SELECT p.id, p.boss FROM {people} p JOIN t ON true)
 SEARCH DEPTH FIRST BY id SET o CYCLE id SET c USING path SELECT * FROM t
INSERT INTO countries WITH people AS (SELECT 'a', 'b') SELECT * FROM people
INSERT INTO people (id) WITH people AS (SELECT 1) SELECT * FROM people
CREATE TEMP VIEW v AS WITH people AS (SELECT 1) SELECT * FROM people, {orders}
"""

WRITTEN = r"""
INSERT INTO people (id, name) VALUES (1, 'x')
INSERT INTO people VALUES (1, 'x')
INSERT INTO countries SELECT ssn, email FROM {people}
INSERT INTO people (id) SELECT id FROM {app.people}
INSERT INTO countries TABLE {people}
INSERT INTO people (id, name) VALUES (1, (SELECT iban FROM {orders} LIMIT 1))
INSERT INTO {people} (id, name) VALUES (1, 'x') RETURNING *
INSERT INTO {people} (id, name) VALUES (1, 'x') RETURNING email
INSERT INTO {people} AS p (id, name) VALUES (1, 'x') RETURNING p
INSERT INTO {public.people} VALUES (1, 'x') RETURNING *
INSERT INTO {public.people} DEFAULT VALUES RETURNING {public.people}.*
INSERT INTO people VALUES (1, 'x', 'y') RETURNING *
INSERT INTO people SELECT 1, 'x' RETURNING *
INSERT INTO people (id, email) VALUES (1, 'x') RETURNING *
INSERT INTO people (id, name) VALUES (1, 'x') RETURNING id, name
INSERT INTO people (id) VALUES (1) ON CONFLICT (id) DO NOTHING
INSERT INTO {people} (id) VALUES (1) ON CONFLICT (id) DO NOTHING RETURNING *
INSERT INTO {people} (id, name) VALUES (1, 'x') ON CONFLICT (id) DO UPDATE SET name = excluded.name RETURNING *
INSERT INTO people (id) VALUES (1) ON CONFLICT ON CONSTRAINT people_pkey DO NOTHING RETURNING *
INSERT INTO people (id) VALUES (1) ON CONFLICT (id) DO UPDATE SET email = 'x' RETURNING *
INSERT INTO people (id) VALUES (1) ON CONFLICT (id) DO UPDATE SET name = people.email RETURNING *
INSERT INTO people AS p (id) VALUES (1) ON CONFLICT (id) DO UPDATE SET name = 'x' WHERE p.ssn > '' RETURNING *
UPDATE people SET country = 'x'
UPDATE people SET country = 'x' WHERE id = 1
UPDATE people SET country = 'x' WHERE email = 'x'
UPDATE people SET email = 'x' WHERE id = 1
UPDATE people SET email = 'x' RETURNING *
UPDATE people SET name = email RETURNING *
UPDATE people SET name = 'x' WHERE email > '' RETURNING *
UPDATE people SET name = people::text RETURNING *
UPDATE people p SET name = 'x' WHERE p.* IS NOT NULL RETURNING *
UPDATE {people} SET country = country RETURNING *
UPDATE {people} SET country = 'x' WHERE id = 1 RETURNING email AS e, id
UPDATE {people} p SET country = 'x' RETURNING p.ssn
UPDATE {people} p SET country = 'x' RETURNING to_jsonb(p)
UPDATE {people} SET country = 'x' RETURNING old.email, new.id
UPDATE {people} SET country = 'x' RETURNING WITH (OLD AS before) before.*
UPDATE ONLY people SET country = 'x' RETURNING *
UPDATE people SET country = 'x' RETURNING id
UPDATE people SET (country, name) = (SELECT iban, iban FROM {orders} LIMIT 1)
UPDATE people SET name = 'x' FROM {orders} o WHERE o.person_id = people.id
UPDATE public.people SET name = 'x' FROM {public.orders} WHERE public.people.id = {public.orders}.person_id
UPDATE public.people SET name = 'x' FROM {app.people} WHERE public.people.id = {app.people}.id
UPDATE public.people SET name = 'x' WHERE id IN (SELECT public.people.id FROM {orders})
UPDATE {public.people} SET name = 'x' WHERE {public.people}.id = 1 RETURNING {public.people}.ssn
UPDATE people SET name = 'x' WHERE CURRENT OF c RETURNING *
UPDATE countries SET label = p.ssn FROM {people} p WHERE p.country = code RETURNING p.email
DELETE FROM people
DELETE FROM people WHERE id = 1
DELETE FROM people WHERE ssn = 'x' RETURNING *
DELETE FROM {people} WHERE id = 1 RETURNING *
DELETE FROM people USING {orders} o WHERE o.person_id = people.id
DELETE FROM {people} USING {orders} o WHERE o.person_id = people.id RETURNING people.*, o.iban
DELETE FROM countries USING {people} p WHERE p.country = code RETURNING p.ssn
DELETE FROM people p USING {people} q WHERE p.id = q.boss
MERGE INTO countries USING {people} p ON p.country = code WHEN MATCHED THEN UPDATE SET label = p.ssn
MERGE INTO countries USING (TABLE {people}) p ON p.country = code WHEN NOT MATCHED THEN INSERT VALUES (p.ssn)
MERGE INTO people USING {people} p ON p.id = people.id WHEN MATCHED THEN DELETE
MERGE INTO people USING {app.people} a ON a.id = people.id WHEN MATCHED THEN UPDATE SET name = a.name RETURNING people.*
"""

OTHER = r"""
EXPLAIN SELECT * FROM {people}
EXPLAIN (ANALYZE, FORMAT json) SELECT * FROM {people}
EXPLAIN UPDATE {people} SET country = 'x' RETURNING *
PREPARE p AS SELECT * FROM {people} WHERE id = $1
PREPARE p (int) AS UPDATE {people} SET country = 'x' WHERE id = $1 RETURNING *
EXECUTE p (1)
EXECUTE p ((SELECT max(ssn) FROM {people}))
DECLARE c SCROLL CURSOR WITH HOLD FOR SELECT * FROM {people}
FETCH ALL FROM people
CREATE TABLE t AS SELECT * FROM {people}
CREATE TEMP TABLE t ON COMMIT DROP AS TABLE {people} WITH NO DATA
CREATE TABLE IF NOT EXISTS people AS SELECT * FROM {people}
CREATE MATERIALIZED VIEW m AS SELECT ssn FROM {public.people}
CREATE VIEW v WITH (security_invoker = false) AS SELECT email FROM {public.people}
CREATE OR REPLACE VIEW people AS SELECT * FROM {people}
CREATE RECURSIVE VIEW v (a) AS SELECT id FROM {people} UNION SELECT a FROM v
SELECT * INTO t FROM {people}
SELECT * INTO TEMP TABLE t FROM {people} p
EXPLAIN CREATE TABLE t AS SELECT * FROM {people}
COPY (SELECT * FROM {people}) TO STDOUT
COPY (UPDATE {people} SET country = 'x' RETURNING *) TO STDOUT
COPY people FROM STDIN
COPY people (id, name) FROM STDIN WITH (FORMAT csv)
COPY countries TO STDOUT
COPY BINARY people TO STDOUT
LOCK TABLE {people}
LOCK TABLE {public.people}, countries, {orders} * IN ACCESS SHARE MODE NOWAIT
SELECT {mail_of}(1)
SELECT {public.mail_of}(p.id) FROM {people} p
SELECT * FROM {mail_of}(1) m
SELECT app.mail_of(1)
SELECT {public . "mail_of"} (1), pg_catalog.upper({mail_of}(1)), label_of('DE')
CALL {mail_of}(1)
SELECT mail_of FROM countries
CREATE INDEX ON people (ssn)
CREATE TABLE t (LIKE people INCLUDING ALL)
CREATE TABLE t () INHERITS (people)
ALTER TABLE people ADD x int
DROP TABLE IF EXISTS public.people
TRUNCATE people
ANALYZE people
VACUUM people
COMMENT ON TABLE people IS 'people'
GRANT SELECT ON people TO somebody
CREATE RULE r AS ON INSERT TO countries DO ALSO SELECT * FROM people
CREATE POLICY p ON people USING (true)
CREATE TRIGGER t AFTER INSERT ON people EXECUTE FUNCTION mail_of()
REFRESH MATERIALIZED VIEW people
NOTIFY people
LISTEN people
SET ROLE nobody
SET SESSION AUTHORIZATION DEFAULT
SET lo_compat_privileges = on
SHOW search_path
"""

WITHIN = r"""
SELECT query_to_xml('SELECT * FROM {people}', true, false, '')
SELECT pg_catalog.query_to_xml('SELECT ''x'', ssn FROM {people}', true, false, '')
SELECT query_to_xml($$SELECT 'x', ssn FROM {people}$$, true, false, '')
SELECT query_to_xml($a$SELECT '$$' FROM {people}$a$, true, false, '')
SELECT query_to_xml(query => 'TABLE {people}', nulls => true, tableforest => false, targetns => '')
SELECT query_to_xml('TABLE {people}'::text, true, false, '') FROM {people}
SELECT query_to_xml(E'TABLE {people}', true, false, '')
SELECT query_to_xml(E'TABLE \x70eople', true, false, '')
SELECT query_to_xml('TABLE {people}' || '', true, false, '')
SELECT query_to_xml('TABLE countries', true, false, '')
SELECT * FROM ts_stat('SELECT to_tsvector(''simple'', ssn) FROM {people}')
SELECT ts_rewrite('a'::tsquery, 'SELECT ''a''::tsquery, to_tsquery(quote_literal(ssn)) FROM {people}')
SELECT * FROM crosstab('SELECT id, name, ssn FROM {people}', 'SELECT code FROM countries') AS t(a int, b text)
SELECT table_to_xml('{people}', true, false, ''), table_to_xml('{app.people}'::regclass, true, false, '')
SELECT table_to_xml('countries', true, false, '')
SELECT lower('SELECT * FROM people')
DO $$ BEGIN ASSERT false, (SELECT email FROM {people} LIMIT 1); END $$
DO LANGUAGE plpgsql 'BEGIN PERFORM ''x'' FROM {people}; END'
DO $do$ DECLARE a text; BEGIN a := (SELECT 'é' FROM {people}); SELECT ssn INTO STRICT a FROM {people}; END $do$
DO $$ DECLARE r record; BEGIN FOR r IN TABLE {people} LOOP PERFORM {mail_of}(r.id) FROM {orders}; END LOOP; END $$
DO $$ DECLARE c CURSOR FOR SELECT * FROM {people}; BEGIN OPEN c; IF EXISTS (TABLE {people}) THEN NULL; END IF; END $$
DO $$ BEGIN RAISE NOTICE 'people %', (SELECT count(*) FROM {people}); /* FROM people */ END $$
DO $$ BEGIN SELECT 1 FROM people; RAISE NOTICE '% SELECT 1 FROM people', 1; END $$
DO $$ BEGIN EXECUTE 'SELECT * FROM {people}'; END $$
DO $$ DECLARE v text; BEGIN EXECUTE 'SELECT ''x'' FROM {people} WHERE id = $1' INTO v USING 5; END $$
DO 'BEGIN EXECUTE ''SELECT * FROM {people} WHERE name = x''; END'
DO $$ BEGIN EXECUTE format('SELECT %I FROM {people} WHERE name = %L AND id = %s', 'a', 'b', 1); END $$
DO $$ DECLARE r record; BEGIN FOR r IN EXECUTE 'TABLE {people}' LOOP RAISE NOTICE 'people'; END LOOP; END $$
CREATE FUNCTION f() RETURNS SETOF people LANGUAGE plpgsql AS $$ BEGIN RETURN QUERY EXECUTE 'TABLE {people}'; END $$
DO $$ BEGIN INSERT INTO people (id) SELECT id FROM {app.people}; END $$
DO $$ BEGIN this is no PL/pgSQL: people; END $$
DO LANGUAGE plpython3u $$ people $$
CREATE FUNCTION f() RETURNS SETOF text LANGUAGE sql AS 'SELECT ssn FROM {people}'
CREATE FUNCTION f() RETURNS SETOF text AS $x$ SELECT 'x' FROM {people}; SELECT iban FROM {orders} $x$ LANGUAGE sql
CREATE FUNCTION f() RETURNS int LANGUAGE sql SET search_path = app AS 'SELECT id FROM {people@app}, {public.people}'
CREATE FUNCTION f() RETURNS text LANGUAGE sql BEGIN ATOMIC SELECT ssn FROM {people}; SELECT iban FROM {orders}; END
CREATE FUNCTION f() RETURNS text LANGUAGE sql RETURN (SELECT ssn FROM {people} LIMIT 1)
CREATE FUNCTION f(a text DEFAULT {mail_of}(1)) RETURNS text LANGUAGE sql AS 'SELECT a'
CREATE FUNCTION f(a int, OUT b text) LANGUAGE plpgsql AS $$ BEGIN b := (SELECT ssn FROM {people}); RETURN; END $$
CREATE FUNCTION f() RETURNS text LANGUAGE plpgsql AS $$ BEGIN RETURN (SELECT max(ssn) FROM {public.people}); END $$
CREATE FUNCTION f() RETURNS SETOF people LANGUAGE plpgsql AS $$ BEGIN RETURN QUERY SELECT * FROM {people}; END $$
CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
  NEW.name := (SELECT max(name) FROM {people} WHERE ssn = NEW.ssn); PERFORM TG_OP FROM {orders}; RETURN NEW; END $$
CREATE FUNCTION f() RETURNS int LANGUAGE c AS 'people', 'people'
CREATE FUNCTION f() RETURNS int LANGUAGE sql AS 'SELECT * FROM vault'
CREATE PROCEDURE f() LANGUAGE sql AS 'DELETE FROM people; INSERT INTO countries SELECT ssn, ssn FROM {people}'
"""

PLACED = r"""
SET search_path = app; SELECT * FROM {people@app}
SET search_path TO app, public; SELECT * FROM {people@app}, {orders}
SET search_path = archive, app; SELECT * FROM people
SET search_path = 'app'; SELECT * FROM {people@app}
SET search_path = 'app, public'; SELECT * FROM people
SET search_path = "$user", App; SELECT * FROM {people@app}
SET search_path = ''; SELECT * FROM people, {app.people}
SET SEARCH_PATH = app; RESET search_path; SELECT * FROM {people}
SET search_path = app; RESET ALL; SELECT * FROM {people}
SET search_path = app; SET search_path TO DEFAULT; SELECT * FROM {people}
SET search_path = app; DISCARD ALL; SELECT * FROM {people}
SET search_path = app; DISCARD PLANS; SELECT * FROM {people@app}
SET SCHEMA 'app'; SELECT * FROM {people@app}
SELECT set_config('search_path', 'app', false); SELECT * FROM {people@app}
SELECT pg_catalog.set_config('search_path', '"app" , public', true); SELECT * FROM {people@app}
SELECT set_config('search_path', $1, false); SELECT * FROM {people}
SELECT set_config('work_mem', 'app', false); SELECT * FROM {people}
SET work_mem = '1MB'; SELECT * FROM {people}
SET LOCAL search_path = app; SELECT * FROM {people@app}
SET LOCAL search_path = app; COMMIT; SELECT * FROM {people}
BEGIN; SET LOCAL search_path = app; SELECT * FROM {people@app}; COMMIT; SELECT * FROM {people}
BEGIN; SET search_path = app; COMMIT; SELECT * FROM {people@app}
BEGIN; SET search_path = app; ROLLBACK; SELECT * FROM {people}
BEGIN; SET search_path = app; ROLLBACK AND CHAIN; SELECT * FROM {people}
BEGIN; SAVEPOINT a; SET search_path = app; ROLLBACK TO a; SELECT * FROM {people}
BEGIN; SET search_path = app; SAVEPOINT a; SET search_path = archive; ROLLBACK TO a; SELECT * FROM {people@app}
BEGIN; SAVEPOINT a; SET search_path = app; RELEASE a; SELECT * FROM {people@app}; ROLLBACK; SELECT * FROM {people}
BEGIN; SAVEPOINT a; SAVEPOINT b; SET search_path = app; ROLLBACK TO b; ROLLBACK TO a; SELECT * FROM {people}
CREATE TEMP TABLE people (i int); SELECT * FROM people, {public.people} p
CREATE TEMP TABLE people (i int); DROP TABLE people; SELECT * FROM {people}
CREATE TEMP TABLE people (i int); DROP TABLE public.people; SELECT * FROM people
CREATE TEMP TABLE people (i int); DROP TABLE IF EXISTS pg_temp.people CASCADE; SELECT * FROM {people}
CREATE TABLE pg_temp.people (i int); SELECT * FROM people
CREATE TEMP TABLE people AS SELECT * FROM {people}; SELECT * FROM people
SELECT * INTO TEMP people FROM {people}; SELECT * FROM people
CREATE TEMP VIEW people AS SELECT * FROM {people}; SELECT * FROM people
CREATE TEMP SEQUENCE people; SELECT * FROM people
CREATE TEMP TABLE people (i int); DISCARD TEMP; SELECT * FROM {people}
CREATE TEMP TABLE people (i int) ON COMMIT DROP; SELECT * FROM people; COMMIT; SELECT * FROM {people}
BEGIN; CREATE TEMP TABLE people (i int); ROLLBACK; SELECT * FROM {people}
BEGIN; CREATE TEMP TABLE people (i int); COMMIT; SELECT * FROM people
CREATE TEMP TABLE t (i int); ALTER TABLE t RENAME TO people; SELECT * FROM people
CREATE TEMP TABLE people (i int); ALTER TABLE people RENAME TO t; SELECT * FROM {people}
CREATE TEMP TABLE people (i int); SET search_path = public, pg_temp; SELECT * FROM {people}
CREATE TEMP TABLE people (i int); SET search_path = pg_temp, public; SELECT * FROM people
CREATE TEMP TABLE people (i int); UPDATE people SET i = 1 RETURNING *; DELETE FROM people
CREATE TEMP TABLE t (i int); SELECT * FROM {people}
CREATE TABLE people (i int); SELECT * FROM {people}
SELECT 1;; SELECT * FROM {people};
"""

REFUSED = r"""
SELECT * FROM vault
SELECT * FROM public.vault
WITH x AS (SELECT * FROM vault) SELECT 1
INSERT INTO vault VALUES (1)
COPY vault TO STDOUT
LOCK vault
SELECT open_vault()
SELECT public.open_vault()
DO $$ BEGIN PERFORM open_vault(); END $$
SELECT query_to_xml('SELECT * FROM vault', true, false, '')
SELECT table_to_xml('vault', true, false, '')
SELECT * FROM people TABLESAMPLE system (0x1FFFFFFFFF)
SELECT * FROM people TABLESAMPLE system (101)
SELECT * FROM people TABLESAMPLE system (1 + 1)
SELECT * FROM people TABLESAMPLE elsewhere (1)
SELECT * FROM people p TABLESAMPLE bernoulli (1) REPEATABLE (2)
SELECT * FROM ONLY orders
COPY orders TO STDOUT
ALTER ROLE CURRENT_USER PASSWORD 'x'
ALTER USER somebody SET search_path = app
ALTER ROLE ALL SET work_mem = '1MB'
"""

COPIED = (
    ("COPY people TO STDOUT", "COPY (SELECT {} FROM T) TO STDOUT"),
    ("COPY public.people TO STDOUT (FORMAT binary)", "COPY (SELECT {} FROM T) TO STDOUT (FORMAT binary)"),
    ("copy people to stdout with csv header", "copy (SELECT {} FROM T) to stdout with csv header"),
    ("COPY people (id, email) TO STDOUT", "COPY (SELECT  id, email FROM T) TO STDOUT"),
    ("COPY people(ssn /* ) */ , \"id\" ) TO '/x'", "COPY (SELECT ssn /* ) */ , \"id\"  FROM T) TO '/x'"),
    ("COPY people/**/TO PROGRAM 'cat'", "COPY (SELECT {} FROM T)/**/TO PROGRAM 'cat'"),
)
"""COPY of a protected table, and what is sent: `T` is the twin, `{}` all of its columns."""

SAMPLED = (
    ("SELECT * FROM people TABLESAMPLE system (1)", 'SELECT * FROM S 1) AS "people" '),
    ("SELECT * FROM public.people p TABLESAMPLE Bernoulli(12.5), countries", "SELECT * FROM S 12.5) p , countries"),
    ("SELECT x FROM people AS p (x, y) TABLESAMPLE/**/system ( 100 )", "SELECT x FROM S 100) AS p (x, y) "),
    ("SELECT * FROM countries TABLESAMPLE system (1)", "SELECT * FROM countries TABLESAMPLE system (1)"),
    ('SELECT * FROM people "as" TABLESAMPLE system (1)', 'SELECT * FROM S 1) "as" '),
)
"""TABLESAMPLE, and what is sent: `S` is the query of the twin, up to the share."""

_MARK = re.compile(r"\{([^}@\n]+)(?:@(\w+))?\}")
_TWINS = {"public": '"hp_7a_1"', "app": '"hp_7a_0"', "information_schema": '"hp_7a_is"'}


def original(marked: str) -> str:
    """What a client sends."""
    return _MARK.sub(r"\1", marked)


def expected(marked: str) -> str:
    """What goes to the target."""
    return _MARK.sub(_twin, marked)


def _twin(mark: re.Match[str]) -> str:
    plain = re.sub(r"/\*.*\*/|[\s\"]", "", mark[1]).lower()
    schema, _, name = plain.rpartition(".")
    return f'{_TWINS[mark[2] or schema or "public"]}."{name}"'


def cases(block: str) -> list[str]:
    """The statements of a block: one to a line, and what begins with a blank goes on with the line before."""
    return [case for case in re.split(r"\n(?! )", block.strip("\n")) if case]


ALL = [case for block in (READ, SCOPED, WRITTEN, OTHER, WITHIN, PLACED) for case in cases(block)]
