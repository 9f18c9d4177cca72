"""Protocols as machines without I/O: bytes to events and back. Knows no addon, no permit, no time."""
