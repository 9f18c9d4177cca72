"""Public kit for plugin authors and this project's own tests: fixtures, values, conformance suites."""
