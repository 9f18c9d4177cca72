"""What ends sessions and what belongs to one: kills, deadlines, guards, a gateway that stops; and what the log says."""

import json
import subprocess
import threading
import zipfile
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from http.client import HTTPException
from pathlib import Path
from typing import Any

import pytest

from hoopproxy.control.client import ControlClient
from hoopproxy.disk.bundles import export, verify
from hoopproxy.testing.certificates import Authority
from hoopproxy.testing.http_stand import HttpSite
from hoopproxy.testing.postgres import PostgresCluster

from . import own_guard
from .conftest import TOKEN, HttpStand, Services, http_targets
from .raw import Raw

MB = 1_000_000


@pytest.fixture(scope="module")
def strict(services: Services, authority: Authority, tmp_path_factory: pytest.TempPathFactory) -> Iterator[HttpStand]:
    """A gateway with short deadlines and a guard that breaks."""
    directory = tmp_path_factory.mktemp("strict")
    own_guard.install(directory / "packages")
    leaf = authority.issue("strict", dns=("localhost",), ips=("127.0.0.1",))
    site = HttpSite(directory / "secrets", authority, http_targets(services, authority.ca_file))
    more = replace(site.more, main=site.more.main + own_guard.ADDON, guards=("breaks",))
    limits = "handshake_s_max = 3.0\nhead_s_max = 2.0\ndrain_s_max = 15.0\n"
    with ExitStack() as stack, pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", own_guard.path(directory / "packages"))
        cluster = stack.enter_context(
            PostgresCluster(directory / "pg", certificate=(leaf.certificate_file, leaf.key_file))
        )
        running = HttpStand(directory, cluster, authority, {"ledger": ""}, masks="", limits=limits, more=more)
        running.site = site
        yield stack.enter_context(running)


def control(stand: HttpStand) -> ControlClient:
    return ControlClient(stand.control_socket)


def sessions_from(stand: HttpStand, source: str) -> list[dict[str, Any]]:
    return [each for each in control(stand).call("sessions")["sessions"] if each["client"] == source]


def kill(stand: HttpStand, source: str) -> None:
    (live,) = sessions_from(stand, source)
    assert control(stand).call("kill", id=live["session_id"], reason="lunch")["ended"] is True


# Kills ----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("version", ["--http1.1", "--http2"])
def test_a_kill_ends_a_running_download(stand: HttpStand, version: str) -> None:
    source = "127.0.1.51" if version == "--http2" else "127.0.1.52"
    way = stand.reverse("shop")
    command = ["curl", *way.curl_options(), version, "--interface", source, f"{way.base}/endless"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as curl:
        assert curl.stdout is not None and curl.stderr is not None
        assert curl.stdout.read(2 * MB)
        kill(stand, source)
        while curl.stdout.read(MB):
            pass
        said = curl.stderr.read()
    assert curl.returncode in (18, 56, 92), said  # partial file; receive error; HTTP/2 stream error


def test_one_kill_ends_all_connections_of_one_person_to_one_target(stand: HttpStand) -> None:
    source = "127.0.1.53"
    with (
        Raw(stand, source=source) as first,
        Raw(stand, source=source) as second,
        Raw(stand, "sink", source=source) as other,
    ):
        for client in (first, second, other):
            client.say(client.head())
            assert client.hear().status == 200
        live = sessions_from(stand, source)
        assert sorted((each["target"], each["connections"]) for each in live) == [("plain", 2), ("sink", 1)]
        (session_id,) = [each["session_id"] for each in live if each["target"] == "plain"]
        assert control(stand).call("kill", id=session_id, reason="lunch")["ended"] is True
        for client in (first, second):
            said = client.rest()
            assert said == b"" or (said.startswith(b"HTTP/1.1 503 ") and b"lunch" in said)
        other.say(other.head())
        assert other.hear().status == 200


# Deadlines ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("behind", [False, True], ids=["first", "second"])
def test_a_head_that_drips_is_not_waited_for(strict: HttpStand, services: Services, behind: bool) -> None:
    """A byte now and then keeps nobody busy (slowloris)."""
    services.plain.arrived.clear()
    with Raw(strict) as client:
        if behind:
            client.say(client.head())
            assert client.hear().status == 200
        client.say(client.head("GET /slow HTTP/1.1", "X-Slow: yes")[:-2])
        ended = threading.Event()

        def drip() -> None:
            while not ended.wait(0.1):
                client.say(b"X: y\r\n")

        dripping = threading.Thread(target=drip)
        dripping.start()
        said = client.rest()
        ended.set()
        dripping.join()
    assert said == b"" or said.split(b" ")[1] in (b"408", b"503")
    assert "/slow" not in {request.path for request in services.plain.arrived}


# Guards ---------------------------------------------------------------------------------------------------------------


def test_a_guard_that_breaks_at_its_third_call_ends_the_session(strict: HttpStand, services: Services) -> None:
    services.sink.received.clear()
    with Raw(strict, "sink") as client:
        for path in ("/1", "/2"):
            client.say(client.head(f"GET {path} HTTP/1.1"))
            assert client.hear().body == b"fine\n"
        client.say(client.head("POST /3 HTTP/1.1", "Content-Length: 6") + b"hidden")
        said = client.rest()
        assert said == b"" or said.startswith(b"HTTP/1.1 503 ")
    assert b"/2" in services.sink.received
    assert b"/3" not in services.sink.received and b"hidden" not in services.sink.received
    assert strict.gateway.heard("ended", holding="breaks")


# A gateway that stops -------------------------------------------------------------------------------------------------


def test_a_gateway_that_stops_lets_a_download_end_and_its_log_is_whole(strict: HttpStand, tmp_path: Path) -> None:
    way, count = strict.reverse("shop"), 30 * MB
    with Raw(strict) as idle, Raw(strict) as busy:
        idle.say(idle.head())
        assert idle.hear().status == 200
        command = ["curl", *way.curl_options(), f"{way.base}/bytes/{count}"]
        with subprocess.Popen(command, stdout=subprocess.PIPE) as curl:
            assert curl.stdout is not None
            came = curl.stdout.read(MB)
            busy.say(busy.head(f"GET /bytes/{count} HTTP/1.1"))
            head = busy.socket.recv(1 << 16)
            stopping = threading.Thread(target=strict.gateway.stop)
            stopping.start()
            assert idle.rest() == b""
            came += curl.stdout.read()
            assert curl.wait() == 0
        rest = busy.rest()
        stopping.join()
    assert len(came) == count
    assert len((head + rest).partition(b"\r\n\r\n")[2]) == count
    with pytest.raises((ConnectionError, HTTPException)), Raw(strict) as late:
        late.hear()
    evidence = tmp_path / "bundle.zip"
    assert verify(evidence, export(strict.log_directory, strict.recordings, evidence)).problems == ()
    with zipfile.ZipFile(evidence) as archive:
        files = {name: archive.read(name) for name in archive.namelist()}
    log = [json.loads(line) for line in files["log.jsonl"].splitlines()]
    assert {"permitted", "confirmed", "ended"} <= {entry["kind"] for entry in log}
    for content in files.values():
        assert TOKEN.encode() not in content and strict.tokens["ada"].encode() not in content
