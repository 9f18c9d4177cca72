"""The suite from end to end over a real server and a real gateway; pgbouncer and haproxy are not needed for that."""

from pathlib import Path

from click.testing import CliRunner

from bench.__main__ import main
from bench.report import read
from bench.tables import tables

ONLY = r"^(SELECT 1, one client|bulk SELECT), (direct|hoopproxy, 2 of 8 masked), plaintext"


def test_one_workload_is_measured_and_kept(tmp_path: Path) -> None:
    ran = CliRunner().invoke(main, ["--quick", "--only", ONLY, "--into", str(tmp_path), "--seed", "1"])
    assert ran.exit_code == 0, ran.output
    (path,) = tmp_path.glob("*.json")
    results = read(path)
    assert not results.failures
    assert {(one.workload, one.line.contender) for one in results.measurements} == {
        (workload, contender)
        for workload in ("bulk SELECT", "SELECT 1, one client")
        for contender in ("direct", "hoopproxy, 2 of 8 masked")
    }
    assert all((one.figures.cpu_s is not None) == ("hoopproxy" in one.line.contender) for one in results.measurements)
    shown = CliRunner().invoke(main, ["--show", str(path)])
    assert "rows(1000), bounded" in shown.output


def test_what_masks_cost_is_held_against_a_relay(tmp_path: Path) -> None:
    only = r"^(a row by its key, one client, .*plaintext \+|log in)"
    ran = CliRunner().invoke(main, ["--quick", "--only", only, "--into", str(tmp_path), "--seed", "1"])
    assert ran.exit_code == 0, ran.output
    (path,) = tmp_path.glob("*.json")
    results = read(path)
    assert not results.failures
    by_database = "hoopproxy, 2 of 8 masked by the database"
    found = {(one.workload, one.line.contender) for one in results.measurements}
    assert {("a row by its key, one client", "Twisted relay"), ("log in again", by_database)} <= found
    assert "÷ Twisted relay" in next(iter(tables(results))).header


def test_the_rewriter_is_measured() -> None:
    ran = CliRunner().invoke(main, ["--quick", "--only", "^rewriter$"])
    assert ran.exit_code == 0, ran.output
    assert "one row by its key" in ran.output


def test_ssh_and_raw_tcp_are_measured_against_the_other_proxies(tmp_path: Path) -> None:
    """Without haproxy, which is not needed for that."""
    only = r"^(SSH, bulk down, (asyncssh|hoopproxy), SSH \+|TCP, .*, (direct|hoopproxy), plaintext)"
    ran = CliRunner().invoke(main, ["--quick", "--only", only, "--into", str(tmp_path), "--seed", "1"])
    assert ran.exit_code == 0, ran.output
    (path,) = tmp_path.glob("*.json")
    results = read(path)
    assert not results.failures
    assert {(one.workload, one.line.contender) for one in results.measurements} == {
        ("SSH, bulk down", "asyncssh"),
        ("SSH, bulk down", "hoopproxy"),
        *(
            (workload, contender)
            for workload in ("TCP, bulk down", "TCP, bulk up", "TCP, 64 bytes there and back")
            for contender in ("direct", "hoopproxy")
        ),
    }
    assert "÷ asyncssh" in ran.output and "rows(1 MiB each)" in ran.output
