"""git clones, fetches and pushes over HTTPS as it does past the gateway."""

import os
import subprocess
from pathlib import Path

import pytest

from .conftest import HttpStand
from .ways import Way, bare

MB = 1_000_000


def git(*words: str | Path, cwd: Path, way: Way | None = None) -> str:
    """git, with nothing of this user's settings; it finds the way in its own."""
    environment = bare(cwd) | {"GIT_CONFIG_NOSYSTEM": "1", "GIT_TERMINAL_PROMPT": "0"}
    settings = {"user.name": "Ada", "user.email": "ada@example.com", "init.defaultBranch": "main", "gc.auto": "0"}
    if way:
        settings["http.sslCAInfo"] = str(way.ca_file)
        if way.proxy:
            settings["http.proxy"] = way.proxy.replace("://", f"://{way.user}:{way.token}@")
            settings["http.proxySSLCAInfo"] = str(way.proxy_ca_file)
        else:
            settings["http.extraHeader"] = f"Authorization: Bearer {way.token}"
            settings["http.curloptResolve"] = f"{way.netloc}:{way.address[0]}"
    options = [word for name, value in settings.items() for word in ("-c", f"{name}={value}")]
    done = subprocess.run(
        ["git", *options, *map(str, words)], cwd=cwd, env=environment, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def repository(git_root: Path) -> Path:
    """Two commits, in one of which is more than git sends without chunks."""
    work = git_root / "work"
    work.mkdir()
    git("init", "-q", cwd=work)
    (work / "README").write_text("Hello.\n")
    git("add", ".", cwd=work)
    git("commit", "-qm", "one", cwd=work)
    (work / "large.bin").write_bytes(os.urandom(2 * MB))
    git("add", ".", cwd=work)
    git("commit", "-qm", "two", cwd=work)
    git("clone", "-q", "--bare", work, git_root / "house.git", cwd=git_root)
    git("config", "http.receivepack", "true", cwd=git_root / "house.git")
    return work


@pytest.fixture(params=["direct", "reverse", "forward"])
def way(request: pytest.FixtureRequest, stand: HttpStand, repository: Path) -> Way:
    found: Way = getattr(stand, request.param)("git")
    return found


def test_git_clones_pushes_and_fetches(way: Way, repository: Path, tmp_path: Path) -> None:
    url = f"{way.base}/house.git"
    git("clone", "-q", url, "here", cwd=tmp_path, way=way)
    assert (tmp_path / "here/large.bin").read_bytes() == (repository / "large.bin").read_bytes()
    branch = f"from-{way.name}"
    git("clone", "-q", "--branch", "main", "--depth", "1", url, "there", cwd=tmp_path, way=way)
    git("checkout", "-qb", branch, cwd=tmp_path / "here")
    (tmp_path / "here/more.bin").write_bytes(os.urandom(2 * MB))
    git("add", ".", cwd=tmp_path / "here")
    git("commit", "-qm", "three", cwd=tmp_path / "here")
    git("push", "-q", "origin", branch, cwd=tmp_path / "here", way=way)
    git("fetch", "-q", "origin", f"{branch}:{branch}", cwd=tmp_path / "there", way=way)
    heads = [git("rev-parse", branch, cwd=tmp_path / clone) for clone in ("here", "there")]
    assert heads[0] == heads[1]
    git("fsck", "--full", cwd=tmp_path / "there")
