"""Attacks on masks, and everyday queries that must work in spite of them: a corpus, and what drives it."""
