"""What `kubectl port-forward` leads to: ports of pods, each connection a session with its own verdict and recording."""

import json
import random
import re
import socket
import ssl
import subprocess
import zlib
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import pytest
from websockets.exceptions import InvalidStatus
from websockets.sync.client import ClientConnection, connect
from websockets.typing import Subprotocol

from hoopproxy.testing.certificates import Authority
from hoopproxy.testing.kubernetes_api import ApiServer
from hoopproxy.testing.kubernetes_ports import Ports
from hoopproxy.testing.kubernetes_stand import LISTENER, Cluster, KubernetesSite
from hoopproxy.testing.pod_stand import PodPort, pod_more
from hoopproxy.testing.postgres import PostgresCluster
from hoopproxy.testing.raw_target import BLOCK, RawTarget, blocks, crc32_of
from hoopproxy.testing.stand import Stand
from hoopproxy.testing.tcp_stand import together
from hoopproxy.testing.three_files import More
from hoopproxy.testing.vitals import Vitals
from hoopproxy.wire.http.port_forward import CHANNELS, TUNNEL
from tests.children import connected, control, live, noted, received

MB = 1_000_000
S_MAX = 30.0
STUCK_S = 2.0
"""Who takes nothing for so long on a machine like this takes nothing at all."""

OPEN, CLOSED, DOWN, UNKNOWN = 7000, 7001, 7002, 7003
"""Ports of the pod: one for people, one that nobody is granted, one on which nobody listens, one of no target."""

TUNNELLING, OLD = "prod", "old"
"""A cluster that tunnels SPDY, as from 1.31 on, and one that knows channels alone."""

RULES = """
[addon.rules]
use = "kubernetes-rules"
default = "allow"

[[addon.rules.rule]]
decision = "deny"
resources = ["pods/portforward"]
names = ["vault-*"]
sentence = "Nothing is forwarded from {name}."
"""


@pytest.fixture(scope="module")
def raw() -> Iterator[RawTarget]:
    with RawTarget() as running:
        yield running


@pytest.fixture(scope="module")
def ports(raw: RawTarget) -> dict[str, Ports]:
    """What the pods of both clusters listen on."""
    listening = {("web", OPEN): raw.port, ("web", CLOSED): raw.port, ("web", DOWN): 1}
    return {TUNNELLING: Ports(listening), OLD: Ports(listening, (CHANNELS,))}


@pytest.fixture(scope="module")
def stand(ports: dict[str, Ports], authority: Authority, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stand]:
    """A gateway before both clusters."""
    directory = tmp_path_factory.mktemp("forwards")
    leaf = authority.issue("forwards", dns=("localhost",), ips=("127.0.0.1",))
    certificate = leaf.certificate_file, leaf.key_file
    with ExitStack() as stack:
        apis = {
            name: stack.enter_context(ApiServer(certificate, directory / f"{name}.log", more={"portforward": answer}))
            for name, answer in ports.items()
        }
        clusters = [Cluster(name, api.port, api.token, authority.ca_file) for name, api in apis.items()]
        site = KubernetesSite(directory / "secrets", authority, clusters)
        pods = [
            PodPort(f"{cluster}-{name}", cluster, "w*", port, roles)
            for cluster in apis
            for name, port, roles in (
                ("raw", OPEN, ("analyst",)),
                ("closed", CLOSED, ()),
                ("down", DOWN, ("analyst",)),
            )
        ]
        rules = More(main=RULES, guards=("rules",))
        database = stack.enter_context(PostgresCluster(directory / "pg", certificate=certificate))
        more = together(site.more, pod_more(pods), rules)
        with Stand(directory, database, authority, {"books": ""}, more=more, masks="") as running:
            yield running
            assert "Traceback" not in running.gateway.log() and "Unhandled" not in running.gateway.log()


@pytest.fixture(params=[TUNNELLING, OLD])
def cluster(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def kubeconfig(stand: Stand, cluster: str, person: str = "ada") -> Path:
    server = f"https://localhost:{stand.endpoint(LISTENER)[1]}/clusters/{cluster}"
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "c", "cluster": {"server": server, "certificate-authority": str(stand.ca_file)}}],
        "users": [{"name": "u", "user": {"token": stand.tokens[person]}}],
        "contexts": [{"name": "x", "context": {"cluster": "c", "user": "u"}}],
        "current-context": "x",
    }
    path = stand.directory / f"{cluster}-{person}.kubeconfig"
    path.write_text(json.dumps(config))
    return path


@contextmanager
def kubectl(stand: Stand, cluster: str, *ports: int, pod: str = "web") -> Iterator["Kubectl"]:
    """`kubectl port-forward`, which forwards to these."""
    command = ["kubectl", f"--kubeconfig={kubeconfig(stand, cluster)}", "--cache-dir", str(stand.directory / "cache")]
    wanted = [f":{port}" for port in ports]
    forward = [*command, "port-forward", "--address=127.0.0.1", f"pod/{pod}", *wanted]
    with subprocess.Popen(forward, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            yield Kubectl(process, len(ports))
        finally:
            process.terminate()


class Kubectl:
    """A running one; `ports` are those of this machine that lead to the pod's."""

    def __init__(self, process: "subprocess.Popen[str]", count: int) -> None:
        self._process = process
        assert process.stdout is not None
        lines = [process.stdout.readline() for _ in range(count)]
        self.ports = [int(found[1]) for line in lines if (found := re.search(r"127\.0\.0\.1:(\d+) ->", line))]

    def complaint(self) -> str:
        """What it says before it ends, which it does of itself after an error."""
        assert self._process.stderr is not None
        return self._process.stderr.read()


# kubectl --------------------------------------------------------------------------------------------------------------


def test_bytes_pass_both_ways_whatever_the_cluster_speaks(stand: Stand, cluster: str, ports: dict[str, Ports]) -> None:
    with kubectl(stand, cluster, OPEN) as forward, connected(forward.ports[0]) as client:
        client.sendall(b"echo\nhello")
        assert received(client, 5) == b"hello"
    assert ports[cluster].asked[-1] == ("web", f"{TUNNEL}, {CHANNELS}"), "kubectl itself never reaches the cluster"


def test_four_megabytes_each_way_arrive_as_they_were_sent(stand: Stand, cluster: str) -> None:
    size = 4 * MB
    with kubectl(stand, cluster, OPEN) as forward:
        with connected(forward.ports[0]) as client:
            client.sendall(b"down %d\n" % size)
            count = crc32 = 0
            while data := client.recv(1 << 18):
                count, crc32 = count + len(data), zlib.crc32(data, crc32)
            assert (count, crc32) == (size, crc32_of(size))
        with connected(forward.ports[0]) as client:
            client.sendall(b"take %d\n" % size)
            for block in blocks(size):
                client.sendall(block)
            assert client.makefile("rb").readline() == b"%d %d\n" % (size, crc32_of(size))


def test_the_end_of_what_a_client_sends_reaches_a_pod_whose_cluster_can_be_told(stand: Stand) -> None:
    with kubectl(stand, TUNNELLING, OPEN) as forward, connected(forward.ports[0]) as client:
        client.sendall(b"up\n12345")
        client.shutdown(socket.SHUT_WR)
        assert client.makefile("rb").read() == b"5 %d\n" % zlib.crc32(b"12345")


def test_many_at_once_do_not_mix(stand: Stand, cluster: str) -> None:
    with kubectl(stand, cluster, OPEN) as forward, ExitStack() as exits:
        clients = [exits.enter_context(connected(forward.ports[0])) for _ in range(12)]
        dice = random.Random(6)
        said = [dice.randbytes(dice.randrange(1, 100_000)) for _ in clients]
        for client, words in zip(clients, said, strict=True):
            client.sendall(b"echo\n" + words)
        for client, words in zip(clients, said, strict=True):
            assert received(client, len(words)) == words


def test_a_pod_that_takes_nothing_stops_its_client_and_memory_stays_flat(stand: Stand, cluster: str) -> None:
    vitals = Vitals(stand.gateway.pid)
    with kubectl(stand, cluster, OPEN) as forward, connected(forward.ports[0]) as client:
        client.sendall(b"hush\n")
        client.settimeout(STUCK_S)
        before, sent = vitals.rss_bytes, 0
        with suppress(TimeoutError):
            while sent < 200 * MB:
                sent += client.send(BLOCK)
        assert sent < 64 * MB, "what the kernel's buffers on the way hold"
        assert vitals.rss_bytes < before + 32 * MB


@pytest.mark.parametrize("port", [CLOSED, UNKNOWN])
def test_unknown_and_forbidden_ports_are_refused_alike(stand: Stand, cluster: str, port: int) -> None:
    with kubectl(stand, cluster, port) as forward:
        with connected(forward.ports[0]) as client:
            assert client.recv(1) == b""
        complaint = forward.complaint()
    place = f"{cluster}:default/web:{port}"
    assert (
        f"You have no access to target '{place}', or there is no such target; check the names, or ask for access: "
        f"hoopproxy access request {place} --for 1h --reason TEXT. (session "
    ) in complaint
    assert noted(stand, "denied", protocol="pod", reason="grant")["parent"]


def test_a_port_on_which_nobody_listens_is_told_apart(stand: Stand, cluster: str) -> None:
    with kubectl(stand, cluster, DOWN) as forward:
        with connected(forward.ports[0]) as client:
            assert client.recv(1) == b""
        assert f"Target '{cluster}-down' does not answer on its port" in forward.complaint()


def test_a_guard_may_refuse_the_whole_of_it_before_anything_is_forwarded(stand: Stand) -> None:
    path = f"/clusters/{TUNNELLING}/api/v1/namespaces/default/pods/vault-0/portforward?ports={OPEN}"
    with pytest.raises(InvalidStatus) as refused, upgraded(stand, path):
        raise AssertionError
    response = refused.value.response
    assert response.status_code == 403
    assert json.loads(response.body)["message"].startswith("Nothing is forwarded from vault-0. (session ")


def test_its_evidence_names_its_parent_the_pod_and_what_became_of_its_bytes(stand: Stand, cluster: str) -> None:
    with kubectl(stand, cluster, OPEN) as forward:
        with connected(forward.ports[0]) as client:
            client.sendall(b"echo\n1234")
            assert received(client, 4) == b"1234"
            (parent, *_), (child,) = live(stand, cluster), live(stand, f"{cluster}-raw")  # kubectl may still be leaving
    whose = {"session_id": child["session_id"]}
    permitted = noted(stand, "permitted", **whose)
    assert (permitted["parent"], permitted["protocol"]) == (parent["session_id"], "pod")
    assert (permitted["target"], permitted["database"]) == (f"{cluster}-raw", "web")
    assert permitted["actor"] == noted(stand, "permitted", session_id=parent["session_id"])["actor"]
    assert noted(stand, "confirmed", **whose)["treatment"] == "not parsed, not masked"
    ended = noted(stand, "ended", **whose)
    assert (ended["tally"]["bytes_to_server"], ended["tally"]["bytes_to_client"]) == (9, 4)
    assert ended["recording"]["chunks"] >= 2


def test_a_killed_child_is_cut_off_and_a_killed_parent_takes_its_children_along(stand: Stand, cluster: str) -> None:
    with kubectl(stand, cluster, OPEN) as forward:
        with connected(forward.ports[0]) as client:
            client.sendall(b"echo\nx")
            assert client.recv(1) == b"x"
            (child,) = live(stand, f"{cluster}-raw")
            assert control(stand).call("kill", id=child["session_id"], reason="lunch")["ended"]
            assert client.recv(1) == b""
        assert "An operator ended your session" in forward.complaint()
    with kubectl(stand, cluster, OPEN) as forward:
        with connected(forward.ports[0]) as client:
            client.sendall(b"echo\nx")
            assert client.recv(1) == b"x"
            (parent, *_), (child,) = live(stand, cluster), live(stand, f"{cluster}-raw")  # kubectl may still be leaving
            assert control(stand).call("kill", id=parent["session_id"], reason="lunch")["ended"]
            assert client.recv(1) == b""
        forward.complaint()
    assert noted(stand, "ended", session_id=parent["session_id"])["reason"] == "revoked"
    assert noted(stand, "ended", session_id=child["session_id"])["reason"] == "broken-off"
    assert not live(stand, f"{cluster}-raw")


# Clients that speak the channels themselves ---------------------------------------------------------------------------


def upgraded(stand: Stand, path: str) -> ClientConnection:
    tls = ssl.create_default_context(cafile=str(stand.ca_file))
    return connect(
        f"wss://localhost:{stand.endpoint(LISTENER)[1]}{path}",
        ssl=tls,
        subprotocols=[Subprotocol(CHANNELS)],
        additional_headers={"Authorization": f"Bearer {stand.tokens['ada']}"},
        proxy=None,
        open_timeout=S_MAX,
    )


def test_one_port_is_refused_while_the_others_go_on(stand: Stand, cluster: str) -> None:
    path = f"/clusters/{cluster}/api/v1/namespaces/default/pods/web/portforward?ports={OPEN}&ports={CLOSED}"
    with upgraded(stand, path) as client:
        heard = {channel: b"" for channel in range(4)}

        def hear(channel: int, count: int) -> bytes:
            while len(heard[channel]) < count:
                message = client.recv(S_MAX)
                assert isinstance(message, bytes)
                heard[message[0]] += message[1:]
            return heard[channel]

        assert hear(0, 2) == hear(1, 2) == OPEN.to_bytes(2, "little")
        client.send(b"\0echo\nhello")
        assert hear(0, 7)[2:] == b"hello"
        assert b"You have no access to target" in hear(3, 40)
        client.send(b"\0again")
        assert hear(0, 12)[7:] == b"again"
        assert heard[2][2:] == b""
