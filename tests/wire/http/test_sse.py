"""Server-sent events, lines of JSON and single messages: each is masked as a whole, and shown as soon as it is one."""

import json

import pytest

from hoopproxy.settings import Limits
from hoopproxy.wire.http.json_masks import Masks
from hoopproxy.wire.http.message_masks import Messages
from hoopproxy.wire.http.protection import Protection
from hoopproxy.wire.http.reading import Shown

from .plainly import CUSTOMER, MASKED_PAN, PAN, Scene, Withheld, cards, cuts, regulated, rule

SSE = "text/event-stream"
NDJSON = "application/x-ndjson"

STREAM = (
    "\ufeff: hello\n\n"
    f'id: 7\nevent: sale\ndata: {{"pan":"{PAN}",\ndata:  "n":1}}\nretry: 10\n\n'
    f"data: card {PAN}\r\ndata\r\n\r\n"
    "data:x\r\rdata: [DONE]\n\n"
    ": ping\n\nid: 9\n\n"
    f'data: {{"a":"{PAN}"}}'
).encode()
SHOWN = (
    "\ufeff: hello\n\n"
    f'id: 7\nevent: sale\ndata: {{"pan":"{MASKED_PAN}",\ndata:  "n":1}}\nretry: 10\n\n'
    f"data: card {MASKED_PAN}\ndata: \n\n"
    "data:x\r\rdata: [DONE]\n\n"
    ": ping\n\nid: 9\n\n"
    f'data: {{"a":"{MASKED_PAN}"}}'
).encode()


@pytest.mark.parametrize("size", [*range(1, 50), 1000])
def test_events_are_masked_however_they_are_cut(size: int) -> None:
    assert Scene(maskers=[cards()]).masked(cuts(STREAM, size), SSE) == SHOWN


def test_an_event_is_shown_as_soon_as_it_is_whole() -> None:
    scene = Scene(maskers=[cards()])
    body = scene.body(("Content-Type", SSE))
    assert body is not None and not body.is_whole
    assert body.feed(b"data: 1\n").data == b""
    shown = body.feed(b"\n: wait\n\ndata: 2")
    assert shown.ask is not None
    assert body.resume(scene.plan(shown.ask)).data == b"data: 1\n\n: wait\n\n"
    assert body.feed(b"\n\n").data == b"data: 2\n\n"


def test_rules_hold_in_events() -> None:
    scene = Scene(rule("$.ssn", CUSTOMER))
    assert scene.masked([b'data: {"ssn":"1","x":"2"}\n\ndata: [DONE]\n\ndata: hi\n\n'], SSE) == (
        b'data: {"ssn":"***","x":"2"}\n\ndata: [DONE]\n\ndata: hi\n\n'
    )


@pytest.mark.parametrize("data", ['{"ssn":1,"ssn":2}', '{"ssn":1', '42["e",{"ssn":1}]', '[{"ssn":1},]', "[1,]"])
def test_what_looks_like_json_and_is_none_is_withheld_where_rules_hold(data: str) -> None:
    with pytest.raises(Withheld) as withheld:
        Scene(rule("$.ssn", CUSTOMER)).masked([f"data: {{}}\n\ndata: {data}\n\n".encode()], SSE)
    assert withheld.value.args[1] == b"data: {}\n\n"
    text = f"data: {data}\n\n".encode()
    assert Scene(maskers=[cards()]).masked([text], SSE) == text


def test_a_list_leaves_nothing_else_of_an_event() -> None:
    scene = Scene(regulated("$.id"))
    text = b': Ada asks\nid: 7\nx-note: Ada\ndata: {"id":1,"n":"Ada"}\n\ndata: Ada\n\ndata: [DONE]\n\n'
    assert scene.masked([text], SSE) == b'id: 7\ndata: {"id":1,"***":"***"}\n\ndata: ***\n\ndata: ***\n\n'


@pytest.mark.parametrize(
    ("text", "why"),
    [(b"data: \xff\n\n", "UTF-8"), (b"data: " + b"x" * 2000, "longer than 1024 characters")],
)
def test_what_is_no_event_is_withheld(text: bytes, why: str) -> None:
    with pytest.raises(Withheld, match=why):
        Scene(maskers=[cards()], limits=Limits(document_bytes_max=1024)).masked(cuts(text, 100), SSE)


# Lines of JSON --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", range(1, 30))
def test_each_line_is_a_document(size: int) -> None:
    text = b'{"a":"x","b":[1]}\r\n\n"y"\n[{"a":"z"}]\n{"a":"last"}'
    wanted = b'{"a":"***","b":[1]}\r\n\n"y"\n[{"a":"z"}]\n{"a":"***"}'
    assert Scene(rule("$.a")).masked(cuts(text, size), NDJSON) == wanted


def test_a_line_that_is_no_json_is_withheld_with_all_behind_it() -> None:
    for scene in (Scene(rule("$.a")), Scene(maskers=[cards()])):
        with pytest.raises(Withheld) as withheld:
            scene.masked([b'{"b":1}\nhello\n{"b":2}\n'], NDJSON)
        assert withheld.value.args[1] == b'{"b":1}\n'


# Single messages ------------------------------------------------------------------------------------------------------


def message(scene: Scene, data: bytes, *, is_text: bool = True) -> Shown:
    messages = Messages(Masks(Protection.of(scene.protected, CUSTOMER), 1 << 20))
    shown = messages.mask(data, is_text)
    while shown.ask is not None:
        shown = messages.resume(scene.plan(shown.ask))
    return shown


def test_a_message_is_json_or_text() -> None:
    scene = Scene(maskers=[cards()])
    for before in (f'{{"a":["{PAN}"]}}', f"card {PAN}", f'"{PAN}"', PAN, "", "{", f"[{PAN}", '{"a":'):
        assert message(scene, before.encode()).data == before.replace(PAN, MASKED_PAN).encode()


def test_bytes_pass_where_only_looks_count() -> None:
    scene = Scene(maskers=[cards()])
    for raw in (b"\xff\xfe", b"\x08\x01", b"{no", f"x{PAN}".encode()):
        assert message(scene, raw, is_text=False).data == raw
    packed = json.dumps({"a": PAN}).encode()
    assert message(scene, packed, is_text=False).data == packed.replace(PAN.encode(), MASKED_PAN.encode())


def test_and_are_withheld_where_places_do() -> None:
    scene = Scene(rule("$.a"))
    for raw in (b"\xff\xfe", b"\x08\x01", b"hello"):
        assert message(scene, raw, is_text=False).refusal
    assert message(scene, b'{"a":1}', is_text=False).data == b'{"a":0}'


def test_text_that_is_not_utf8_is_withheld() -> None:
    assert message(Scene(maskers=[cards()]), b"\xff").refusal


def test_a_refused_plan_withholds_a_message() -> None:
    scene = Scene(rule("$.a"))
    scene.maskers = []
    assert "no mask for" in message(scene, b'{"a":1}').refusal
