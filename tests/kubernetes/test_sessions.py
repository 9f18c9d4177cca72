"""What kubectl leaves behind: sessions that can be ended, films of terminals; and that its claims change nothing."""

import json
import ssl
import sys
from base64 import b64decode
from pathlib import Path
from typing import Any

import httpx
import pytest

from hoopproxy.control.client import ControlClient
from hoopproxy.testing.kubernetes_stand import LISTENER
from hoopproxy.testing.process import environment

from ..ssh.ways import run
from .conftest import Apis, KubernetesStand


def hoopproxy(stand: KubernetesStand, *words: str | Path) -> str:
    """What our command says."""
    command = Path(sys.executable).with_name("hoopproxy")
    done = run([str(command), *map(str, words)], env=environment() | {"HOOPPROXY_CONFIG": str(stand.config)})
    assert done.code == 0, done
    return done.out.decode()


def live(stand: KubernetesStand, target: str) -> str:
    """The id of the one session with a target."""
    sessions = ControlClient(stand.control_socket).call("sessions")["sessions"]
    (found,) = {each["session_id"] for each in sessions if each["target"] == target}
    return str(found)


@pytest.fixture(scope="module")
def ended(stand: KubernetesStand) -> tuple[str, bytes, int]:
    """Somebody worked in a terminal until an operator ended that: the session, what it showed last, the exit code."""
    with stand.way("alone", "franz").terminal("exec", "-it", "web", "--", "sh", size=(90, 30)) as here:
        here.type(b"stty -echo\r")
        here.type(b"echo $((6 * 7))\r")
        here.reads(rb"[^0-9]42\r\n")
        session_id = live(stand, "alone")
        assert ControlClient(stand.control_socket).call("kill", id=session_id, reason="lunch")["ended"]
        shown, code = here.ends()
    return session_id, shown, code


def lines_of(stand: KubernetesStand, session_id: str) -> list[dict[str, Any]]:
    """The lines of its recordings."""
    keys = ("--zone-key", stand.zone_key, "--sealed-key", stand.sealed_key)
    said = hoopproxy(stand, "sessions", "show", session_id, *keys, "--json")
    return [line for recording in said.splitlines() for line in json.loads(recording)["lines"]]


def test_a_kill_ends_a_command_in_progress_and_says_so(ended: tuple[str, bytes, int]) -> None:
    _, shown, code = ended
    assert b"error: An operator ended your session: lunch." in shown
    assert code == 1


def test_all_its_connections_are_one_session(stand: KubernetesStand, ended: tuple[str, bytes, int]) -> None:
    lines = lines_of(stand, ended[0])
    texts = [line["text"] for line in lines if line["event"] == "asked"]
    assert "GET /api/v1/namespaces/default/pods/web" in texts
    assert any(text.startswith("GET /api/v1/namespaces/default/pods/web/exec?command=sh&") for text in texts)
    assert "exec default/web -- sh" in {line["outline"] for line in lines if line["event"] == "asked"}


def test_the_terminal_is_a_film(stand: KubernetesStand, ended: tuple[str, bytes, int], tmp_path: Path) -> None:
    film = tmp_path / "film.cast"
    hoopproxy(stand, "sessions", "cast", ended[0], "--zone-key", stand.zone_key, "--output", film)
    header, *events = [json.loads(line) for line in film.read_text().splitlines() if not line.startswith("#")]
    assert (header["term"]["cols"], header["term"]["rows"]) == (90, 30)
    assert "42\r\n" in "".join(text for _, kind, text in events if kind == "o")


def test_what_was_typed_is_sealed(stand: KubernetesStand, ended: tuple[str, bytes, int]) -> None:
    typed = [line for line in lines_of(stand, ended[0]) if line.get("stream") == "stdin"]
    assert b"6 * 7" in b"".join(b64decode(line.get("raw", "")) for line in typed)
    said = hoopproxy(stand, "sessions", "show", ended[0], "--zone-key", stand.zone_key, "--json")
    assert not any("raw" in line for line in json.loads(said.splitlines()[0])["lines"] if line.get("stream") == "stdin")


def test_an_exit_code_is_recorded(stand: KubernetesStand) -> None:
    with stand.way("alone").terminal("exec", "-it", "web", "--", "sh", "-c", "echo ready; read x; exit 7") as here:
        here.reads(b"ready")
        session_id = live(stand, "alone")
        here.type(b"\r")
        assert here.ends()[1] == 7
    assert "exit 7" in {line.get("tag") for line in lines_of(stand, session_id)}


CLAIMS: list[list[tuple[str, str]]] = [
    [("Impersonate-User", "root"), ("Impersonate-Group", "system:masters")],
    [("Connection", "Impersonate-User"), ("Impersonate-User", "root")],
    [("Connection", "keep-alive, Impersonate-User, Impersonate-Group, Authorization")],
    [("Impersonate-Uid", "0"), ("Impersonate-Extra-Scopes", "all"), ("X-Remote-User", "root")],
]


@pytest.mark.parametrize("claims", CLAIMS, ids=lambda claims: claims[0][1][:20])
def test_whatever_a_client_claims_it_comes_as_itself(
    stand: KubernetesStand, apis: Apis, claims: list[tuple[str, str]]
) -> None:
    host, port = stand.endpoint(LISTENER)
    trust = ssl.create_default_context(cafile=str(stand.ca_file))
    before = len(apis.new.arrived)
    with httpx.Client(verify=trust) as client:
        headers = [("authorization", f"Bearer {stand.tokens['ada']}"), *claims]
        answer = client.get(f"https://{host}:{port}/clusters/prod/api/v1/namespaces/default/pods/web", headers=headers)
    assert answer.status_code == 200, answer.text
    (arrived,) = apis.new.arrived[before:]
    about = [
        (name, value) for name, value in arrived.fields if name.startswith(("impersonate", "x-remote", "authoriz"))
    ]
    assert sorted(about) == [
        ("authorization", f"Bearer {apis.new.token}"),
        ("impersonate-group", "analysts"),
        ("impersonate-user", "ada"),
    ]


def test_nobody_learns_the_gateway_s_token(stand: KubernetesStand, apis: Apis) -> None:
    assert apis.new.token not in stand.gateway.log()
    for path in stand.recordings.rglob("*"):
        assert not path.is_file() or apis.new.token.encode() not in path.read_bytes()
