"""Masks that PostgreSQL keeps itself (`server` mode): what is made in a database, and how statements find it."""
