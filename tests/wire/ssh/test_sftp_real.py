"""A real SFTP client with a real SFTP server, followed byte by byte."""

import hashlib
import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from hoopproxy.events import Transferred
from hoopproxy.wire.ssh.sftp import Sftp

SERVERS = ("/usr/lib/openssh/sftp-server", "/usr/lib/ssh/sftp-server", "/usr/libexec/openssh/sftp-server")

TEE = """
import os, subprocess, sys, threading

log, program = open(sys.argv[1], "wb"), sys.argv[2]
server = subprocess.Popen([program], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
turn = threading.Lock()


def pump(mark, source, sink):
    while data := os.read(source, 65536):
        with turn:
            log.write(mark + len(data).to_bytes(4) + data)
            log.flush()
        while data:
            data = data[os.write(sink, data):]
    os.close(sink)


ends = threading.Thread(target=pump, args=(b"s", server.stdout.fileno(), 1))
ends.start()
pump(b"c", 0, server.stdin.fileno())
server.stdin = None
server.wait()
ends.join()
"""


def sftp(folder: Path, *commands: str) -> list[Transferred]:
    """What is told of a session in which these commands were given; each may fail."""
    tee, log = folder / "tee.py", folder / "log"
    tee.write_text(TEE)
    program = next(path for path in SERVERS if os.path.exists(path))
    server = shlex.join([sys.executable, str(tee), str(log), program])
    batch = "".join(f"-{command}\n" for command in commands)
    subprocess.run(
        ["sftp", "-q", "-b", "-", "-D", server], input=batch, cwd=folder, text=True, check=True, capture_output=True
    )
    return followed(log.read_bytes())


def followed(log: bytes) -> list[Transferred]:
    reader, told, at = Sftp(7), list[Transferred](), 0
    while at < len(log):
        end = at + 5 + int.from_bytes(log[at + 1 : at + 5])
        told += (reader.sent if log[at : at + 1] == b"c" else reader.answered)(log[at + 5 : end])
        at = end
    return [*told, *reader.end()]


@pytest.fixture
def big(tmp_path: Path) -> bytes:
    content = os.urandom(10_000_000)
    (tmp_path / "big").write_bytes(content)
    return content


def test_ten_megabytes_go_there_and_back(tmp_path: Path, big: bytes) -> None:
    told = sftp(tmp_path, f"put big {tmp_path}/there", f"get {tmp_path}/there back")

    assert (tmp_path / "back").read_bytes() == big
    digest = hashlib.sha256(big).hexdigest()
    there = f"{tmp_path}/there"
    assert [one for one in told if one.operation in ("read", "write")] == [
        Transferred(7, "write", there, bytes_count=len(big), sha256=digest, detail="create truncate"),
        Transferred(7, "read", there, bytes_count=len(big), sha256=digest),
    ]


def test_every_operation_is_told(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"content")
    here = str(tmp_path)

    told = sftp(
        tmp_path,
        f"mkdir {here}/dir",
        f"put a {here}/dir/b",
        f"rename {here}/dir/b {here}/dir/c",
        f"symlink {here}/dir/c {here}/dir/s",
        f"ln {here}/dir/c {here}/dir/h",
        f"chmod 600 {here}/dir/c",
        f"ls {here}/dir",
        f"rm {here}/dir/s",
        f"get {here}/missing",
        f"rmdir {here}/dir",
        f"rm {here}/dir/c",
        f"rm {here}/dir/h",
        f"rmdir {here}/dir",
    )

    shown = [(one.operation, one.path.removeprefix(here), one.new_path.removeprefix(here), one.outcome) for one in told]
    done = [one for one in shown if one[0] not in ("setstat", "list")]
    assert done == [
        ("mkdir", "/dir", "", "ok"),
        ("write", "/dir/b", "", "ok"),
        ("rename", "/dir/b", "/dir/c", "ok"),
        ("symlink", "/dir/c", "/dir/s", "ok"),
        ("hardlink", "/dir/c", "/dir/h", "ok"),
        ("remove", "/dir/s", "", "ok"),
        ("rmdir", "/dir", "", "Failure"),
        ("remove", "/dir/c", "", "ok"),
        ("remove", "/dir/h", "", "ok"),
        ("rmdir", "/dir", "", "ok"),
    ]
    assert ("list", "/dir/", "", "ok") in shown
    assert Transferred(7, "setstat", f"{here}/dir/c", detail="mode=0600") in told
