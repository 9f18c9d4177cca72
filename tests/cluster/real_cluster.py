"""A real Kubernetes of one node: etcd, kube-apiserver, containerd and kubelet, and one pod in which busybox runs.

Wants namespaces of its own (.ci/cluster-run), in which it may take any port and ends with the first process. Knows no
gateway.
"""

import hashlib
import io
import json
import os
import secrets
import subprocess
import tarfile
import time
from collections.abc import Callable
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Self

from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from hoopproxy.testing.certificates import Authority, Leaf

BINARIES = Path(os.environ.get("CLUSTER", ".")).resolve()
"""Where .ci/cluster-build has put kube-apiserver and kubelet."""

HOST, PORT = "127.0.0.1", 6443
NODE = "127.0.0.1"
"""The node's name is its address, so that the API server needs no resolver to find it."""

SECONDS_MAX = 120.0

IMAGE = "docker.io/library/busybox:local"
APPLETS = "sh grep ls cat sleep echo id env head tail nc httpd date stty tar ps kill true wc tr seq".split()

SERVED = "hello from the pod\n"
WEB_PORT, ECHO_PORT, CLOSED_PORT = 18080, 18081, 18082
"""What the pod listens on, and what not."""

POD = {
    "apiVersion": "v1",
    "kind": "Pod",
    "metadata": {"name": "web", "labels": {"app": "web"}},
    "spec": {
        "nodeName": NODE,  # no scheduler
        "hostNetwork": True,  # no CNI
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "terminationGracePeriodSeconds": 0,
        "containers": [
            {
                "name": "c",
                "image": IMAGE,
                "imagePullPolicy": "Never",
                "stdin": True,
                "command": [
                    "/bin/sh",
                    "-c",
                    f"echo started; printf '{SERVED}' > /www/index.html; httpd -p 127.0.0.1:{WEB_PORT} -h /www; "
                    f"nc -ll -p {ECHO_PORT} -e /bin/cat & n=0; "
                    "while true; do n=$((n+1)); echo line $n; sleep 1; done",
                ],
            }
        ],
    },
}


class RealCluster:
    """A running one; a context manager. `token` is that of the gateway's account, which may impersonate `person` and
    `group` and nobody else; `person` may do with pods, config maps and secrets of the namespace default what people do.
    """

    host, port = HOST, PORT

    def __init__(self, directory: Path, person: str, group: str) -> None:
        self.directory, self.person, self.group = directory, person, group
        self.token, self._admin, self._kubelet = (secrets.token_hex(16) for _ in range(3))
        self.authority = Authority(directory, "cluster")
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        try:
            self._start()
        except BaseException:
            self._stack.close()
            raise
        return self

    def __exit__(self, *why: object) -> None:
        self.kubectl("delete", "pod", "--all", "--force", "--grace-period=0", "--wait=false")
        self._stack.close()

    @property
    def ca_file(self) -> Path:
        """What the API server proves itself by."""
        return self.authority.ca_file

    def kubectl(self, *arguments: str, stdin: str = "") -> str:
        """As the cluster's administrator, past any gateway: what it prints."""
        command = ["kubectl", f"--kubeconfig={self.directory / 'admin.yaml'}", *arguments]
        return subprocess.run(command, input=stdin, capture_output=True, text=True, check=True, timeout=60).stdout

    # Inside -----------------------------------------------------------------------------------------------------------

    def _start(self) -> None:
        for name, token in (("admin", self._admin), ("kubelet", self._kubelet)):
            self._write(f"{name}.yaml", _kubeconfig(self.ca_file, token))
        self._run("etcd", "etcd", "--data-dir", str(self.directory / "etcd"))
        self._start_api_server()
        self._start_containerd()
        self._start_kubelet()
        for thing in _rights(self.person, self.group):
            self.kubectl("apply", "-f", "-", stdin=json.dumps(thing))
        self.kubectl("apply", "-f", "-", stdin=json.dumps(POD))
        self.kubectl("wait", "--for=condition=ContainersReady", "pod/web", "--timeout=60s")

    def _start_api_server(self) -> None:
        own, client = (self.authority.issue(name, dns=("localhost",), ips=(HOST,)) for name in ("api", "api-client"))
        key = rsa.generate_private_key(65537, 2048).private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        account_key = self._write("accounts.key", key.decode())
        tokens = self._write(
            "tokens.csv",
            f'{self._admin},admin,1,"system:masters"\n'
            f'{self._kubelet},system:node:{NODE},2,"system:nodes"\n'
            f"{self.token},gateway,3\n",
        )
        server = self._run(
            "kube-apiserver",
            str(BINARIES / "kube-apiserver"),
            "--etcd-servers=http://127.0.0.1:2379",
            f"--bind-address={HOST}",
            f"--advertise-address={HOST}",
            f"--secure-port={PORT}",
            "--insecure-port=0",
            f"--tls-cert-file={own.certificate_file}",
            f"--tls-private-key-file={own.key_file}",
            f"--token-auth-file={tokens}",
            "--authorization-mode=Node,RBAC",
            f"--service-account-issuer=https://{HOST}:{PORT}",
            f"--service-account-signing-key-file={account_key}",
            f"--service-account-key-file={account_key}",
            "--service-cluster-ip-range=10.97.0.0/24",
            "--endpoint-reconciler-type=none",
            "--disable-admission-plugins=ServiceAccount",
            f"--kubelet-client-certificate={client.certificate_file}",
            f"--kubelet-client-key={client.key_file}",
            f"--kubelet-certificate-authority={self.ca_file}",
            "--kubelet-preferred-address-types=InternalIP",
            "--external-hostname=localhost",
            "--allow-privileged",
        )
        _until(server, lambda: self.kubectl("get", "--raw", "/readyz") == "ok")

    def _start_containerd(self) -> None:
        root, socket = self.directory / "containerd", self.directory / "containerd.sock"
        config = self._write("containerd.toml", _containerd(root, socket))
        containerd = self._run("containerd", "containerd", "-c", str(config))
        _until(containerd, socket.exists)
        image = self.directory / "busybox.tar"
        image.write_bytes(_image())
        importing = ["ctr", "-a", str(socket), "-n", "k8s.io", "images", "import", str(image)]
        subprocess.run(importing, check=True, capture_output=True, timeout=60)

    def _start_kubelet(self) -> None:
        leaf = self.authority.issue("kubelet", ips=(NODE,))
        config = self._write("kubelet-config.yaml", json.dumps(_kubelet_settings(self.ca_file, leaf)))
        kubelet = self._run(
            "kubelet",
            str(BINARIES / "kubelet"),
            f"--config={config}",
            f"--kubeconfig={self.directory / 'kubelet.yaml'}",
            f"--hostname-override={NODE}",
            "--container-runtime=remote",
            f"--container-runtime-endpoint=unix://{self.directory / 'containerd.sock'}",
            f"--root-dir={self.directory / 'kubelet'}",
        )
        _until(kubelet, lambda: NODE in self.kubectl("get", "nodes", "-o", "name"))

    def _run(self, name: str, *command: str) -> "subprocess.Popen[bytes]":
        """A process that ends with this."""
        log = self._stack.enter_context((self.directory / f"{name}.log").open("wb"))
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=self.directory)
        self._stack.callback(_end, process)
        return process

    def _write(self, name: str, text: str) -> Path:
        path = self.directory / name
        path.write_text(text)
        path.chmod(0o600)
        return path


def _until(process: "subprocess.Popen[bytes]", is_there: Callable[[], bool]) -> None:
    """Wait for what a server can't tell by itself. @raise RuntimeError: it ended, or does not come."""
    until_s = time.monotonic() + SECONDS_MAX
    while time.monotonic() < until_s:
        with suppress(subprocess.CalledProcessError):  # it is not up yet
            if is_there():
                return
        with suppress(subprocess.TimeoutExpired):
            raise RuntimeError(f"{process.args} ended with {process.wait(0.2)}; its log says why.")
    raise RuntimeError(f"{process.args} was not there within {SECONDS_MAX:g} s; its log says why.")


def _end(process: "subprocess.Popen[bytes]") -> None:
    process.terminate()
    try:
        process.wait(10)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _kubeconfig(ca_file: Path, token: str) -> str:
    """JSON is YAML."""
    return json.dumps(
        {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [
                {"name": "c", "cluster": {"server": f"https://{HOST}:{PORT}", "certificate-authority": str(ca_file)}}
            ],
            "users": [{"name": "u", "user": {"token": token}}],
            "contexts": [{"name": "x", "context": {"cluster": "c", "user": "u"}}],
            "current-context": "x",
        }
    )


def _containerd(root: Path, socket: Path) -> str:
    """The sandbox of a pod is busybox, too: it only has to stay."""
    unwanted = ", ".join(f'"io.containerd.snapshotter.v1.{name}"' for name in ("btrfs", "zfs", "devmapper", "aufs"))
    return f"""\
version = 2
root = "{root}/root"
state = "{root}/state"
disabled_plugins = [{unwanted}]
[grpc]
  address = "{socket}"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "{IMAGE}"
  stream_server_address = "127.0.0.1"
  disable_apparmor = true
  restrict_oom_score_adj = true
"""


def _kubelet_settings(ca_file: Path, leaf: Leaf) -> dict[str, object]:
    return {
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "address": HOST,
        "port": 10250,
        "readOnlyPort": 0,
        "healthzBindAddress": HOST,
        "authentication": {
            "anonymous": {"enabled": False},
            "webhook": {"enabled": False},
            "x509": {"clientCAFile": str(ca_file)},
        },
        "authorization": {"mode": "AlwaysAllow"},
        "tlsCertFile": str(leaf.certificate_file),
        "tlsPrivateKeyFile": str(leaf.key_file),
        "cgroupDriver": "cgroupfs",
        "cgroupsPerQOS": False,
        "enforceNodeAllocatable": [],
        "failSwapOn": False,
        "makeIPTablesUtilChains": False,
        "evictionHard": {"memory.available": "1Mi", "nodefs.available": "1%", "imagefs.available": "1%"},
        "imageGCHighThresholdPercent": 100,
    }


def _rights(person: str, group: str) -> list[dict[str, object]]:
    """Whom the gateway's account may impersonate, by name; and what that person may do."""
    rbac = "rbac.authorization.k8s.io"

    def may(
        api_group: str, resources: list[str], verbs: list[str], names: list[str] | None = None
    ) -> dict[str, object]:
        named = {"resourceNames": names} if names else {}
        return {"apiGroups": [api_group], "resources": resources, "verbs": verbs, **named}

    def made(kind: str, name: str, more: dict[str, object]) -> dict[str, object]:
        space = {} if kind.startswith("Cluster") else {"namespace": "default"}
        return {"apiVersion": f"{rbac}/v1", "kind": kind, "metadata": {"name": name, **space}, **more}

    def bound(kind: str, role: str, user: str) -> dict[str, object]:
        reference = {"apiGroup": rbac, "kind": kind, "name": role}
        subjects = [{"apiGroup": rbac, "kind": "User", "name": user}]
        return made(f"{kind}Binding", role, {"roleRef": reference, "subjects": subjects})

    impersonates = [
        may("", ["users"], ["impersonate"], [person]),
        may("", ["groups"], ["impersonate"], [group]),
    ]
    works = [
        may("", ["pods", "configmaps", "secrets"], ["get", "list", "watch", "create", "update", "patch", "delete"]),
        may("", ["pods/log"], ["get"]),
        may("", ["pods/exec", "pods/attach", "pods/portforward"], ["get", "create"]),
    ]
    return [
        made("ClusterRole", "impersonator", {"rules": impersonates}),
        bound("ClusterRole", "impersonator", "gateway"),
        made("Role", "worker", {"rules": works}),
        bound("Role", "worker", person),
    ]


def _image() -> bytes:
    """A container image of the static busybox of this machine (github.com/moby/moby, image/spec/v1.2)."""
    layer = _tar(
        [
            (_file("bin/busybox", 0o755), Path("/bin/busybox").read_bytes()),
            *((_kind(name, tarfile.DIRTYPE, 0o777), b"") for name in ("www", "proc", "sys", "dev", "etc", "tmp")),
            *((_link(f"bin/{name}"), b"") for name in APPLETS),
        ]
    )
    config = json.dumps(
        {
            "architecture": "amd64",
            "os": "linux",
            "config": {"Cmd": ["/bin/sleep", "2147483647"], "Env": ["PATH=/bin"]},
            "rootfs": {"type": "layers", "diff_ids": [f"sha256:{hashlib.sha256(layer).hexdigest()}"]},
            "history": [{}],
        }
    ).encode()
    name = f"{hashlib.sha256(config).hexdigest()}.json"
    manifest = json.dumps([{"Config": name, "RepoTags": [IMAGE], "Layers": ["layer.tar"]}]).encode()
    files = {name: config, "layer.tar": layer, "manifest.json": manifest}
    return _tar([(_file(name, 0o644), data) for name, data in files.items()])


def _tar(members: list[tuple[tarfile.TarInfo, bytes]]) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        for member, data in members:
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    return out.getvalue()


def _file(name: str, mode: int) -> tarfile.TarInfo:
    return _kind(name, tarfile.REGTYPE, mode)


def _kind(name: str, kind: bytes, mode: int) -> tarfile.TarInfo:
    member = tarfile.TarInfo(name)
    member.type, member.mode = kind, mode
    return member


def _link(name: str) -> tarfile.TarInfo:
    member = _kind(name, tarfile.SYMTYPE, 0o777)
    member.linkname = "busybox"
    return member
