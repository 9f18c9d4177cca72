"""What is relied on of mitmproxy, h2 and h11, so that another version of them fails here and says where."""

from importlib.metadata import version

import h11
import pytest
from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.events import RemoteSettingsChanged, WindowUpdated
from h2.settings import SettingCodes
from mitmproxy import http
from mitmproxy.proxy import commands, events
from mitmproxy.proxy.layers.http import _http1

from hoopproxy.settings import Limits
from hoopproxy.wire.http import heads, parsers
from hoopproxy.wire.http.client_half import Http1ClientHalf, Http2ClientHalf
from hoopproxy.wire.http.halves import CLIENT_PREFACE, SERVER_PREFACE, client_half, server_half
from hoopproxy.wire.http.heads import Unsound
from hoopproxy.wire.http.messages import Headers, RequestHead, ResponseHead
from hoopproxy.wire.http.parts import Broken, Data, End, Head, Malformed, Trailers
from hoopproxy.wire.http.server_half import Http1ServerHalf, Http2ServerHalf

LIMITS = Limits()
GET = RequestHead("GET", "https", "x.test", "/a", "HTTP/1.1", Headers((("A", "b"),)), True)
PUT = RequestHead("PUT", "https", "x.test", "/a", "HTTP/1.1", Headers(), False)


def parts(half: Http1ClientHalf | Http2ClientHalf | Http1ServerHalf | Http2ServerHalf, data: bytes) -> list[object]:
    half.receive(data)
    found = list(half.parts)
    half.parts.clear()
    return found


def test_the_versions_are_the_ones_that_these_tests_were_written_for() -> None:
    assert version("mitmproxy") == "12.2.3"
    assert version("h2").startswith("4.3") and version("h11").startswith("0.16")


def test_mitmproxy_checks_no_types_at_run_time_any_more() -> None:
    assert http.Request.make("GET", "http://x").data.__post_init__() is None
    http.ResponseData(b"", http.Headers(), 5, None, 0, None, 200, b"")  # type: ignore[arg-type] # as wrong as it can be


def test_mitmproxy_reads_its_options_under_these_names() -> None:
    half = Http2ServerHalf(LIMITS)
    half.send(Head(1, GET))
    assert half.taken().startswith(CLIENT_PREFACE)
    assert half._layer.debug is None


def test_an_error_page_of_mitmproxys_is_the_first_that_it_sends_for_a_head() -> None:
    layer = _http1.Http1Server(parsers._context())
    list(layer.handle_event(events.Start()))
    said = list(layer.handle_event(events.DataReceived(layer.conn, b"nonsense\r\n\r\n")))
    assert isinstance(said[0], commands.SendData) and b"mitmproxy" in said[0].data
    assert isinstance(said[1], commands.CloseConnection)


def test_mitmproxy_reads_no_trailers_by_itself() -> None:
    layer = _http1.Http1Server(parsers._context())
    list(layer.handle_event(events.Start()))
    raw = b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nA: b\r\n\r\n"
    with pytest.raises(NotImplementedError):
        list(layer.handle_event(events.DataReceived(layer.conn, raw)))


def test_h11s_buffer_and_readers_are_where_they_were() -> None:
    lines = parsers.Lines(100)
    lines += b"a: b\r\nc: d\r\n\r\n1f"
    assert lines.maybe_extract_lines() == [b"a: b", b"c: d"] and bytes(lines) == b"1f"
    assert lines.first_line == b"a: b" and lines.maybe_extract_next_line() is None
    lines += b"\r\n"
    assert lines.maybe_extract_next_line() == b"1f\r\n" and h11.PRODUCT_ID


@pytest.mark.parametrize("raw", [b"a: b\n\n", b"a: b\r\n c\r\n\r\n", b"a\x00: b\r\n\r\n", b"\n", b"x" * 101])
def test_lines_are_strict(raw: bytes) -> None:
    lines = parsers.Lines(100)
    lines += raw
    with pytest.raises(Unsound):
        lines.maybe_extract_lines()


# HTTP/1.1


def test_a_request_comes_in_parts_and_goes_out_in_the_same() -> None:
    client, server = client_half(LIMITS, is_h2=False, scheme="https"), server_half(LIMITS, "")
    assert isinstance(client, Http1ClientHalf) and isinstance(server, Http1ServerHalf)
    came = parts(
        client, b"PUT /a HTTP/1.1\r\nHost: x.test\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n2\r\nyo\r\n0\r\n\r\n"
    )
    assert came == [
        Head(
            1,
            RequestHead(
                "PUT", "https", "x.test", "/a", "HTTP/1.1", Headers((("Transfer-Encoding", "chunked"),)), False
            ),
        ),
        Data(1, b"hiyo"),
        End(1),
    ]
    for part in (Head(7, PUT), Data(7, b"hiyo"), End(7)):
        server.send(part)
    assert server.taken() == (
        b"PUT /a HTTP/1.1\r\nHost: x.test\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhiyo\r\n0\r\n\r\n"
    )


def test_an_answer_comes_in_parts_that_have_the_requests_number() -> None:
    server = Http1ServerHalf(LIMITS)
    server.send(Head(7, GET))
    server.send(End(7))
    assert not server.has_room
    came = parts(server, b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\nSum: 1\r\n\r\n")
    assert came == [
        Head(7, ResponseHead(200, "OK", "HTTP/1.1", Headers((("Transfer-Encoding", "chunked"),)), False)),
        Data(7, b"hi"),
        Trailers(7, Headers((("sum", "1"),))),
        End(7),
    ]
    server.forget(7)
    assert server.has_room and not server.is_over


def test_what_comes_unasked_closes_a_lane() -> None:
    server = Http1ServerHalf(LIMITS)
    assert parts(server, b"HTTP/1.1 200 OK\r\n\r\n") == [] and server.is_over


def test_the_end_of_a_connection_is_told_to_whom_it_concerns() -> None:
    server = Http1ServerHalf(LIMITS)
    assert parts(server, b"") == [] and server.is_over
    server = Http1ServerHalf(LIMITS)
    server.send(Head(7, GET))
    server.send(End(7))
    ((broken),) = parts(server, b"")
    assert isinstance(broken, Broken) and broken.stream == 7 and server.is_over


def test_a_pipe_carries_what_was_said_before_it_was_one() -> None:
    server = Http1ServerHalf(LIMITS)
    server.send(Head(7, GET))
    server.send(End(7))
    came = parts(server, b"HTTP/1.1 101 Switching Protocols\r\n\r\nfirst")
    assert [type(part) for part in came] == [Head, Data] and parts(server, b"more") == [Data(7, b"more")]
    server.taken()
    server.send(Data(7, b"back"))
    assert server.taken() == b"back" and parts(server, b"") == [End(7)]


def test_a_client_that_is_malformed_is_dead() -> None:
    client = Http1ClientHalf(LIMITS)
    ((malformed),) = parts(client, b"nonsense\r\n\r\n")
    assert isinstance(malformed, Malformed) and client.is_over and parts(client, b"GET / HTTP/1.1\r\n\r\n") == []
    assert client.taken() == b""


# HTTP/2


def test_the_preface_is_constant_and_grants_what_may_lie_here() -> None:
    assert Http2ClientHalf(Limits(head_bytes_max=1000)).taken() == SERVER_PREFACE
    peer = H2Connection(H2Configuration(client_side=True))
    peer.initiate_connection()
    heard = peer.receive_data(SERVER_PREFACE)
    settings = {
        c.setting: c.new_value
        for e in heard
        if isinstance(e, RemoteSettingsChanged)
        for c in e.changed_settings.values()
    }
    assert settings[SettingCodes.INITIAL_WINDOW_SIZE] == parsers.STREAM_WINDOW_BYTES
    assert settings[SettingCodes.MAX_CONCURRENT_STREAMS] == 100
    assert settings[SettingCodes.MAX_FRAME_SIZE] == parsers.FRAME_BYTES_MAX
    assert peer.outbound_flow_control_window == parsers.CONNECTION_WINDOW_BYTES
    assert Http2ClientHalf(LIMITS, is_greeted=True).taken() == b""


def h2_peer() -> tuple[Http2ClientHalf, H2Connection]:
    half = Http2ClientHalf(LIMITS)
    peer = H2Connection(H2Configuration(client_side=True))
    peer.initiate_connection()
    peer.receive_data(half.taken())
    peer.send_headers(1, [(":method", "PUT"), (":scheme", "https"), (":authority", "x.test"), (":path", "/a")])
    half.receive(peer.data_to_send())
    half.parts.clear()
    peer.receive_data(half.taken())
    return half, peer


def test_credit_is_given_back_for_what_was_taken_and_not_before() -> None:
    half, peer = h2_peer()
    for _ in range(10):
        peer.send_data(1, b"x" * 16384)
    half.receive(peer.data_to_send())
    half.all_taken_but(1, 163840)
    assert not [e for e in peer.receive_data(half.taken()) if isinstance(e, WindowUpdated)]
    half.all_taken_but(1, 0)
    assert [e.delta for e in peer.receive_data(half.taken()) if isinstance(e, WindowUpdated)] == [163840]


def test_padding_is_nobodys_to_take() -> None:
    half, peer = h2_peer()
    for _ in range(900):
        peer.send_data(1, b"", pad_length=255)
        half.receive(peer.data_to_send())
        peer.receive_data(half.taken())
    assert peer.local_flow_control_window(1) > 0


def test_what_follows_a_forgotten_request_costs_the_connection_nothing() -> None:
    half, peer = h2_peer()
    half.forget(1)
    for _ in range(600):
        peer.send_data(1, b"x" * min(16384, peer.local_flow_control_window(1)))
        half.receive(peer.data_to_send())
        peer.receive_data(half.taken())
    assert not half.parts and peer.local_flow_control_window(1) > 0


def test_pieces_that_wait_for_a_window_are_joined() -> None:
    flow = Http2ClientHalf(LIMITS)._layer.h2_conn
    assert flow.buffered(1) == 0
    half, peer = h2_peer()
    half.send(Head(1, ResponseHead(200, "", "", Headers())))
    half.send(Data(1, b"x" * 65535))
    for _ in range(100):
        half.send(Data(1, b"y"))
    assert half.buffered(1) == half.buffered_bytes == 100 and len(half._layer.h2_conn.stream_buffers[1]) == 1
    peer.receive_data(half.taken())
    peer.increment_flow_control_window(1000)
    peer.increment_flow_control_window(1000, 1)
    half.receive(peer.data_to_send())
    assert half.buffered_bytes == 0


# Heads


@pytest.mark.parametrize(
    "authority", ["x", "x.test:1", "[::1]", "[2001:db8::1]:8443", "xn--a.test", "a_b.test", "127.0.0.1"]
)
def test_hosts_and_ports_are_authorities(authority: str) -> None:
    head = RequestHead("GET", "", "", "/", "HTTP/1.1", Headers((("Host", authority),)))
    assert heads.request(head).authority == authority and not heads.request(head).headers.fields


@pytest.mark.parametrize(
    "authority", ["", "x:", ":1", "x y", "x/y", "x?y", "x#y", "a@x", "[::1", "::1", "x\ty", "é", "x" * 256]
)
def test_nothing_else_is(authority: str) -> None:
    with pytest.raises(Unsound):
        heads.request(RequestHead("GET", "", "", "/", "HTTP/1.1", Headers((("Host", authority),))))


def test_trailers_that_are_no_trailers_are_dropped() -> None:
    assert heads.trailers([("Grpc-Status", "0"), ("Set-Cookie", "a"), ("CONTENT-LENGTH", "3")]).fields == (
        ("Grpc-Status", "0"),
    )
    with pytest.raises(Unsound):
        heads.trailers([(":status", "200")])
