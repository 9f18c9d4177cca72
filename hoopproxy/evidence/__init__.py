"""The tamper-evident log and recordings as values and pure functions. Touches no disk."""
