"""What an SFTP session did to files: every operation told once, with its outcome, however its bytes are cut."""

import hashlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hoopproxy.errors import ProtocolViolation
from hoopproxy.events import Transferred
from hoopproxy.wire.ssh.sftp import Sftp

from . import sftp_words as say
from .sftp_words import INIT, VERSION

CONTENT = bytes(range(256)) * 40


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def begun(**bounds: int) -> Sftp:
    sftp = Sftp(7, **bounds)
    assert sftp.sent(INIT) == () == sftp.answered(VERSION)
    return sftp


def opened(path: str = "/data/a", flags: int = say.READ, name: bytes = b"\x00\x01", **bounds: int) -> Sftp:
    sftp = begun(**bounds)
    sftp.sent(say.open_(1, path, flags))
    assert sftp.answered(say.handle(1, name)) == ()
    return sftp


def closed(sftp: Sftp, name: bytes = b"\x00\x01") -> tuple[Transferred, ...]:
    sftp.sent(say.close(999, name))
    return sftp.answered(say.status(999))


def test_a_file_that_is_read_is_told_once_it_is_closed_with_its_digest() -> None:
    sftp = opened()
    sftp.sent(say.read(2, b"\x00\x01", 0, 6000) + say.read(3, b"\x00\x01", 6000, 6000))
    assert sftp.answered(say.data(2, CONTENT[:6000]) + say.data(3, CONTENT[6000:])) == ()
    sftp.sent(say.read(4, b"\x00\x01", len(CONTENT), 6000))
    sftp.answered(say.status(4, 1, "End of file"))

    assert closed(sftp) == (Transferred(7, "read", "/data/a", bytes_count=len(CONTENT), sha256=sha256(CONTENT)),)
    assert sftp.end() == ()


def test_a_file_that_is_written_is_told_with_how_it_was_opened() -> None:
    sftp = opened(flags=say.WRITE | say.CREATE | say.TRUNCATE)
    sftp.sent(say.write(2, b"\x00\x01", 0, CONTENT[:100]) + say.write(3, b"\x00\x01", 100, CONTENT[100:]))
    sftp.answered(say.status(2) + say.status(3))

    assert closed(sftp) == (
        Transferred(7, "write", "/data/a", bytes_count=len(CONTENT), sha256=sha256(CONTENT), detail="create truncate"),
    )


def test_a_file_may_be_read_from_anywhere_as_long_as_it_goes_on_from_there() -> None:
    sftp = opened()
    sftp.sent(say.read(2, b"\x00\x01", 5000, 100) + say.read(3, b"\x00\x01", 5100, 100))
    sftp.answered(say.data(2, b"a" * 100) + say.data(3, b"b" * 100))

    assert closed(sftp)[0].sha256 == sha256(b"a" * 100 + b"b" * 100)


def test_answers_may_overtake_each_other() -> None:
    sftp = opened()
    for place in range(10):
        sftp.sent(say.read(10 + place, b"\x00\x01", place * 100, 100))
    for place in (3, 2, 9, 0, 1, 4, 8, 7, 5, 6):
        sftp.answered(say.data(10 + place, bytes([place]) * 100))

    assert closed(sftp)[0].sha256 == sha256(b"".join(bytes([place]) * 100 for place in range(10)))


def test_short_answers_are_completed_by_later_ones() -> None:
    sftp = opened()
    sftp.sent(say.read(2, b"\x00\x01", 0, 100) + say.read(3, b"\x00\x01", 100, 100))
    sftp.answered(say.data(2, b"a" * 60) + say.data(3, b"b" * 100))
    sftp.sent(say.read(4, b"\x00\x01", 60, 40))
    sftp.answered(say.data(4, b"a" * 40))

    assert closed(sftp) == (Transferred(7, "read", "/data/a", bytes_count=200, sha256=sha256(b"a" * 100 + b"b" * 100)),)


def test_bytes_that_went_by_twice_have_no_digest_and_are_counted() -> None:
    sftp = opened()
    sftp.sent(say.read(2, b"\x00\x01", 0, 100) + say.read(3, b"\x00\x01", 0, 100))
    sftp.answered(say.data(2, b"a" * 100) + say.data(3, b"a" * 100))

    assert closed(sftp) == (Transferred(7, "read", "/data/a", bytes_count=200),)


def test_a_file_with_a_gap_has_no_digest() -> None:
    sftp = opened()
    sftp.sent(say.read(2, b"\x00\x01", 0, 100) + say.read(3, b"\x00\x01", 200, 100))
    sftp.answered(say.data(2, b"a" * 100) + say.data(3, b"a" * 100))

    assert closed(sftp)[0].sha256 == ""


def test_no_more_waits_for_its_place_than_there_is_room_for() -> None:
    sftp = opened(waiting_bytes_max=1000)
    sftp.sent(say.read(2, b"\x00\x01", 0, 500) + say.read(3, b"\x00\x01", 500, 500))
    sftp.sent(say.read(4, b"\x00\x01", 1000, 500))
    sftp.answered(say.data(4, b"c" * 500))
    sftp.answered(say.data(3, b"b" * 500))
    assert sftp._room.left == 1000
    sftp.answered(say.data(2, b"a" * 500))

    assert closed(sftp) == (Transferred(7, "read", "/data/a", bytes_count=1500),)


def test_room_is_given_back_when_the_gap_closes() -> None:
    sftp = opened(waiting_bytes_max=1000)
    for place in range(0, 3000, 1000):
        sftp.sent(say.read(2, b"\x00\x01", place, 500) + say.read(3, b"\x00\x01", place + 500, 500))
        sftp.answered(say.data(3, b"b" * 500) + say.data(2, b"a" * 500))

    assert closed(sftp)[0].sha256 == sha256((b"a" * 500 + b"b" * 500) * 3)


def test_a_write_that_the_server_refuses_does_not_count() -> None:
    sftp = opened(flags=say.WRITE)
    sftp.sent(say.write(2, b"\x00\x01", 0, b"a" * 100) + say.write(3, b"\x00\x01", 100, b"b" * 100))
    sftp.answered(say.status(2) + say.status(3, 4, "No space left"))

    assert closed(sftp) == (Transferred(7, "write", "/data/a", bytes_count=100),)


def test_a_file_that_is_read_and_written_is_told_in_both_directions() -> None:
    sftp = opened(flags=say.READ | say.WRITE)
    sftp.sent(say.read(2, b"\x00\x01", 0, 100) + say.write(3, b"\x00\x01", 0, b"new"))
    sftp.answered(say.data(2, b"old") + say.status(3))

    assert closed(sftp) == (
        Transferred(7, "read", "/data/a", bytes_count=3, sha256=sha256(b"old")),
        Transferred(7, "write", "/data/a", bytes_count=3, sha256=sha256(b"new")),
    )


@pytest.mark.parametrize(
    ("flags", "operation", "detail"),
    [(say.READ, "read", ""), (say.WRITE | say.CREATE, "write", "create"), (say.READ | say.WRITE, "write", "")],
)
def test_a_file_that_no_byte_went_through_is_told_for_what_it_was_opened(
    flags: int, operation: str, detail: str
) -> None:
    assert closed(opened(flags=flags)) == (Transferred(7, operation, "/data/a", sha256=sha256(b""), detail=detail),)


def test_a_file_that_could_not_be_opened_is_told() -> None:
    sftp = begun()
    sftp.sent(say.open_(1, "/etc/shadow"))

    assert sftp.answered(say.status(1, 3, "Permission denied")) == (
        Transferred(7, "read", "/etc/shadow", outcome="Permission denied"),
    )


def test_a_close_may_fail() -> None:
    sftp = opened(flags=say.WRITE)
    sftp.sent(say.close(2, b"\x00\x01"))

    assert [told.outcome for told in sftp.answered(say.status(2, 4))] == ["failure"]


def test_a_file_is_done_with_only_when_its_last_bytes_are_there() -> None:
    sftp = opened()
    sftp.sent(say.read(2, b"\x00\x01", 0, 100) + say.close(3, b"\x00\x01"))
    assert sftp.answered(say.status(3)) == ()

    assert sftp.answered(say.data(2, b"late")) == (
        Transferred(7, "read", "/data/a", bytes_count=4, sha256=sha256(b"late")),
    )


def test_a_handle_may_be_given_again_once_it_is_being_closed() -> None:
    sftp = opened()
    sftp.sent(say.close(2, b"\x00\x01") + say.open_(3, "/data/b"))
    sftp.answered(say.handle(3, b"\x00\x01") + say.status(2))

    assert [told.path for told in closed(sftp)] == ["/data/b"]


OK = say.status(1)


@pytest.mark.parametrize(
    ("request_", "told"),
    [
        (say.asks(13, 1, "/a"), Transferred(7, "remove", "/a")),
        (say.asks(15, 1, "/a"), Transferred(7, "rmdir", "/a")),
        (say.asks(18, 1, "/a", "/b"), Transferred(7, "rename", "/a", "/b")),
        (say.asks(20, 1, "target", "/link"), Transferred(7, "symlink", "target", "/link")),
        (say.packet(14, say.u32(1), say.string("/a"), say.NO_ATTRIBUTES), Transferred(7, "mkdir", "/a")),
        (say.asks(200, 1, "posix-rename@openssh.com", "/a", "/b"), Transferred(7, "rename", "/a", "/b")),
        (say.asks(200, 1, "hardlink@openssh.com", "/a", "/b"), Transferred(7, "hardlink", "/a", "/b")),
        (say.asks(200, 1, "who\x1bknows@example.com", "/a"), Transferred(7, "extended who\ufffdknows@example.com", "")),
        (
            say.packet(9, say.u32(1), say.string("/a"), say.u32(5), say.u64(0), say.u32(0o104755)),
            Transferred(7, "setstat", "/a", detail="size=0 mode=4755"),
        ),
        (
            say.packet(
                200, say.u32(1), say.string("lsetstat@openssh.com"), say.string("/a"),
                say.u32(0x8000000A), say.u32(0), say.u32(50), say.u32(1), say.u32(2),
                say.u32(1), say.string("kind"), say.string("value"),
            ),
            Transferred(7, "setstat", "/a", detail="owner=0:50 times extended"),
        ),
    ],
)  # fmt: skip
def test_a_change_is_told_when_the_server_has_made_it_and_when_it_has_not(request_: bytes, told: Transferred) -> None:
    for answer, outcome in ((OK, "ok"), (say.status(1, 4, "Directory not empty"), "Directory not empty")):
        sftp = begun()
        assert sftp.sent(request_) == ()
        (one,) = sftp.answered(answer)
        assert one == Transferred(7, told.operation, told.path, told.new_path, outcome=outcome, detail=told.detail)


def test_what_an_open_file_is_set_to_is_told_under_its_path() -> None:
    sftp = opened(flags=say.WRITE)
    sftp.sent(say.packet(10, say.u32(2), say.string(b"\x00\x01"), say.u32(1), say.u64(0)))

    assert sftp.answered(say.status(2)) == (Transferred(7, "setstat", "/data/a", detail="size=0"),)


def test_a_copy_on_the_server_is_told_with_both_paths() -> None:
    sftp = opened(flags=say.READ)
    sftp.sent(say.open_(2, "/data/b", say.WRITE))
    sftp.answered(say.handle(2, "b"))
    ends = say.string(b"\x00\x01"), say.u64(0), say.u64(500), say.string("b"), say.u64(0)
    sftp.sent(say.packet(200, say.u32(3), say.string("copy-data"), *ends))

    assert sftp.answered(say.status(3)) == (Transferred(7, "copy", "/data/a", "/data/b", bytes_count=500),)


def test_a_listing_is_told_once_and_looking_is_not() -> None:
    sftp = begun()
    sftp.sent(say.asks(11, 1, "/data") + say.asks(17, 2, "/data/a") + say.asks(7, 3, "/data/a") + say.asks(16, 4, "."))
    assert sftp.answered(say.handle(1, "d")) == (Transferred(7, "list", "/data"),)
    told = sftp.answered(say.packet(105, say.u32(2), say.NO_ATTRIBUTES) + say.status(3, 2) + say.status(4, 2))
    sftp.sent(say.asks(12, 5, "d") + say.asks(8, 6, "d") + say.asks(200, 7, "limits@openssh.com"))
    told += sftp.answered(say.packet(104, say.u32(5), say.u32(0)) + say.status(6) + say.packet(201, say.u32(7)))
    assert told + closed(sftp, b"d") + sftp.end() == ()


def test_what_is_left_open_or_unanswered_is_told_at_the_end() -> None:
    sftp = opened(flags=say.WRITE)
    sftp.sent(say.write(2, b"\x00\x01", 0, b"abc") + say.write(3, b"\x00\x01", 3, b"def"))
    sftp.answered(say.status(2))
    sftp.sent(say.asks(13, 4, "/a"))

    assert sftp.end() == (
        Transferred(7, "remove", "/a", outcome="not answered"),
        Transferred(7, "write", "/data/a", bytes_count=3, outcome="not closed"),
    )
    assert sftp.end() == ()


def test_a_closed_file_that_waits_for_its_last_bytes_is_not_forgotten() -> None:
    sftp = opened()
    sftp.sent(say.read(2, b"\x00\x01", 0, 100) + say.close(3, b"\x00\x01"))
    sftp.answered(say.status(3))

    assert [told.path for told in sftp.end()] == ["/data/a"]


def test_a_path_may_be_no_text() -> None:
    sftp = begun()
    sftp.sent(say.asks(13, 1, b"/\xff"))

    assert sftp.answered(OK)[0].path.encode("utf-8", "surrogateescape") == b"/\xff"


@pytest.mark.parametrize(
    ("words", "outcome"),
    [
        (b"\x1b]52;c;x\x07", "\ufffd]52;c;x\ufffd"),
        (b"x" * 1000, "x" * 200),
        (b"\xff", "\ufffd"),
        (b"ok", "failure"),
        (b"", "failure"),
    ],
)
def test_a_servers_words_are_kept_short_and_harmless(words: bytes, outcome: str) -> None:
    sftp = begun()
    sftp.sent(say.asks(13, 1, "/a"))

    assert [told.outcome for told in sftp.answered(say.status(1, 4, words))] == [outcome]


def test_a_server_may_say_no_more_than_a_number() -> None:
    sftp = begun()
    sftp.sent(say.asks(13, 1, "/a") + say.asks(13, 2, "/b"))
    bare = say.packet(101, say.u32(1), say.u32(8)) + say.packet(101, say.u32(2), say.u32(77))

    assert [told.outcome for told in sftp.answered(bare)] == ["unsupported", "status 77"]


def hostile_clients() -> dict[str, bytes]:
    attributes = say.string("/a"), say.u32(0x80000000), say.u32(2**32 - 1)
    return {
        "a second INIT": INIT,
        "a request of no type": say.packet(99, say.u32(1)),
        "a packet without a number": say.packet(13, b"\x00"),
        "an empty packet": b"\x00\x00\x00\x00",
        "a packet without end": b"\x00\x04\x00\x01",
        "a string that is longer than its packet": say.packet(13, say.u32(1), say.u32(2**32 - 1), b"/a"),
        "attributes without end": say.packet(9, say.u32(1), *attributes),
        "a long path": say.asks(13, 1, "/" * 4097),
        "a number twice": say.asks(13, 1, "/a") + say.asks(13, 1, "/b"),
        "a handle of nobody's": say.read(1, "mine", 0, 1),
        "a close of nobody's": say.close(1, "mine"),
        "more requests than fit": b"".join(say.asks(17, number, "/a") for number in range(9)),
        "more files than fit": b"".join(say.open_(number, "/a") for number in range(5)),
    }


@pytest.mark.parametrize("name", hostile_clients())
def test_a_hostile_client_ends_the_session(name: str) -> None:
    sftp = begun(handles_max=4, requests_max=8)

    with pytest.raises(ProtocolViolation) as why:
        sftp.sent(hostile_clients()[name])
    assert why.value.side == "client"


def hostile_servers() -> dict[str, bytes]:
    return {
        "an answer to nobody": say.status(5),
        "a second answer": say.status(1) + say.status(1),
        "an answer that does not fit": say.data(1, b"x"),
        "an attribute for a read": say.packet(105, say.u32(2), say.NO_ATTRIBUTES),
        "more than was asked for": say.data(2, b"x" * 101),
        "a handle that is another's": say.handle(3, b"\x00\x01"),
        "a long handle": say.handle(3, b"x" * 257),
        "a status without a code": say.packet(101, say.u32(1)),
        "a second VERSION": VERSION,
        "a packet without end": b"\x00\x04\x00\x01",
    }


@pytest.mark.parametrize("name", hostile_servers())
def test_a_hostile_server_ends_the_session(name: str) -> None:
    sftp = opened()
    sftp.sent(say.asks(13, 1, "/a") + say.read(2, b"\x00\x01", 0, 100) + say.open_(3, "/b"))

    with pytest.raises(ProtocolViolation) as why:
        sftp.answered(hostile_servers()[name])
    assert why.value.side == "server"


def test_a_directorys_handle_is_no_files() -> None:
    sftp = begun()
    sftp.sent(say.asks(11, 1, "/data"))
    sftp.answered(say.handle(1, "d"))

    with pytest.raises(ProtocolViolation):
        sftp.sent(say.read(2, "d", 0, 100))


@pytest.mark.parametrize("first", [say.asks(13, 1, "/a"), b"\x00\x00\x00\x01\x01"])
def test_a_client_begins_with_init(first: bytes) -> None:
    with pytest.raises(ProtocolViolation):
        Sftp(7).sent(first)


@pytest.mark.parametrize("first", [say.status(1), say.packet(2, say.u32(6)), say.packet(2)])
def test_a_server_begins_with_the_version_that_is_followed(first: bytes) -> None:
    sftp = Sftp(7)
    sftp.sent(INIT)

    with pytest.raises(ProtocolViolation) as why:
        sftp.answered(first)
    assert why.value.side == "server"


def test_a_server_does_not_speak_first() -> None:
    with pytest.raises(ProtocolViolation):
        Sftp(7).answered(VERSION)


@settings(deadline=None)
@given(asked=st.lists(st.integers(0, 2**16)), answered=st.lists(st.integers(0, 2**16)))
def test_cuts_change_nothing(asked: list[int], answered: list[int]) -> None:
    requests = (
        INIT
        + say.open_(1, "/a")
        + say.asks(13, 2, "/b")
        + say.asks(20, 3, "/b", "/c")
        + say.asks(11, 4, "/d")
        + say.asks(18, 5, "/b", "/c")
    )
    answers = VERSION + say.status(2) + say.status(3, 4, "no") + say.handle(1, "h") + say.handle(4, "d")
    more = say.read(6, "h", 0, 5000) + say.read(7, "h", 5000, 5000) + say.close(8, "h")
    rest = say.data(7, CONTENT[5000:10000]) + say.data(6, CONTENT[:5000]) + say.status(8)

    sftp, told = Sftp(7), list[Transferred]()
    for go in (sftp.sent, requests), (sftp.answered, answers), (sftp.sent, more), (sftp.answered, rest):
        feed, whole = go
        for piece in say.cut(whole, asked if feed == sftp.sent else answered):
            told += feed(piece)

    assert [*told, *sftp.end()] == [
        Transferred(7, "remove", "/b"),
        Transferred(7, "symlink", "/b", "/c", outcome="no"),
        Transferred(7, "list", "/d"),
        Transferred(7, "read", "/a", bytes_count=10000, sha256=sha256(CONTENT[:10000])),
        Transferred(7, "rename", "/b", "/c", outcome="not answered"),
    ]


@settings(deadline=None)
@given(from_client=st.binary(max_size=300), from_server=st.binary(max_size=300))
def test_no_bytes_do_more_harm_than_to_end_the_session(from_client: bytes, from_server: bytes) -> None:
    sftp = opened()
    for feed, noise in (sftp.sent, from_client), (sftp.answered, from_server):
        for payload in (noise, say.string(noise)):
            try:
                feed(payload)
            except ProtocolViolation:
                pass
    sftp.end()
