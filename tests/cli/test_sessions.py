"""`sessions`: what the gateway answers and what recordings hold, for people and for programs."""

import json
from collections.abc import Callable
from pathlib import Path

from click.testing import Result

from hoopproxy.testing.three_files import Site

from .conftest import SESSION, Answers

type Run = Callable[..., Result]

LIVE = {
    "session_id": SESSION,
    "identity": "Ada\x1b[31m",
    "target": "ledger",
    "account": "reader",
    "client": "127.0.0.1",
    "client_zones": ["EEA", "EU"],
    "since_s": 1_700_000_000.5,
    "connections": 1,
    "statements": 4,
    "rows": 12,
}
HELD = {"connection_id": "c0ffee", "since_s": 1_700_000_000.5, "not_after_s": 1_700_003_600.0, "rows": 12}


def test_a_list_for_people(run: Run, config: Path, gateway: Answers) -> None:
    gateway.given["sessions"] = {"sessions": [LIVE]}
    result = run("sessions", "list", "--config", config)
    assert result.exit_code == 0
    for text in (SESSION, "ledger", "EEA, EU", "2023-11-14 22:13:20Z", "12"):
        assert text in result.output
    assert "\x1b" not in result.output


def test_a_list_for_programs(run: Run, config: Path, gateway: Answers) -> None:
    gateway.given["sessions"] = {"sessions": [LIVE]}
    assert json.loads(run("sessions", "list", "--config", config, "--json").stdout) == [LIVE]


def test_an_empty_list_is_said(run: Run, gateway: Answers) -> None:
    gateway.given["sessions"] = {"sessions": []}
    result = run("sessions", "list", "--socket", gateway.path)
    assert (result.exit_code, result.output) == (0, "Nobody is here.\n")


def test_kill_passes_session_and_reason_on(run: Run, gateway: Answers) -> None:
    gateway.given["kill"] = {"ended": True}
    result = run("sessions", "kill", SESSION, "--reason", "enough", "--socket", gateway.path)
    assert result.exit_code == 0
    assert gateway.asked == [{"command": "kill", "arguments": {"id": SESSION, "reason": "enough"}}]


def test_killing_nobody_is_a_no(run: Run, gateway: Answers) -> None:
    gateway.given["kill"] = {"ended": False}
    result = run("sessions", "kill", "x", "--reason", "enough", "--socket", gateway.path)
    assert (result.exit_code, result.stderr) == (1, "No session x is alive.\n")
    result = run("sessions", "kill", "x", "--reason", "enough", "--socket", gateway.path, "--json")
    assert (result.exit_code, json.loads(result.stdout)) == (1, {"ended": False})


def test_a_kill_without_a_reason_is_wrong_usage(run: Run, gateway: Answers) -> None:
    assert run("sessions", "kill", "x", "--socket", gateway.path).exit_code == 2


def test_the_gateways_own_no_is_passed_on(run: Run, gateway: Answers) -> None:
    result = run("sessions", "list", "--socket", gateway.path)
    assert (result.exit_code, result.stderr) == (1, "The gateway says no.\n")


def test_no_gateway_is_another_code(run: Run, config: Path) -> None:
    for words in (("sessions", "list"), ("sessions", "follow"), ("sessions", "show", "x"), ("evidence", "head")):
        result = run(*words, "--config", config)
        assert result.exit_code == 3
        assert "not running" in result.stderr


def test_a_socket_needs_no_configuration_but_a_wrong_one_is_named(run: Run, tmp_path: Path) -> None:
    result = run("sessions", "list", "--config", tmp_path / "none.toml")
    assert result.exit_code == 2
    assert "none.toml" in result.stderr


def test_follow_prints_events(run: Run, gateway: Answers) -> None:
    gateway.given["follow"] = {}
    gateway.events = [{"event": "permitted", "session_id": SESSION}, {"event": "ended", "session_id": SESSION}]
    told = run("sessions", "follow", "--socket", gateway.path, "--json").stdout.splitlines()
    assert [json.loads(line)["event"] for line in told] == ["permitted", "ended"]
    assert f"permitted  session_id={SESSION}" in run("sessions", "follow", "--socket", gateway.path).stdout


def test_a_live_session_is_shown(run: Run, gateway: Answers) -> None:
    gateway.given["session"] = {"session": LIVE | {"held": [HELD]}}
    result = run("sessions", "show", SESSION, "--socket", gateway.path)
    assert result.exit_code == 0, result.output
    for text in ("ledger", "c0ffee", "2023-11-14 23:13:20Z"):
        assert text in result.output
    found = json.loads(run("sessions", "show", SESSION, "--socket", gateway.path, "--json").stdout)
    assert found["held"] == [HELD]


def test_a_session_that_ended_needs_a_key(run: Run, gateway: Answers) -> None:
    gateway.given["session"] = {"session": None}
    result = run("sessions", "show", SESSION, "--socket", gateway.path)
    assert result.exit_code == 1
    assert "--zone-key" in result.stderr


def test_a_recording_for_reviewers_has_outlines(run: Run, config: Path, site: Site, recording: Path) -> None:
    result = run("sessions", "show", SESSION, "--config", config, "--zone-key", site.secrets / "zone.key")
    assert result.exit_code == 0, result.output
    for text in ("Ada", "id = $1", "****1111", "∅", "2 rows, SELECT 2", "refused", "protected column", "22012", "left"):
        assert text in result.output
    assert "id = 7" not in result.output
    assert "\x1b" not in result.output


def test_with_both_keys_statements_are_whole(run: Run, config: Path, site: Site, recording: Path) -> None:
    keys = ("--zone-key", site.secrets / "zone.key", "--sealed-key", site.secrets / "sealed.key")
    result = run("sessions", "show", SESSION, "--config", config, *keys)
    assert "id = 7" in result.output
    assert "$1 = 7" in result.output


def test_a_recording_for_programs(run: Run, config: Path, site: Site, recording: Path) -> None:
    words = ("sessions", "show", SESSION, "--config", config, "--zone-key", site.secrets / "zone.key", "--json")
    found = json.loads(run(*words).stdout)
    assert found["session_id"] == SESSION
    rows = next(line for line in found["lines"] if line["event"] == "rows")
    assert rows["cells"] == [["Ines\x1b[2J", "****1111"], ["Jonas", None]]


def test_unfit_keys_and_missing_recordings_are_named(run: Run, config: Path, site: Site, recording: Path) -> None:
    def shown(session: str, *keys: object) -> Result:
        return run("sessions", "show", session, "--config", config, *keys)

    zone_key = site.secrets / "zone.key"
    assert shown("other", "--zone-key", zone_key).exit_code == 1
    assert shown("../log", "--zone-key", zone_key).exit_code == 1
    assert shown(SESSION, "--sealed-key", zone_key).exit_code == 2
    assert shown(SESSION, "--zone-key", site.secrets / "sealed.key").exit_code == 2
    assert shown(SESSION, "--zone-key", site.secrets / "zone.pub").exit_code == 2
    result = shown(SESSION, "--zone-key", site.secrets / "none.key")
    assert (result.exit_code, result.stderr) == (
        2,
        f"{site.secrets}/none.key can't be read: No such file or directory.\n",
    )


def test_a_changed_recording_is_shown_as_far_as_it_is_proved(
    run: Run, config: Path, site: Site, recording: Path
) -> None:
    data = bytearray(recording.read_bytes())
    data[-40] ^= 1
    recording.write_bytes(data + b"more")
    result = run("sessions", "show", SESSION, "--config", config, "--zone-key", site.secrets / "zone.key")
    assert result.exit_code == 1
    assert "Chunk 1 was changed" in result.stderr
