-- Payroll of a group of companies. Load as a superuser into an empty database.
\set ON_ERROR_STOP on
CREATE EXTENSION IF NOT EXISTS "uuid-ossp"; CREATE EXTENSION IF NOT EXISTS intarray; CREATE EXTENSION IF NOT EXISTS isn; CREATE EXTENSION IF NOT EXISTS cube; CREATE EXTENSION IF NOT EXISTS dblink; CREATE EXTENSION IF NOT EXISTS postgres_fdw; CREATE EXTENSION IF NOT EXISTS file_fdw; CREATE EXTENSION IF NOT EXISTS pg_buffercache; CREATE EXTENSION IF NOT EXISTS lo; CREATE EXTENSION IF NOT EXISTS moddatetime; CREATE EXTENSION IF NOT EXISTS pgrowlocks;
CREATE SCHEMA hr; CREATE SCHEMA pay; CREATE SCHEMA "Rep ""Q"" orts"; CREATE SCHEMA private;
DO $$ BEGIN IF NOT EXISTS (SELECT 1 FROM pg_roles WHERE rolname='payclerk') THEN CREATE ROLE payclerk; END IF; END $$;
ALTER DATABASE :"DBNAME" SET search_path = hr, pay, public;
SET search_path = hr, pay, public;
CREATE TYPE hr.grade AS ENUM ('junior','senior','principal');
CREATE TYPE pay.money_amount AS (value numeric(12,2), currency char(3));
CREATE DOMAIN pay.positive AS numeric(12,2) CHECK (VALUE >= 0);
CREATE TABLE hr.departments(id int PRIMARY KEY, name text UNIQUE NOT NULL, parent int REFERENCES hr.departments, budget pay.money_amount);
CREATE TABLE hr.employees(id bigserial PRIMARY KEY, first_name text NOT NULL, last_name text NOT NULL, tax_id text NOT NULL, born date, grade hr.grade NOT NULL DEFAULT 'junior', dept int REFERENCES hr.departments ON DELETE SET NULL, boss bigint REFERENCES hr.employees, email varchar(80) UNIQUE, phone varchar(24), home jsonb, token uuid DEFAULT uuid_generate_v4(), salary numeric(10,2), bonus float8, shares bigint, rating smallint, active bool DEFAULT true, modified timestamp NOT NULL DEFAULT '2026-01-01', photo bytea, full_name text GENERATED ALWAYS AS (first_name || ' ' || last_name) STORED, yearly numeric GENERATED ALWAYS AS (salary * 12) STORED);
CREATE TRIGGER employees_modified BEFORE UPDATE ON hr.employees FOR EACH ROW EXECUTE FUNCTION moddatetime(modified);
CREATE INDEX employees_dept ON hr.employees(dept); CREATE INDEX employees_lower ON hr.employees(lower(last_name));
CREATE TABLE pay.slips(id bigint GENERATED ALWAYS AS IDENTITY, employee bigint NOT NULL REFERENCES hr.employees ON DELETE CASCADE, month date NOT NULL, gross numeric(12,2), net numeric(12,2), iban text, details xml, lines text[], PRIMARY KEY (id, month)) PARTITION BY RANGE (month);
CREATE TABLE pay.slips_2025 PARTITION OF pay.slips FOR VALUES FROM ('2025-01-01') TO ('2026-01-01') PARTITION BY RANGE (month);
CREATE TABLE pay.slips_2025_h1 PARTITION OF pay.slips_2025 FOR VALUES FROM ('2025-01-01') TO ('2025-07-01');
CREATE TABLE pay.slips_2025_h2 PARTITION OF pay.slips_2025 FOR VALUES FROM ('2025-07-01') TO ('2026-01-01');
CREATE TABLE pay.slips_2026 PARTITION OF pay.slips FOR VALUES FROM ('2026-01-01') TO ('2027-01-01');
CREATE TABLE pay.base(id int PRIMARY KEY, label text, note text);
CREATE TABLE pay.loans(amount numeric, purpose text) INHERITS (pay.base);
CREATE TABLE pay.car_loans(vin text) INHERITS (pay.loans);
CREATE TABLE private.keys(id int PRIMARY KEY, secret text); REVOKE ALL ON SCHEMA private FROM PUBLIC;
CREATE TABLE hr.reviews(id int PRIMARY KEY, employee bigint REFERENCES hr.employees, author text, body text, score int);
ALTER TABLE hr.reviews ENABLE ROW LEVEL SECURITY; CREATE POLICY all_may ON hr.reviews FOR SELECT USING (true); CREATE POLICY ins ON hr.reviews FOR INSERT WITH CHECK (score > 0);
CREATE UNLOGGED TABLE hr.cache(k text PRIMARY KEY, v text);
CREATE TABLE hr.history(at timestamptz DEFAULT '2026-01-01 00:00+00', what text, who bigint);
CREATE FUNCTION hr.log_change() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN INSERT INTO hr.history(what, who) VALUES (TG_OP, NEW.id); RETURN NULL; END $$;
CREATE TRIGGER log_change AFTER INSERT OR UPDATE ON hr.employees FOR EACH ROW EXECUTE FUNCTION hr.log_change();
CREATE FUNCTION hr.tell_delete() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$ BEGIN INSERT INTO hr.history(what, who) VALUES ('gone ' || OLD.tax_id, OLD.id); RETURN OLD; END $$;
CREATE TRIGGER tell_delete BEFORE DELETE ON hr.employees FOR EACH ROW EXECUTE FUNCTION hr.tell_delete();
CREATE VIEW hr.directory AS SELECT id, full_name, dept, email FROM hr.employees WHERE active;
CREATE VIEW hr.tree AS WITH RECURSIVE t AS (SELECT id, full_name, boss, 0 AS depth FROM hr.employees WHERE boss IS NULL UNION ALL SELECT e.id, e.full_name, e.boss, t.depth + 1 FROM hr.employees e JOIN t ON e.boss = t.id) SELECT * FROM t;
CREATE VIEW hr.cards AS SELECT d.*, e.phone, e.home ->> 'street' AS street FROM hr.directory d JOIN hr.employees e USING (id);
CREATE VIEW pay.costs AS SELECT d.name, sum(s.gross) AS gross, count(DISTINCT s.employee) AS heads FROM pay.slips s JOIN hr.employees e ON e.id = s.employee LEFT JOIN hr.departments d ON d.id = e.dept GROUP BY d.name;
CREATE VIEW pay.months AS SELECT month, count(*) AS n FROM pay.slips GROUP BY month;
CREATE VIEW pay.everything AS SELECT s AS slip, e AS employee FROM pay.slips s JOIN hr.employees e ON e.id = s.employee;
CREATE VIEW "Rep ""Q"" orts"."Top ""5""" AS SELECT full_name AS "Name", salary AS "Pay" FROM hr.employees ORDER BY salary DESC NULLS LAST LIMIT 5;
CREATE VIEW "Rep ""Q"" orts".heads AS SELECT dept, count(*) AS n FROM hr.employees GROUP BY dept;
CREATE VIEW hr.peers AS SELECT a.id, (SELECT count(*) FROM hr.employees b WHERE b.salary > a.salary) AS better FROM hr.employees a;
CREATE VIEW hr.open_keys AS SELECT id, left(secret, 4) AS head FROM private.keys;
CREATE VIEW hr.editable AS SELECT id, name, parent FROM hr.departments WHERE id > 0 WITH CHECK OPTION;
CREATE MATERIALIZED VIEW pay.totals AS SELECT employee, sum(net) AS net, min(iban) AS iban FROM pay.slips GROUP BY employee;
CREATE MATERIALIZED VIEW pay.counts AS SELECT month, count(*) AS n FROM pay.slips GROUP BY month;
CREATE FUNCTION pay.net_of(emp bigint, m date DEFAULT '2026-01-01') RETURNS numeric LANGUAGE sql STABLE AS 'SELECT net FROM pay.slips WHERE employee = emp AND month = m';
CREATE FUNCTION pay.iban_of(emp bigint) RETURNS text LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pay, pg_temp AS $$ DECLARE r slips%ROWTYPE; BEGIN SELECT * INTO r FROM slips WHERE employee = emp ORDER BY month DESC LIMIT 1; RETURN r.iban; END $$;
CREATE FUNCTION pay.rich(min_salary numeric) RETURNS TABLE(who text, pay numeric) LANGUAGE plpgsql STABLE AS $$ BEGIN FOR who, pay IN SELECT e.full_name, e.salary FROM hr.employees e WHERE e.salary >= min_salary ORDER BY 2 LOOP RETURN NEXT; END LOOP; END $$;
CREATE FUNCTION hr.find(q text) RETURNS SETOF hr.employees LANGUAGE plpgsql STABLE AS $$ BEGIN RETURN QUERY EXECUTE 'SELECT * FROM hr.employees' || ' WHERE last_name ILIKE ' || quote_literal(q || '%'); END $$;
CREATE FUNCTION hr.label(e hr.employees) RETURNS text LANGUAGE sql STABLE AS $$ SELECT e.first_name || ' #' || e.tax_id $$;
CREATE FUNCTION hr.grade_of(g hr.grade) RETURNS text LANGUAGE plpgsql IMMUTABLE AS $$ DECLARE out hr.grade := g; BEGIN RETURN upper(out::text); END $$;
CREATE FUNCTION hr.tax_text(VARIADIC ids bigint[]) RETURNS text LANGUAGE sql STABLE BEGIN ATOMIC SELECT string_agg(e.tax_id, ',' ORDER BY e.id) FROM hr.employees e WHERE e.id = ANY (ids); END;
CREATE FUNCTION hr.headcount() RETURNS bigint LANGUAGE sql STABLE RETURN (SELECT count(*) FROM hr.employees);
CREATE FUNCTION pay.masked_sum(a numeric, b numeric) RETURNS numeric LANGUAGE sql IMMUTABLE AS 'SELECT a + b';
CREATE FUNCTION pay.each_slip() RETURNS SETOF refcursor LANGUAGE plpgsql AS $$ DECLARE a refcursor := 'slips_cursor'; BEGIN OPEN a FOR SELECT employee, net, iban FROM pay.slips; RETURN NEXT a; END $$;
CREATE PROCEDURE pay.run_month(m date) LANGUAGE plpgsql AS $$ DECLARE e record; BEGIN FOR e IN SELECT id FROM hr.employees ORDER BY id LOOP INSERT INTO hr.cache VALUES (e.id || '/' || m, 'done') ON CONFLICT (k) DO UPDATE SET v = 'again'; END LOOP; END $$;
CREATE PROCEDURE pay.print_slip(emp bigint) LANGUAGE plpgsql SECURITY DEFINER AS $$ DECLARE r pay.slips; BEGIN FOR r IN SELECT * FROM pay.slips WHERE employee = emp LOOP RAISE NOTICE 'slip %', r; END LOOP; END $$;
CREATE AGGREGATE pay.total(numeric) (SFUNC = pay.masked_sum, STYPE = numeric, INITCOND = '0');
CREATE CAST (pay.money_amount AS text) WITH INOUT;
CREATE FUNCTION hr.cmp(a hr.employees, b hr.employees) RETURNS bool LANGUAGE sql AS 'SELECT a.tax_id < b.tax_id';
CREATE OPERATOR hr.<# (LEFTARG = hr.employees, RIGHTARG = hr.employees, FUNCTION = hr.cmp);
CREATE RULE no_cache_delete AS ON DELETE TO hr.cache DO INSTEAD NOTHING;
CREATE STATISTICS hr.emp_stats (mcv) ON tax_id, born FROM hr.employees;
CREATE SERVER files FOREIGN DATA WRAPPER file_fdw; CREATE PUBLICATION pub FOR TABLE hr.departments;
CREATE SEQUENCE pay.numbers START 500;
COMMENT ON COLUMN hr.employees.salary IS 'per month'; COMMENT ON VIEW hr.directory IS 'who is who';
INSERT INTO hr.departments VALUES (1,'Board',NULL,'(9000000,EUR)'),(2,'Sales',1,'(120000,EUR)'),(3,'Lab',1,'(340000,USD)');
INSERT INTO private.keys VALUES (1,'skey-77ab-9921-zorn');
INSERT INTO hr.employees(id,first_name,last_name,tax_id,born,grade,dept,boss,email,phone,home,token,salary,bonus,shares,rating,active,photo) VALUES
(1,'Hanna','Vogt','TX-884-201-553','1966-10-23','principal',1,NULL,'hanna.vogt.w3@firm.example','+49 1522 8830417','{"street": "Amselgrund 19b4", "geo": {"lat": 52.51937, "lon": 13.40661}, "floor": 3}','3c9d2f7e-5a41-4b8c-8e60-b1f4d7a29c05',18240.75,40017.625,915233,5,true,'\x5e8807d1c4b2aa'),
(2,'Igor','Petrenko','TX-310-977-846','1984-02-11','senior',2,1,'igor.petrenko.k7@firm.example','+380 44 5512093','{"street": "Kashtanova 44x2", "geo": {"lat": 50.44721, "lon": 30.52189}, "floor": 1}','81be04c6-9f2d-4a37-b5d8-6e0c3a7f1b92',7315.40,5120.375,20417,4,true,'\xc03f66b9e21d75'),
(3,'Jamila','Okafor','TX-592-448-017','1993-07-05','junior',3,1,'jamila.okafor.d2@firm.example','+234 803 7719264','{"street": "Ikoyi Close 7z8", "geo": {"lat": 6.45512, "lon": 3.43321}, "floor": 7}','f27a95d0-3b68-4ce1-a049-d85e6b0c4f13',4188.15,1833.875,3391,3,true,'\x19d4f7a0538bec'),
(4,'Ken','Larsson','TX-706-135-928','1979-12-30','senior',3,2,NULL,NULL,NULL,'0d63e8b4-c7f5-4921-9a3e-4f1b82c6d07a',6904.60,NULL,NULL,NULL,false,NULL);
INSERT INTO pay.slips(employee,month,gross,net,iban,details,lines) VALUES
(1,'2025-03-01',18240.75,10533.21,'DE44500105175407324931','<slip><tax>7707.54</tax><ref>slipref-a91-kestrel</ref></slip>','{base 18240.75,"bonus none"}'),
(2,'2025-09-01',7315.40,4906.18,'UA213223130000026007233566','<slip><tax>2409.22</tax><ref>slipref-b55-falcon</ref></slip>','{base 7315.40}'),
(3,'2026-01-01',4188.15,3077.94,'NG58214471003364','<slip><tax>1110.21</tax><ref>slipref-c18-osprey</ref></slip>','{base 4188.15}'),
(1,'2026-01-01',18240.75,10571.68,'DE44500105175407324931','<slip><tax>7669.07</tax><ref>slipref-d72-merlin</ref></slip>',NULL);
INSERT INTO pay.base VALUES (1,'plain','note-plain-6612'); INSERT INTO pay.loans VALUES (2,'house','note-house-9083',250000,'purpose-roof-3317'); INSERT INTO pay.car_loans VALUES (3,'car','note-car-4471',18000,'purpose-auto-7725','WVWZZZ1KZAW884213');
INSERT INTO hr.reviews VALUES (1,2,'Hanna','review-warm-5520 of Igor',4),(2,3,'Hanna','review-cold-8816 of Jamila',2);
INSERT INTO hr.cache VALUES ('a','1');
SELECT setval('hr.employees_id_seq', 50); TRUNCATE hr.history;
REFRESH MATERIALIZED VIEW pay.totals; REFRESH MATERIALIZED VIEW pay.counts; ANALYZE;
