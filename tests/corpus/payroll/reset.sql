DO $r$ DECLARE r record; BEGIN
 FOR r IN SELECT n.nspname, c.relname, c.relkind FROM pg_class c JOIN pg_namespace n ON n.oid = relnamespace WHERE relname LIKE 'zz%' AND relkind IN ('r','v','m') AND nspname NOT LIKE 'pg_%' LOOP
  EXECUTE format('DROP %s IF EXISTS %I.%I CASCADE', CASE r.relkind WHEN 'v' THEN 'VIEW' WHEN 'm' THEN 'MATERIALIZED VIEW' ELSE 'TABLE' END, r.nspname, r.relname); END LOOP;
END $r$;
SET session_replication_role = replica;
TRUNCATE hr.employees, pay.slips, pay.base, pay.loans, pay.car_loans, hr.reviews, hr.cache, hr.history, hr.departments CASCADE;
ALTER TABLE pay.slips ALTER id RESTART;
INSERT INTO hr.departments VALUES (1,'Board',NULL,'(9000000,EUR)'),(2,'Sales',1,'(120000,EUR)'),(3,'Lab',1,'(340000,USD)');
SELECT setval('hr.employees_id_seq', 50), setval('pay.numbers', 500, false);
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
SET session_replication_role = origin;
