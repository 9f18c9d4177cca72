"""What is asked for in channels: as text for guards, refused with a sentence, answered in order."""

import struct

import pytest

from hoopproxy.errors import ProtocolViolation
from hoopproxy.events import Action, Asked, Closed, Faulted, Rejected, Statement, Terminal, Transferred
from hoopproxy.model import Side
from hoopproxy.settings import Limits

from . import speech as say
from .rig import Rig

SFTP = say.string("sftp")
INIT = say.framed(b"\x01\0\0\0\3")
VERSION = say.framed(b"\x02\0\0\0\3")
MKDIR = say.framed(b"\x0e" + struct.pack("!I", 7) + say.string("/srv/in") + struct.pack("!I", 0))
STATUS_OK = say.framed(b"\x65" + struct.pack("!II", 7, 0) + say.string("") + say.string(""))


def opened(rig: Rig | None = None) -> Rig:
    rig = (rig or Rig()).client(say.opens(0)).server(say.confirmed(0, 10))
    rig.news()
    return rig


@pytest.mark.parametrize(
    ("payload", "action", "text", "outline"),
    [
        (say.request(10, "shell", True), Action.RUN, "shell", "shell"),
        (say.execs(10, "git-upload-pack 'a b'"), Action.RUN, "exec git-upload-pack 'a b'", "exec git-upload-pack"),
        (say.execs(10, "PASSWORD=x psql"), Action.RUN, "exec PASSWORD=x psql", "exec"),
        (say.execs(10, ""), Action.RUN, "exec ", "exec"),
        (say.execs(10, "zwei\nZeilen ü"), Action.RUN, "exec zwei\nZeilen ü", "exec zwei"),
        (say.request(10, "subsystem", True, SFTP), Action.RUN, "subsystem sftp", "subsystem sftp"),
        (say.pty(10, "xterm-256color"), Action.REQUEST, "pty-req xterm-256color 80x24", "pty-req xterm-256color 80x24"),
        (say.pty(10, ""), Action.REQUEST, "pty-req unknown 80x24", "pty-req unknown 80x24"),
        (say.env(10, "LANG", "C.UTF-8"), Action.REQUEST, "env LANG=C.UTF-8", "env LANG"),
        (say.env(10, "LC_ALL", ""), Action.REQUEST, "env LC_ALL=", "env LC_ALL"),
        (say.resized(10, 100, 30), Action.REQUEST, "window-change 100x30", "window-change 100x30"),
        (say.request(10, "signal", False, say.string("TERM")), Action.REQUEST, "signal TERM", "signal TERM"),
        (say.request(10, "break", True, struct.pack("!I", 500)), Action.REQUEST, "break 500", "break 500"),
    ],
)
def test_each_request_is_asked_about_and_passes_as_it_is(
    payload: bytes, action: Action, text: str, outline: str
) -> None:
    rig = opened().client(payload)
    assert rig.asks[-1] == Statement(2, action, text, outline)
    assert rig.news() == ([], [payload])
    assert rig.asked()[-1] == (2, text)


def test_a_variable_that_looks_like_a_credential_is_marked() -> None:
    rig = opened(Rig(environment=("*",))).client(say.env(10, "API_TOKEN", "t"), say.env(10, "TZ", "UTC"))
    assert [ask.secret for ask in rig.asks if isinstance(ask, Statement)] == [False, True, False]


@pytest.mark.parametrize("name", ["eow@openssh.com", "keepalive@openssh.com"])
def test_what_carries_nothing_passes_unasked(name: str) -> None:
    rig = opened().client(say.request(10, name, True)).server(say.failure(0))
    assert rig.news() == ([say.failure(0)], [say.request(10, name, True)])
    assert rig.texts() == ["session"] and not any(isinstance(record, Faulted) for record in rig.records)


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("auth-agent-req@openssh.com", "leave out -A"),
        ("x11-req", "leave out -X and -Y"),
        ("xon-xoff", "does not know the request xon-xoff"),
        ("exit-status", "does not know the request exit-status"),
        ("tty-vhangup@example.org", "does not know the request tty-vhangup@example.org"),
    ],
)
@pytest.mark.parametrize("reply", [True, False])
def test_other_requests_are_refused_with_a_sentence(name: str, sentence: str, reply: bool) -> None:
    rig = opened().client(say.request(10, name, reply, b"anything"))
    ((text, told),) = rig.rejected()
    assert text == name and sentence in told and rig.texts() == ["session"]
    assert rig.news() == ([say.stderr(0, say.told(told)), *([say.failure(0)] * reply)], [])


def failed(sentence: str, number: int = 0) -> list[bytes]:
    """What a client is told in the place of a command that was refused."""
    return [say.stderr(number, say.told(sentence)), say.exit_status(number, 1), say.close(number)]


def test_a_request_that_is_refused_is_answered_so_and_its_reason_is_shown() -> None:
    rig = opened(Rig(refuse=lambda text: "" if text == "session" else "Ask Ada.")).client(say.pty(10))
    assert rig.news() == ([say.stderr(0, say.told("Ask Ada.")), say.failure(0)], [])
    assert isinstance(rig.records[-1], Rejected) and rig.steps[-1].is_idle


@pytest.mark.parametrize("reply", [True, False])
@pytest.mark.parametrize("name", ["shell", "exec", "subsystem"])
def test_what_may_not_run_fails_with_the_reason(name: str, reply: bool) -> None:
    rig = opened(Rig(refuse=lambda text: "" if text == "session" else "Ask Ada."))
    what = say.request(10, name, reply, b"" if name == "shell" else say.string("id"))
    rig.client(what, say.data(10, b"never read"), say.resized(10, 1, 2), say.adjust(10, 9), say.eof(10))
    assert rig.news() == ([*([say.success(0)] * reply), *failed("Ask Ada.")], [say.close(10)])
    assert isinstance(rig.records[-1], Rejected) and rig.steps[-1].is_idle
    rig.client(say.close(10)).server(say.data(0, b"anything"), say.exit_status(0, 0), say.success(0), say.close(0))
    assert rig.news() == ([], [])
    assert rig.client(say.opens(0)).news() == ([], [say.opens(0)])


def test_what_may_not_run_fails_when_its_turn_to_be_answered_comes() -> None:
    rig = opened(Rig(refuse=lambda text: "No." if text.startswith("exec") else ""))
    rig.client(say.pty(10), say.execs(10, "id"), say.data(10, b"input"), say.execs(10, "second"), say.resized(10, 1, 2))
    assert rig.news() == ([say.adjust(0, 5)], [say.pty(10)])
    assert [text for text, _ in rig.rejected()] == ["exec id"]
    rig.server(say.success(0))
    assert rig.news() == ([say.success(0), say.success(0), *failed("No.")], [say.close(10)])


def test_what_may_not_run_is_not_answered_once_the_channel_is_closed() -> None:
    rig = opened(Rig(refuse=lambda text: "No." if text.startswith("exec") else ""))
    rig.client(say.pty(10), say.execs(10, "id"), say.close(10)).server(say.success(0), say.close(0))
    assert rig.news() == ([say.success(0), say.close(0)], [say.pty(10), say.close(10)])
    rig = opened(Rig(refuse=lambda text: "No." if text.startswith("exec") else ""))
    rig.server(say.close(0)).client(say.execs(10, "id"))
    assert rig.news() == ([say.close(0)], [])


def test_data_that_nothing_reads_are_swallowed_and_their_window_given_back() -> None:
    rig = opened().client(say.data(10, b"input"), say.data(10, b""), say.execs(10, "cat"), say.data(10, b"more"))
    assert rig.news() == ([say.adjust(0, 5)], [say.execs(10, "cat"), say.data(10, b"more")])
    assert rig.streamed("stdin") == b"more"


def test_a_variable_that_is_not_listed_is_left_out_without_a_word() -> None:
    rig = opened().client(say.env(10, "EDITOR", "vi"), say.env(10, "LD_PRELOAD", "x", reply=True))
    assert rig.news() == ([say.failure(0)], [])
    assert [text for text, _ in rig.rejected()] == ["env EDITOR=vi", "env LD_PRELOAD=x"]
    assert rig.texts() == ["session"]


@pytest.mark.parametrize(
    ("name", "is_listed"),
    [
        ("LANG", True),
        ("LC_ALL", True),
        ("LC_", True),
        ("LANGUAGE", False),
        ("LAN", False),
        ("LC", False),
        ("lang", False),
    ],
)
def test_a_variable_is_listed_by_its_name_or_by_how_it_begins(name: str, is_listed: bool) -> None:
    assert opened().client(say.env(10, name, "C")).texts()[1:] == [f"env {name}=C"] * is_listed


@pytest.mark.parametrize("name", ["LANG=x", "LC_A B", "", "LC_\n"])
def test_a_variables_name_is_a_name(name: str) -> None:
    rig = opened(Rig(environment=("*",))).client(say.env(10, name, "v"))
    assert rig.rejected()[0][0] == "env ?=v" and rig.news() == ([], [])


@pytest.mark.parametrize("command", [b"cat \xff\xfe", b"rm\0-rf", b"\xed\xa0\x80"])
def test_a_command_that_nobody_can_read_is_refused(command: bytes) -> None:
    rig = opened().client(say.execs(10, command))
    ((_, sentence),) = rig.rejected()
    assert "can't read this command" in sentence
    assert rig.news() == ([say.success(0), *failed(sentence)], [say.close(10)])


def test_one_channel_runs_one_thing() -> None:
    rig = Rig().running().client(say.request(10, "shell", True))
    sentence = "One channel runs one thing: open another channel for this."
    assert rig.rejected() == [("shell", sentence)]
    assert rig.news() == ([say.stderr(0, say.told(sentence)), say.failure(0)], [])
    assert rig.client(say.data(10, b"goes on")).news() == ([], [say.data(10, b"goes on")])


def test_where_the_server_refused_the_first_another_may_run() -> None:
    rig = opened().client(say.request(10, "subsystem", True, say.string("netconf"))).server(say.failure(0))
    assert rig.records[-2:] == [Faulted(2, "failure", "The target refused it."), Closed(2)]
    rig.client(say.execs(10, "netconf"), say.data(10, b"hello"))
    assert rig.asked()[-1] == (3, "exec netconf") and rig.streamed("stdin", 3) == b"hello"


def test_a_rewritten_command_is_what_the_server_gets_and_the_record_says() -> None:
    rig = opened(Rig(rewrite=lambda text: text.replace("exec ls", "exec timeout 5 ls")))
    rig.client(say.execs(10, "ls -l"))
    assert rig.news() == ([], [say.execs(10, "timeout 5 ls -l")])
    assert rig.records[-1] == Asked(Statement(2, Action.RUN, "exec timeout 5 ls -l", "exec ls"))


def test_nothing_else_is_rewritten() -> None:
    with pytest.raises(AssertionError):
        opened(Rig(rewrite=lambda text: text.replace("shell", "exec sh"))).client(say.request(10, "shell"))
    with pytest.raises(AssertionError):
        opened(Rig(rewrite=lambda text: text.replace("exec ls", "rm"))).client(say.execs(10, "ls"))
    with pytest.raises(AssertionError):
        Rig(rewrite=lambda text: text + "!").client(say.opens(0))


def test_a_terminal_is_recorded_at_its_start_and_each_new_size() -> None:
    rig = opened().client(say.pty(10, "vt100", 90, 20), say.resized(10, 91, 21)).server(say.success(0))
    rig.client(say.request(10, "shell", True), say.resized(10, 132, 50))
    sizes = [record for record in rig.records if isinstance(record, Terminal)]
    assert sizes == [Terminal(4, 91, 21, "vt100"), Terminal(4, 132, 50, "vt100")]


def test_without_a_granted_terminal_there_is_none() -> None:
    rig = opened().client(say.pty(10)).server(say.failure(0)).client(say.request(10, "shell", True))
    rig.client(say.resized(10, 1, 2))
    assert not any(isinstance(record, Terminal) for record in rig.records)
    rig = Rig().running().client(say.resized(10, 1, 2))
    assert not any(isinstance(record, Terminal) for record in rig.records)


def test_answers_keep_their_order() -> None:
    rig = opened(Rig(refuse=lambda text: "No." if "env" in text else ""))
    rig.client(
        say.pty(10),
        say.env(10, "LANG", "C", reply=True),
        say.request(10, "x11-req", True),
        say.request(10, "shell", True),
    )
    shown, _ = rig.news()
    assert [payload for payload in shown if payload[0] != 95] == []
    rig.server(say.success(0))
    assert rig.news()[0] == [say.success(0), say.failure(0), say.failure(0)]
    assert not rig.steps[-1].is_idle
    rig.server(say.success(0))
    assert rig.news()[0] == [say.success(0)] and rig.steps[-1].is_idle


def test_channels_do_not_wait_for_each_others_answers() -> None:
    rig = Rig().running(0, 10).running(1, 11)
    rig.client(say.request(10, "break", True, bytes(4)), say.request(11, "x11-req", True))
    assert rig.news()[0][-1] == say.failure(1)


def test_a_server_answers_only_what_it_was_asked() -> None:
    for payload in (say.success(0), say.failure(0), say.REQUEST_SUCCESS, say.REQUEST_FAILURE):
        with pytest.raises(ProtocolViolation) as caught:
            Rig().running().server(payload)
        assert caught.value.side == "server"
    with pytest.raises(ProtocolViolation):
        Rig().running().client(say.resized(10, 1, 2)).server(say.success(0))


def test_a_client_answers_only_what_it_was_asked() -> None:
    for payload in (say.success(10), say.failure(10), say.REQUEST_SUCCESS, say.REQUEST_FAILURE):
        with pytest.raises(ProtocolViolation) as caught:
            Rig().running().client(payload)
        assert caught.value.side == "client"


def test_the_exit_of_a_command_is_recorded_and_passes() -> None:
    ends = [say.exit_status(0, 255), say.exit_signal(0, "KILL", "too much memory")]
    rig = Rig().running().server(*ends)
    assert rig.news() == (ends, []) and rig.completed() == [(2, "exit 255"), (2, "signal KILL")]


def test_other_requests_of_a_server() -> None:
    rig = Rig().running()
    passed = [
        say.request(0, "eow@openssh.com"),
        say.request(0, "keepalive@openssh.com", True),
        say.request(0, "xon-xoff", False, b"\1"),
    ]
    rig.server(*passed, say.request(0, "steal-keys@example.org", True), say.request(0, "hush@example.org"))
    assert rig.news() == (passed, [])
    rig.client(say.failure(10))
    assert rig.news() == ([], [say.failure(10), say.failure(10)])
    rig.server(say.request(0, "steal-keys@example.org", True))
    assert rig.news() == ([], [say.failure(10)])


def test_a_server_that_floods_with_questions_is_broken_off() -> None:
    rig = Rig(limits=Limits(pending_statements_max=3)).running()
    rig.server(*[say.request(0, "keepalive@openssh.com", True)] * 3)
    with pytest.raises(ProtocolViolation):
        rig.server(say.global_request("keepalive@openssh.com", True))


def test_sftp_is_recorded_by_what_it_does() -> None:
    rig = opened().client(say.request(10, "subsystem", True, SFTP), say.data(10, INIT)).server(say.success(0))
    rig.server(say.data(0, VERSION)).client(say.data(10, MKDIR[:5]), say.data(10, MKDIR[5:]))
    rig.server(say.data(0, STATUS_OK), say.stderr(0, b"a word"))
    assert [record for record in rig.records if isinstance(record, Transferred)] == [
        Transferred(2, "mkdir", "/srv/in", outcome="ok")
    ]
    assert rig.streamed() == rig.streamed("stdin") == b"" and rig.streamed("stderr") == b"a word"
    shown, sent = rig.news()
    assert shown[-2:] == [say.data(0, STATUS_OK), say.stderr(0, b"a word")]
    assert sent[1:] == [say.data(10, INIT), say.data(10, MKDIR[:5]), say.data(10, MKDIR[5:])]


@pytest.mark.parametrize("how", ["close", "left"])
def test_what_sftp_left_undone_is_recorded_at_its_end(how: str) -> None:
    rig = opened().client(say.request(10, "subsystem", True, SFTP), say.data(10, INIT)).server(say.success(0))
    rig.server(say.data(0, VERSION)).client(say.data(10, MKDIR))
    if how == "close":
        rig.client(say.close(10)).server(say.close(0))
    else:
        rig.feed(Side.SERVER, b"")
    assert rig.records[-2:] == [Transferred(2, "mkdir", "/srv/in", outcome="not answered"), Closed(2)]


def test_what_is_no_sftp_ends_the_session() -> None:
    rig = opened().client(say.request(10, "subsystem", True, SFTP))
    with pytest.raises(ProtocolViolation):
        rig.client(say.data(10, b"GET / HTTP/1.1\r\n"))


def test_files_are_not_transferred_where_output_is_masked() -> None:
    rig = opened(Rig(masked=True)).client(say.request(10, "subsystem", True, SFTP))
    ((text, sentence),) = rig.rejected()
    assert text == "subsystem sftp" and "could not be masked" in sentence
    assert rig.news() == ([say.success(0), *failed(sentence)], [say.close(10)])
