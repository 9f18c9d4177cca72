"""Commands by stock OpenSSH: what they say, how they end, and what they are given is the same through the gateway."""

import os
import subprocess
from pathlib import Path

import pytest

from .conftest import Comparing, appeared
from .ways import Ran, Way, run


@pytest.mark.parametrize("code", [0, 1, 7, 127, 255])
def test_exit_codes_come_back(same: Comparing, code: int) -> None:
    assert same(lambda way: way.ssh(f"echo done; exit {code}")) == Ran(b"done\n", b"", code)


def test_the_two_streams_stay_apart(same: Comparing) -> None:
    ran = same(lambda way: way.ssh("echo out; echo err >&2; echo out again"))
    assert ran == Ran(b"out\nout again\n", b"err\n", 0)


def test_what_is_piped_in_gets_there_and_so_does_its_end(same: Comparing) -> None:
    every = bytes(range(256)) * 1000
    assert same(lambda way: way.ssh("cat", stdin=every)) == Ran(every, b"", 0)
    assert same(lambda way: way.ssh("wc -c", stdin=every)) == Ran(b"256000\n", b"", 0)


def test_a_command_that_reads_nothing_ends_well(same: Comparing) -> None:
    assert same(lambda way: way.ssh("true", stdin=bytes(5_000_000))).code == 0


def test_a_command_whose_reader_leaves_ends(same: Comparing) -> None:
    def first_line(way: Way) -> Ran:
        ssh = " ".join(way.command("ssh", "target", "yes"))
        return run(["sh", "-c", f"{ssh} 2>/dev/null | head -1"])

    assert same(first_line) == Ran(b"y\n", b"", 0)


@pytest.mark.parametrize("signal", ["TERM", "KILL", "HUP", "SEGV"])
def test_who_is_killed_there_is_killed_here(same: Comparing, signal: str) -> None:
    assert same(lambda way: way.ssh(f"echo before; ulimit -c 0; kill -{signal} $$; sleep 60")).out == b"before\n"
    assert same(lambda way: way.ssh(f"ulimit -c 0; kill -{signal} $$; sleep 60")).code == 255


def test_a_missing_command_is_the_shells_to_report(same: Comparing) -> None:
    ran = same(lambda way: way.ssh("no-such-command-anywhere"))
    assert (ran.out, ran.code) == (b"", 127)
    assert b"not found" in ran.err


def test_a_command_may_hold_anything(same: Comparing) -> None:
    odd = "printf '%s|' \"$0\" 'a  b' '\\' \"it's\" 'ä€𝄞' '\t' '$HOME'"
    assert b"it's|\xc3\xa4\xe2\x82\xac" in same(lambda way: way.ssh(odd)).out
    long = "echo " + "x" * 100_000 + " | wc -c"
    assert same(lambda way: way.ssh(long)) == Ran(b"100001\n", b"", 0)


def test_without_a_command_the_shell_reads_its_input(same: Comparing) -> None:
    def shell(way: Way) -> Ran:
        return way.run("ssh", "-T", "target", stdin=b"echo $((6 * 7))\nexit 5\n")

    ran = same(shell)
    assert (ran.out, ran.code) == (b"42\n", 5)


def test_the_language_passes_and_what_is_not_listed_does_not(direct: Way, through: Way) -> None:
    environ = os.environ | {"LANG": "tlh_KX.UTF-8", "LC_TIME": "C", "SECRET_X": "hunter2"}
    options = [word for name in ("LANG", "LC_*", "SECRET_X") for word in ("-o", f"SendEnv={name}")]
    show = "echo $LANG $LC_TIME $SECRET_X"
    assert direct.ssh(show, *options, env=environ).out == b"tlh_KX.UTF-8 C hunter2\n"
    ran = through.ssh(show, *options, env=environ)
    assert (ran.out, ran.code) == (b"tlh_KX.UTF-8 C\n", 0)


def test_several_sessions_share_one_connection(direct: Way, through: Way, short: Path) -> None:
    for way in (direct, through):
        shared = ["-o", f"ControlPath={short / way.name}"]
        with subprocess.Popen(way.command("ssh", *shared, "-M", "-N", "target"), stdin=subprocess.DEVNULL) as first:
            try:
                appeared(first, short / way.name)
                commands = [way.command("ssh", *shared, "target", f"cat; exit {code}") for code in range(8)]
                running = [subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE) for words in commands]
                for code, each in reversed(list(enumerate(running))):
                    out, _ = each.communicate(b"%d" % code * 100_000, timeout=60)
                    assert (out, each.returncode) == (b"%d" % code * 100_000, code)
                assert way.run("ssh", *shared, "-O", "exit", "target").code == 0
                assert first.wait(60) in (0, 255)
            finally:
                first.kill()


def test_a_silent_connection_is_kept_alive(same: Comparing) -> None:
    """Two unanswered messages, a second apart, and this client gives up."""
    options = ("-o", "ServerAliveInterval=1", "-o", "ServerAliveCountMax=1")
    assert same(lambda way: way.ssh("sleep 3; echo still here", *options)) == Ran(b"still here\n", b"", 0)
