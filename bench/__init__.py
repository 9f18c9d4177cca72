"""Measures the gateway against the direct way, pgbouncer and haproxy: `make bench`; README.md tells how to read it."""
