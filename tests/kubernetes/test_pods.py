"""What runs in pods, by kubectl: logs, commands, terminals and files, past the gateway and through it."""

from pathlib import Path

import pytest

from .conftest import Apis, Comparing, KubernetesStand
from .ways import Way


def test_logs_are_shown(same: Comparing, apis: Apis) -> None:
    apis.new.log_file.write_text("one\ntwo\n")
    assert same(lambda way: way.run("logs", "web").out) == "one\ntwo\n"


def test_logs_are_followed_as_they_grow(same: Comparing, apis: Apis) -> None:
    apis.new.log_file.write_text("begin\n")

    def follows(way: Way) -> list[str]:
        with way.start("logs", "--follow", "web") as following:
            try:
                assert following.stdout is not None
                first = following.stdout.readline()
                with apis.new.log_file.open("a") as log:
                    log.write(f"{way.name}\n")
                while (line := following.stdout.readline()) != f"{way.name}\n":
                    assert line
                return [first, line.replace(way.name, "this way")]
            finally:
                following.kill()

    assert same(follows) == ["begin\n", "this way\n"]


def test_a_command_is_given_its_input_to_the_end(same: Comparing) -> None:
    assert (
        same(lambda way: way.run("exec", "-i", "web", "--", "sh", "-c", "cat; echo end", given="hello\n").out)
        == "hello\nend\n"
    )


def test_a_megabyte_goes_both_ways_whole(same: Comparing) -> None:
    text = "0123456789abcde\n" * 65536
    assert same(lambda way: way.run("exec", "-i", "web", "--", "cat", given=text).out) == text


def test_streams_and_exit_codes_are_the_command_s_own(same: Comparing) -> None:
    def fails(way: Way) -> tuple[int, str, str]:
        ran = way.run("exec", "web", "--", "sh", "-c", "echo out; echo err >&2; exit 7", code=7)
        return ran.code, ran.out, ran.err

    assert same(fails) == (7, "out\n", "err\ncommand terminated with exit code 7\n")


def test_a_command_that_is_not_there_is_told(same: Comparing) -> None:
    shown = same(lambda way: way.run("exec", "web", "--", "nonesuch", code=1).err)
    assert shown == "error: error executing command in container: No such file or directory\n"


def test_a_pod_that_is_not_there_is_told(same: Comparing) -> None:
    shown = same(lambda way: way.run("exec", "nobody", "--", "true", code=1).err)
    assert shown == 'Error from server (NotFound): pods "nobody" not found\n'


def test_a_terminal_has_our_size_follows_it_and_ends_with_its_code(same: Comparing) -> None:
    def works(way: Way) -> int:
        script = "stty size; tty | cut -c1-9; trap 'stty size' WINCH; echo ready; read word; echo got $word; exit 7"
        with way.terminal("exec", "-it", "web", "--", "sh", "-c", script, size=(101, 37)) as here:
            here.reads(rb"37 101\r\n/dev/pts/\r\n")
            here.reads(b"ready")
            here.type(b"hello\r")
            here.reads(b"got hello")
            return here.ends()[1]

    assert same(works) == 7


def test_a_terminal_is_resized(same: Comparing) -> None:
    def resizes(way: Way) -> int:
        script = "trap 'stty size; kill $!; exit 4' WINCH; echo ready; sleep 600 & wait"
        with way.terminal("exec", "-it", "web", "--", "sh", "-c", script) as here:
            here.reads(b"ready")
            here.resize(133, 50)
            here.reads(b"50 133")
            return here.ends()[1]

    assert same(resizes) == 4


def test_ctrl_c_interrupts_there(same: Comparing) -> None:
    def interrupts(way: Way) -> int:
        script = "trap 'echo interrupted; kill $!; exit 9' INT; echo ready; sleep 600 & wait"
        with way.terminal("exec", "-it", "web", "--", "sh", "-c", script) as here:
            here.reads(b"ready")
            here.type(b"\x03")
            here.reads(b"interrupted")
            return here.ends()[1]

    assert same(interrupts) == 9


def test_a_masked_terminal_shows_its_prompt(stand: KubernetesStand) -> None:
    script = "printf 'card: '; read card; echo got $card; exit 5"
    with stand.way("cards").terminal("exec", "-it", "web", "--", "sh", "-c", script) as here:
        here.reads(b"card: ")
        here.type(b"4111111111111111\r")
        here.reads(rb"got \*{12}1111")
        assert here.ends()[1] == 5


def test_one_may_attach_to_what_runs(same: Comparing) -> None:
    assert same(lambda way: way.run("attach", "-i", "web", given="echo\n").out) == "echo\n"


def test_files_are_copied_both_ways(same: Comparing, tmp_path: Path) -> None:
    content = bytes(range(256)) * 1000
    (tmp_path / "up").write_bytes(content)

    def copies(way: Way) -> bytes:
        there, back = tmp_path / f"there-{way.name}", tmp_path / f"back-{way.name}"
        way.run("cp", str(tmp_path / "up"), f"web:{there}")
        way.run("cp", f"web:{there}", str(back))
        return back.read_bytes()

    assert same(copies) == content


def test_an_old_cluster_s_commands_run_too(stand: KubernetesStand) -> None:
    """It speaks v4 over HTTP/1.1, which a new kubectl does not."""
    way = stand.way("old")
    ran = way.run("exec", "-i", "web", "--", "sh", "-c", "read word; echo got $word; exit 7", given="hello\n", code=7)
    assert (ran.out, ran.err) == ("got hello\n", "command terminated with exit code 7\n")


@pytest.mark.parametrize("words", [("exec", "web", "--", "true"), ("attach", "web")])
def test_the_old_way_is_refused_with_the_new_one_named(stand: KubernetesStand, words: tuple[str, ...]) -> None:
    way = stand.way("prod").with_environment(KUBECTL_REMOTE_COMMAND_WEBSOCKETS="false")
    said = way.run(*words, code=1).err
    assert "The gateway speaks with pods over WebSockets alone: use kubectl 1.30 or later" in said
