"""The tour: a gateway, a PostgreSQL and an identity provider on one machine, shown step by step."""
