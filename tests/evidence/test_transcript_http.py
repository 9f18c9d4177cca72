"""HTTP in a recording: what reviewers read, what is sealed, and what nobody keeps."""

from base64 import b64decode
from collections.abc import Mapping
from dataclasses import replace
from hashlib import sha256
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hoopproxy.events import Answered, Asked, Closed, Message, Rejected, Streamed
from hoopproxy.evidence.exchanges import CREDENTIALS, fields_told
from hoopproxy.evidence.streams import Keeping
from hoopproxy.evidence.transcript import Transcript, joined
from hoopproxy.model import Passage, Side

from .exchanges import CHAT, CUSTOMER, EXCHANGE, PRIVATE, REFUSAL, SECRET, SECRETS, SOCKET, lines_of

ALL = (*EXCHANGE, *REFUSAL, *CHAT)


def one(lines: list[dict[str, Any]], event: str, **wanted: object) -> dict[str, Any]:
    (found,) = (line for line in lines if line["event"] == event and wanted.items() <= line.items())
    return found


def test_reviewers_read_who_was_asked_for_what_and_no_address_no_name_and_nothing_sent() -> None:
    transcript = Transcript()
    halves = joined([transcript.recorded(at_s, (record,)) for at_s, record in ALL])
    masked, lines = halves.masked.decode(), lines_of(ALL, both=False)

    assert not [text for text in PRIVATE if text in masked]
    asked = one(lines, "asked", statement=1)
    assert asked["outline"] == "POST /v1/customers/{id}"
    assert asked["http"] == {
        "method": "POST",
        "authority": "crm.example.com",
        "endpoint": "/v1/customers/{id}",
        "version": "HTTP/1.1",
    }
    refused = one(lines, "rejected")
    assert refused["sentence"] == "Nobody reads secrets; ask your operator."
    assert refused["kubernetes"] == {
        **{"verb": "get", "group": "", "version": "v1", "resource": "secrets", "subresource": ""},
        "namespace": "shop",
    }
    body = b"".join(b64decode(line["raw"]) for line in lines if line.get("stream") == "response" and "raw" in line)
    assert body.decode() == '{"card": "****1111", "name": "Élise"}'


def test_with_both_keys_the_request_is_whole_but_for_credentials() -> None:
    lines = lines_of(ALL)

    asked = one(lines, "asked", statement=1)
    assert (asked["http"]["path"], asked["http"]["query"]) == ("/v1/customers/17", "full=1&name=")
    assert asked["http"]["authority"] == "crm.example.com"
    assert asked["http"]["headers"] == [
        {"name": "User-Agent", "value": "curl/8"},
        {"name": "Authorization", "bytes": 14},
        {"name": "Cookie", "bytes": 10},
        {"name": "X-API-Key", "bytes": 5},
        {"name": "From", "value": "ada@corp.example"},
        {"name": "Content-Type", "value": "application/json"},
    ]
    assert one(lines, "rejected")["kubernetes"]["name"] == "tls-key"
    assert b64decode(one(lines, "streamed", stream="request")["raw"]) == b'{"password": "swordfish"}'


def test_credentials_are_in_neither_half() -> None:
    transcript = Transcript()
    halves = joined([transcript.recorded(at_s, (record,)) for at_s, record in ALL])

    for half in (halves.masked, halves.sealed):
        assert not [text for text in SECRETS if text.encode() in half]


@given(
    name=st.sampled_from(sorted(CREDENTIALS)).flatmap(
        lambda name: st.sampled_from([name, name.title(), name.upper(), name.replace("-", "_")])
    ),
    value=st.text(st.characters(max_codepoint=255)),
)
def test_no_credential_is_kept_however_its_name_is_written(name: str, value: str) -> None:
    assert fields_told(((name, value),)) == [{"name": name, "bytes": len(value)}]


def test_a_token_among_subprotocols_is_not_kept() -> None:
    spoken = "v5.channel.k8s.io"
    shown = f"{spoken}, base64url.bearer.authorization.k8s.io.dDBrZW4"

    assert fields_told((("Sec-WebSocket-Protocol", spoken),)) == [{"name": "Sec-WebSocket-Protocol", "value": spoken}]
    assert fields_told((("Sec-WebSocket-Protocol", shown),)) == [
        {"name": "Sec-WebSocket-Protocol", "bytes": len(shown)}
    ]


def test_the_response_head_is_kept_as_the_client_saw_it_without_what_its_cookies_are() -> None:
    answered = one(lines_of(EXCHANGE, both=False), "answered")

    assert (answered["status"], answered["version"]) == (200, "HTTP/1.1")
    assert answered["headers"] == [
        {"name": "Content-Type", "value": "application/json"},
        {"name": "Set-Cookie", "bytes": 15},
        {"name": "X-Odd", "value": "a\x1b[2Jb\xe9"},
    ]


@pytest.mark.parametrize("both", [True, False])
def test_of_an_address_with_a_credential_neither_half_keeps_more_than_the_outline(both: bool) -> None:
    told = (
        (1.0, Asked(replace(CUSTOMER, secret=True))),
        (2.0, Answered(1, 302, "HTTP/1.1", (("Location", "/?token=hunter2"),))),
    )
    asked, answered = lines_of(told, both=both)

    assert asked["outline"] == "POST /v1/customers/{id}"
    assert not {"path", "query", "headers"} & asked["http"].keys()
    assert (answered["status"], answered["headers"]) == (302, [])


def test_what_was_sent_is_sealed_with_its_digest_and_its_length_is_not() -> None:
    lines = lines_of(EXCHANGE, both=False)
    sent, shown = (one(lines, "stream-ended", stream=stream) for stream in ("request", "response"))

    assert (sent["bytes"], sent["dropped"], "sha256" in sent) == (25, 0, False)
    assert shown["sha256"] == sha256('{"card": "****1111", "name": "Élise"}'.encode()).hexdigest()
    assert one(lines_of(EXCHANGE), "stream-ended", stream="request")["sha256"]


def test_messages_of_the_client_are_sealed_and_those_of_the_target_are_for_reviewers() -> None:
    def messages(*, both: bool) -> list[tuple[str, bool, int, bytes | None]]:
        return [
            (line["side"], line["is_text"], line["bytes"], b64decode(line["raw"]) if "raw" in line else None)
            for line in lines_of(CHAT, both=both)
            if line["event"] == "message"
        ]

    theirs = [("server", True, 13, b"card ****1111"), ("server", False, 2, b"\xff\x00")]
    assert messages(both=False) == [("client", True, 5, None), *theirs]
    assert messages(both=True) == [("client", True, 5, b"Hello"), *theirs]
    sums = {line["stream"]: line for line in lines_of(CHAT, both=False) if line["event"] == "stream-ended"}
    assert (sums["client messages"]["bytes"], "sha256" in sums["client messages"]) == (5, False)
    assert sums["server messages"]["sha256"] == sha256(b"card ****1111\xff\x00").hexdigest()


def test_beyond_the_limit_messages_are_counted_and_hashed_for_each_direction() -> None:
    told = (
        (1.0, Asked(SOCKET)),
        *((2.0, Message(4, Side.SERVER, True, data)) for data in (b"12345", b"6789", b"0", b"")),
        (2.5, Message(4, Side.CLIENT, True, b"abcdef")),
        (3.0, Closed(4)),
    )
    lines = lines_of(told, keeping=Keeping(stream_bytes_max=6))

    kept = [(line["bytes"], b64decode(line["raw"])) for line in lines if line["event"] == "message"]
    assert kept == [(5, b"12345"), (4, b"6"), (0, b""), (6, b"abcdef")]
    ended = one(lines, "stream-ended", stream="server messages")
    assert (ended["bytes"], ended["dropped"], ended["sha256"]) == (10, 4, sha256(b"1234567890").hexdigest())


def test_in_the_mode_statements_no_body_and_no_message_is_kept() -> None:
    lines = lines_of(ALL, keeping=Keeping(0, 0))

    assert not [line for line in lines if line["event"] in ("streamed", "message")]
    ended = {(line["statement"], line["stream"]): line for line in lines if line["event"] == "stream-ended"}
    assert {which: (line["bytes"], line["dropped"]) for which, line in ended.items()} == {
        (1, "request"): (25, 25),
        (1, "response"): (38, 38),
        (4, "client messages"): (5, 5),
        (4, "server messages"): (15, 15),
    }
    assert all(line["sha256"] for line in ended.values())


def test_the_first_line_tells_how_the_client_called_the_target(passage: Passage) -> None:
    parameters = {"http.scheme": "https", "http.authority": "crm.gw.example.com", "application_name": "tell-nobody"}
    called = replace(passage, permit=replace(passage.permit, parameters=parameters))

    assert lines_of((), passage=called)[0]["http"] == {"scheme": "https", "authority": "crm.gw.example.com"}
    assert "http" not in lines_of((), passage=passage)[0]


def test_a_refused_request_is_sealed_like_any_other() -> None:
    lines: list[Mapping[str, Any]] = [*lines_of(((1.0, Rejected(SECRET, "No.")),), both=False)]

    assert lines[0]["http"]["method"] == "GET"
    assert "tls-key" not in str(lines)


def test_streams_of_commands_in_pods_are_what_they_are_elsewhere() -> None:
    told = ((1.0, Asked(SECRET)), (2.0, Streamed(3, "stdin", b"typed")), (2.0, Streamed(3, "stdout", b"shown")))
    lines = lines_of(told, both=False)

    assert [("raw" in line, line["stream"]) for line in lines[1:]] == [(False, "stdin"), (True, "stdout")]
