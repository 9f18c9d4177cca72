"""kubectl on its way to a cluster: past the gateway, or through it."""

import os
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from hoopproxy.testing.kubernetes_api import ApiServer

from ..ssh.terminal import Terminal

KUBECTL = os.environ.get("KUBECTL", "kubectl")
S_MAX = 60.0


@dataclass(frozen=True)
class Ran:
    """How a command ended."""

    code: int
    out: str
    err: str


@dataclass(frozen=True)
class Way:
    """`kubeconfig` leads there."""

    name: str
    kubeconfig: Path
    environment: Mapping[str, str] = field(default_factory=dict)

    def run(self, *words: str, given: str = "", code: int | None = 0) -> Ran:
        """kubectl, until it ends with `code`."""
        ran = subprocess.run(
            [KUBECTL, *words], input=given, capture_output=True, text=True, timeout=S_MAX, env=self._environment()
        )
        assert code in (None, ran.returncode), (self.name, ran.returncode, ran.stdout, ran.stderr)
        return Ran(ran.returncode, ran.stdout, ran.stderr)

    def start(self, *words: str) -> "subprocess.Popen[str]":
        """kubectl, running; its output is to be read line by line."""
        return subprocess.Popen(
            [KUBECTL, *words],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=self._environment(),
        )

    def terminal(self, *words: str, size: tuple[int, int] = (80, 24)) -> Terminal:
        """kubectl in a terminal."""
        variables = [f"{name}={value}" for name, value in self._environment().items()]
        return Terminal(["env", "-i", *variables, KUBECTL, *words], size)

    def with_environment(self, **more: str) -> "Way":
        """The same, and these variables."""
        return Way(self.name, self.kubeconfig, {**self.environment, **more})

    def _environment(self) -> dict[str, str]:
        own = {"PATH": os.environ["PATH"], "HOME": str(self.kubeconfig.parent), "KUBECONFIG": str(self.kubeconfig)}
        return own | dict(self.environment)


def direct(directory: Path, api: ApiServer, ca_file: Path, user: str, groups: Sequence[str]) -> Way:
    """Past the gateway, with the token that only the gateway has, as somebody."""
    directory.mkdir(exist_ok=True)
    kubeconfig = directory / "config"
    kubeconfig.write_text(
        f"""\
apiVersion: v1
kind: Config
current-context: direct
clusters: [{{name: it, cluster: {{server: "https://localhost:{api.port}", certificate-authority: "{ca_file}"}}}}]
users: [{{name: me, user: {{token: "{api.token}", as: {user}, as-groups: [{", ".join(groups)}]}}}}]
contexts: [{{name: direct, context: {{cluster: it, user: me}}}}]
"""
    )
    return Way("direct", kubeconfig)
