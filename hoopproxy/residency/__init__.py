"""Zones, places and verdicts. Pure functions over findings; the methods themselves are addons."""
