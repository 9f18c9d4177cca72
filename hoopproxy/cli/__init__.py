"""The command line `hoopproxy`."""
