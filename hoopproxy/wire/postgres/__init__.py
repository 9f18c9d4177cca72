"""PostgreSQL frontend/backend protocol 3.0 and 3.2, from both sides, without I/O."""
