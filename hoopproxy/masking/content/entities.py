"""All entities by name, and those that are looked for where nobody says which. Knows no text.

A number of digits alone, which one random number in ten or a hundred could be, counts beside a word that tells what it
is; in a form of its own, or with so much to check that hardly anything passes, it counts by itself.
"""

from collections.abc import Mapping
from types import MappingProxyType

from hoopproxy.masking.content.americas import AMERICAS
from hoopproxy.masking.content.credentials import CREDENTIALS
from hoopproxy.masking.content.eastern_europe import NORTHERN_AND_EASTERN_EUROPE
from hoopproxy.masking.content.elsewhere import ELSEWHERE
from hoopproxy.masking.content.entity import Entity
from hoopproxy.masking.content.things import THINGS
from hoopproxy.masking.content.western_europe import WESTERN_EUROPE

ENTITIES: Mapping[str, Entity] = MappingProxyType(
    {
        each.name: each
        for each in (*THINGS, *CREDENTIALS, *AMERICAS, *WESTERN_EUROPE, *NORTHERN_AND_EASTERN_EUROPE, *ELSEWHERE)
    }
)

USUAL = tuple(name for name, each in ENTITIES.items() if each.is_default)
"""Those that have a form which needs no word near it, but for addresses of machines."""
