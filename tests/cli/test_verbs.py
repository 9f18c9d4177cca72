"""`check`, `token` and the command as a whole."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result
from joserfc import jwt
from joserfc.jwk import KeySet

from hoopproxy.cli.main import VERBS
from hoopproxy.testing.process import environment

type Run = Callable[..., Result]


@pytest.mark.parametrize("words", [[], *([verb] for verb in VERBS), ["sessions", "kill"], ["evidence", "verify"]])
def test_every_verb_has_help(run: Run, words: list[str]) -> None:
    result = run(*words, "--help")
    assert result.exit_code == 0
    assert "Usage:" in result.output


def test_an_unknown_verb_is_wrong_usage(run: Run) -> None:
    assert run("dance").exit_code == 2


def test_the_installed_command_answers() -> None:
    command = [Path(sys.executable).with_name("hoopproxy"), "sessions", "list", "--socket", "/nowhere.sock"]
    ran = subprocess.run(command, capture_output=True, text=True, timeout=60, env=environment())
    assert (ran.returncode, ran.stdout) == (3, "")
    assert ran.stderr == "The gateway is not running: nothing answers on /nowhere.sock.\n"


def test_check_tells_what_would_run(run: Run, config: Path) -> None:
    result = run("check", "--config", config)
    assert result.exit_code == 0, result.output
    for text in (
        "gw-fra-1",
        "postgres on 127.0.0.1:0, [::1]:0",
        "residency: declared (declared), networks (cidr-map)",
        "ledger",
        "sha256",
    ):
        assert text in result.output


def test_check_tells_programs_too(run: Run, config: Path) -> None:
    found = json.loads(run("check", "--config", config, "--json").stdout)
    assert found["roles"]["residency"] == ["declared", "networks"]
    assert [target["name"] for target in found["targets"]] == ["ledger"]
    assert {addon["name"] for addon in found["addons"]} >= {"corp", "recorder", "log"}


def test_check_says_every_mistake(run: Run, config: Path) -> None:
    text = config.read_text().replace('zone = "EU"', 'zone = "Atlantis"').replace("[storage]", "[storages]")
    config.write_text(text)
    result = run("check", "--config", config)
    assert result.exit_code == 2
    assert result.stdout == ""
    assert "gateway.zone" in result.stderr
    assert "storages" in result.stderr


def test_check_says_what_an_addon_does_not_like(run: Run, config: Path) -> None:
    config.write_text(config.read_text().replace("[addon.targets]", "[addon.targets]\nspeed = 9"))
    result = run("check", "--config", config)
    assert result.exit_code == 2
    assert "addon.targets.speed is not a setting" in result.stderr


def test_a_token_carries_what_was_asked_for(run: Run, tmp_path: Path) -> None:
    words = ("token", "ada", "--group", "a", "--group", "b", "--audience", "gw", "--lifetime", "90m", "--state")
    text = run(*words, tmp_path / "issuer").stdout.strip()
    keys = KeySet.import_key_set(json.loads((tmp_path / "issuer" / "jwks.json").read_bytes()))
    claims = jwt.decode(text, keys).claims
    assert (claims["sub"], claims["groups"], claims["aud"]) == ("ada", ["a", "b"], "gw")
    assert claims["exp"] - claims["iat"] == 5400


def test_tokens_of_one_state_have_one_issuer(run: Run, tmp_path: Path) -> None:
    first, second = (json.loads(run("token", "a", "--state", tmp_path, "--json").stdout) for _ in range(2))
    assert first["jwks_file"] == second["jwks_file"] == str(tmp_path / "jwks.json")
    keys = KeySet.import_key_set(json.loads((tmp_path / "jwks.json").read_bytes()))
    assert len(keys.keys) == 1


@pytest.mark.parametrize("lifetime", ["8", "8x", "-1h", "0s", "366d", ""])
def test_a_strange_lifetime_is_wrong_usage(run: Run, tmp_path: Path, lifetime: str) -> None:
    assert run("token", "ada", "--state", tmp_path, "--lifetime", lifetime).exit_code == 2


def test_a_state_that_holds_no_keys_is_named(run: Run, tmp_path: Path) -> None:
    (tmp_path / "keys.json").write_text("[]")
    result = run("token", "ada", "--state", tmp_path)
    assert result.exit_code == 2
    assert "keys.json" in result.stderr
    assert os.listdir(tmp_path) == ["keys.json"]
