"""Every kept seed of every harness, and what a thousand small changes make of them, without a fuzzer."""

import importlib
import random
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import CodeType
from typing import Any

import pytest

from fuzz.__main__ import HARNESSES, ROOM, SEEDS_BYTES_MAX
from hoopproxy.wire.postgres.client_half import ClientHalf
from hoopproxy.wire.postgres.server_half import ServerHalf
from hoopproxy.wire.ssh.client_half import ClientHalf as SshClientHalf
from hoopproxy.wire.ssh.server_half import ServerHalf as SshServerHalf

SEED, MUTANTS = 20_261, 300


def seeds(name: str) -> list[bytes]:
    return [path.read_bytes() for path in sorted((ROOM / "seeds" / name).iterdir())]


def play(name: str, data: bytes) -> None:
    try:
        importlib.import_module(f"fuzz.{name}").run(data)
    except BaseException as why:
        why.add_note(f"by fuzz.{name}.run(bytes.fromhex({data.hex()!r}))")
        raise


def mutants(kept: list[bytes], random: random.Random) -> Iterator[bytes]:
    """One seed with some bytes changed, a piece cut out, or the end of another in the place of its own."""
    for _ in range(MUTANTS):
        data = bytearray(random.choice(kept))
        for _ in range(random.randint(0, 4)):
            at = random.randrange(len(data) + 1)
            data[at : at + random.randint(0, 2)] = random.randbytes(random.randint(0, 2))
        if random.random() < 0.5:
            data[random.randrange(len(data) + 1) :] = random.choice(kept)[-random.randint(1, 200) :]
        yield bytes(data)


@pytest.mark.parametrize("name", HARNESSES)
def test_kept_seeds_break_no_promise(name: str) -> None:
    kept = seeds(name)
    assert kept and sum(map(len, kept)) <= SEEDS_BYTES_MAX
    for data in kept:
        play(name, data)


@pytest.mark.parametrize("name", HARNESSES)
def test_inputs_near_them_break_no_promise(name: str) -> None:
    for data in mutants(seeds(name), random.Random(SEED)):
        play(name, data)


@contextmanager
def called() -> Iterator[set[CodeType]]:
    """The code of every function that is entered meanwhile."""
    entered, tool, monitoring = set[CodeType](), 4, sys.monitoring

    def started(code: CodeType, _offset: int) -> object:
        entered.add(code)
        return monitoring.DISABLE

    monitoring.use_tool_id(tool, "seeds")
    monitoring.register_callback(tool, monitoring.events.PY_START, started)
    monitoring.set_events(tool, monitoring.events.PY_START)
    monitoring.restart_events()
    try:
        yield entered
    finally:
        monitoring.set_events(tool, 0)
        monitoring.free_tool_id(tool)


HALVES = [("client", ClientHalf), ("server", ServerHalf), ("channels", SshClientHalf), ("channels", SshServerHalf)]


@pytest.mark.parametrize(("name", "half"), HALVES)
def test_seeds_reach_each_kind_of_message(name: str, half: Any) -> None:
    with called() as entered:
        for data in seeds(name):
            play(name, data)
    assert [take.__name__ for take in half._TAKES.values() if take.__code__ not in entered] == []
