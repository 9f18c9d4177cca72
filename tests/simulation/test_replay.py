"""A seed tells everything: the same events in the same order, in this process and in any other."""

import subprocess
import sys

import pytest

from hoopproxy.interfaces import ISetting
from hoopproxy.testing.healthy import Addons
from hoopproxy.testing.process import environment
from hoopproxy.testing.simulation.run import Found, simulate

from .test_checks import Forgets, found

MODULE = (sys.executable, "-m", "hoopproxy.testing.simulation")


@pytest.mark.parametrize("seed", [3, 4, 11])
def test_a_seed_replays(seed: int) -> None:
    lines: list[str] = []
    story = simulate(seed, everything=lines.append)
    assert simulate(seed) == story
    assert story.events == len(lines) and story.connections


def test_seeds_differ() -> None:
    assert simulate(1).digest != simulate(2).digest


def test_it_replays_in_another_process_with_other_hashes() -> None:
    story = simulate(7)
    for number in ("1", "2"):
        ran = subprocess.run(
            [*MODULE, "--seed", "7"],
            env=environment() | {"PYTHONHASHSEED": number},
            capture_output=True,
            text=True,
            timeout=120,
        )
        assert ran.returncode == 0, ran.stderr
        assert f"digest {story.digest}" in ran.stdout
        assert "none wrong" in ran.stdout


def test_a_finding_tells_how_to_see_it_again_and_what_led_to_it() -> None:
    def furnish(addons: Addons, _: ISetting) -> Addons:
        addons.maskers = [Forgets(addons.maskers[0], protects="public.customers.card")]
        return addons

    first = next(found(furnish))
    with pytest.raises(Found) as again:
        simulate(first.seed, furnish)
    assert str(first) == str(again.value)
    assert str(first).startswith(f"seed {first.seed}; replay it: make simulate SEED={first.seed}\n")
    assert len(first.last) > 10


def test_many_seeds_are_counted() -> None:
    ran = subprocess.run([*MODULE, "--first", "5", "--seeds", "2"], env=environment(), capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.startswith("2 seeds, ")
