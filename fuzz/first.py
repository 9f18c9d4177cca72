"""Harness: a stranger's first request over HTTP, in either version, before anybody knows who it is."""

from fuzz.choices import Choices
from fuzz.endings import ending
from fuzz.http_says import PREFACE, SECRET, Frames, frame, request
from hoopproxy.errors import ProtocolViolation, SessionError
from hoopproxy.listen import http_calls
from hoopproxy.listen.http_hosts import Hosts
from hoopproxy.listen.http_login import shown
from hoopproxy.settings import Limits, ListenerSettings
from hoopproxy.wire.http.first import FirstRequest
from hoopproxy.wire.http.messages import Headers, RequestHead
from hoopproxy.wire.http.refusals import refusal

LIMITS = Limits(head_bytes_max=2048)
HOSTS = Hosts(ListenerSettings("web", "http", (), 1, domain="gw.example.com", target="crm"), ("gw.example.com",))
PIECES_MAX = 40


def run(data: bytes) -> None:
    """@raise AssertionError: a promise was broken."""
    choices = Choices(data)
    is_h2, size = bool(choices.byte() & 1), 1 + choices.byte()
    raw = _said(choices, is_h2)
    whole, cut = _read(raw, is_h2, 0), _read(raw, is_h2, size)
    if is_h2 and whole[0] is None and cut[0] is not None:
        return  # what followed it at once was wrong
    assert whole == cut, f"{whole} in one piece, {cut} in several"  # of two mistakes, either may be noticed first


def _said(choices: Choices, is_h2: bool) -> bytes:
    if not is_h2:
        return choices.pick((b"", b"", b"\r\n\r\n", b"\n")) + request(choices) + choices.some(30)
    frames = Frames(1)
    raw = (PREFACE if choices.byte() & 15 else PREFACE[:9]) + frame(4, 0, 0)
    for _ in range(choices.below(5)):
        raw += frames.other(choices)
    return raw + frames.request(choices)


def _read(raw: bytes, is_h2: bool, size: int) -> tuple[RequestHead | None, Headers | None, tuple[str, str] | None]:
    """The request, or how it ended."""
    first, step = FirstRequest(LIMITS, is_h2), max(size or len(raw), len(raw) // PIECES_MAX, 1)
    head: RequestHead | None = None
    try:
        for at in range(0, len(raw), step):
            head = first.feed(raw[at : at + step])
            if head is not None:
                _called(head)
                break
    except ProtocolViolation as why:
        told = first.answer(refusal(400, why.sentence))
        assert SECRET.encode() not in told and len(told) < 2048 + 40 * len(raw)
        return None, None, ending(why)[:2]
    assert head is None or first.answer(refusal(403, "No."))
    return head, None if head is None else head.headers, None


def _called(head: RequestHead) -> None:
    """What it means, and who sends it: a call and a login, or a refusal in a sentence."""
    assert head.method.isupper() or not head.method.isalpha()
    try:
        if head.method == "CONNECT":
            call = http_calls.tunnel(head)
        elif http_calls.is_absolute(head, HOSTS):
            call = http_calls.absolute(head)
        else:
            call = http_calls.origin(head, HOSTS, is_tls=True, server_name="")
        assert call.host == call.host.lower() and call.target_name
        shown(head.headers, "proxy-authorization" if call.is_forward else "authorization")
    except SessionError as why:
        ending(why)
