"""`hoopproxy kube-config`: printed, and merged into what is there."""

import stat
from base64 import b64decode
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result
from ruamel.yaml import YAML

from hoopproxy.testing.certificates import Authority

type Run = Callable[..., Result]

WORDS = ("kube-config", "--gateway", "https://gw.example:6443", "--cluster", "prod")


def read(text: str) -> Any:
    return YAML(typ="safe").load(text)


def test_it_prints_all_that_kubectl_needs(run: Run, tmp_path: Path) -> None:
    ca_file = Authority(tmp_path, "ca").ca_file
    result = run(*WORDS, "--ca", ca_file, "--token-file", tmp_path / "ada.token")
    assert result.exit_code == 0, result.output
    config = read(result.stdout)
    assert (config["apiVersion"], config["kind"], config["current-context"]) == ("v1", "Config", "prod")
    (cluster,), (user,), (context,) = config["clusters"], config["users"], config["contexts"]
    assert cluster["cluster"]["server"] == "https://gw.example:6443/clusters/prod"
    assert b64decode(cluster["cluster"]["certificate-authority-data"]) == ca_file.read_bytes()
    assert user == {"name": "prod-hoopproxy", "user": {"tokenFile": str(tmp_path / "ada.token")}}
    assert context == {"name": "prod", "context": {"cluster": "prod", "user": "prod-hoopproxy"}}


def test_a_token_may_come_from_a_program(run: Run) -> None:
    config = read(run(*WORDS, "--exec", "login get-token --issuer 'a b'").stdout)
    assert config["users"][0]["user"]["exec"] == {
        "apiVersion": "client.authentication.k8s.io/v1",
        "command": "login",
        "args": ["get-token", "--issuer", "a b"],
        "interactiveMode": "IfAvailable",
    }
    assert read(run(*WORDS, "--exec", "login").stdout)["users"][0]["user"]["exec"]["command"] == "login"


def test_without_a_ca_the_machine_s_own_count_and_without_a_token_none_is_named(run: Run) -> None:
    config = read(run(*WORDS).stdout)
    assert config["clusters"][0]["cluster"] == {"server": "https://gw.example:6443/clusters/prod"}
    assert config["users"][0]["user"] == {}


@pytest.mark.parametrize(
    "words",
    [
        ("--gateway", "http://gw.example"),
        ("--gateway", "gw.example:6443"),
        ("--gateway", "https://gw.example/x"),
        ("--gateway", "https://user@gw.example"),
        ("--gateway", "https://gw.example:99999"),
        ("--cluster", "a/b"),
        ("--cluster", ""),
        ("--exec", "'"),
        ("--exec", ""),
        ("--exec", "login", "--token-file", "x"),
        ("--ca", __file__),
        ("--ca", "/nowhere"),
    ],
)
def test_what_makes_no_sense_is_said(run: Run, words: tuple[str, ...]) -> None:
    result = run(*WORDS, *words)
    assert result.exit_code == 2 and result.stdout == ""
    assert result.stderr.rstrip().endswith((".", "exist."))


OWN = """\
apiVersion: v1
kind: Config
# mine
clusters:
- name: home
  cluster: {server: https://home:6443}
- name: prod
  cluster: {server: https://old:6443}
contexts:
- name: home
  context: {cluster: home, user: me}
current-context: home
users:
- name: me
  user: {token: abc}
"""


def test_it_is_merged_into_the_first_file_that_there_is(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "own"
    path.write_text(OWN)
    path.chmod(0o644)
    monkeypatch.setenv("KUBECONFIG", f":{path}:{tmp_path / 'other'}")
    result = run(*WORDS, "--merge")
    assert result.exit_code == 0, result.output
    assert "kubectl --context prod" in result.stdout
    text = path.read_text()
    config = read(text)
    assert "# mine" in text and config["current-context"] == "home"
    assert [each["name"] for each in config["clusters"]] == ["home", "prod"]
    assert config["clusters"][1]["cluster"]["server"] == "https://gw.example:6443/clusters/prod"
    assert [each["name"] for each in config["users"]] == ["me", "prod-hoopproxy"]
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [each.name for each in tmp_path.iterdir()] == ["own"]
    run(*WORDS, "--merge")
    assert path.read_text() == text


def test_a_file_that_is_not_there_is_made(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("KUBECONFIG", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    assert run(*WORDS, "--merge").exit_code == 0
    path = tmp_path / ".kube" / "config"
    assert read(path.read_text())["current-context"] == "prod"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


@pytest.mark.parametrize("text", ["a: [", "- 1", "kind: Pod", "clusters: 7", "clusters: [7]", "\x00"])
def test_what_is_no_kubeconfig_stays_as_it_is(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str
) -> None:
    path = tmp_path / "own"
    path.write_text(text)
    monkeypatch.setenv("KUBECONFIG", str(path))
    assert run(*WORDS, "--merge").exit_code == 2
    assert path.read_text() == text
