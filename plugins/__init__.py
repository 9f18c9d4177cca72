"""Example addons: one per file, written against the public contract alone (see docs/plugins.md)."""
