"""Where the journal of access is kept: SQLite, or PostgreSQL where gateways share it. Decides nothing."""
