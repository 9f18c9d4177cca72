"""A tour that does not show what it must says so; the forwarder lends addresses and lets go of them."""

import shutil
import socket
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

from hoopproxy.demo.command import Command
from hoopproxy.demo.show import Show
from hoopproxy.demo.tour import Tour
from hoopproxy.testing.forwarder import Forwarder
from hoopproxy.testing.process import GatewayFailed, GatewayProcess

STOPS = 16


class Silent:
    """A stage on which every command says one thing."""

    def __init__(self, directory: Path, says: str, without_ssh: str = "") -> None:
        self.directory, self._says, self.stand, self.without_ssh = directory, says, self, without_ssh
        self.zone_key = self.sealed_key = directory / "key"
        (directory / "people").mkdir()

    def psql(self, *words: str, **options: Any) -> Command:
        return Command(self.directory, ("printf", self._says))

    hoopproxy = ssh = line_client = curl = curl_through_proxy = curl_cluster = kube_config = kubectl = psql

    def token(self, person: str) -> str:
        return f"people/{person}.token"

    def short(self, path: Path) -> str:
        return str(path)

    def preparation(self) -> str:
        return "cd"


@pytest.mark.parametrize("says", ["", "Ines Alvarez 4111111111111111 ines@example.es ************1111"])
def test_every_stop_fails_when_nothing_is_as_it_must_be(
    tmp_path: Path, says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    tour = Tour(Silent(tmp_path, says), Show())  # type: ignore[arg-type] # as much of a stage as a tour asks for
    failed = tour.walk()
    said = capsys.readouterr().out
    wanted = STOPS if not says else STOPS - 1  # to Franz, in Frankfurt, all that may be shown
    assert len(failed) == wanted
    assert said.count("✓") == STOPS - wanted
    assert said.count("✗") >= wanted


def test_a_machine_without_ssh_is_told_what_it_needs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    tour = Tour(Silent(tmp_path, "", "it needs openssh-server"), Show())  # type: ignore[arg-type] # as above
    failed = tour.walk()
    assert len(failed) == STOPS - 3
    assert capsys.readouterr().out.count("Not shown: it needs openssh-server.\n") == 3


def test_without_kubectl_its_requests_are_shown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(shutil, "which", lambda _: None)
    tour = Tour(Silent(tmp_path, '"name":"web" "password":"Kioq"'), Show())  # type: ignore[arg-type] # as above
    tour.cluster()
    assert tour.problems == []
    assert capsys.readouterr().out.startswith("There is no kubectl on this machine;")


def test_a_forwarder_comes_from_the_address_that_it_lends() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        forwarder = Forwarder(server.getsockname(), "127.0.2.1")
        with socket.create_connection(("127.0.0.1", forwarder.port), 10) as client:
            far, (address, _) = server.accept()
            with far:
                far.settimeout(10)
                assert address == "127.0.2.1"
                data = bytes(range(256)) * 4096
                sender = threading.Thread(target=lambda: (client.sendall(data), client.shutdown(socket.SHUT_WR)))
                sender.start()
                assert b"".join(iter(lambda: far.recv(65536), b"")) == data
                sender.join()
                far.sendall(b"answer")
            assert b"".join(iter(lambda: client.recv(65536), b"")) == b"answer"
        port = forwarder.port
        forwarder.close()
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port), 10)


def test_a_client_of_nobody_is_let_go() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        nowhere = server.getsockname()
    forwarder = Forwarder(nowhere, "127.0.2.1")
    with socket.create_connection(("127.0.0.1", forwarder.port), 10) as client:
        assert client.recv(1) == b""
    forwarder.close()


def test_a_gateway_that_does_not_start_says_why(tmp_path: Path) -> None:
    with pytest.raises(GatewayFailed, match=r"none\.toml"):
        GatewayProcess(tmp_path / "none.toml")


def test_our_commands_are_the_ones_of_this_python() -> None:
    said, code = Command(Path("/"), ("python", "-c", "import sys; print(sys.executable)")).run()
    assert (Path(said.strip()), code) == (Path(sys.executable).with_name("python"), 0)
