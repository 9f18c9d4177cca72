"""`evidence`: keys, head, export and verify at the command line; the proof itself is tested in tests/evidence."""

import json
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result

from hoopproxy.disk.segments import Segments
from hoopproxy.evidence import chain
from hoopproxy.testing.three_files import Site

from .conftest import Answers

type Run = Callable[..., Result]


@pytest.fixture
def log(site: Site) -> str:
    """A log with three entries of a gateway that ran; its head as text."""
    segments = Segments(site.state / "log", 4194304, 65536)
    segments.open()
    head, leaves = chain.EMPTY, []
    for index in range(3):
        told = {"at_ms": 1_700_000_000_000 + index, "gateway": "gw", "kind": "gateway-stopped", "reason": "stopped"}
        leaf = json.dumps(told | {"index": index, "prev": head.sha256}, sort_keys=True, separators=(",", ":")).encode()
        head = chain.after(head, leaf)
        leaves.append(leaf)
    assert segments.commit([leaves]) == [0]
    segments.close()
    return f"{head.size}:{head.sha256}"


def test_keys_are_made_once(run: Run, tmp_path: Path) -> None:
    made = json.loads(run("evidence", "keygen", tmp_path / "keys", "--json").stdout)
    assert [Path(path).name for path in made] == ["zone.key", "zone.pub", "sealed.key", "sealed.pub"]
    assert {Path(path).stat().st_mode & 0o077 for path in made} == {0}
    again = run("evidence", "keygen", tmp_path / "keys")
    assert again.exit_code == 1
    assert "never replaced" in again.stderr


def test_the_head_is_the_gateways(run: Run, config: Path, gateway: Answers) -> None:
    gateway.given["head"] = {"size": 7, "sha256": "ab" * 32}
    assert run("evidence", "head", "--config", config).stdout == f"7:{'ab' * 32}\n"
    found = json.loads(run("evidence", "head", "--config", config, "--json").stdout)
    assert found == {"size": 7, "sha256": "ab" * 32}


def test_what_was_exported_verifies(run: Run, config: Path, log: str, tmp_path: Path) -> None:
    bundle = tmp_path / "bundle.zip"
    exported = run("evidence", "export", "--config", config, "--all", "--output", bundle)
    assert (exported.exit_code, exported.stdout) == (0, f"{log}\n")
    verified = run("evidence", "verify", bundle, "--head", log)
    assert verified.exit_code == 0
    assert "sound 3 entries" in verified.output
    told = json.loads(run("evidence", "verify", bundle, "--head", log, "--json").stdout)
    assert told["sound"] is True
    assert told["head"] == log


def test_an_edit_and_a_cut_are_named(run: Run, config: Path, log: str, tmp_path: Path) -> None:
    bundle, edited = tmp_path / "bundle.zip", tmp_path / "edited.zip"
    run("evidence", "export", "--config", config, "--all", "--output", bundle)
    with zipfile.ZipFile(bundle) as source, zipfile.ZipFile(edited, "w") as target:
        for name in source.namelist():
            target.writestr(name, source.read(name).replace(b"1700000000001", b"1700000000009"))
    result = run("evidence", "verify", edited, "--head", log)
    assert result.exit_code == 1
    assert "not sound" in result.output
    assert "Entry 2 does not continue" in result.output
    assert run("evidence", "verify", edited, "--json").exit_code == 1
    longer = run("evidence", "verify", bundle, "--head", f"4:{'0' * 64}")
    assert longer.exit_code == 1
    assert "cut off" in longer.output


def test_without_a_head_it_says_what_is_not_proved(run: Run, config: Path, log: str, tmp_path: Path) -> None:
    bundle = tmp_path / "bundle.zip"
    run("evidence", "export", "--config", config, "--all", "--output", bundle)
    result = run("evidence", "verify", bundle)
    assert result.exit_code == 0
    assert "No head from outside" in result.output


def test_a_users_mistakes_are_named(run: Run, config: Path, log: str, tmp_path: Path) -> None:
    taken = tmp_path / "taken.zip"
    taken.write_bytes(b"no zip")
    assert run("evidence", "export", "--config", config, "--output", tmp_path / "new.zip").exit_code == 2
    result = run("evidence", "export", "--config", config, "--all", "--output", taken)
    assert (result.exit_code, result.stderr) == (1, f"{taken} exists already; evidence never replaces a file.\n")
    assert taken.read_bytes() == b"no zip"
    assert run("evidence", "verify", taken).exit_code == 1
    assert run("evidence", "verify", tmp_path / "none.zip").exit_code == 2
    assert run("evidence", "verify", taken, "--head", "3:abc").exit_code == 2
