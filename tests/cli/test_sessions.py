"""`sessions`: what the gateway answers and what recordings hold, for people and for programs."""

import json
from base64 import b64encode
from collections.abc import Callable
from pathlib import Path
from typing import Any

from click.testing import CliRunner, Result

from hoopproxy.cli.main import main
from hoopproxy.cli.recorded import readable
from hoopproxy.testing.three_files import Site
from hoopproxy.wire.postgres.messages import data_row

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


def test_a_shell_for_reviewers_is_escaped_text_without_what_was_typed(
    run: Run, config: Path, site: Site, ssh_recording: Path
) -> None:
    result = run("sessions", "show", SESSION, "--config", config, "--zone-key", site.secrets / "zone.key")
    assert result.exit_code == 0, result.output
    for text in (
        *("#2 run  shell", "terminal xterm 80x24", "#2 stdout", "  $ ls\n", "\\x1b]52;c;eA==\\x07tax\n", "Grüße"),
        *("#3 run  exec cat\n", "#3 stderr", "cat: no", "5 of 30 bytes of stdout were not kept; SHA-256 of all: "),
        *("#3 ended  exit 1", "#2 ended  exit 3", "rename", "(sealed)", "Permission denied", "ab" * 32, "left"),
    ):
        assert text in result.output, text
    for text in ("stdin", "/home/ada", "\x1b", "\x07", "\r"):
        assert text not in result.output


def test_with_both_keys_a_shell_is_shown_with_what_was_typed_and_which_files_moved(
    run: Run, config: Path, site: Site, ssh_recording: Path
) -> None:
    keys = ("--zone-key", site.secrets / "zone.key", "--sealed-key", site.secrets / "sealed.key")
    shown = run("sessions", "show", SESSION, "--config", config, *keys).output
    for text in ("#2 stdin\n", "  ls\n", "exec cat /home/ada/tax", "/home/ada/tax → /home/ada/old"):
        assert text in shown, text


def test_a_film_is_written_once_for_whoever_may_read_it(
    run: Run, config: Path, site: Site, ssh_recording: Path, tmp_path: Path
) -> None:
    def filmed(name: str, *options: object, sealed: bool = False) -> Result:
        keys = ["--zone-key", site.secrets / "zone.key"]
        keys += ["--sealed-key", site.secrets / "sealed.key"] if sealed else []
        return run("sessions", "cast", SESSION, "--config", config, *keys, "--output", tmp_path / name, *options)

    several = filmed("none")
    assert several.exit_code == 2
    for text in ("3 films", "--connection 5511 --statement 2  shell", "--statement 3  exec cat\n"):
        assert text in several.stderr
    assert not (tmp_path / "none").exists()

    assert filmed("masked", "--statement", 2).output == f"{tmp_path}/masked: #2 shell\n"
    assert (tmp_path / "masked").stat().st_mode & 0o777 == 0o600
    header, *events = map(json.loads, (tmp_path / "masked").read_text().splitlines())
    assert header["term"] == {"cols": 80, "rows": 24, "type": "xterm"}
    assert "".join(data for _, code, data in events if code == "o").endswith("c;eA==tax\r\nGrüße\r\n$ ")
    assert {code for _, code, _ in events} == {"o", "x"}

    told = json.loads(filmed("whole", "--statement", 2, "--json", "--raw", sealed=True).stdout)
    assert told == {"output": f"{tmp_path}/whole", "connection_id": "5511", "statement": 2, "title": "shell"}
    whole = (tmp_path / "whole").read_text()
    assert '"i","l"' in whole and "\\u001b]52" in whole
    filmed("again", "--statement", 2, "--raw", sealed=True)
    assert (tmp_path / "again").read_text() == whole

    assert filmed("whole", "--statement", 2).exit_code == 1
    assert filmed("none", "--statement", 9).exit_code == 1
    assert filmed("none", "--statement", 2, "--connection", "other").exit_code == 1
    ssh_recording.write_bytes(ssh_recording.read_bytes() + b"more")
    assert filmed("none", "--statement", 2).exit_code == 1
    assert not (tmp_path / "none").exists()


def test_a_live_session_is_watched_until_it_ends(run: Run, gateway: Answers) -> None:
    gateway.given["watch"] = {}
    gateway.events = watched(
        {"event": "opened", "issuer": "i", "subject": "ada", "name": "", "client": "c", "target": "box"},
        {"event": "asked", "statement": 2, "action": "run", "outline": "shell"},
        streamed(2, b"$ \x1b[3"),
        streamed(2, b"1mred\x1b]0;x\x07\r\n"),
        streamed(3, b"other"),
        {"event": "completed", "statement": 3, "tag": "exit 0", "row_count": 0},
        {"event": "columns", "statement": 4, "columns": [{"name": "card"}]},
        {"event": "rows", "statement": 4, "row_count": 1, "raw": b64encode(data_row([b"****1111"])).decode()},
        {"event": "completed", "statement": 4, "tag": "SELECT 1", "row_count": 1},
        {"event": "closed", "reason": "left", "tally": {"statements": 2}},
    )
    plain = run("sessions", "watch", SESSION, "--socket", gateway.path)
    result = CliRunner().invoke(main, ["sessions", "watch", SESSION, "--socket", str(gateway.path)], color=True)

    assert (plain.exit_code, result.exit_code) == (0, 0), result.output
    assert "\x1b" not in plain.output
    assert gateway.asked == [{"command": "watch", "arguments": {"id": SESSION}}] * 2
    for text in (
        *("connection c0ffee", "#2 run  shell\n", "$ \x1b[31mred\\x1b]0;x\n#3\nother\n", "#3 ended  exit 0"),
        *("card", "****1111", "1 rows, SELECT 1", "closed  left"),
    ):
        assert text in result.output, (text, result.output)
    assert "\x1b]" not in result.output


def test_a_live_session_is_told_to_programs(run: Run, gateway: Answers) -> None:
    gateway.given["watch"] = {}
    rows = b64encode(data_row([b"a", None])).decode()
    gateway.events = watched(streamed(2, b"x"), {"event": "rows", "statement": 4, "row_count": 1, "raw": rows})
    told = run("sessions", "watch", SESSION, "--socket", gateway.path, "--json").stdout.splitlines()

    first, second = map(json.loads, told)
    assert first == gateway.events[0]
    assert second["line"]["cells"] == [["a", None]]


def test_a_session_that_is_not_alive_cant_be_watched(run: Run, gateway: Answers) -> None:
    result = run("sessions", "watch", "x", "--socket", gateway.path)
    assert (result.exit_code, result.stderr) == (1, "The gateway says no.\n")


def watched(*lines: dict[str, Any]) -> list[dict[str, Any]]:
    """As events of the stream `watch`."""
    rest = {"at_ms": 1_700_000_000_000, "account": "reader", "grant_id": "g"}
    return [{"connection_id": "c0ffee", "line": {"seq": seq} | rest | line} for seq, line in enumerate(lines, 1)]


def streamed(statement: int, raw: bytes) -> dict[str, Any]:
    return {"event": "streamed", "statement": statement, "stream": "stdout", "raw": b64encode(raw).decode()}


def test_a_long_bind_value_is_told_by_its_digest() -> None:
    line = {"event": "asked", "parameters": [{"bytes": 9, "sha256": "ab", "format": "text"}]}
    assert readable(dict(line)) == line


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
