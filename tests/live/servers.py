"""Servers for raw TCP that others wrote: redis and socat, each on a free port, each gone with whoever started it."""

import re
import socket
import subprocess
import sys
import threading
from pathlib import Path
from typing import Self

from hoopproxy.testing.certificates import Leaf
from hoopproxy.testing.process import environment

TRIES_MAX = 20


class Server:
    """A program that is running once a line of what it says fits `ready`, whose first group, if any, is its port."""

    host = "127.0.0.1"

    def __init__(self, command: list[str], ready: str, port: int = 0) -> None:
        self.port = port
        self._process = subprocess.Popen(
            [sys.executable, "-m", "hoopproxy.testing.offspring", *command],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
            env=environment(),
        )
        assert self._process.stdout is not None
        said = ""
        for line in self._process.stdout:
            said += line
            if found := re.search(ready, line):
                self.port = int(found[1]) if found.groups() else port
                break
        else:
            self._process.wait()
            raise OSError(said)
        self._ear = threading.Thread(target=self._process.stdout.read)
        self._ear.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.close()
        self._process.wait()
        self._ear.join()
        self._process.stdout.close()


def socat(listens: str, does: str) -> Server:
    """socat between what it listens on, with the port 0 in it, and what it does for each who comes."""
    return Server(["socat", "-d", "-d", listens, does], r"listening on AF=2 127\.0\.0\.1:(\d+)")


class Redis:
    """One that keeps nothing, in the clear on `port` and in TLS on `tls_port`."""

    def __init__(self, directory: Path, leaf: Leaf, ca_file: Path) -> None:
        for _ in range(TRIES_MAX):
            self.port, self.tls_port = _free_port(), _free_port()
            try:
                self._server = Server(self._command(directory, leaf, ca_file), "Ready to accept connections")
                return
            except OSError as why:
                if "Address already in use" not in str(why):
                    raise
        raise OSError(f"no free port in {TRIES_MAX} tries")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *why: object) -> None:
        self._server.__exit__(*why)

    def _command(self, directory: Path, leaf: Leaf, ca_file: Path) -> list[str]:
        settings = {
            "bind": "127.0.0.1",
            "port": self.port,
            "tls-port": self.tls_port,
            "tls-cert-file": leaf.certificate_file,
            "tls-key-file": leaf.key_file,
            "tls-ca-cert-file": ca_file,
            "tls-auth-clients": "no",
            "dir": directory,
            "save": "",
            "appendonly": "no",
        }
        return ["redis-server", *(word for key, value in settings.items() for word in (f"--{key}", str(value)))]


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
