"""The tree itself: purposes, tokens, kinds of files. What isn't checked is decoration."""

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from configparser import ConfigParser
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
SOURCES = sorted([*(ROOT / "hoopproxy").rglob("*.py"), *(ROOT / "plugins").rglob("*.py")])
EVERY_FILE = "## Every file\n"
LINES_MAX = 400
"""The house rule is about 300; past this a noun wants out."""


@cache
def _tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text())


def _calls(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            name = node.func
            yield name.attr if isinstance(name, ast.Attribute) else getattr(name, "id", "")


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_each_file_opens_with_its_purpose(path: Path) -> None:
    purpose = ast.get_docstring(_tree(path))
    assert purpose, f"{path} has no docstring"
    assert purpose.split("\n")[0].rstrip().endswith((".", ":", ",", ";")) or "\n" in purpose


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_no_file_outgrows_its_noun(path: Path) -> None:
    assert len(path.read_text().splitlines()) <= LINES_MAX


def test_only_admit_mints_tokens() -> None:
    """A Permit or a Passage is made, or changed by `replace`, in `hoopproxy/admit` and nowhere else."""
    minting = {
        str(path.relative_to(ROOT)) for path in SOURCES if {"Permit", "Passage", "Seal"} & set(_calls(_tree(path)))
    }
    assert minting == {"hoopproxy/admit/admission.py"}


def test_a_token_without_the_seal_cannot_be_made() -> None:
    from hoopproxy.model import Passage

    with pytest.raises(AssertionError, match=r"only hoopproxy\.admit"):
        Passage(permit=None, peer=None, measurements=None, verdicts=(), seal=object())  # type: ignore[arg-type] # that is the test


def test_only_the_keyring_asks_for_secrets_and_only_dialers_and_identities_reveal_them() -> None:
    revealing = {str(path.relative_to(ROOT)).split("/")[1] for path in SOURCES if "reveal" in set(_calls(_tree(path)))}
    assert revealing <= {"dial", "addons", "wire"}


def test_packages_hold_a_docstring_only() -> None:
    """Side effects in `__init__` make the order of imports a feature."""
    for path in SOURCES:
        if path.name == "__init__.py":
            assert len(_tree(path).body) == 1, path


def test_every_package_is_shipped() -> None:
    setup = ConfigParser()
    setup.read(ROOT / "setup.cfg")
    listed = set(setup["options"]["packages"].split())
    found = {".".join(path.parent.relative_to(ROOT).parts) for path in (ROOT / "hoopproxy").rglob("__init__.py")}
    assert found <= listed


def test_every_entry_point_leads_somewhere() -> None:
    from importlib.metadata import entry_points

    for group in ("hoopproxy.addons", "hoopproxy.listeners", "hoopproxy.dialers", "hoopproxy.wires"):
        found = entry_points(group=group)
        assert found, group
        for entry in found:
            assert entry.load() is not None


def purposes() -> str:
    """The last section of ARCHITECTURE.md, made from the files' own first sentences."""
    rooms: dict[str, list[str]] = {}
    for path in SOURCES:
        if path.name != "__init__.py":
            purpose = (ast.get_docstring(_tree(path)) or "").split("\n\n")[0].replace("\n", " ")
            rooms.setdefault(str(path.parent.relative_to(ROOT)), []).append(f"- `{path.name}`: {purpose}\n")
    return "".join(f"\n### {room}/\n\n{''.join(files)}" for room, files in rooms.items())


def test_architecture_names_every_file_with_its_purpose() -> None:
    """It lets a stranger name the file for any line of the flow; `python -m tests.test_architecture` makes it anew."""
    assert (ROOT / "ARCHITECTURE.md").read_text().endswith(f"{EVERY_FILE}{purposes()}")


def test_every_file_of_the_shadows_has_its_step() -> None:
    """A room of so many files is found one's way in by the order in which they do their work."""
    table = (ROOT / "ARCHITECTURE.md").read_text().partition("## Masks\n")[2].partition("\n## ")[0]
    told = re.findall(r"`(\w+\.py)`", table)
    files = {path.name for path in SOURCES if path.parent.name == "shadows" and path.name != "__init__.py"}
    assert files - {*told} == set()
    assert all(told.count(name) == 1 for name in files)


def test_the_drop_in_holds_nothing() -> None:
    body = _tree(ROOT / "twisted/plugins/hoopproxy_dropin.py").body
    assert [type(node).__name__ for node in body] == ["Expr", "ImportFrom", "Assign"]


def test_twistd_knows_us() -> None:
    shown = subprocess.run([Path(sys.executable).with_name("twistd"), "--help"], capture_output=True, text=True)
    assert "Layer-7 access gateway for data residency" in shown.stdout


if __name__ == "__main__":
    architecture = ROOT / "ARCHITECTURE.md"
    architecture.write_text(architecture.read_text().partition(EVERY_FILE)[0] + EVERY_FILE + purposes())
