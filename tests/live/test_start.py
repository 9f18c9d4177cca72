"""`twistd hoopproxy` as an operator starts it: checked, running beside a check, and with mistakes."""

import subprocess
import sys
from pathlib import Path

import pytest

from hoopproxy.testing.process import environment

from .conftest import Stand


def twistd(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    command = [Path(sys.executable).with_name("twistd"), "-n", "--pidfile=", "hoopproxy", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, env=environment())


def test_check_says_what_would_run_and_opens_nothing_even_beside_a_running_gateway(stand: Stand) -> None:
    ran = twistd("--config", stand.config, "--check")
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert "gateway gw-fra-1 in DE, zone EU: configuration is fine" in ran.stdout
    assert "residency: declared (declared), networks (cidr-map)" in ran.stdout
    assert "target ledger: postgres, zone EU, accounts reader" in ran.stdout


@pytest.mark.parametrize(
    ("file", "old", "new", "says"),
    [
        ("hoopproxy.toml", "[storage]", "[storrage]", "hoopproxy.toml: storrage"),
        ("hoopproxy.toml", 'use = "oidc"', 'use = "oidcc"', "oidcc"),
        ("hoopproxy.toml", "issuer =", "issuerr =", "hoopproxy.toml: addon.corp.issuerr"),
        ("targets.toml", 'protocol = "postgres"', 'protocol = "postgras"', "postgras"),
        ("policy.toml", 'zone = "EU"', 'zone = "XX"', "policy.toml: grant"),
        ("policy.toml", "[[grant]]", "[[grant]", "policy.toml"),
    ],
)
def test_a_mistake_stops_the_start_with_file_and_key(
    stand: Stand, tmp_path: Path, file: str, old: str, new: str, says: str
) -> None:
    for name in ("hoopproxy.toml", "targets.toml", "policy.toml"):
        text = stand.config.with_name(name).read_text()
        if name == file:
            assert old in text
            text = text.replace(old, new, 1)
        (tmp_path / name).write_text(text)
    ran = twistd("--config", tmp_path / "hoopproxy.toml")
    assert ran.returncode != 0
    assert says in ran.stdout + ran.stderr
    assert "Traceback" not in ran.stdout + ran.stderr


def test_a_socket_or_a_port_that_is_taken_stops_the_start(stand: Stand, tmp_path: Path) -> None:
    for name in ("targets.toml", "policy.toml"):
        (tmp_path / name).write_text(stand.config.with_name(name).read_text())
    text, taken = stand.config.read_text(), tmp_path / "hoopproxy.toml"
    for change, says in (
        (text, "another gateway answers on it"),
        (text.replace("port = 0", f"port = {stand.port}"), "in use"),
    ):
        taken.write_text(change)
        ran = twistd("--config", taken)
        assert ran.returncode == 1
        assert says in ran.stdout
        assert "Traceback" not in ran.stdout + ran.stderr


def test_a_log_that_another_gateway_writes_stops_the_start(stand: Stand, tmp_path: Path) -> None:
    for name in ("targets.toml", "policy.toml"):
        (tmp_path / name).write_text(stand.config.with_name(name).read_text())
    config = tmp_path / "hoopproxy.toml"
    config.write_text(stand.config.read_text().replace("[gateway]", '[gateway]\ncontrol_socket = "own.sock"', 1))
    ran = twistd("--config", config)
    assert ran.returncode == 1
    assert "in use by another gateway" in ran.stdout
    assert '"ready"' not in ran.stdout
