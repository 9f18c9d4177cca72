"""Files by stock scp, sftp, rsync and git: whole, with their modes and names, the same through the gateway."""

import hashlib
import os
import shutil
from pathlib import Path

import pytest

from .conftest import Comparing
from .ways import Ran, Way, run

DATA = bytes(range(256)) * 5000


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A few files, one of them large, one empty, one with an odd name, one that is a link."""
    top = tmp_path / "tree"
    (top / "folder").mkdir(parents=True)
    (top / "large.bin").write_bytes(DATA)
    (top / "empty").touch()
    (top / "folder" / "ä odd 'name'").write_text("odd\n")
    (top / "folder" / "run.sh").write_text("#!/bin/sh\n")
    (top / "folder" / "run.sh").chmod(0o755)
    (top / "link").symlink_to("folder/run.sh")
    return top


def listed(top: Path) -> dict[str, tuple[int, bytes]]:
    """Mode and content of each file."""
    files = sorted(path for path in top.rglob("*") if not path.is_dir())
    return {str(path.relative_to(top)): (path.stat().st_mode, path.read_bytes()) for path in files}


@pytest.mark.parametrize("mode", [[], ["-O"]], ids=["sftp", "legacy"])
def test_scp_copies_both_ways(same: Comparing, tree: Path, tmp_path: Path, mode: list[str]) -> None:
    def copies(way: Way) -> tuple[Ran, Ran]:
        there, back = tmp_path / f"there-{way.name}", tmp_path / f"back-{way.name}"
        there.mkdir()
        sent = way.run("scp", *mode, "-p", "-r", tree, f"target:{there}")
        fetched = way.run("scp", *mode, "-p", "-r", f"target:{there}/tree", back)
        assert listed(there / "tree") == listed(back) == listed(tree)
        return sent, fetched

    assert same(copies) == (Ran(b"", b"", 0), Ran(b"", b"", 0))


@pytest.mark.parametrize("mode", [[], ["-O"]], ids=["sftp", "legacy"])
def test_scp_says_what_is_not_there(same: Comparing, tmp_path: Path, mode: list[str]) -> None:
    ran = same(lambda way: way.run("scp", *mode, f"target:{tmp_path}/missing", tmp_path))
    assert ran.code == 1
    assert b"No such file" in ran.err


def test_sftp_does_what_its_batch_says(same: Comparing, tree: Path, tmp_path: Path) -> None:
    def works(way: Way) -> Ran:
        there, back = tmp_path / way.name, tmp_path / f"back-{way.name}"
        batch = tmp_path / "batch"
        batch.write_text(f"""\
            mkdir there
            cd there
            put {tree}/large.bin
            put -r {tree}/folder
            rename large.bin renamed.bin
            chmod 600 renamed.bin
            ln -s renamed.bin shortcut
            ls -1
            get renamed.bin {back}
            rm shortcut
            mkdir empty
            rmdir empty
            ls -1
            -get missing
            -rm missing
            pwd
            """)
        there.mkdir()
        ran = way.run("sftp", "-b", batch, f"target:{there}")
        assert back.read_bytes() == (there / "there" / "renamed.bin").read_bytes() == DATA
        assert (there / "there" / "renamed.bin").stat().st_mode & 0o777 == 0o600
        out, err = (said.replace(bytes(there), b"THERE").replace(bytes(back), b"BACK") for said in (ran.out, ran.err))
        return Ran(out, err, ran.code)

    ran = same(works)
    assert ran.code == 0
    assert b"folder" in ran.out
    assert b"THERE/there" in ran.out


def test_sftp_goes_on_where_it_broke_off(same: Comparing, tmp_path: Path) -> None:
    (tmp_path / "whole").write_bytes(DATA)

    def resumes(way: Way) -> str:
        part, batch = tmp_path / f"part-{way.name}", tmp_path / "batch"
        part.write_bytes(DATA[:300_001])
        batch.write_text(f"reget {tmp_path}/whole {part}\n")
        assert way.run("sftp", "-b", batch, "target").code == 0
        return hashlib.sha256(part.read_bytes()).hexdigest()

    assert same(resumes) == hashlib.sha256(DATA).hexdigest()


def test_rsync_copies_both_ways(same: Comparing, tree: Path, tmp_path: Path) -> None:
    def copies(way: Way) -> list[Ran]:
        there, back = tmp_path / f"there-{way.name}", tmp_path / f"back-{way.name}"
        rsync = ["rsync", "-a", "--checksum", "-e", way.shell]
        done = [run([*rsync, f"{tree}/", f"target:{there}/"]), run([*rsync, f"target:{there}/", f"{back}/"])]
        assert listed(there) == listed(back) == listed(tree)
        with (there / "large.bin").open("r+b") as file:
            file.seek(700_000)
            file.write(b"changed")
        (there / "empty").unlink()
        done += [run([*rsync, "--delete", "--stats", "--no-whole-file", f"target:{there}/", f"{back}/"])]
        assert listed(there) == listed(back)
        assert b"Number of deleted files: 1" in done.pop().out
        return done

    assert same(copies) == [Ran(b"", b"", 0)] * 2


def test_git_clones_and_pushes(same: Comparing, tree: Path, tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir()
    (home / ".gitconfig").write_text("[user]\nname = Ada\nemail = ada@example.org\n[init]\ndefaultBranch = main\n")
    environ = os.environ | {"HOME": str(home), "GIT_CONFIG_NOSYSTEM": "1"}

    def git(way: Way, *words: str, at: Path) -> Ran:
        return run(["git", *words], cwd=at, env=environ | {"GIT_SSH_COMMAND": way.shell})

    def works(way: Way) -> str:
        there, here = tmp_path / f"there-{way.name}.git", tmp_path / f"here-{way.name}"
        git(way, "init", "--bare", str(there), at=tmp_path)
        assert git(way, "clone", f"ssh://target{there}", str(here), at=tmp_path).code == 0
        shutil.copytree(tree, here, dirs_exist_ok=True, symlinks=True)
        git(way, "add", ".", at=here)
        git(way, "commit", "-m", "all", "--date=2026-01-01T00:00:00Z", at=here)
        pushed = git(way, "push", "origin", "HEAD:main", at=here)
        assert pushed.code == 0, pushed
        again = tmp_path / f"again-{way.name}"
        assert git(way, "clone", "-b", "main", f"ssh://target{there}", str(again), at=tmp_path).code == 0
        shutil.rmtree(again / ".git")
        assert listed(again) == listed(tree)
        return git(way, "rev-parse", "HEAD^{tree}", at=here).out.decode()

    assert len(same(works).strip()) == 40
