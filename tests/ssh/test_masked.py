"""Card numbers in what commands print, masked by the example plugin that masks them in PostgreSQL's rows."""

import re
from pathlib import Path

import pytest

from .conftest import SshStand
from .terminal import Terminal
from .ways import Ran, Way

CARD, MASKED = b"4539578763621486", b"************1486"


@pytest.fixture(scope="module")
def cards(stand: SshStand) -> Way:
    """To a target in whose output they are masked."""
    return stand.way("cards")


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """Much more than one packet, so that numbers are cut wherever one ends."""
    path = tmp_path / "cards.txt"
    path.write_bytes(b"".join(b"%05d Ines Alvarez %s ok\n" % (number, CARD) for number in range(10_000)))
    return path


def test_they_are_masked_wherever_packets_are_cut(cards: Way, direct: Way, file: Path) -> None:
    plain, masked = direct.ssh(f"cat {file}"), cards.ssh(f"cat {file}")
    assert masked == Ran(plain.out.replace(CARD, MASKED), b"", 0)


def test_standard_error_is_masked_too(cards: Way, file: Path) -> None:
    ran = cards.ssh(f"cat {file} >&2; exit 3")
    assert (ran.out, ran.code) == (b"", 3)
    assert ran.err.count(MASKED) == 10_000
    assert CARD not in ran.err


def test_a_terminal_shows_them_masked(cards: Way, file: Path) -> None:
    with Terminal(cards.command("ssh", "-tt", "target", f"head -1 {file}; printf 'no line end'; read x")) as here:
        assert here.reads(rb"Alvarez (\S+)")[1] == MASKED
        here.reads(b"no line end")
        here.type(b"x\r")
        assert here.ends()[1] == 0


def test_the_last_line_needs_no_end(cards: Way) -> None:
    assert cards.ssh(f"printf 'card {CARD.decode()}'") == Ran(b"card " + MASKED, b"", 0)


def test_what_else_is_printed_is_untouched(cards: Way) -> None:
    every = bytes(range(256)) * 1000
    assert cards.ssh("cat", stdin=every) == Ran(every, b"", 0)


def test_files_that_could_not_be_masked_are_not_transferred(cards: Way, file: Path, tmp_path: Path) -> None:
    ran = cards.run("scp", f"target:{file}", tmp_path / "copy")
    assert ran.code != 0
    assert b"Files can't be transferred in this session" in ran.err
    assert not (tmp_path / "copy").exists()


def test_other_targets_are_not_masked(through: Way, file: Path) -> None:
    assert not re.search(rb"\*", through.ssh(f"cat {file}").out)
