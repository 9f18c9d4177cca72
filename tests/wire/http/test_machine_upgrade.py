"""After a 101: bytes both ways through whatever the reading makes of them, children, and words at the end."""

import pytest

from hoopproxy.events import Answered, Asked, Closed, Faulted, Forward
from hoopproxy.model import Side
from hoopproxy.settings import Limits
from hoopproxy.wire.http.exchange import UNANSWERED
from hoopproxy.wire.http.lanes import Frame, Kind, framed
from hoopproxy.wire.http.messages import Answer, Headers, RequestHead

from .h2_ends import GET, H2Client, H2Target
from .rig import Echo, FakeReading, Rig

UPGRADE = b"GET /chat HTTP/1.1\r\nHost: x\r\nConnection: keep-alive, Upgrade\r\nUpgrade: websocket\r\n\r\n"
SWITCHED = b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n"


def upgraded(rig: Rig) -> Rig:
    rig.client(UPGRADE)
    assert rig.target(SWITCHED) == SWITCHED
    rig.sent()
    return rig


def test_an_upgrade_is_asked_of_the_target_and_passed_back() -> None:
    rig = Rig()
    rig.client(UPGRADE)
    assert b"connection: upgrade\r\nupgrade: websocket\r\n" in rig.sent()
    assert rig.target(SWITCHED) == SWITCHED
    assert rig.noted()[1] == Answered(1, 101, "HTTP/1.1", (("Connection", "upgrade"), ("Upgrade", "websocket")))
    assert rig.step.is_idle and not rig.step.is_amid and not rig.said


def test_bytes_pass_both_ways() -> None:
    rig = upgraded(Rig())
    assert rig.client(b"ping") == b"" and rig.sent() == b"ping"
    assert rig.target(b"pong") == b"pong" and rig.sent() == b""


def test_what_was_said_with_the_heads_passes_too() -> None:
    rig = Rig()
    rig.client(UPGRADE + b"early")
    assert rig.sent().endswith(b"\r\n\r\n")
    assert rig.target(SWITCHED + b"first") == SWITCHED + b"first"
    assert rig.sent() == b"early"


def test_questions_of_messages_are_asked_by_the_side_that_sent_them() -> None:
    rig = upgraded(Rig())
    rig.answers = False
    rig.client(b"ask")
    assert Side.CLIENT in rig.asks and rig.target(b"meanwhile") == b"meanwhile"
    assert rig.resume(Side.CLIENT, Forward("message")) == b"asked"


def test_either_side_may_end_it() -> None:
    rig = upgraded(Rig())
    rig.client(b"bye")
    assert rig.step.ended and rig.said == [Frame(Kind.CLOSED, 0)] and rig.noted()[-1] == Closed(1)
    rig = upgraded(Rig())
    rig.says(Kind.ENDED)
    assert rig.step.ended and rig.reading.echo.fed[-1] == (Side.SERVER, b"")
    rig = upgraded(Rig())
    rig.client_ends()
    assert rig.step.ended and rig.reading.echo.fed[-1] == (Side.CLIENT, b"")
    assert [fed for fed in rig.reading.echo.fed if fed[1] == b""] == [(Side.CLIENT, b"")]


def test_a_lane_that_breaks_off_ends_it() -> None:
    rig = upgraded(Rig())
    rig.says(Kind.CLOSED, payload=b"reset")
    assert rig.step.ended and rig.reading.echo.fed == [(Side.SERVER, b"")]


def test_what_is_held_back_for_a_time_is_released() -> None:
    rig = upgraded(Rig())
    rig.target(b"hold")
    assert rig.step.hold_s == 0.5
    step = rig.wire.release(Side.SERVER)
    assert step.to_client == framed(Frame(Kind.DATA, 0, b"released")) and not step.hold_s


def test_last_words_are_a_farewell() -> None:
    rig = upgraded(Rig())
    assert rig.wire.words("Bye.") == framed(Frame(Kind.DATA, 0, b"Bye."))
    assert rig.target(b"still there") == b"still there"


def test_another_answer_is_an_ordinary_one_and_the_connection_goes_on() -> None:
    rig = Rig()
    rig.client(UPGRADE + UPGRADE)
    answer = b"HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno"
    assert rig.target(answer) == answer
    assert rig.lanes[0].count(b"GET /chat") == 2 and not rig.step.ended


def test_an_ordinary_answer_opens_no_pipe() -> None:
    rig = Rig()
    rig.client(UPGRADE)
    rig.target(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
    assert not rig.reading.echo.fed and rig.step.is_idle


@pytest.mark.parametrize(
    "request_",
    [
        b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\nConnection: upgrade\r\nUpgrade: h2c\r\n\r\n",
        UPGRADE[:-2] + b"Content-Length: 1\r\n\r\nx",
    ],
    ids=["none", "no connection", "h2c", "body"],
)
def test_a_101_that_nobody_asked_for_is_no_answer(request_: bytes) -> None:
    rig = Rig()
    rig.client(request_)
    said = rig.target(SWITCHED + b"evil")
    assert said.startswith(b"HTTP/1.1 502") and b"evil" not in said and Faulted(1, "502", UNANSWERED) in rig.noted()
    assert rig.said == [Frame(Kind.CLOSED, 0)]


def test_an_upgrade_gets_a_lane_over_http_1() -> None:
    rig = Rig(alpn="h2")
    target = H2Target(rig)
    rig.client(UPGRADE)
    assert rig.said == [Frame(Kind.OPEN, 1, b"http/1.1")] and not target.requests()
    assert rig.target(SWITCHED, 1) == SWITCHED
    rig.client(b"ping")
    assert rig.lanes[1].endswith(b"ping")


def test_an_idle_lane_of_the_wrong_version_makes_room_for_it() -> None:
    rig = Rig(alpn="h2", limits=Limits(lanes_max=1))
    rig.client(UPGRADE)
    assert rig.said == [Frame(Kind.CLOSED, 0), Frame(Kind.OPEN, 1, b"http/1.1")] and rig.sent(1).startswith(
        b"GET /chat"
    )


def test_http_1_0_knows_no_upgrade() -> None:
    rig = Rig()
    rig.client(UPGRADE.replace(b"HTTP/1.1", b"HTTP/1.0"))
    assert rig.target(SWITCHED).startswith(b"HTTP/1.1 502") and rig.step.ended


def test_over_http_2_nobody_upgrades() -> None:
    rig = Rig(alpn="h2")
    client = H2Client(rig)
    H2Target(rig)
    client.ask([*GET, ("sec-websocket-version", "13")])
    assert not rig.said


def here(request: RequestHead) -> tuple[Answer, Echo]:
    return Answer(101, Headers((("connection", "upgrade"), ("upgrade", "SPDY/3.1")))), Echo()


def test_an_upgrade_may_be_answered_by_the_gateway() -> None:
    rig = Rig(reading=FakeReading(made=here))
    request = b"POST /portforward HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: SPDY/3.1\r\n\r\n"
    assert rig.client(request) == (
        b"HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: SPDY/3.1\r\n\r\n"
    )
    assert rig.sent() == b"" and [type(record) for record in rig.noted()] == [Asked, Answered]
    rig.client(b"child")
    assert rig.children == [Frame(Kind.OPEN, 1, b"pod")]
    assert rig.client(b"from the pod", lane=1) == b"from the pod"
    rig.client(b"bye")
    assert rig.step.ended and rig.noted()[-1] == Closed(1)


def test_an_upgrade_that_is_refused_is_not_made() -> None:
    rig = Rig(reading=FakeReading(made=here), refuse=lambda text: "No.")
    assert rig.client(UPGRADE).startswith(b"HTTP/1.1 403") and rig.sent() == b""


def test_frames_of_children_that_nobody_has_are_nobodys() -> None:
    rig = Rig()
    rig.client(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
    assert rig.client(b"lost", lane=3) == b""
