"""Somebody watches a shell on a terminal of their own, and ends it."""

import re
import sys

from hoopproxy.control.client import ControlClient

from .conftest import SshStand
from .terminal import Terminal

COMMAND = (sys.executable, "-c", "from hoopproxy.cli.main import main; main()", "sessions", "watch")


def test_a_shell_is_watched_as_it_happens_and_its_end_is_told_to_both(stand: SshStand) -> None:
    control = ControlClient(stand.control_socket)
    with Terminal(stand.way("minted").command("ssh", "target"), (90, 30)) as here:
        here.type(b"echo $((6 * 7))\r")
        here.reads(rb"[\r\n]42\r\n")
        live = control.call("sessions")["sessions"]
        session_id = max(
            (each for each in live if each["target"] == "minted"), key=lambda each: float(each["since_s"])
        )["session_id"]
        with Terminal([*COMMAND, session_id, "--socket", str(stand.control_socket)]) as eyes:
            eyes.reads(rb"#\d+ run\x1b\[0m +shell")
            eyes.reads(rb"terminal xterm-256color 90x30")
            here.type(b"stty -echo\r")
            here.type(rb"printf '\033]52;c;eA==\007\033[31mr%sd\n' e" + b"\r")
            assert b"\x1b]52" not in eyes.reads(rb"(?s).*\\x1b\]52;c;eA==\x1b\[31mred")[0]
            assert control.call("kill", id=session_id, reason="lunch")["ended"]
            shown, _ = here.ends()
            assert b"An operator ended your session: lunch." in shown
            seen, code = eyes.ends()
            assert b"closed  revoked" in re.sub(rb"\x1b\[[0-9;]*m", b"", seen)
            assert code == 0
    log = b"".join(path.read_bytes() for path in sorted(stand.log_directory.glob("*.hplog")))
    leaves = [line for line in log.splitlines() if session_id.encode() in line and b'"kind":"admin-action"' in line]
    assert [re.findall(rb'"action":"(\w+)"', leaf) for leaf in leaves] == [[b"watch"], [b"kill"]]
