"""Terminals by stock OpenSSH, in a pty of this machine: size, resizing, keys, and how they end."""

from .conftest import Comparing
from .terminal import Terminal
from .ways import Way


def test_it_has_the_kind_and_size_of_ours(same: Comparing) -> None:
    def shows(way: Way) -> tuple[bytes, int]:
        with Terminal(way.command("ssh", "-tt", "target", "echo $TERM; stty size; tty | cut -c1-9"), (101, 37)) as here:
            return here.ends()

    shown, code = same(shows)
    assert shown.splitlines()[:3] == [b"xterm-256color", b"37 101", b"/dev/pts/"]
    assert code == 0


def test_it_follows_when_ours_is_resized(same: Comparing) -> None:
    def resizes(way: Way) -> int:
        script = "trap 'stty size; kill $!; exit 4' WINCH; echo ready; sleep 600 & wait"
        with Terminal(way.command("ssh", "-tt", "target", script)) as here:
            here.reads(b"ready")
            here.resize(133, 50)
            here.reads(b"50 133")
            return here.ends()[1]

    assert same(resizes) == 4


def test_ctrl_c_interrupts_there(same: Comparing) -> None:
    def interrupts(way: Way) -> int:
        script = "trap 'echo interrupted; kill $!; exit 9' INT; echo ready; sleep 600 & wait"
        with Terminal(way.command("ssh", "-tt", "target", script)) as here:
            here.reads(b"ready")
            here.type(b"\x03")
            here.reads(b"interrupted")
            return here.ends()[1]

    assert same(interrupts) == 9


def test_a_shell_is_typed_into(same: Comparing) -> None:
    def types(way: Way) -> int:
        with Terminal(way.command("ssh", "target")) as here:
            here.type(b"echo $((6 * 7))\r")
            here.reads(rb"[\r\n]42\r\n")
            here.type(b"exit 3\r")
            shown, code = here.ends()
            assert b"Connection to 127.0.0.1 closed." in shown
            return code

    assert same(types) == 3


def test_keys_are_echoed_there_and_a_hidden_one_is_not(same: Comparing) -> None:
    def types(way: Way) -> int:
        script = "stty -echo; printf 'secret: '; read secret; stty echo; echo; echo got ${#secret}; read last"
        with Terminal(way.command("ssh", "-tt", "target", script)) as here:
            here.reads(b"secret: ")
            here.type(b"hunter2\r")
            assert b"hunter2" not in here.reads(rb"(?s).*got 7")[0]
            here.type(b"shown\r")
            here.reads(b"shown")
            return here.ends()[1]

    assert same(types) == 0


def test_the_escape_that_leaves_works(same: Comparing) -> None:
    def leaves(way: Way) -> int:
        with Terminal(way.command("ssh", "-tt", "target", "echo ready; sleep 600")) as here:
            here.reads(b"ready")
            here.type(b"\r~.")
            return here.ends()[1]

    assert same(leaves) == 255
