"""Harness: a hostile server behind a machine with requests pending, before a client that does what drivers do."""

from fuzz.choices import Choices
from fuzz.clients import says
from fuzz.play import (
    Bent,
    Doubled,
    Dropped,
    Event,
    Inserted,
    Left,
    Said,
    Served,
    alike,
    played,
    setting,
    without_canary,
)
from fuzz.servers import answers
from hoopproxy.model import Side

EVENTS_MAX = 40


def run(data: bytes) -> None:
    """@raise AssertionError: a promise was broken."""
    choices = Choices(without_canary(data))
    chosen, size = setting(choices), 1 + choices.below(32)
    events: list[Event] = []
    while choices.left and len(events) < EVENTS_MAX:
        events.append(choices.call(*_EVENTS))
    events.append(Served(0))
    alike(played(chosen, events, 0), played(chosen, events, size))


def _said(choices: Choices) -> Event:
    return Said(says(choices))


def _served(choices: Choices) -> Event:
    return Served(choices.below(5))


def _dropped(choices: Choices) -> Event:
    return Dropped()


def _doubled(choices: Choices) -> Event:
    return Doubled()


def _bent(choices: Choices) -> Event:
    return Bent(choices.some(3))


def _inserted(choices: Choices) -> Event:
    return Inserted(*answers(choices))


def _left(choices: Choices) -> Event:
    return Left(choices.pick((Side.SERVER, Side.SERVER, Side.CLIENT))) if choices.byte() == 7 else Served(1)


_EVENTS = (_said,) * 5 + (_served,) * 5 + (_dropped, _doubled, _bent, _inserted, _inserted, _left)
