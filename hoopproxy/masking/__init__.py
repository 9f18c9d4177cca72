"""Mask plans by type, and the proof that a statement can be masked by origin. Pure."""
