"""The database that the drivers meet: `reader` reads everything, and writes where the steps write.

Knows no step.
"""

from tests.people import PEOPLE

MASKS = """
[[mask]]
target = "ledger"
column = "public.customers.email"
mask = { partial = { first = 1, last = 0 } }

[[mask]]
target = "ledger"
column = "public.customers.card"
mask = { partial = { first = 0, last = 4 } }

[[mask]]
target = "ledger"
column = "public.customers.ssn"
mask = "redact"
"""

SETTINGS = {"deadlock_timeout": "10ms"}
"""Of the cluster: who completes a deadlock finds it at once. The other one must not look; see `patient`."""

SQL = f"""
{PEOPLE}
CREATE TYPE mood AS ENUM ('sad', 'ok', 'happy');
CREATE DOMAIN positive AS int CONSTRAINT above_zero CHECK (VALUE > 0);
CREATE TYPE pair AS (a int, b text);

CREATE TABLE parents (id int PRIMARY KEY);
CREATE TABLE children (
    id int PRIMARY KEY,
    parent int CONSTRAINT has_parent REFERENCES parents,
    amount int NOT NULL CONSTRAINT amount_counts CHECK (amount > 0),
    during int4range,
    CONSTRAINT one_at_a_time EXCLUDE USING gist (during WITH &&)
);
INSERT INTO parents VALUES (1), (2);
INSERT INTO children VALUES (1, 1, 5, '[1,10)');
CREATE TABLE accounts (id int PRIMARY KEY, n int);
INSERT INTO accounts VALUES (1, 100), (2, 200);
GRANT INSERT, UPDATE, DELETE ON parents, children, accounts TO reader;
GRANT UPDATE ON customers TO reader;

CREATE FUNCTION wait_for_lock() RETURNS void LANGUAGE plpgsql AS $$
BEGIN  -- returns when somebody waits for a lock in this database
    WHILE NOT EXISTS (
        SELECT FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'
    ) LOOP
        PERFORM pg_sleep(0.002), pg_stat_clear_snapshot();
    END LOOP;
END $$;
CREATE FUNCTION patient() RETURNS text SECURITY DEFINER LANGUAGE sql
    AS $$ SELECT set_config('deadlock_timeout', '1h', true) $$;  -- a superuser's setting, until the transaction's end
CREATE FUNCTION says(n int) RETURNS int LANGUAGE plpgsql AS $$ BEGIN RAISE NOTICE 'row %', n; RETURN n; END $$;
CREATE FUNCTION fails(n int) RETURNS int LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'no %', n USING ERRCODE = 'P0123', DETAIL = 'a detail', HINT = 'a hint', COLUMN = 'a column',
        CONSTRAINT = 'a constraint', DATATYPE = 'a type', TABLE = 'a table', SCHEMA = 'a schema';
END $$;
CREATE FUNCTION nothing() RETURNS void LANGUAGE sql AS '';
CREATE FUNCTION pairs(OUT a int, OUT b text) LANGUAGE sql AS $$ SELECT 1, 'one' $$;
CREATE FUNCTION several() RETURNS SETOF pair LANGUAGE sql AS $$ VALUES (1, 'one'), (2, NULL) $$;
CREATE FUNCTION opens() RETURNS refcursor LANGUAGE plpgsql AS $$
DECLARE opened refcursor := 'opened';
BEGIN OPEN opened FOR SELECT generate_series(1, 5); RETURN opened; END $$;
CREATE PROCEDURE commits(INOUT n int) LANGUAGE plpgsql AS $$ BEGIN n := n + 1; COMMIT; n := n + 1; ROLLBACK; END $$;
"""
