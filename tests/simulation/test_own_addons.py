"""Addons of other people under the simulation: the documentation's example, and a plugin that judges by content."""

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

from hoopproxy.interfaces import ISetting
from hoopproxy.testing.healthy import Addons
from hoopproxy.testing.process import environment
from hoopproxy.testing.simulation.run import simulate
from plugins.mask_pan import MaskPan

from ..test_docs import blocks


def test_the_example_of_the_documentation(tmp_path: Path) -> None:
    (example,) = blocks("docs/testing.md", "python")
    (tmp_path / "test_no_copy.py").write_text(example)
    ran = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"],
        cwd=tmp_path,
        env=environment(),
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert "20 passed" in ran.stdout, ran.stdout + ran.stderr


def test_a_masker_that_judges_by_content() -> None:
    """Its `*` guards every session, also those where nothing was protected."""

    def furnish(addons: Addons, setting: ISetting) -> Addons:
        return replace(addons, maskers=[*addons.maskers, MaskPan.build("pan", MaskPan.settings(), setting)])

    for seed in range(10):
        simulate(seed, furnish, changes_answers=True)
