"""Harness: a hostile client, logged in, before an honest server."""

from fuzz.choices import Choices
from fuzz.clients import says
from fuzz.play import Event, Left, Said, Served, alike, played, setting, without_canary
from hoopproxy.model import Side

EVENTS_MAX = 24


def run(data: bytes) -> None:
    """@raise AssertionError: a promise was broken."""
    choices = Choices(without_canary(data))
    chosen, size = setting(choices), 1 + choices.below(32)
    events: list[Event] = []
    while choices.left and len(events) < EVENTS_MAX:
        events.append(Said(says(choices)))
        served = choices.byte()
        if served & 3:
            events.append(Served(served >> 2 & 3))
        elif served == 4:
            events.append(Left(Side.CLIENT))
    events.append(Served(0))
    alike(played(chosen, events, 0), played(chosen, events, size))
