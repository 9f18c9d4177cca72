"""pip through the forward proxy: it trusts the gateway's CA, and gets the package that it gets without one."""

import subprocess
import sys
from pathlib import Path

from .conftest import HttpStand
from .index_server import MODULE
from .ways import Way, bare


def pip(way: Way, home: Path, *words: str | Path) -> "subprocess.CompletedProcess[str]":
    """pip, with nothing of this user's settings."""
    options = ["--isolated", "--disable-pip-version-check", "--no-input", "--no-cache-dir", "--cert", way.ca_file]
    if way.proxy:
        options += ["--proxy", way.proxy.replace("://", f"://{way.user}:{way.token}@")]
    command = [sys.executable, "-m", "pip", *words, *options, "-i", f"{way.base}/simple/"]
    return subprocess.run(command, env=bare(home), capture_output=True, text=True, timeout=120)


def test_pip_downloads_the_same(stand: HttpStand, tmp_path: Path) -> None:
    files = []
    for way in (stand.direct("index"), stand.forward("index", listener="web-clear")):
        done = pip(way, tmp_path, "download", "acme", "--no-deps", "--retries", "0", "--dest", tmp_path / way.name)
        assert done.returncode == 0, done.stdout + done.stderr
        (file,) = (tmp_path / way.name).iterdir()
        files.append((file.name, file.read_bytes()))
    assert files[0] == files[1]


def test_pip_installs(stand: HttpStand, tmp_path: Path) -> None:
    way = stand.forward("index", listener="web-clear")
    done = pip(way, tmp_path, "install", "acme==1.0", "--retries", "0", "--target", tmp_path / "here")
    assert done.returncode == 0, done.stdout + done.stderr
    assert (tmp_path / "here/acme.py").read_text() == MODULE


def test_pip_does_not_come_in_without_a_token(stand: HttpStand, tmp_path: Path) -> None:
    way = stand.forward("index", listener="web-clear")
    nobody = Way(way.name, way.base, way.address, "wrong", way.ca_file, proxy=way.proxy)
    done = pip(nobody, tmp_path, "download", "-vvv", "acme", "--no-deps", "--retries", "0", "--dest", tmp_path)
    assert done.returncode != 0 and "407" in done.stdout + done.stderr
