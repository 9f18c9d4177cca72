"""A hundred megabytes each way, and with new keys after every one of them: what arrives is what was sent."""

import hashlib
import random
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from .ways import Way

MB = 1_000_000


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """100 MB that no compression makes less."""
    path = tmp_path_factory.mktemp("large") / "large.bin"
    path.write_bytes(random.Random(4).randbytes(100 * MB))
    yield path
    path.unlink()


def digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def fetched(way: Way, path: Path, *options: str) -> tuple[str, str]:
    """The digest of what comes, and what ssh said of it."""
    words = way.command("ssh", *options, "target", f"cat {path}")
    with (
        path.with_name("said").open("w+b") as said,
        subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=said) as ssh,
    ):
        assert ssh.stdout is not None
        found = hashlib.sha256()
        while data := ssh.stdout.read(MB):
            found.update(data)
        code = ssh.wait(60)
    assert code == 0, path.with_name("said").read_text()
    return found.hexdigest(), path.with_name("said").read_text()


def test_they_come_down(direct: Way, through: Way, large: Path) -> None:
    for way in (direct, through):
        assert fetched(way, large)[0] == digest(large)


def test_they_go_up(direct: Way, through: Way, large: Path) -> None:
    for way in (direct, through):
        with large.open("rb") as file:
            done = subprocess.run(
                way.command("ssh", "target", "sha256sum"), stdin=file, capture_output=True, check=True
            )
        assert done.stdout.split()[0].decode() == digest(large)


def test_they_are_copied_both_ways(through: Way, large: Path) -> None:
    there, back = large.with_name("there"), large.with_name("back")
    try:
        assert through.run("scp", large, f"target:{there}").code == 0
        assert through.run("scp", f"target:{there}", back).code == 0
        assert digest(back) == digest(there) == digest(large)
    finally:
        there.unlink(missing_ok=True)
        back.unlink(missing_ok=True)


def test_they_come_down_under_a_hundred_keys(through: Way, large: Path) -> None:
    """The server asks for new ones on its leg, too, each 16 MiB."""
    found, said = fetched(through, large, "-v", "-o", "RekeyLimit=1M")
    assert found == digest(large)
    assert said.count("SSH2_MSG_NEWKEYS received") > 50


def test_they_go_up_under_a_hundred_keys(through: Way, large: Path) -> None:
    words = through.command("ssh", "-o", "RekeyLimit=1M", "target", "sha256sum")
    with large.open("rb") as file:
        done = subprocess.run(words, stdin=file, capture_output=True, check=True)
    assert done.stdout.split()[0].decode() == digest(large)
