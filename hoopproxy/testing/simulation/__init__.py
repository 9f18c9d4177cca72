"""A whole gateway in one process, under weather made from a seed: for this project's tests and for plugin authors."""
