"""HAR out of a recording's lines: whole for a strict reader, and honest about what is not in it."""

import json
from base64 import b64encode
from collections.abc import Sequence
from dataclasses import replace
from hashlib import sha256
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hoopproxy.events import (
    Action,
    Answered,
    Asked,
    Closed,
    Completed,
    Faulted,
    Message,
    Record,
    Rejected,
    Statement,
    Streamed,
    Terminal,
)
from hoopproxy.evidence.har import document, entries
from hoopproxy.evidence.streams import Keeping
from hoopproxy.model import Passage, Side
from hoopproxy.requests import HttpRequest

from .exchanges import CHAT, CUSTOMER, EXCHANGE, PRIVATE, REFUSAL, SECRET, SECRETS, SOCKET, Told, lines_of
from .har_reader import body, read

OPENED = {
    "event": "opened",
    "at_ms": 99_000,
    "peer": "[2001:db8::7]:443",
    "http": {"scheme": "https", "authority": "crm.gw.example.com", "prefix": ""},
}


def har_of(lines: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """The entries, as whoever reads the file gets them."""
    return read(json.loads(json.dumps(document(entries([OPENED, *lines], "s1", "c1"), "0.1"))))


def told_of(told: Told, *, both: bool = True, keeping: Keeping | None = None) -> list[dict[str, Any]]:
    return har_of(lines_of(told, both=both, keeping=keeping))


def responded(*headers: tuple[str, str], data: bytes = b"", status: int = 200) -> Told:
    return (
        (1.0, Asked(SOCKET)),
        (2.0, Answered(4, status, "HTTP/1.1", headers)),
        *([(3.0, Streamed(4, "response", data))] if data else []),
        (4.0, Completed(4, str(status), 0)),
        (4.0, Closed(4)),
    )


def test_an_exchange_with_both_keys() -> None:
    (entry,) = told_of(EXCHANGE)

    assert entry["startedDateTime"] == "1970-01-01T00:01:40.000Z"
    assert entry["time"] == 1500
    assert entry["timings"] == {"send": 250, "wait": 750, "receive": 500}
    assert (entry["serverIPAddress"], entry["connection"]) == ("2001:db8::7", "c1")
    assert (entry["_session"], entry["_statement"]) == ("s1", 1)
    assert (entry["_values"], entry["_values_masked"], entry["_completed"]) == (2, 1, "200")
    request, response = entry["request"], entry["response"]
    assert request["method"] == "POST"
    assert request["url"] == "https://crm.example.com/v1/customers/17?full=1&name="
    assert request["queryString"] == [{"name": "full", "value": "1"}, {"name": "name", "value": ""}]
    assert request["bodySize"] == 25
    assert request["postData"]["mimeType"] == "application/json"
    assert request["postData"]["text"] == '{"password": "swordfish"}'
    headers = {each["name"]: each for each in request["headers"]}
    assert headers["From"]["value"] == "ada@corp.example"
    assert headers["Cookie"] == {
        "name": "Cookie",
        "value": "",
        "comment": "A credential of 10 bytes; it is not kept.",
    }
    assert (response["status"], response["statusText"], response["httpVersion"]) == (200, "OK", "HTTP/1.1")
    shown = '{"card": "****1111", "name": "Élise"}'
    assert response["content"] == {
        "size": 38,
        "mimeType": "application/json",
        "text": shown,
        "_sha256": sha256(shown.encode()).hexdigest(),
    }
    assert "comment" not in entry


def test_with_one_key_it_has_the_outline_for_an_address_and_nothing_that_was_sent() -> None:
    found = told_of((*EXCHANGE, *REFUSAL, *CHAT), both=False)

    assert not [text for text in (*PRIVATE, *SECRETS) if text in json.dumps(found)]
    entry = found[0]
    assert entry["request"]["url"] == "https://crm.example.com/v1/customers/{id}"
    assert "postData" not in entry["request"]
    assert entry["request"]["bodySize"] == 25
    assert "sealed" in entry["request"]["comment"]
    assert body(entry).decode() == '{"card": "****1111", "name": "Élise"}'


def test_no_credential_is_in_it_with_both_keys() -> None:
    found = json.dumps(told_of((*EXCHANGE, *REFUSAL, *CHAT)))

    assert not [text for text in SECRETS if text in found]


def test_a_refused_request_is_an_entry_with_the_sentence() -> None:
    (entry,) = told_of(REFUSAL)

    assert entry["response"]["status"] == 403
    assert entry["response"]["statusText"] == "Forbidden"
    assert entry["comment"] == "Nobody reads secrets; ask your operator."
    assert entry["_kubernetes"]["resource"] == "secrets"
    assert entry["_kubernetes"]["name"] == "tls-key"
    assert entry["time"] == 0


def test_a_refusal_that_was_recorded_is_taken_from_the_recording() -> None:
    said = b'{"error": "No."}'
    (entry,) = told_of(
        (
            (1.0, Rejected(CUSTOMER, "No.")),
            (1.5, Answered(1, 403, "HTTP/1.1", (("content-type", "application/json"),))),
            (1.5, Streamed(1, "response", said)),
            (1.5, Closed(1)),
        )
    )

    assert (entry["response"]["status"], body(entry), entry["comment"]) == (403, said, "No.")


def test_a_body_that_is_no_utf8_is_base64() -> None:
    data = bytes(range(256))
    (entry,) = told_of(responded(("content-type", "image/png"), data=data))

    assert entry["response"]["content"]["encoding"] == "base64"
    assert body(entry) == data


def test_what_was_posted_and_is_no_utf8_is_base64_and_says_so() -> None:
    (entry,) = told_of(((1.0, Asked(SOCKET)), (1.5, Streamed(4, "request", b"\xff\x00")), (2.0, Closed(4))))

    posted = entry["request"]["postData"]
    assert (posted["text"], posted["_encoding"]) == (b64encode(b"\xff\x00").decode(), "base64")


def test_of_what_was_not_kept_there_are_the_length_and_the_digest() -> None:
    text = "Grüße, " * 100
    (entry,) = told_of(
        responded(("content-type", "text/plain"), data=text.encode()), keeping=Keeping(stream_bytes_max=3)
    )

    content = entry["response"]["content"]
    assert (content["text"], content["size"]) == ("Gr", len(text.encode()))  # a character may be cut
    assert content["_sha256"] == sha256(text.encode()).hexdigest()
    assert content["comment"].startswith("Of 900 bytes of it 897 were not kept; the SHA-256 of all is ")


def test_where_no_body_was_kept_there_is_no_text() -> None:
    found = told_of((*EXCHANGE, *CHAT), keeping=Keeping(0, 0))

    assert not [entry for entry in found if "postData" in entry["request"] or "text" in entry["response"]["content"]]
    assert (found[0]["request"]["bodySize"], found[0]["response"]["bodySize"]) == (25, 38)
    assert "_webSocketMessages" not in found[1]
    assert "Of 15 bytes of server messages 15 were not kept" in found[1]["comment"]


def test_websocket_messages_are_as_chromium_writes_them() -> None:
    (entry,) = told_of(CHAT)

    assert entry["_resourceType"] == "websocket"
    assert entry["_webSocketMessages"] == [
        {"type": "send", "time": 104.0, "opcode": 1, "data": "Hello"},
        {"type": "receive", "time": 104.5, "opcode": 1, "data": "card ****1111"},
        {"type": "receive", "time": 104.75, "opcode": 2, "data": b64encode(b"\xff\x00").decode()},
    ]
    sealed = told_of(CHAT, both=False)[0]["_webSocketMessages"][0]
    assert sealed == {
        "type": "send",
        "time": 104.0,
        "opcode": 1,
        "data": "",
        "_bytes": 5,
        "comment": "It is sealed.",
    }


def test_a_message_that_was_kept_in_part_says_so() -> None:
    told: Told = ((1.0, Asked(SOCKET)), (2.0, Message(4, Side.SERVER, True, "Grüße".encode())), (3.0, Closed(4)))
    (entry,) = told_of(told, keeping=Keeping(stream_bytes_max=3))

    (message,) = entry["_webSocketMessages"]
    assert (message["data"], message["_bytes"], message["comment"]) == ("Gr\ufffd", 7, "4 bytes of it were not kept.")


def test_a_coded_body_is_as_it_was_sent_and_says_so() -> None:
    (entry,) = told_of(responded(("content-type", "text/html"), ("content-encoding", "gzip"), data=b"\x1f\x8b\x08"))

    assert body(entry) == b"\x1f\x8b\x08"
    assert entry["response"]["content"]["comment"] == "As it was sent, in the coding gzip."


def test_an_address_has_nothing_in_it_that_is_none() -> None:
    http = HttpRequest("GET", "h", "/a%20b\xe9\x1b", "q='\"", "HTTP/1.1")
    (entry,) = told_of(((1.0, Asked(replace(SOCKET, http=http))),))

    assert entry["request"]["url"] == "https://h/a%20b%E9%1B?q='\""


def test_what_is_sent_after_the_answer_began_is_no_time_of_sending() -> None:
    told: Told = (
        *((1.0, Asked(SOCKET)), (1.5, Streamed(4, "request", b"a")), (2.0, Answered(4, 200, "HTTP/2.0", ()))),
        *((3.0, Streamed(4, "request", b"b")), (4.0, Completed(4, "200", 0)), (4.0, Closed(4))),
    )
    (entry,) = told_of(told)

    assert entry["timings"] == {"send": 500, "wait": 500, "receive": 2000}
    assert entry["request"]["postData"]["text"] == "ab"


def test_a_redirect_tells_where_to() -> None:
    (entry,) = told_of(responded(("Location", "https://crm.example.com/login"), status=302))

    assert entry["response"]["redirectURL"] == "https://crm.example.com/login"
    assert entry["response"]["content"] == {"size": 0, "mimeType": "x-unknown"}


def test_a_target_that_broke_off_is_an_error() -> None:
    (entry,) = told_of(((1.0, Asked(SOCKET)), (2.0, Faulted(4, "502", "The target went away."))))

    assert (entry["response"]["status"], entry["_error"]) == (0, "502 The target went away.")


def test_an_exchange_that_the_end_cut_off_says_so(passage: Passage) -> None:
    asked: Told = ((100.0, Asked(SOCKET)),)
    whole = lines_of(asked, passage=passage)
    (entry,) = read(document(entries(whole, "s1", "c1"), "0.1"))
    assert (entry["comment"], entry["time"]) == ("The connection ended before this exchange did.", 10_000)

    (entry,) = har_of([*lines_of(asked), {"event": "cut", "sentence": "It ends without its final chunk."}])
    assert entry["comment"] == "It ends without its final chunk."


def test_what_ran_in_a_pod_is_a_film_and_told_by_its_end() -> None:
    told: Sequence[tuple[float, Record]] = (
        *((1.0, Asked(SECRET)), (1.5, Answered(3, 101, "HTTP/1.1", ())), (2.0, Terminal(3, 80, 24, "xterm"))),
        *((2.0, Streamed(3, "stdout", b"$ ")), (3.0, Completed(3, "exit 7", 0)), (3.0, Closed(3))),
    )
    (entry,) = told_of(told)

    assert entry["_completed"] == "exit 7"
    assert entry["comment"] == "What ran is a film: sessions cast, --statement 3."


def test_the_prefix_under_which_a_client_calls_a_cluster_is_in_the_address() -> None:
    opened = OPENED | {"http": {"scheme": "http", "prefix": "/clusters/prod"}}
    (entry,) = read(document(entries([opened, *lines_of(REFUSAL)], "s1", "c1"), "0.1"))

    assert entry["request"]["url"] == "http://k8s.example.com/clusters/prod/api/v1/namespaces/shop/secrets/tls-key"


def test_entries_of_several_connections_are_in_the_order_in_which_they_began() -> None:
    first, second = lines_of(EXCHANGE), lines_of(tuple((at_s - 50, each) for at_s, each in CHAT))
    both = (*entries([OPENED, *first], "s1", "c1"), *entries([OPENED, *second], "s1", "c2"))

    assert [entry["connection"] for entry in read(document(both, "0.1"))] == ["c2", "c1"]


def test_statements_of_other_protocols_are_none() -> None:
    assert told_of(((1.0, Asked(Statement(1, Action.QUERY, "SELECT 1", "SELECT $1"))),)) == []


def test_a_clock_that_was_set_back_stands_still() -> None:
    (entry,) = told_of(((9.0, Asked(SOCKET)), (3.0, Answered(4, 200, "HTTP/1.1", ())), (5.0, Completed(4, "200", 0))))

    assert (entry["time"], entry["timings"]) == (0, {"send": 0, "wait": 0, "receive": 0})


TEXT = st.text(st.characters(max_codepoint=255), max_size=8)


@st.composite
def exchanges(draw: st.DrawFn) -> list[tuple[float, Record]]:
    """Anything that may stand in a recording, in any order: targets and clocks are hostile."""
    numbers = st.integers(1, 3)
    requests = st.builds(
        lambda number, path, query, headers: Statement(
            number,
            Action.CALL,
            f"GET {path}",
            draw(TEXT),
            http=HttpRequest("GET", "h", f"/{path}", query, "HTTP/1.1", headers=headers),
        ),
        *(numbers, TEXT, TEXT, st.lists(st.tuples(TEXT, TEXT), max_size=2).map(tuple)),
    )
    records: st.SearchStrategy[Record] = st.one_of(
        st.builds(Asked, requests),
        st.builds(Rejected, requests, TEXT),
        st.builds(Answered, numbers, st.integers(100, 999), st.just("HTTP/1.1"), st.just((("content-type", "a/b"),))),
        st.builds(Streamed, numbers, st.sampled_from(("request", "response", "stdout")), st.binary(max_size=6)),
        st.builds(Message, numbers, st.sampled_from(Side), st.booleans(), st.binary(max_size=6)),
        st.builds(Completed, numbers, TEXT, st.just(0)),
        st.builds(Faulted, numbers, TEXT, TEXT),
        st.builds(Closed, numbers),
    )
    return draw(st.lists(st.tuples(st.floats(0, 9), records), max_size=12))


@settings(max_examples=150)
@given(told=exchanges(), both=st.booleans(), most=st.integers(0, 9))
def test_whatever_was_recorded_is_a_whole_har(told: list[tuple[float, Record]], both: bool, most: int) -> None:
    found = told_of(told, both=both, keeping=Keeping(most, most))

    asked = {record.statement.number for _, record in told if isinstance(record, Asked | Rejected)}
    assert {entry["_statement"] for entry in found} == asked


@pytest.mark.parametrize("both", [True, False])
def test_the_same_lines_make_the_same_har(both: bool) -> None:
    assert told_of((*EXCHANGE, *CHAT), both=both) == told_of((*EXCHANGE, *CHAT), both=both)


def test_a_secret_address_is_its_outline_with_both_keys() -> None:
    (entry,) = told_of(((1.0, Asked(replace(CUSTOMER, secret=True))),))

    assert entry["request"]["url"] == "https://crm.example.com/v1/customers/{id}"
    assert entry["request"]["queryString"] == []
