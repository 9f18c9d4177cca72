"""kubectl on a real Kubernetes 1.20: what it does past the gateway it does through it, and nobody is anybody else."""

import json
import re
import socket
import ssl
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager

from hoopproxy.wire.http.pod_stream import SpdyPodStream

from ..kubernetes.conftest import Comparing
from ..kubernetes.test_objects import config_map, test_objects_are_applied_changed_and_deleted  # noqa: F401
from ..kubernetes.test_pods import (  # noqa: F401 # the same, on this cluster
    test_a_pod_that_is_not_there_is_told,
    test_ctrl_c_interrupts_there,
    test_streams_and_exit_codes_are_the_command_s_own,
)
from ..kubernetes.ways import S_MAX, Way
from .conftest import PERSON
from .real_cluster import CLOSED_PORT, ECHO_PORT, SERVED, WEB_PORT, RealCluster

SECRET = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "key"}, "stringData": {"password": "hunter2"}}


def test_what_is_there_is_shown(same: Comparing) -> None:
    table = same(lambda way: way.run("get", "pods", "--no-headers", "-o", "wide").out.split()[:3])
    assert table == ["web", "1/1", "Running"]
    pod = same(lambda way: way.run("get", "pod", "web", "-o", "json").out)
    assert json.loads(pod)["status"]["phase"] == "Running"
    same(lambda way: way.run("describe", "pod", "web").out)
    assert "cannot list resource" in same(lambda way: way.run("get", "namespaces", code=1).err)


def test_a_watch_tells_what_changes(same: Comparing, real: RealCluster) -> None:
    real.kubectl("create", "configmap", "first")

    def watches(way: Way) -> list[str]:
        with way.start("get", "configmaps", "--watch", "--output-watch-events", "--no-headers") as watching:
            try:
                assert watching.stdout is not None
                lines = [watching.stdout.readline()]  # from here on it watches
                way.run("apply", "-f", "-", given=config_map("seen", "red"))
                lines.append(watching.stdout.readline())
                way.run("delete", "configmap", "seen")
                return [" ".join(line.split()[:2]) for line in [*lines, watching.stdout.readline()]]
            finally:
                watching.kill()

    assert same(watches) == ["ADDED first", "ADDED seen", "DELETED seen"]
    real.kubectl("delete", "configmap", "first")


def test_logs_are_shown_and_followed(same: Comparing) -> None:
    def follows(way: Way) -> bool:
        with way.start("logs", "--follow", "--tail=1", "web") as following:
            try:
                assert following.stdout is not None
                numbers = [int(following.stdout.readline().split()[1]) for _ in range(3)]
                return numbers == list(range(numbers[0], numbers[0] + 3))
            finally:
                following.kill()

    assert same(lambda way: way.run("logs", "web").out.splitlines()[0]) == "started"
    assert same(follows)


def test_what_a_command_is_given_reaches_it(same: Comparing) -> None:
    """Its end does not: clusters before 1.30 have no word for that in a WebSocket."""
    text = "0123456789abcde\n" * 65536
    assert same(lambda way: way.run("exec", "-i", "web", "--", "head", "-c", str(len(text)), given=text).out) == text


def test_a_terminal_is_one_follows_its_size_and_ends_with_its_code(same: Comparing) -> None:
    def works(way: Way) -> int:
        script = "tty; read word; echo got $word; until stty size | grep '50 133'; do sleep 1; done; exit 7"
        with way.terminal("exec", "-it", "web", "--", "sh", "-c", script, size=(101, 37)) as here:
            here.reads(b"/dev/pts/")
            here.type(b"hello\r")
            here.reads(b"got hello")
            here.resize(133, 50)
            here.reads(b"50 133")
            return here.ends()[1]

    assert same(works) == 7


def test_nobody_becomes_somebody_else(way: Way, real: RealCluster) -> None:
    for more in ((), ("--as=admin", "--as-group=system:masters"), ("--as=system:admin",)):
        assert f'User "{PERSON}" cannot list resource "nodes"' in way.run(*more, "get", "nodes", code=1).err
    real.kubectl("get", "nodes")


def test_the_gateways_account_may_speak_for_nobody_else(past: Way) -> None:
    assert "cannot impersonate resource" in past.run("--as=admin", "get", "pods", code=1).err


def test_secrets_are_masked(way: Way, real: RealCluster) -> None:
    real.kubectl("apply", "-f", "-", stdin=json.dumps(SECRET))
    shown = way.run("get", "secret", "key", "-o", "json").out
    assert "password" in json.loads(shown)["data"]
    assert "hunter2" not in shown and "aHVudGVyMg==" not in shown
    real.kubectl("delete", "secret", "key")


# Ports ----------------------------------------------------------------------------------------------------------------


@contextmanager
def forwarding(way: Way, port: int) -> Iterator[tuple["subprocess.Popen[str]", int]]:
    """A running `kubectl port-forward`, and the port of this machine that leads there."""
    with way.start("port-forward", "--address=127.0.0.1", "pod/web", f":{port}") as process:
        try:
            assert process.stdout is not None
            found = re.search(r"127\.0\.0\.1:(\d+) ->", line := process.stdout.readline())
            assert found is not None, line
            yield process, int(found[1])
        finally:
            process.terminate()


def connected(port: int) -> socket.socket:
    return socket.create_connection(("127.0.0.1", port), S_MAX)


def test_a_port_of_the_pod_is_forwarded(same: Comparing) -> None:
    def gets(way: Way) -> list[str]:
        with forwarding(way, WEB_PORT) as (_, port):
            pages = []
            for _ in range(2):
                with connected(port) as client:
                    client.sendall(b"GET / HTTP/1.0\r\n\r\n")
                    pages.append(client.makefile("rb").read().decode().partition("\r\n\r\n")[2])
            return pages

    assert same(gets) == [SERVED, SERVED]


def test_what_is_sent_comes_back(same: Comparing) -> None:
    data = bytes(range(256)) * 4000

    def echoes(way: Way) -> bytes:
        received = bytearray()
        with forwarding(way, ECHO_PORT) as (_, port), connected(port) as client:
            for start in range(0, len(data), 64_000):
                client.sendall(data[start : start + 64_000])
                while len(received) < min(start + 64_000, len(data)):
                    received += client.recv(65536)
        return bytes(received)

    assert same(echoes) == data


def test_a_port_on_which_nobody_listens_and_one_that_is_no_target(way: Way) -> None:
    for port, said in ((CLOSED_PORT, "does not answer on its port"), (9, "You have no access to target")):
        with forwarding(way, port) as (process, here):
            with connected(here) as client:
                assert client.recv(1) == b""
            assert process.stderr is not None and said in process.stderr.read()


def test_the_gateways_own_spdy_is_understood_by_kubernetes(real: RealCluster) -> None:
    """1.20 tunnels none, and speaks it bare: the same frames, without a WebSocket around them."""
    stream = SpdyPodStream(ECHO_PORT)
    tls = ssl.create_default_context(cafile=str(real.ca_file))
    head = (
        "POST /api/v1/namespaces/default/pods/web/portforward HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n"
        "Connection: Upgrade\r\nUpgrade: SPDY/3.1\r\nX-Stream-Protocol-Version: portforward.k8s.io\r\n"
        f"Authorization: Bearer {real.token}\r\nImpersonate-User: {PERSON}\r\n\r\n"
    )
    with (
        socket.create_connection((real.host, real.port), S_MAX) as bare,
        tls.wrap_socket(bare, server_hostname="localhost") as server,
    ):
        server.sendall(head.encode())
        answer = b""
        while b"\r\n\r\n" not in answer:
            answer += server.recv(1)
        assert answer.startswith(b"HTTP/1.1 101 "), answer
        server.sendall(stream.begin() + stream.data(b"hello"))
        heard = b""
        while heard != b"hello":
            heard += stream.hear(server.recv(65536), is_whole=True).data
        server.sendall(stream.end())
        while not (last := stream.hear(server.recv(65536), is_whole=True)).has_ended:
            assert not last.data
        assert not stream.complaint
