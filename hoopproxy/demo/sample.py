"""The sample data of the demonstration: a database, and a file. Its people are made up; the cards are test numbers."""

LEDGER = """\
CREATE TABLE customers (
    id int PRIMARY KEY,
    name text NOT NULL,
    email text NOT NULL,
    card text NOT NULL,
    ssn text,
    country text NOT NULL
);
CREATE TABLE payments (
    id int PRIMARY KEY,
    customer_id int NOT NULL REFERENCES customers,
    amount numeric(12, 2) NOT NULL,
    paid_on date NOT NULL
);
INSERT INTO customers VALUES
    (1, 'Ines Alvarez', 'ines@example.es', '4111111111111111', '912-11-0001', 'ES'),
    (2, 'Jonas Weber', 'jonas@example.de', '5555555555554444', '912-22-0002', 'DE'),
    (3, 'Chiara Russo', 'chiara@example.it', '378282246310005', '912-33-0003', 'IT'),
    (4, 'Piet de Vries', 'piet@example.nl', '6011111111111117', '912-44-0004', 'NL'),
    (5, 'Élise Martin', 'elise@example.fr', '30569309025904', NULL, 'FR');
INSERT INTO payments VALUES
    (1, 1, 120.00, '2026-11-02'), (2, 2, 89.90, '2026-11-03'), (3, 2, 15.50, '2026-11-09'),
    (4, 3, 2400.00, '2026-11-12'), (5, 4, 7.25, '2026-11-13'), (6, 5, 310.10, '2026-11-20');
"""

CUSTOMERS = """\
Ines Alvarez    4111111111111111
Jonas Weber     5555555555554444
Chiara Russo    378282246310005
"""
"""The file on the machine with the shell."""
