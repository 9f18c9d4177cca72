"""A throw-away OpenSSH server, a real one: on a free port, with keys of its own, always stopped; for tests and demos.

Whoever started it is the only account that it lets in. Knows nothing of the gateway.
"""

import os
import pwd
import shutil
import socket
import subprocess
import sys
import weakref
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from time import monotonic
from typing import Self

from hoopproxy.testing.process import environment
from hoopproxy.testing.ssh_keys import SshKey, new_key

START_S_MAX = 30.0
PORT_TRIES_MAX = 5
PRIVILEGE_SEPARATION = Path("/run/sshd")
"""Where sshd jails what it does before a login, when it is root; made at boot, where sshd is booted at all."""

CONFIG = """\
ListenAddress {host}:{port}
{host_keys}
AuthorizedKeysFile {directory}/authorized_keys
TrustedUserCAKeys {directory}/authorities
AuthenticationMethods publickey
PermitRootLogin prohibit-password
StrictModes no
UsePAM no
UseDNS no
PidFile none
PrintMotd no
PrintLastLog no
AcceptEnv *
PermitUserRC no
AllowTcpForwarding yes
AllowStreamLocalForwarding yes
AllowAgentForwarding yes
X11Forwarding yes
PermitTunnel yes
MaxStartups 1000
MaxSessions 1000
LogLevel VERBOSE
Subsystem sftp internal-sftp -d {home}
SetEnv HOME={home}
{settings}
"""
"""All that a gateway might refuse is allowed here: what is refused, the gateway refused. sshd takes the first of two
lines about one thing, hence `settings` come last and are for what is not said yet."""


class SshdError(Exception):
    """There is no sshd, or it did not start; the text ends with what it said."""


def installed() -> Path | None:
    """The sshd of this machine. It lies where an ordinary user's PATH does not lead."""
    found = shutil.which(
        "sshd", path=os.pathsep.join((os.environ.get("PATH", os.defpath), "/usr/sbin", "/usr/local/sbin"))
    )
    return Path(found) if found else None


class Sshd:
    """One server in `directory`, on a free port of 127.0.0.1; a context manager, running from its making on.

    It lets `user` in, by `user_key` and by certificates of `authority`, which name `user` as principal; `authorize` and
    `trust` add others. It shows one of `host_keys`. There are no passwords: those would be this machine's own. `HOME`
    is the empty `home`, so that nobody's dotfiles change anything, and sftp begins there.
    `settings` are more lines of sshd_config(5). The server and all that was started through it end with `stop()`, this
    object or this process, however that ends.

    @raise SshdError
    """

    def __init__(self, directory: Path, *, settings: str = "") -> None:
        self.host = "127.0.0.1"
        self.directory = directory.resolve()
        self.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.user = pwd.getpwuid(os.geteuid()).pw_name
        self.user_key, self.authority = new_key(), new_key()
        self.host_keys = {kind: new_key(kind) for kind in ("ed25519", "rsa")}
        self.log_file = self.directory / "sshd.log"
        self.port = 0
        self.home = self.directory / "home"
        self.home.mkdir(exist_ok=True)
        self._settings = settings
        for kind, key in self.host_keys.items():
            key.write(self.directory / f"host_{kind}")
        self.key_file = self.user_key.write(self.directory / "user_key")
        self.authorize(self.user_key)
        self.trust(self.authority)
        self._end: Callable[[], object] = lambda: None
        for _ in range(PORT_TRIES_MAX):
            if self._start():
                return
        raise SshdError(f"sshd found no free port in {PORT_TRIES_MAX} tries. Its log says:\n{self.log()}")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def host_key_fingerprint(self) -> str:
        """Of the key that it shows those who can do with any."""
        return self.host_keys["ed25519"].fingerprint

    @property
    def host_key_fingerprints(self) -> tuple[str, ...]:
        """Of all its keys."""
        return tuple(key.fingerprint for key in self.host_keys.values())

    @property
    def pid(self) -> int:
        """Of the process that all of its processes are below."""
        return self._server.pid

    def known_hosts(self) -> str:
        """Its lines for a client's known_hosts file."""
        return "".join(f"[{self.host}]:{self.port} {key.public}\n" for key in self.host_keys.values())

    def authorize(self, key: SshKey, options: str = "") -> None:
        """Let this key in, too, with options as authorized_keys has them (sshd(8))."""
        _append(self.directory / "authorized_keys", f"{options} {key.public}".lstrip())

    def trust(self, authority: SshKey) -> None:
        """Let in whom this one certifies."""
        _append(self.directory / "authorities", authority.public)

    def log(self) -> str:
        """What it has said so far."""
        return self.log_file.read_text(errors="replace") if self.log_file.exists() else ""

    def stop(self) -> None:
        """End it, its connections and what runs in them, and wait for that. Safe to call twice."""
        self._end()

    def _start(self) -> bool:
        """Whether it got its port; another process may have taken that meanwhile."""
        program = installed()
        if program is None:
            raise SshdError("There is no sshd here: install your system's openssh-server.")
        if os.geteuid() == 0:
            PRIVILEGE_SEPARATION.mkdir(mode=0o755, exist_ok=True)
        self.port = _free_port(self.host)
        config = self.directory / "sshd_config"
        host_keys = "\n".join(f"HostKey {self.directory}/host_{kind}" for kind in self.host_keys)
        config.write_text(
            CONFIG.format(
                host=self.host,
                port=self.port,
                host_keys=host_keys,
                directory=self.directory,
                home=self.home,
                settings=self._settings,
            )
        )
        # sshd demands its whole path, since it starts itself anew for each connection.
        command = [sys.executable, "-m", "hoopproxy.testing.offspring", str(program), "-D", "-e", "-f", str(config)]
        start = len(self.log())
        with self.log_file.open("ab") as log:
            self._server = subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=log, stderr=log, start_new_session=True, env=environment()
            )
        self._end = weakref.finalize(self, _end, self._server)
        give_up_s = monotonic() + START_S_MAX
        while f"Server listening on {self.host} port {self.port}." not in self.log()[start:]:
            if self._has_ended() or monotonic() > give_up_s:
                self.stop()
                if "Address already in use" in self.log()[start:]:
                    return False
                raise SshdError(f"sshd did not start. Its log says:\n{self.log()[start:]}")
        return True

    def _has_ended(self) -> bool:
        """Found out with a little patience."""
        with suppress(subprocess.TimeoutExpired):
            self._server.wait(0.02)
        return self._server.returncode is not None


def _end(server: subprocess.Popen[bytes]) -> None:
    assert server.stdin is not None
    server.stdin.close()
    server.wait()


def _append(path: Path, line: str) -> None:
    with path.open("a") as file:
        file.write(line + "\n")


def _free_port(host: str) -> int:
    with socket.socket() as probe:
        probe.bind((host, 0))
        port: int = probe.getsockname()[1]
        return port
