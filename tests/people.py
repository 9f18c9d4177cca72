"""Three customers, and what of them is a secret."""

PEOPLE = """
CREATE TABLE customers (
    id int PRIMARY KEY, name text NOT NULL, email text UNIQUE, card varchar(19), ssn char(11), country char(2),
    born date, balance numeric(12,2) CHECK (balance >= 0)
);
INSERT INTO customers VALUES
    (1, 'Ada', 'ada@example.com', '4111111111111111', '123-45-6789', 'DE', '1815-12-10', 10.50),
    (2, 'Bob', 'bob@example.com', '5500005555555559', '987-65-4321', 'FR', '1990-01-01', 0),
    (3, 'Cyd', NULL, NULL, NULL, 'IT', NULL, NULL);
"""
SECRETS = ("ada@example.com", "bob@example.com", "4111111111111111", "5500005555555559", "123-45-6789", "987-65-4321")
"""What nobody may see who sees it masked."""
