"""A throw-away sshd is one's own, and goes with all that it has started."""

import os
import select
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from hoopproxy.testing.process import environment
from hoopproxy.testing.ssh_keys import SshKey, new_key
from hoopproxy.testing.sshd import Sshd, SshdError


def ssh(sshd: Sshd, key: Path, *words: str) -> subprocess.CompletedProcess[str]:
    known_hosts = sshd.directory / "known_hosts"
    known_hosts.write_text(sshd.known_hosts())
    options = ["-F", "none", "-o", f"UserKnownHostsFile={known_hosts}", "-o", "IdentitiesOnly=yes", "-i", str(key)]
    command = ["ssh", *options, "-p", str(sshd.port), f"{sshd.user}@{sshd.host}", *words]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


def is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def test_it_lets_in_whom_it_knows(tmp_path: Path) -> None:
    with Sshd(tmp_path / "sshd") as sshd:
        assert ssh(sshd, sshd.key_file, "echo $HOME; exit 7").stdout == f"{sshd.home}\n"
        other = new_key("ecdsa").write(tmp_path / "other")
        assert ssh(sshd, other, "true").returncode == 255
        sshd.authorize(SshKey("", other.with_name("other.pub").read_text().strip()), 'command="echo forced"')
        assert ssh(sshd, other, "true").stdout == "forced\n"
        assert "Accepted publickey" in sshd.log()
        said = subprocess.run(["ssh-keygen", "-lf", sshd.directory / "host_rsa.pub"], capture_output=True, text=True)
        assert said.stdout.split()[1] in sshd.host_key_fingerprints


def test_what_it_started_ends_with_it_even_if_it_hides(tmp_path: Path) -> None:
    with Sshd(tmp_path / "sshd") as sshd:
        hides = "setsid sh -c 'echo $$; exec sleep 1000 >/dev/null 2>&1 </dev/null' &"
        pid = int(ssh(sshd, sshd.key_file, hides).stdout)
        assert is_alive(pid)
    assert not is_alive(pid)
    assert ssh(sshd, sshd.key_file, "true").returncode == 255
    sshd.stop()


def test_it_ends_with_whoever_started_it(tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from hoopproxy.testing.sshd import Sshd\n"
        f"sshd = Sshd(Path({str(tmp_path / 'sshd')!r})); print(sshd._server.pid, flush=True); sys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment()
    ) as owner:
        assert owner.stdout is not None
        guard = os.pidfd_open(int(owner.stdout.readline()))
        owner.send_signal(signal.SIGKILL)
    with os.fdopen(guard, "rb") as ended:
        assert select.select([ended], [], [], 30)[0]


def test_a_server_that_does_not_start_says_why(tmp_path: Path) -> None:
    with pytest.raises(SshdError, match="Bad configuration option: Nonsense"):
        Sshd(tmp_path / "sshd", settings="Nonsense yes")


def test_a_machine_without_it_is_told_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hoopproxy.testing.sshd.installed", lambda: None)
    with pytest.raises(SshdError, match="openssh-server"):
        Sshd(tmp_path / "sshd")


def test_there_is_no_key_of_an_unknown_kind() -> None:
    with pytest.raises(ValueError, match="dsa"):
        new_key("dsa")
