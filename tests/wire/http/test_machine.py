"""One HTTP/1.1 client and an HTTP/1.1 target: order, records, refusals, and everything that may break off."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hoopproxy.errors import ProtocolViolation
from hoopproxy.events import (
    Answered,
    Asked,
    Closed,
    Completed,
    Faulted,
    Forward,
    Plan,
    Reject,
    Rejected,
    Rows,
    Shape,
    Statement,
    Streamed,
)
from hoopproxy.model import Side
from hoopproxy.settings import Limits
from hoopproxy.wire.http.exchange import CUT, UNANSWERED
from hoopproxy.wire.http.lanes import Frame, Kind, framed
from hoopproxy.wire.http.messages import Answer, Headers

from .h2_ends import H2Client
from .rig import FakeReading, Rig, Upper

GET = b"GET /a?b=c HTTP/1.1\r\nHost: x.test\r\n\r\n"
SENT = b"GET /a?b=c HTTP/1.1\r\nHost: target.test\r\n\r\n"
POST = b"POST /a HTTP/1.1\r\nHost: x.test\r\nContent-Length: 3\r\n\r\nabc"
LONG_GET = GET[:-2] + b"A: " + b"x" * 400 + b"\r\n\r\n"
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi"


def kinds(rig: Rig) -> list[str]:
    return [type(record).__name__ for record in rig.noted()]


def test_a_request_is_asked_about_before_a_byte_of_it_goes_anywhere() -> None:
    rig = Rig(answers=False)
    rig.client(POST)
    ask = rig.asks[Side.CLIENT]
    assert isinstance(ask, Statement) and ask.text == "POST /a" and rig.sent() == b"" and not rig.records
    rig.resume(Side.CLIENT, Forward(ask.text))
    assert rig.sent() == b"POST /a HTTP/1.1\r\nHost: target.test\r\nContent-Length: 3\r\n\r\nabc"


def test_what_is_recorded_of_an_exchange_and_in_which_order() -> None:
    rig = Rig()
    rig.client(POST)
    assert rig.target(OK) == OK
    statement = rig.noted()[0].statement
    assert rig.noted() == [
        Asked(statement),
        Streamed(1, "request", b"abc"),
        Answered(1, 200, "HTTP/1.1", (("Content-Length", "2"),)),
        Streamed(1, "response", b"hi"),
        Completed(1, "200", 0),
        Closed(1),
    ]


def test_a_connection_is_idle_between_requests_and_amid_within_an_answer() -> None:
    rig = Rig()
    rig.client(GET)
    assert not rig.step.is_idle and not rig.step.is_amid
    rig.target(OK[:-1])
    assert not rig.step.is_idle and rig.step.is_amid
    rig.target(OK[-1:])
    assert rig.step.is_idle and not rig.step.is_amid and not rig.step.ended


def test_a_head_that_is_not_whole_is_told() -> None:
    rig = Rig()
    rig.client(b"")
    rig.client(GET[:5])
    assert rig.step.is_heading
    rig.client(GET[5:])
    assert not rig.step.is_heading


def test_the_first_bytes_count_as_a_head_too() -> None:
    rig = Rig()
    rig.client(b"P")
    assert rig.step.is_heading
    rig.client(b"OST /a HTTP/1.1\r\nHost: x.test\r\n\r\n")
    assert rig.sent() == b"POST /a HTTP/1.1\r\nHost: target.test\r\nContent-Length: 0\r\n\r\n"


def test_pipelined_requests_are_served_one_after_the_other() -> None:
    rig = Rig()
    rig.client(GET + POST)
    assert rig.sent() == SENT
    rig.target(OK)
    assert rig.sent().startswith(b"POST /a") and [r.statement.number for r in rig.records if isinstance(r, Asked)] == [
        1,
        2,
    ]


def test_a_pipelined_request_is_asked_about_in_the_step_that_made_room_for_it() -> None:
    rig = Rig()
    rig.client(GET + GET)
    rig.answers = False
    rig.target(OK)
    assert Side.SERVER in rig.asks and rig.step.pause == {Side.CLIENT}
    rig.client(GET)  # what was read of it already waits
    assert Side.CLIENT not in rig.asks and not rig.sent()[len(SENT) :]
    rig.answers = True
    rig.resume(Side.SERVER, Forward("GET /a?b=c"))
    assert rig.sent() == SENT


def test_so_much_as_is_kept_is_pipelined_and_no_more() -> None:
    rig = Rig()
    rig.client(GET)
    rig.client(LONG_GET * 200)
    assert rig.step.pause == {Side.CLIENT}
    for _ in range(201):
        rig.target(OK)
    assert not rig.step.pause
    assert rig.to_client.count(b"HTTP/1.1 200 OK") == 201


def test_nobody_is_paused_whose_own_step_is_not_over() -> None:
    rig = Rig(answers=False)
    rig.client(GET + LONG_GET * 200)
    assert Side.CLIENT in rig.asks and not rig.step.pause
    rig.resume(Side.CLIENT, Forward("GET /a?b=c"))
    assert rig.step.pause == {Side.CLIENT}


# Refusals


def test_a_refused_request_is_answered_at_once_and_the_connection_goes_on() -> None:
    rig = Rig(refuse=lambda text: "No.")
    assert rig.client(GET) == b"HTTP/1.1 403 Forbidden\r\ncontent-length: 3\r\n\r\nNo."
    assert rig.sent() == b"" and not rig.step.ended
    assert rig.noted() == [Rejected(rig.noted()[0].statement, "No.")]
    rig.refuse = lambda text: ""
    rig.client(GET)
    assert rig.sent() == SENT and rig.noted()[1].statement.number == 2


def test_a_refused_upload_is_answered_without_being_read() -> None:
    rig = Rig(refuse=lambda text: "No.")
    said = rig.client(b"POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: 200000000\r\n\r\nabc")
    assert said == b"HTTP/1.1 403 Forbidden\r\ncontent-length: 3\r\nconnection: close\r\n\r\nNo."
    assert rig.step.ended and rig.sent() == b"" and not rig.said


def test_what_nobody_needs_to_be_asked_about_takes_no_number() -> None:
    reading = FakeReading(stop=lambda request: Answer(421, Headers()) if request.authority == "other" else None)
    rig = Rig(reading=reading)
    assert rig.client(b"GET / HTTP/1.1\r\nHost: other\r\n\r\n") == (
        b"HTTP/1.1 421 Misdirected Request\r\ncontent-length: 0\r\n\r\n"
    )
    assert not rig.records
    rig.client(GET)
    assert rig.records[0] == Asked(rig.noted()[0].statement) and rig.noted()[0].statement.number == 1


def test_connect_is_no_request_here() -> None:
    rig = Rig()
    assert rig.client(b"CONNECT x.test:443 HTTP/1.1\r\nHost: x.test:443\r\n\r\n").startswith(b"HTTP/1.1 400")
    assert rig.sent() == b"" and not rig.records


def test_the_answer_to_a_refused_head_request_has_no_body() -> None:
    rig = Rig(refuse=lambda text: "No.")
    said = rig.client(b"HEAD / HTTP/1.1\r\nHost: x\r\n\r\n")
    assert said == b"HTTP/1.1 403 Forbidden\r\ncontent-length: 3\r\n\r\n"


def test_an_answer_that_leads_elsewhere_is_replaced_and_its_body_never_read() -> None:
    diverted = FakeReading(divert=lambda head: Answer(502, Headers(), b"elsewhere") if head.status == 302 else None)
    rig = Rig(reading=diverted)
    rig.client(GET)
    said = rig.target(b"HTTP/1.1 302 Found\r\nLocation: https://evil\r\nContent-Length: 9\r\n\r\nab")
    assert b"502 Bad Gateway" in said and said.endswith(b"elsewhere\r\n0\r\n\r\n") and b"evil" not in said
    assert rig.said == [Frame(Kind.CLOSED, 0)] and rig.step.is_idle
    assert rig.noted()[-2:] == [Completed(1, "502", 0), Closed(1)]


# Expectations and interim responses


def test_who_waits_to_be_told_to_go_on_is_told_once_it_is_allowed() -> None:
    head = b"PUT /a HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nExpect: 100-continue\r\n\r\n"
    rig = Rig(answers=False)
    assert rig.client(head) == b""
    assert rig.resume(Side.CLIENT, Forward("PUT /a")) == b"HTTP/1.1 100 Continue\r\n\r\n"
    assert b"xpect" not in rig.sent()
    rig = Rig(refuse=lambda text: "No.")
    assert rig.client(head).startswith(b"HTTP/1.1 403")


def test_interim_responses_are_dropped() -> None:
    rig = Rig()
    rig.client(GET)
    interim = b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n"
    assert rig.target(interim) == b""
    assert rig.target(interim + OK) == OK


# How bodies are framed


@pytest.mark.parametrize(
    ("sent", "seen"),
    [
        (
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n",
            b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n",
        ),
        (
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\nSum: 1\r\nHost: evil\r\n\r\n",
            b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\nsum: 1\r\n\r\n",
        ),
        (b"HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\n", b"HTTP/1.1 204 No Content\r\n\r\n"),
        (b"HTTP/1.1 304 Not Modified\r\nETag: 1\r\n\r\n", b"HTTP/1.1 304 Not Modified\r\nETag: 1\r\n\r\n"),
        (b"HTTP/1.1 200\r\nContent-Length: 0\r\n\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"),
    ],
    ids=["chunked", "trailers", "204", "304", "no reason"],
)
def test_an_answer_keeps_its_meaning(sent: bytes, seen: bytes) -> None:
    rig = Rig()
    rig.client(GET)
    assert rig.target(sent) == seen
    assert rig.step.is_idle and not rig.said


def test_an_answer_to_head_has_no_body_whatever_its_length_says() -> None:
    rig = Rig()
    rig.client(b"HEAD /a HTTP/1.1\r\nHost: x\r\n\r\n")
    head = b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n"
    assert rig.target(head) == head and rig.step.is_idle and not rig.said


def test_an_answer_that_ends_with_its_connection_is_chunked() -> None:
    rig = Rig()
    rig.client(GET)
    said = rig.target(b"HTTP/1.1 200 OK\r\n\r\nhello") + rig.says(Kind.ENDED)
    assert said == b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"
    assert rig.said == [Frame(Kind.CLOSED, 0)] and rig.noted()[-1] == Closed(1) and not rig.step.ended


def test_a_client_of_http_1_0_gets_neither_chunks_nor_a_second_turn() -> None:
    rig = Rig()
    rig.client(b"GET /a HTTP/1.0\r\nHost: x\r\nConnection: keep-alive\r\n\r\n" + GET)
    said = rig.target(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n")
    assert said == b"HTTP/1.1 200 OK\r\nconnection: close\r\n\r\nhi" and rig.step.ended
    assert rig.lanes[0].count(b"GET") == 1


def test_who_says_close_is_closed() -> None:
    rig = Rig()
    rig.client(b"GET /a HTTP/1.1\r\nHost: x\r\nConnection: Close\r\n\r\n")
    assert b"connection: close" in rig.target(OK) and rig.step.ended


def test_a_chunked_upload_stays_one_and_loses_its_trailers() -> None:
    rig = Rig()
    rig.client(
        b"POST /a HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
        b"3;x=y\r\nabc\r\n0\r\nImpersonate-User: root\r\n\r\n"
    )
    assert rig.sent() == (
        b"POST /a HTTP/1.1\r\nHost: target.test\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n"
    )


def test_an_answer_to_half_an_upload_ends_the_connection_behind_it() -> None:
    rig = Rig()
    rig.client(b"POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\nabc")
    said = rig.target(b"HTTP/1.1 413 Too Large\r\nContent-Length: 0\r\n\r\n")
    assert said == b"HTTP/1.1 413 Too Large\r\nContent-Length: 0\r\nconnection: close\r\n\r\n"
    assert rig.step.ended and rig.said == [Frame(Kind.CLOSED, 0)]


def test_an_answer_may_begin_before_its_request_ended() -> None:
    rig = Rig()
    rig.client(b"POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: 6\r\n\r\nabc")
    assert rig.target(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nhe").endswith(b"\r\n\r\nhe")
    rig.client(b"def")
    assert rig.sent().endswith(b"abcdef")
    assert rig.target(b"llo!"[:2]) == b"ll"


# Masks


def test_a_document_is_masked_whole_and_its_length_told() -> None:
    rig = Rig(reading=FakeReading(body_of=lambda request, response: Upper(is_whole=True)))
    rig.client(GET)
    assert rig.target(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nETag: 1\r\n\r\nhel") == b""
    assert not rig.step.is_amid
    assert rig.target(b"lo") == b"HTTP/1.1 200 OK\r\nETag: 1\r\ncontent-length: 5\r\n\r\nHELLO"
    assert rig.noted()[1:] == [
        Rows(1, b"", 1, 1),
        Answered(1, 200, "HTTP/1.1", (("ETag", "1"), ("content-length", "5"))),
        Streamed(1, "response", b"HELLO"),
        Completed(1, "200", 1),
        Closed(1),
    ]


def test_a_stream_is_masked_as_it_comes() -> None:
    rig = Rig(reading=FakeReading(body_of=lambda request, response: Upper(is_whole=False)))
    rig.client(GET)
    said = rig.target(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhel")
    assert said == b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\nHEL\r\n"
    assert rig.target(b"lo") == b"2\r\nLO\r\n0\r\n\r\n"


def test_while_a_mask_is_asked_for_nothing_of_the_target_is_looked_at() -> None:
    rig = Rig(reading=FakeReading(body_of=lambda request, response: Upper(is_whole=False)))
    rig.client(GET)
    rig.answers = False
    rig.target(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello")
    assert isinstance(rig.asks[Side.SERVER], Shape) and b"hello" not in rig.to_client
    assert rig.resume(Side.SERVER, Plan(rig.asks[Side.SERVER], ())) == b"5\r\nHELLO\r\n0\r\n\r\n"


@pytest.mark.parametrize("is_whole", [True, False], ids=["whole", "streamed"])
def test_a_body_that_may_not_pass_is_refused(is_whole: bool) -> None:
    rig = Rig(reading=FakeReading(body_of=lambda request, response: Upper(is_whole, refusal="Never.")))
    rig.client(GET)
    said = rig.target(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello")
    assert b"hello" not in said.lower() and Faulted(1, "502", "Never.") in rig.noted()
    if is_whole:
        assert said.startswith(b"HTTP/1.1 502 Bad Gateway") and said.endswith(b"Never.") and not rig.step.ended
    else:
        assert not said.endswith(b"0\r\n\r\n") and rig.step.ended


def test_a_client_that_leaves_while_its_mask_is_asked_for_is_sent_nothing() -> None:
    rig = Rig(reading=FakeReading(body_of=lambda request, response: Upper(is_whole=True)))
    rig.client(POST[:-1])
    rig.answers = False
    rig.target(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello")
    rig.client_ends()
    assert rig.step.ended and rig.resume(Side.SERVER, Plan(rig.asks[Side.SERVER], ())) == b""


# Lanes


def test_a_lane_is_used_again_and_again() -> None:
    rig = Rig()
    for _ in range(3):
        rig.client(GET)
        rig.target(OK)
    assert bytes(rig.lanes[0]) == SENT * 3 and not rig.said


def test_an_idle_lane_that_the_target_closes_is_forgotten_and_another_made() -> None:
    rig = Rig()
    rig.client(GET)
    rig.target(OK)
    assert rig.says(Kind.CLOSED) == b"" and not rig.step.ended and not rig.said
    rig.client(GET)
    assert rig.said == [Frame(Kind.OPEN, 1, b"http/1.1")] and rig.sent(1) == SENT
    assert rig.target(OK, 1) == OK


def test_a_lane_whose_target_says_close_is_given_up() -> None:
    rig = Rig()
    rig.client(GET)
    rig.target(b"HTTP/1.1 200 OK\r\nConnection: CLOSE\r\nContent-Length: 0\r\n\r\n")
    assert rig.said == [Frame(Kind.CLOSED, 0)]


def test_a_lane_that_says_more_than_it_was_asked_is_given_up() -> None:
    rig = Rig()
    rig.client(GET)
    assert rig.target(OK + OK) == OK
    assert rig.said == [Frame(Kind.CLOSED, 0)] and not rig.step.ended


@pytest.mark.parametrize("kind", [Kind.ENDED, Kind.CLOSED])
def test_what_a_stale_lane_did_not_answer_is_asked_once_more_on_a_fresh_one(kind: Kind) -> None:
    rig = Rig()
    rig.client(GET)
    rig.target(OK)
    rig.sent()
    rig.client(GET)
    assert rig.says(kind) == b"" and rig.sent() == SENT
    assert Frame(Kind.OPEN, 1, b"http/1.1") in rig.said and rig.sent(1) == SENT
    assert rig.target(OK, 1) == OK
    assert [type(record) for record in rig.records].count(Asked) == 2


@pytest.mark.parametrize("request_", [POST, GET.replace(b"GET", b"POST")], ids=["body", "method"])
def test_what_may_have_been_done_is_not_asked_again(request_: bytes) -> None:
    rig = Rig()
    rig.client(GET)
    rig.target(OK)
    rig.client(request_)
    said = rig.says(Kind.CLOSED)
    assert said.startswith(b"HTTP/1.1 502") and not rig.said and Faulted(2, "502", UNANSWERED) in rig.noted()


def test_the_second_failure_is_told() -> None:
    rig = Rig()
    rig.client(GET)
    rig.target(OK)
    rig.client(GET)
    rig.says(Kind.CLOSED)
    assert rig.says(Kind.CLOSED, 1).startswith(b"HTTP/1.1 502") and rig.noted()[-1] == Closed(2)


def test_a_lane_that_cannot_be_made_answers_in_its_own_words() -> None:
    rig = Rig(opens=False)
    rig.says(Kind.CLOSED)
    rig.client(GET)
    said = rig.says(Kind.REFUSED, 1, b"The target is away.")
    assert said.startswith(b"HTTP/1.1 502") and said.endswith(b"The target is away.") and not rig.step.ended
    assert kinds(rig) == ["Asked", "Faulted", "Answered", "Streamed", "Closed"]


def test_while_a_lane_is_missing_nobody_waits_for_one_dial_after_the_other() -> None:
    rig = Rig(alpn="h2", opens=False)
    client = H2Client(rig)
    rig.says(Kind.CLOSED)
    streams = [client.ask() for _ in range(5)]
    assert len(rig.said) == 1
    rig.says(Kind.REFUSED, 1, b"The target is away.")
    client.hear()
    assert {client.head(stream)[":status"] for stream in streams} == {"502"} and len(rig.said) == 1


def test_a_body_that_waits_for_its_lane_is_not_kept_without_bound() -> None:
    rig = Rig(opens=False)
    rig.says(Kind.CLOSED)
    rig.client(b"POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: 9000000\r\n\r\n" + b"x" * 300_000)
    assert rig.step.pause == {Side.CLIENT}
    rig.says(Kind.OPENED, 1, b"")
    assert not rig.step.pause and len(rig.sent(1)) > 300_000


# Broken off


@pytest.mark.parametrize("why", [b"", b"It was reset."], ids=["in peace", "broken"])
def test_an_answer_that_breaks_off_is_seen_to_be_cut(why: bytes) -> None:
    rig = Rig()
    rig.client(GET)
    rig.target(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhel")
    assert rig.says(Kind.CLOSED, payload=why) == b"" and rig.step.ended
    assert rig.noted()[-2:] == [Faulted(1, "502", CUT), Closed(1)]


def test_an_answer_to_its_connections_end_is_cut_if_that_broke_off() -> None:
    rig = Rig()
    rig.client(GET)
    rig.target(b"HTTP/1.1 200 OK\r\n\r\nhel")
    assert rig.says(Kind.CLOSED, payload=b"It was reset.") == b"" and rig.step.ended
    assert Faulted(1, "502", CUT) in rig.noted()


@pytest.mark.parametrize(
    "answer",
    [
        b"SMTP ready\r\n\r\n",
        b"HTTP/1.1 +200 OK\r\n\r\n",
        b"HTTP/2.0 200 OK\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: +1\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nA: b\r\n c\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nA: b\rc\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nA : b\r\n\r\n",
        b"HTTP/1.1 200 OK\nA: b\n\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nA: " + b"x" * 70_000,
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: upgrade\r\n\r\n",
    ],
    ids=lambda raw: raw[:60].decode("latin-1"),
)
def test_an_answer_that_cannot_be_read_in_one_way_alone_is_none(answer: bytes) -> None:
    rig = Rig()
    rig.client(GET)
    said = rig.target(answer)
    assert said.startswith(b"HTTP/1.1 502 Bad Gateway\r\n") and said.endswith(UNANSWERED.encode())
    assert rig.said == [Frame(Kind.CLOSED, 0)] and not rig.step.ended


def test_a_client_that_asks_for_no_more_hears_the_answer() -> None:
    rig = Rig()
    rig.client(GET + GET)
    rig.client_ends()
    assert not rig.step.ended
    rig.target(OK)
    assert not rig.step.ended
    assert rig.target(OK) == OK and rig.step.ended and rig.lanes[0].count(b"GET") == 2


def test_a_client_that_leaves_amid_its_upload_cancels_it() -> None:
    rig = Rig()
    rig.client(POST[:-1])
    assert rig.client_ends() == b"" and rig.step.ended
    assert rig.said == [Frame(Kind.CLOSED, 0)] and rig.noted()[-1] == Closed(1)


def test_a_client_that_leaves_while_it_is_idle_ends_the_connection() -> None:
    for before in (b"", GET[:7]):
        rig = Rig()
        rig.client(before)
        rig.client_ends()
        assert rig.step.ended


def test_the_connection_ends_when_its_targets_side_does() -> None:
    rig = Rig()
    rig.client(GET)
    rig.feed(Side.SERVER, b"")
    assert rig.step.ended


# Words


def test_last_words_answer_what_has_no_answer_yet_and_change_nothing() -> None:
    rig = Rig()
    assert rig.wire.words("Bye.") == b""
    rig.client(POST)
    said = rig.wire.words("Bye.")
    assert said == framed(
        Frame(Kind.DATA, 0, b"HTTP/1.1 503 Service Unavailable\r\ncontent-length: 4\r\nconnection: close\r\n\r\nBye.")
    )
    assert rig.target(OK) == OK and rig.wire.words("Bye.") == b""


def test_nothing_is_said_inside_an_answer() -> None:
    rig = Rig()
    rig.client(GET)
    rig.target(OK[:-1])
    assert rig.wire.words("Bye.") == b""


# However it is cut


def cut(data: bytes, at: list[int]) -> list[bytes]:
    places = [0, *sorted({place % (len(data) + 1) for place in at}), len(data)]
    return [piece for begin, end in pairwise(places) if (piece := data[begin:end])]


CHUNKED = (
    b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    b"5\r\nhello\r\n3\r\nyou\r\n0\r\nA: b\r\n\r\n"
)
UPLOAD = b"POST /u HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nabcd\r\n2\r\nef\r\n0\r\n\r\n"


def bodies(raw: bytes) -> bytes:
    """All that is no chunk's framing."""
    return raw.translate(None, b"0123456789\r\n")


@given(st.lists(st.integers(0, 10_000), max_size=30), st.lists(st.integers(0, 10_000), max_size=30), st.booleans())
def test_it_does_not_matter_how_the_bytes_are_cut(client: list[int], target: list[int], masked: bool) -> None:
    def run(client: list[int], target: list[int]) -> Rig:
        reading = FakeReading(body_of=lambda request, response: Upper(is_whole=True) if masked else None)
        rig = Rig(reading=reading)
        for piece in cut(b"\r\n" + GET + UPLOAD, client):
            rig.client(piece)
        for piece in cut(framed(Frame(Kind.DATA, 0, OK)), target):
            rig.feed(Side.SERVER, piece)
        for piece in cut(framed(Frame(Kind.DATA, 0, CHUNKED)), target):
            rig.feed(Side.SERVER, piece)
        return rig

    whole, rig = run([], []), run(client, target)
    assert rig.noted() == whole.noted()
    assert bodies(bytes(rig.to_client)) == bodies(bytes(whole.to_client))
    assert bodies(bytes(rig.lanes[0])) == bodies(bytes(whole.lanes[0]))
    assert rig.said == whole.said and rig.step.is_idle


@given(st.binary(max_size=2000), st.lists(st.integers(0, 10_000), max_size=10))
def test_without_masks_a_body_arrives_as_it_was_sent(body: bytes, at: list[int]) -> None:
    rig = Rig()
    rig.client(b"PUT /u HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body))
    assert rig.sent().partition(b"\r\n\r\n")[2] == body
    for piece in cut(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body), at):
        rig.target(piece)
    assert bytes(rig.to_client).partition(b"\r\n\r\n")[2] == body


def test_a_step_that_goes_through_much_leaves_others_their_turn() -> None:
    rig = Rig(refuse=lambda text: "No.")
    step = rig.wire.feed(
        Side.CLIENT, framed(Frame(Kind.DATA, 0, b"PUT / HTTP/1.1\r\nHost: x\r\nContent-Length: 9999999\r\n\r\n"))
    )
    assert step.ask is not None
    rig.wire.resume(Side.CLIENT, Forward(step.ask.text))
    step = rig.wire.feed(Side.CLIENT, framed(Frame(Kind.DATA, 0, b"x" * 9_000_000)))
    assert step.more
    steps = 1
    while step.more:
        step = rig.wire.resume(Side.CLIENT, None)
        steps += 1
    assert steps > 4


# Whoever drives it wrongly


def test_whoever_feeds_a_side_that_waits_is_wrong() -> None:
    rig = Rig(answers=False)
    rig.client(GET)
    with pytest.raises(AssertionError, match="not finished"):
        rig.client(GET)
    with pytest.raises(AssertionError, match="not finished"):
        rig.wire.resume(Side.SERVER, None)


def test_a_request_is_not_rewritten() -> None:
    rig = Rig(answers=False)
    rig.client(GET)
    with pytest.raises(AssertionError, match="rewritten"):
        rig.wire.resume(Side.CLIENT, Forward("GET /other"))


def test_what_is_malformed_is_answered_and_then_told() -> None:
    rig = Rig()
    rig.client(GET)
    rig.target(OK)
    step = rig.wire.feed(Side.CLIENT, framed(Frame(Kind.DATA, 0, b"nonsense\r\n\r\n")))
    assert b"400 Bad Request" in step.to_client and step.more and step.is_amid and not step.ended
    assert rig.wire.words("Bye.") == b""
    with pytest.raises(ProtocolViolation) as caught:
        rig.wire.resume(Side.CLIENT, None)
    assert caught.value.side == "client"
    with pytest.raises(ProtocolViolation):
        rig.target(OK)


def test_limits_are_the_configured_ones() -> None:
    rig = Rig(limits=Limits(head_bytes_max=60))
    with pytest.raises(ProtocolViolation):
        rig.client(b"GET / HTTP/1.1\r\nHost: x.test\r\nA: " + b"x" * 60)
    assert b"400 Bad Request" in rig.to_client and isinstance(Reject("x"), Reject)
