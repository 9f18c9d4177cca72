"""Clients that cost little, for what is not PostgreSQL: OpenSSH's own, and a socket that counts what comes.

Knows no proxy.
"""

import socket
import ssl
import subprocess
from dataclasses import dataclass
from pathlib import Path

from bench.client import ClientError
from hoopproxy.testing.raw_target import blocks

READ_BYTES = 1 << 18
WAIT_S_MAX = 300.0


@dataclass(frozen=True, slots=True)
class SshDoor:
    """A way to an sshd on 127.0.0.1; of this machine's and this user's settings none count. `cipher` "" is whatever
    both ends agree on."""

    port: int
    user: str
    key: Path
    known_hosts: Path
    cipher: str = ""

    def down(self, command: str) -> int:
        """How many bytes the command says. @raise ClientError: it fails."""
        with subprocess.Popen(
            self._command(command), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        ) as ssh:
            assert ssh.stdout is not None and ssh.stderr is not None
            size = 0
            while data := ssh.stdout.read1(READ_BYTES):
                size += len(data)
            said = ssh.stderr.read()
            if ssh.wait(WAIT_S_MAX):
                raise ClientError(said.decode(errors="replace")[-1000:])
        return size

    def up(self, command: str, file: Path) -> str:
        """What the command says to this input. @raise ClientError: it fails."""
        with file.open("rb") as source:
            ran = subprocess.run(
                self._command(command), stdin=source, capture_output=True, text=True, timeout=WAIT_S_MAX
            )
        if ran.returncode:
            raise ClientError(ran.stderr[-1000:])
        return ran.stdout.strip()

    def _command(self, command: str) -> list[str]:
        options = {
            "IdentityFile": self.key,
            "IdentitiesOnly": "yes",
            "UserKnownHostsFile": self.known_hosts,
            "GlobalKnownHostsFile": "none",
            "BatchMode": "yes",
            "LogLevel": "ERROR",
        } | ({"Ciphers": self.cipher} if self.cipher else {})
        words = [word for name, value in options.items() for word in ("-o", f"{name}={value}")]
        return ["ssh", "-F", "none", *words, "-p", str(self.port), f"{self.user}@127.0.0.1", command]


@dataclass(frozen=True, slots=True)
class TcpDoor:
    """A way to a `RawTarget`: a port of 127.0.0.1, and TLS with it as localhost, if it is to be."""

    port: int
    tls: ssl.SSLContext | None = None

    def connect(self) -> socket.socket:
        """@raise OSError"""
        plain = socket.create_connection(("127.0.0.1", self.port), WAIT_S_MAX)
        plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return self.tls.wrap_socket(plain, server_hostname="localhost") if self.tls else plain

    def down(self, bytes_count: int) -> int:
        """How many of so many bytes came."""
        buffer, size = memoryview(bytearray(READ_BYTES)), 0
        with self.connect() as server:
            server.sendall(b"down %d\n" % bytes_count)
            while count := server.recv_into(buffer):
                size += count
        return size

    def up(self, bytes_count: int) -> int:
        """How many of so many bytes went. Over TLS there is no half-close: the server is asked to echo the last one."""
        with self.connect() as server:
            server.sendall(b"take %d\n" % bytes_count)
            for block in blocks(bytes_count):
                server.sendall(block)
            return int(server.makefile("rb").readline().split()[0])

    def echo(self, server: socket.socket, data: bytes) -> None:
        """There and back, over a connection that was asked to echo. @raise ClientError"""
        server.sendall(data)
        left = len(data)
        while left:
            came = server.recv(left)
            if not came:
                raise ClientError("The server left.")
            left -= len(came)
