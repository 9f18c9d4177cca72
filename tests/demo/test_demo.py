"""The demonstration as a user meets it: the tour, the line for programs, and its end without a trace."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import psycopg
import pytest

from hoopproxy.demo import tour
from hoopproxy.testing.process import environment

COMMAND = [Path(sys.executable).with_name("hoopproxy"), "demo"]
S_MAX = 180
STOPS = 16


@contextmanager
def started(*words: str, **environ: str) -> Iterator[subprocess.Popen[str]]:
    """The command, running; it is ended whatever happens, and hangs no longer than `S_MAX`."""
    with subprocess.Popen(
        [*COMMAND, *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment() | environ,
        start_new_session=True,
    ) as process:
        giving_up = threading.Timer(S_MAX, process.send_signal, (signal.SIGTERM,))
        giving_up.start()
        try:
            yield process
        finally:
            giving_up.cancel()
            if process.poll() is None:
                process.send_signal(signal.SIGTERM)


def test_the_tour_shows_all_that_it_must_and_leaves_nothing(tmp_path_factory: pytest.TempPathFactory) -> None:
    place = tmp_path_factory.mktemp("d")
    with started("--once", "--port-base", "0", TMPDIR=str(place)) as process:
        said, complaints = process.communicate()
    assert process.returncode == 0, said + complaints
    assert said.count("✓ as it must be") == STOPS
    assert "✗" not in said
    assert "\x1b" not in said
    assert os.listdir(place) == []


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[dict[str, Any], subprocess.Popen[str]]]:
    """`hoopproxy demo --json`, ready: its line and its process."""
    place = tmp_path_factory.mktemp("s") / "state"
    with started("--json", "--state", str(place), "--port-base", "0") as process:
        assert process.stdout is not None
        line = process.stdout.readline()
        assert line, process.stderr and process.stderr.read()
        yield json.loads(line), process


def _dsn(ready: dict[str, Any], person: str) -> str:
    host, port = ready["gateway"]["postgres"].rsplit(":", 1)
    token = ready["people"][person]["token"]
    words = f"host=localhost hostaddr={host} port={port} dbname=ledger user=reader password={token}"
    return f"{words} sslmode=verify-full sslrootcert={ready['ca']}"


def test_the_line_for_programs(running: tuple[dict[str, Any], subprocess.Popen[str]]) -> None:
    ready, _ = running
    assert set(ready) == {*("gateway", "ca", "proxy_ca", "known_hosts", "config", "evidence", "people", "targets")}
    assert set(ready["gateway"]) == {"postgres", "ssh", "tcp", "http", "kubernetes"}
    groups = {name: person["groups"] for name, person in ready["people"].items()}
    assert groups == {"ada": ["analysts"], "franz": ["fraud"], "nobody": []}
    assert all(Path(ready[name]).exists() for name in ("ca", "proxy_ca", "known_hosts", "config", "evidence"))
    protocols = {name: target["protocol"] for name, target in ready["targets"].items()}
    assert protocols == {
        **{"ledger": "postgres", "files": "ssh", "stock": "tcp"},
        **{"crm": "http", "prod": "kubernetes"},
    }


def test_its_people_see_what_they_may(running: tuple[dict[str, Any], subprocess.Popen[str]]) -> None:
    ready, _ = running
    with psycopg.connect(ready["targets"]["ledger"]["direct"]) as direct:
        clear = direct.execute(tour.QUERY).fetchall()
    with psycopg.connect(_dsn(ready, "franz")) as franz:
        assert franz.execute(tour.QUERY).fetchall() == clear
    with psycopg.connect(_dsn(ready, "ada")) as ada:
        masked = ada.execute(tour.QUERY).fetchall()
    assert [row[0] for row in masked] == [row[0] for row in clear]
    assert all(
        row[2].startswith("****") and row[2][-4:] == full[2][-4:] for row, full in zip(masked, clear, strict=True)
    )
    with pytest.raises(psycopg.OperationalError):
        psycopg.connect(_dsn(ready, "nobody"))


def test_its_shell_and_its_line_service_are_there(running: tuple[dict[str, Any], subprocess.Popen[str]]) -> None:
    ready, _ = running

    def ran(*command: str) -> str:
        return subprocess.run(command, capture_output=True, text=True, timeout=S_MAX, env=environment()).stdout

    def ssh(where: str, key: str) -> str:
        options = ("-F", "none", "-o", f"UserKnownHostsFile={ready['known_hosts']}", "-o", "IdentitiesOnly=yes")
        return ran("ssh", *options, "-i", key, where, "cat ~/cards.txt")

    masked = ssh(f"ssh://files@{ready['gateway']['ssh']}", ready["people"]["franz"]["ssh_key"])
    clear = ssh(ready["targets"]["files"]["direct"], ready["targets"]["files"]["key"])
    assert (masked.count(tour.MASKED_CARD), clear.count(tour.CARD)) == (1, 1)
    for place in (ready["gateway"]["tcp"], ready["targets"]["stock"]["direct"]):
        port = place.rpartition(":")[2]
        assert ran(sys.executable, "-m", "hoopproxy.demo.lines", port, "nuts") == "nuts: 87\nYou asked 1 times.\n"


def test_without_psql_its_own_client_shows_the_same(running: tuple[dict[str, Any], subprocess.Popen[str]]) -> None:
    ready, _ = running

    def ran(person: str, *statements: str) -> subprocess.CompletedProcess[str]:
        words = [word for statement in statements for word in ("-c", statement)]
        command = [sys.executable, "-m", "hoopproxy.demo.psql", _dsn(ready, person), *words]
        return subprocess.run(command, capture_output=True, text=True, timeout=S_MAX, env=environment())

    answered = ran("ada", tour.QUERY, "SELECT * FROM nowhere", "SELECT NULL AS nothing", "BEGIN")
    assert answered.returncode == 1
    assert f"Ines Alvarez | i**************   | {tour.MASKED_CARD}" in answered.stdout
    assert answered.stdout.endswith("(1 row)\n\nBEGIN\n")
    assert answered.stderr.startswith('ERROR:  relation "nowhere" does not exist')
    refused = ran("nobody", tour.QUERY)
    assert (refused.returncode, refused.stdout) == (2, "")


def test_without_curl_its_own_client_shows_the_same(running: tuple[dict[str, Any], subprocess.Popen[str]]) -> None:
    ready, _ = running
    gateway, direct = ready["gateway"]["http"].rpartition(":")[2], ready["targets"]["crm"]
    token = ready["people"]["franz"]["token"]
    mine, theirs = f"Authorization: Bearer {token}", f"Authorization: Bearer {direct['token']}"
    proxy = (
        "--proxy",
        f"https://localhost:{gateway}",
        "--proxy-cacert",
        ready["ca"],
        "--proxy-user",
        f"reader:{token}",
    )
    own, url = f"https://crm.localhost:{gateway}", direct["direct"]
    asked: list[tuple[str, ...]] = [
        ("--cacert", ready["ca"], "--header", theirs, f"{url}/customers/1"),
        ("--cacert", ready["ca"], "--header", mine, f"{own}/customers?x=1"),
        ("--cacert", ready["ca"], "--header", mine, "--request", "DELETE", f"{own}/customers/1"),
        ("--cacert", ready["ca"], "--header", mine, "--header", "Host: intranet.example", f"{own}/customers"),
        ("--cacert", ready["proxy_ca"], *proxy, f"{url}/customers.chunked"),
        ("--cacert", ready["ca"], *proxy, f"{url}/customers"),
    ]

    def ran(*client: str) -> list[tuple[int, list[str]]]:
        words = ("--silent", "--show-error", "--noproxy", "", "--write-out", r"\n%{http_code}\n")
        done = [
            subprocess.run([*client, *words, *each], capture_output=True, text=True, timeout=S_MAX, env=environment())
            for each in asked
        ]
        return [(bool(each.returncode), re.sub('"session":"[^"]*"', "", each.stdout).splitlines()) for each in done]

    shown = ran(sys.executable, "-m", "hoopproxy.demo.fetch")
    assert shown == ran("curl")
    assert [lines[-1] for _, lines in shown] == ["200", "200", "403", "421", "200", "000"]
    assert [failed for failed, _ in shown] == [False] * 5 + [True]
    assert [tour.NUMBER in "".join(lines) for _, lines in shown] == [True, *[False] * 5]
    assert [tour.ADDRESS in "".join(lines) for _, lines in shown] == [True, True, False, False, True, False]


def test_sigterm_ends_everything_in_order(running: tuple[dict[str, Any], subprocess.Popen[str]]) -> None:
    ready, process = running
    process.send_signal(signal.SIGTERM)
    said, complaints = process.communicate()
    assert (process.returncode, said, complaints) == (0, "", "")
    direct = (ready["targets"][name]["direct"] for name in ("files", "stock", "crm", "prod"))
    for place in (*ready["gateway"].values(), *direct):
        host, port = re.split("[/@]", place)[-1].rsplit(":", 1)
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection((host, int(port)), 10)
    with pytest.raises(psycopg.OperationalError):
        psycopg.connect(ready["targets"]["ledger"]["direct"])
    assert Path(ready["config"]).exists()  # a directory that somebody named is theirs


def _refused(*words: str) -> tuple[int, str]:
    with started(*words) as process:
        said, complaints = process.communicate()
    assert said == "" or said.startswith("Starting")
    return process.returncode, complaints


def test_a_taken_port_is_said_before_anything_starts() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        code, complaints = _refused("--once", "--port-base", str(port))
    assert code == 1
    assert complaints == f"Port {port} can't be used (Address already in use); name another one by --port-base.\n"


def test_a_directory_with_something_in_it_is_refused(tmp_path: Path) -> None:
    (tmp_path / "mine").write_text("precious")
    code, complaints = _refused("--once", "--state", str(tmp_path), "--port-base", "0")
    assert code == 1
    assert "is not empty" in complaints
    assert os.listdir(tmp_path) == ["mine"]


def test_a_tour_for_programs_is_wrong_usage() -> None:
    assert _refused("--once", "--json")[0] == 2


def test_a_killed_demonstration_takes_its_gateway_with_it(tmp_path_factory: pytest.TempPathFactory) -> None:
    place = tmp_path_factory.mktemp("k") / "state"
    with started("--json", "--state", str(place), "--port-base", "0") as process:
        assert process.stdout is not None
        ready = json.loads(process.stdout.readline())
        host, port = ready["gateway"]["postgres"].rsplit(":", 1)
        with socket.create_connection((host, int(port)), S_MAX) as witness:
            process.kill()
            process.wait()
            witness.settimeout(S_MAX)
            with suppress(ConnectionResetError):
                while witness.recv(4096):  # it may be told why; then the connection ends
                    pass
            with pytest.raises(ConnectionRefusedError):
                socket.create_connection((host, int(port)), S_MAX)
