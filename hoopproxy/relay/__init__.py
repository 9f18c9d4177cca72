"""Bytes between two logged-in connections, past guards, masks and recorders. Knows no protocol."""
