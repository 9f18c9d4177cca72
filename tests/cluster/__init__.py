"""The same as tests/kubernetes on a real cluster; only `make cluster` runs it."""
