"""Fuzzing of all that parses outsiders' bytes: one module per harness, each with a `run(data)` that raises on a bug.

`python -m fuzz` drives them by atheris, pytest by their kept seeds (tests/fuzz). README.md tells how.
"""
