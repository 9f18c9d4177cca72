"""HTTP/2 on either side, or on both: streams, lanes, and what one version says differently from the other."""

import pytest
from h2.errors import ErrorCodes
from hypothesis import given, settings
from hypothesis import strategies as st

from hoopproxy.errors import ProtocolViolation
from hoopproxy.events import Closed, Completed, Faulted, Forward, Statement
from hoopproxy.model import Side
from hoopproxy.settings import Limits
from hoopproxy.wire.http.client_half import UNFINISHED_RESETS_MAX
from hoopproxy.wire.http.exchange import CUT, UNANSWERED
from hoopproxy.wire.http.lanes import Frame, Kind

from .h2_ends import GET, POST, H2Client, H2Target
from .rig import FakeReading, Rig, Upper

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi"


def rig_h2(**more: object) -> Rig:
    return Rig(alpn="h2", made_alpn="h2", **more)  # type: ignore[arg-type] # as of a Rig


# h2 to h1


def test_the_preface_that_was_sent_already_is_not_sent_again() -> None:
    rig = Rig()
    client = H2Client(rig)
    assert client.ask() == 1 and rig.sent() == b"GET /a HTTP/1.1\r\nHost: target.test\r\n\r\n"
    rig.target(OK)
    client.hear()
    assert client.head(1) == {":status": "200", "content-length": "2"} and client.body(1) == b"hi" and client.ended(1)
    assert rig.step.is_idle and not rig.step.ended


def test_the_version_is_known_by_the_whole_preface_only() -> None:
    rig = Rig()
    for byte in b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"[:-1]:
        rig.client(bytes((byte,)))
        assert rig.step.is_heading and not rig.to_client
    rig.client(b"\n")
    assert not rig.step.is_heading


def test_crumbs_of_cookies_are_joined() -> None:
    rig = Rig()
    H2Client(rig).ask([*GET, ("cookie", "a=b"), ("x", "y"), ("cookie", "c=d")])
    assert b"cookie: a=b; c=d\r\n" in rig.sent()


def test_an_upload_of_unknown_length_is_chunked() -> None:
    rig = Rig()
    H2Client(rig).ask(POST, b"abc")
    assert rig.sent().endswith(b"Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n")


def test_requests_at_once_take_a_lane_each_and_then_wait_in_order() -> None:
    rig = Rig(limits=Limits(lanes_max=3))
    client = H2Client(rig)
    streams = [client.ask([*GET[:3], (":path", f"/{n}")]) for n in range(5)]
    assert [frame.lane for frame in rig.said] == [1, 2]
    assert [rig.sent(lane)[5:6] for lane in range(3)] == [b"0", b"1", b"2"]
    rig.target(OK, 1)
    assert rig.sent(1)[5:6] == b"3"
    rig.target(OK, 0)
    assert rig.sent(0)[5:6] == b"4"
    for lane in range(3):
        rig.target(OK, lane)
    client.hear()
    assert all(client.ended(stream) for stream in streams) and len(rig.said) == 2


def test_lanes_are_used_again() -> None:
    rig = Rig()
    client = H2Client(rig)
    for _ in range(20):
        client.ask()
        rig.target(OK)
    assert not rig.said


def test_an_answer_without_a_length_needs_none() -> None:
    rig = Rig()
    client = H2Client(rig)
    client.ask()
    rig.target(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nKeep-Alive: 5\r\n\r\n2\r\nhi\r\n0\r\nSum: 1\r\n\r\n")
    client.hear()
    assert client.head(1) == {":status": "200"} and client.trailers(1) == {"sum": "1"} and client.ended(1)


def test_an_answer_that_breaks_off_resets_its_stream_and_no_other() -> None:
    rig = Rig()
    client = H2Client(rig)
    client.ask()
    client.ask()
    rig.target(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc")
    rig.says(Kind.CLOSED)
    rig.target(OK, 1)
    client.hear()
    assert client.reset(1) == ErrorCodes.INTERNAL_ERROR and client.ended(3) and not rig.step.ended
    assert Faulted(1, "502", CUT) in rig.noted()


def test_a_client_that_takes_a_request_back_cancels_it_alone() -> None:
    rig = Rig()
    client = H2Client(rig)
    client.ask()
    client.ask()
    client.h2.reset_stream(1, ErrorCodes.CANCEL)
    client.flush()
    assert Frame(Kind.CLOSED, 0) in rig.said and rig.noted()[-1] == Closed(1)
    rig.target(OK, 1)
    client.hear()
    assert client.ended(3)


def test_a_request_that_waits_may_be_taken_back() -> None:
    rig = Rig(limits=Limits(lanes_max=1))
    client = H2Client(rig)
    client.ask()
    client.ask()
    client.h2.reset_stream(3, ErrorCodes.CANCEL)
    client.flush()
    rig.sent()
    rig.target(OK)
    assert rig.sent() == b"" and rig.step.is_idle


def test_a_client_that_leaves_cancels_all() -> None:
    rig = rig_h2()
    target, client = H2Target(rig), H2Client(rig)
    client.ask(POST, b"abc", ends=False)
    client.ask()
    rig.client_ends()
    assert (
        rig.step.ended
        and rig.step.is_idle
        and [r for r in rig.noted() if isinstance(r, Closed)]
        == [
            Closed(1),
            Closed(2),
        ]
    )
    assert target.reset(1) == ErrorCodes.CANCEL


def test_a_refused_upload_is_answered_and_its_stream_reset_when_it_goes_on() -> None:
    rig = Rig(refuse=lambda text: "No.")
    client = H2Client(rig)
    stream = client.ask(POST, b"abc", ends=False)
    assert client.head(stream)[":status"] == "403" and client.body(stream) == b"No." and client.ended(stream)
    assert client.reset(stream) is None
    _go_on(client, stream)
    assert client.reset(stream) == ErrorCodes.NO_ERROR and rig.sent() == b"" and not rig.step.ended
    assert client.ask() == 3


def _go_on(client: H2Client, stream: int) -> None:
    """Send more than could have been on its way before the answer was read."""
    for _ in range(17):
        client.h2.send_data(stream, bytes(1 << 14))
        client.flush()


def test_what_is_still_sent_for_a_refused_upload_costs_the_connection_no_credit() -> None:
    rig = Rig(refuse=lambda text: "No.")
    client = H2Client(rig)
    for _ in range(200):
        stream = client.h2.get_next_available_stream_id()
        client.h2.send_headers(stream, POST)
        for _ in range(3):
            client.h2.send_data(stream, b"x" * 16384)
        client.flush()
        client.h2.reset_stream(stream, ErrorCodes.CANCEL)
    assert client.h2.outbound_flow_control_window > 1 << 20


def test_questions_wait_for_each_other_and_answers_do_not() -> None:
    rig = Rig()
    client = H2Client(rig)
    client.ask()
    rig.answers = False
    client.ask()
    client.rig.asks.clear()
    rig.target(OK)
    client.hear()
    assert client.ended(1)
    rig.answers = True
    rig.resume(Side.CLIENT, Forward("GET /a"))
    assert rig.sent().count(b"GET") == 2


def test_an_expectation_is_met() -> None:
    rig = Rig()
    client = H2Client(rig)
    client.ask([*POST, ("expect", "100-continue")], ends=False)
    assert any(type(event).__name__ == "InformationalResponseReceived" for event in client.events)


# h2 to h2


def test_all_requests_share_one_lane() -> None:
    rig = rig_h2()
    client, target = H2Client(rig), H2Target(rig)
    streams = [client.ask() for _ in range(8)]
    asked = target.requests()
    assert (
        len(asked) == 8
        and not rig.said
        and asked[0][1]
        == {
            ":method": "GET",
            ":scheme": "https",
            ":authority": "target.test",
            ":path": "/a",
        }
    )
    for stream, _ in reversed(asked):
        target.answer(stream, b"%d" % stream)
    client.hear()
    assert [client.body(stream) for stream in streams] == [b"%d" % stream for stream, _ in asked]


def test_a_call_goes_both_ways_at_once_and_ends_with_trailers() -> None:
    rig = rig_h2()
    client, target = H2Client(rig), H2Target(rig)
    stream = client.ask([*POST, ("te", "trailers")], b"one", ends=False)
    ((theirs, head),) = target.requests()
    assert head["te"] == "trailers"
    target.answer(theirs, b"uno", ends=False)
    client.hear()
    assert client.body(stream) == b"uno"
    client.h2.send_data(stream, b"two", end_stream=True)
    client.flush()
    target.flush()
    assert target.body(theirs) == b"onetwo" and target.ended(theirs)
    target.h2.send_data(theirs, b"dos")
    target.h2.send_headers(theirs, [("grpc-status", "5"), ("content-type", "no")], end_stream=True)
    target.flush()
    client.hear()
    assert client.body(stream) == b"unodos" and client.trailers(stream) == {"grpc-status": "5"} and client.ended(stream)
    assert Completed(1, "200", 0) in rig.noted()


def test_an_answer_of_fields_alone_stays_one() -> None:
    rig = rig_h2()
    client, target = H2Client(rig), H2Target(rig)
    stream = client.ask(POST, b"x")
    ((theirs, _),) = target.requests()
    target.h2.send_headers(theirs, [(":status", "200"), ("grpc-status", "12")], end_stream=True)
    target.flush()
    client.hear()
    assert client.head(stream)["grpc-status"] == "12" and client.ended(stream) and client.body(stream) == b""


def test_an_answer_to_half_an_upload_ends_it_without_an_error() -> None:
    rig = rig_h2()
    client, target = H2Client(rig), H2Target(rig)
    stream = client.ask(POST, b"half", ends=False)
    ((theirs, _),) = target.requests()
    target.answer(theirs, b"enough")
    client.hear()
    assert client.body(stream) == b"enough" and client.reset(stream) is None
    _go_on(client, stream)
    assert client.reset(stream) == ErrorCodes.NO_ERROR
    assert target.reset(theirs) == ErrorCodes.CANCEL and rig.step.is_idle


@pytest.mark.parametrize("body", [None, b"", b"half"])
def test_an_answer_that_comes_along_with_a_reset_is_passed_on_without_one(body: bytes | None) -> None:
    """A target that wants no more of an upload says so right behind its answer (RFC 9113 §8.1), and clients of the
    gateway that would lose both (curl 7.88) are sent the answer alone, whenever they end what they send."""
    rig = rig_h2()
    client, target = H2Client(rig), H2Target(rig)
    stream = client.ask(POST, body, ends=False)
    ((theirs, _),) = target.requests()
    target.h2.send_headers(theirs, [(":status", "307"), ("content-length", "10")])
    target.h2.send_data(theirs, b"Elsewhere.", end_stream=True)
    target.h2.reset_stream(theirs, ErrorCodes.NO_ERROR)
    target.flush()
    client.hear()
    client.h2.send_data(stream, b"twenty bytes of body", end_stream=True)
    client.flush()
    assert client.head(stream)[":status"] == "307" and client.body(stream) == b"Elsewhere." and client.ended(stream)
    assert client.reset(stream) is None and client.goaway() is None and rig.step.is_idle


def test_what_the_target_takes_back_is_told() -> None:
    rig = rig_h2()
    client, target = H2Client(rig), H2Target(rig)
    stream = client.ask()
    ((theirs, _),) = target.requests()
    target.h2.reset_stream(theirs, ErrorCodes.INTERNAL_ERROR)
    target.flush()
    client.hear()
    assert client.head(stream)[":status"] == "502" and client.body(stream) == UNANSWERED.encode()


def test_what_the_target_says_it_has_not_looked_at_is_asked_once_more() -> None:
    rig = rig_h2()
    client, target = H2Client(rig), H2Target(rig)
    client.ask([*POST, ("content-length", "0")])
    ((theirs, _),) = target.requests()
    target.h2.reset_stream(theirs, ErrorCodes.REFUSED_STREAM)
    target.flush()
    assert len(target.requests()) == 2


def test_a_target_that_takes_no_more_finishes_what_it_has() -> None:
    rig = rig_h2()
    client, target = H2Client(rig), H2Target(rig)
    first = client.ask()
    ((theirs, _),) = target.requests()
    target.rig.target(bytes.fromhex("000008 07 00 00000000") + theirs.to_bytes(4) + bytes(4))  # GOAWAY, NO_ERROR
    second = client.ask()
    assert Frame(Kind.OPEN, 1, b"h2,http/1.1") in rig.said
    other = H2Target(rig, lane=1)
    ((late, _),) = other.requests()
    target.answer(theirs, b"one")
    other.answer(late, b"two")
    client.hear()
    assert client.body(first) == b"one" and client.body(second) == b"two"
    assert Frame(Kind.CLOSED, 0) in rig.said


def test_a_client_that_takes_no_more_hears_what_it_asked_for() -> None:
    rig = Rig()
    client = H2Client(rig)
    client.ask()
    rig.client(bytes.fromhex("000008 07 00 00000000") + bytes(8))
    rig.target(OK)
    client.hear()
    assert client.ended(1) and not rig.step.ended


def test_a_target_with_few_streams_is_sent_no_more_and_another_lane_made() -> None:
    rig = rig_h2()
    target = H2Target(rig)
    target.h2.update_settings({3: 2})  # MAX_CONCURRENT_STREAMS
    target.flush()
    client = H2Client(rig)
    for _ in range(3):
        client.ask()
    assert len(target.requests()) == 2 and [frame.kind for frame in rig.said] == [Kind.OPEN]
    assert len(H2Target(rig, lane=1).requests()) == 1


def test_a_target_that_breaks_the_rules_is_closed_and_all_its_requests_answered() -> None:
    rig = rig_h2()
    client, target = H2Client(rig), H2Target(rig)
    streams = [client.ask(POST, b"x") for _ in range(3)]
    target.requests()
    rig.target(b"\x00\x00\x00\x05\x00\x00\x00\x00\x00" * 3)  # PUSH_PROMISE on stream 0
    client.hear()
    assert {client.head(stream)[":status"] for stream in streams} == {"502"}
    assert Frame(Kind.CLOSED, 0) in rig.said and not rig.step.ended


def test_a_lane_of_another_version_serves_as_well() -> None:
    rig = Rig(alpn="h2", made_alpn="http/1.1")
    client = H2Client(rig)
    rig.says(Kind.CLOSED)
    stream = client.ask()
    assert Frame(Kind.OPEN, 1, b"h2,http/1.1") in rig.said and rig.sent(1).startswith(b"GET /a HTTP/1.1")
    rig.target(OK, 1)
    client.hear()
    assert client.body(stream) == b"hi"


# h1 to h2


def test_a_client_of_http_1_speaks_to_a_target_of_http_2() -> None:
    rig = rig_h2()
    target = H2Target(rig)
    rig.client(b"POST /a HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nX-A: b\r\n\r\n3\r\nabc\r\n0\r\n\r\n")
    ((stream, head),) = target.requests()
    assert head["x-a"] == "b" and "transfer-encoding" not in head and target.body(stream) == b"abc"
    target.answer(stream, b"hi")
    assert bytes(rig.to_client) == (b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n")


@pytest.mark.parametrize(
    ("status", "seen"), [("204", b"HTTP/1.1 204 No Content\r\n\r\n"), ("304", b"HTTP/1.1 304 Not Modified\r\n\r\n")]
)
def test_an_answer_without_a_body_has_none_whatever_follows(status: str, seen: bytes) -> None:
    for ends in (True, False):
        rig = rig_h2()
        target = H2Target(rig)
        rig.client(b"GET /a HTTP/1.1\r\nHost: x\r\n\r\n")
        ((stream, _),) = target.requests()
        target.h2.send_headers(stream, [(":status", status)], end_stream=ends)
        if not ends:
            target.h2.end_stream(stream)
        target.flush()
        assert bytes(rig.to_client) == seen


def test_a_body_where_there_is_none_to_be_is_never_passed_on() -> None:
    rig = rig_h2()
    target = H2Target(rig)
    rig.client(b"GET /a HTTP/1.1\r\nHost: x\r\n\r\n")
    ((stream, _),) = target.requests()
    target.answer(stream, b"HTTP/1.1 200 OK\r\n\r\nevil", status="204")
    assert b"evil" not in rig.to_client and rig.step.ended


# Masks, words, floods


def test_a_masked_document_comes_whole_over_http_2_too() -> None:
    rig = rig_h2(reading=FakeReading(body_of=lambda request, response: Upper(is_whole=True)))
    client, target = H2Client(rig), H2Target(rig)
    stream = client.ask()
    ((theirs, _),) = target.requests()
    target.answer(theirs, b"x" * 60_000, ends=False)
    for _ in range(19):
        target.h2.send_data(theirs, b"y" * 10_000)
        target.flush()
    target.h2.end_stream(theirs)
    target.flush()
    client.hear()
    client.flush()
    assert client.head(stream)["content-length"] == "250000" and client.body(stream) == b"X" * 60_000 + b"Y" * 190_000


def test_last_words_are_said_on_each_stream_without_an_answer_and_change_nothing() -> None:
    rig = rig_h2()
    client, target = H2Client(rig), H2Target(rig)
    begun, waiting = client.ask(), client.ask()
    theirs = [stream for stream, _ in target.requests()]
    target.answer(theirs[0], b"abc", ends=False)
    client.hear()
    said = rig.wire.words("Bye.")
    assert said and said == rig.wire.words("Bye.")
    target.answer(theirs[1], b"hi")
    client.hear()
    assert client.body(waiting) == b"hi"  # it was only said to nobody
    ended = rig_h2()
    again = H2Client(ended)
    again.ask()
    last = ended.wire.words("Bye.")
    again._hear(last[9:])
    assert again.head(1)[":status"] == "503" and again.body(1) == b"Bye." and again.goaway() == 0
    assert not client.ended(begun)


def test_a_client_that_takes_back_more_than_it_lets_be_answered_is_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    assert UNFINISHED_RESETS_MAX == 1000
    monkeypatch.setattr("hoopproxy.wire.http.client_half.UNFINISHED_RESETS_MAX", 20)
    rig = rig_h2()
    H2Target(rig)
    client = H2Client(rig)
    for _ in range(20):
        ask_and_take_back(client)
    with pytest.raises(ProtocolViolation) as caught:
        ask_and_take_back(client)
    client.hear()
    assert client.goaway() == ErrorCodes.ENHANCE_YOUR_CALM and "took back" in caught.value.detail


def ask_and_take_back(client: H2Client) -> None:
    client.h2.reset_stream(client.ask(), ErrorCodes.CANCEL)
    client.flush()


def test_one_lane_serves_very_many_requests_and_remembers_none() -> None:
    rig = rig_h2()
    client, target = H2Client(rig), H2Target(rig)
    for _ in range(50):
        stream = client.ask()
        theirs, _ = target.requests()[-1]
        target.answer(theirs)
        client.hear()
        assert client.ended(stream)
    half = rig.wire._pool._lanes[0].open_half._layer
    assert not half.our_stream_id and not half.their_stream_id and not half.streams and not half.stream_queue
    assert not rig.wire._ends.client._layer.streams and not rig.wire._ends.client._untaken  # type: ignore[union-attr]


@settings(max_examples=30)
@given(st.lists(st.integers(1, 40), min_size=1, max_size=400))
def test_it_does_not_matter_how_the_bytes_of_streams_are_cut(sizes: list[int]) -> None:
    def run(sizes: list[int]) -> Rig:
        quiet = Rig(answers=False)
        client = H2Client(quiet)
        for n in range(3):
            stream = client.h2.get_next_available_stream_id()
            client.h2.send_headers(stream, [*POST[:3], (":path", f"/{n}")])
            client.h2.send_data(stream, b"body" * 20, end_stream=True)
        raw = client.h2.data_to_send()
        rig = Rig(limits=Limits(lanes_max=1))
        rig.client(preface())
        at, turn = 0, 0
        while at < len(raw):
            size = sizes[turn % len(sizes)]
            rig.client(raw[at : at + size])
            at, turn = at + size, turn + 1
        for _ in range(3):
            rig.target(OK)
        return rig

    whole, rig = run([100_000]), run(sizes)
    assert [r for r in rig.noted() if not isinstance(r, Statement)] == whole.noted()
    assert rig.lanes[0].count(b"POST") == 3 and rig.step.is_idle


def preface() -> bytes:
    """What the h2 client of these tests says first."""
    rig = Rig()
    sent: list[bytes] = []
    rig.client = lambda data, lane=0: sent.append(data) or b""  # type: ignore[method-assign,func-returns-value]
    H2Client(rig)
    return b"".join(sent)
