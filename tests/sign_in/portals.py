"""Starts `portal_process` and speaks to it as browsers and programs do."""

import json
import shutil
import ssl
import subprocess
import sys
from pathlib import Path
from typing import Any, Self
from urllib.parse import parse_qs, urlsplit

import httpx

from hoopproxy.cli.oauth import Proof
from hoopproxy.testing.certificates import Authority
from hoopproxy.testing.process import environment

ROOT = Path(__file__).parent.parent.parent


class PortalProcess:
    """A context manager. `said` is what it logged, once it has ended."""

    def __init__(self, directory: Path, authority: Authority, port: int, **settings: Any) -> None:
        leaf = authority.issue(f"portal-{port}", dns=("localhost",))
        shutil.copy(leaf.certificate_file, directory / "portal.crt")
        shutil.copy(leaf.key_file, directory / "portal.key")
        self.url, self.port, self.ca_file = f"https://localhost:{port}", port, Path(authority.ca_file)
        self.said = ""
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.sign_in.portal_process", directory, str(port), json.dumps(settings)],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env=environment(),
        )
        assert self._process.stdout is not None
        before = iter(self._process.stdout.readline, "")
        heard: list[str] = []
        for line in before:
            heard.append(line)
            if line.startswith("ready"):
                return
        raise AssertionError("".join(heard))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._process.poll() is None:
            self._process.terminate()
            self.said += self._process.communicate()[0]

    def client(self) -> httpx.Client:
        """A browser's, or a program's; it follows no redirect."""
        trust = ssl.create_default_context(cafile=self.ca_file)
        return httpx.Client(base_url=self.url, verify=trust, timeout=20)


def begun(client: httpx.Client, proof: Proof, port: int = 7777) -> str:
    """Begins a sign-in at `sso`; what the identity provider is told to bring back."""
    asked = {"port": port, "challenge": proof.challenge, "state": proof.state}
    answer = client.get("/sign-in/sso", params=asked)
    assert answer.status_code == 303, answer.text
    return parse_qs(urlsplit(answer.headers["location"]).query)["RelayState"][0]


def returned(client: httpx.Client, relayed: str, who: str = "ada", **headers: str) -> httpx.Response:
    """What the identity provider has the browser post."""
    return client.post("/sign-in/sso/return", data={"RelayState": relayed, "who": who}, headers=headers)


def code_of(answer: httpx.Response) -> str:
    """The code in the address that the browser is sent to."""
    assert answer.status_code == 303, answer.text
    return parse_qs(urlsplit(answer.headers["location"]).query)["code"][0]
