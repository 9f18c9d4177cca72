"""HTTP's own reading: which requests are answered here, what goes to the target, and what comes back."""

import json
from base64 import b64decode
from typing import Any

import pytest

from hoopproxy.events import Action, Statement
from hoopproxy.model import Side
from hoopproxy.proofs import Secret, TargetSecret
from hoopproxy.targets import HttpTarget
from hoopproxy.wire.http.messages import Answer, Headers, RequestHead, ResponseHead

from .plainly import CUSTOMER, PAN, Scene, cards, regulated, rule

TOKEN = ("Authorization", "Bearer user-token")
WEBSOCKET = (("Connection", "Upgrade"), ("Upgrade", "websocket"))


def asked(scene: Scene, *args: Any, **more: Any) -> Statement:
    statement = scene.reading.ask(1, scene.request(*args, **more))
    assert isinstance(statement, Statement), statement
    return statement


def refused(scene: Scene, *args: Any, **more: Any) -> Answer:
    answer = scene.reading.ask(1, scene.request(*args, **more))
    assert isinstance(answer, Answer), answer
    said = json.loads(answer.body)
    assert said["session"] == "s-1" and said["error"].endswith((".", ")."))
    assert answer.headers.get("content-length") == str(len(answer.body))
    return answer


# Statements -----------------------------------------------------------------------------------------------------------


def test_a_request_is_a_statement() -> None:
    statement = asked(Scene(), "/v1/%63ustomers/17?full=1", TOKEN, ("Cookie", "a=b"), ("Accept", "*/*"), method="GET")
    assert statement.action is Action.CALL
    assert statement.text == "GET /v1/customers/17?full=1"
    assert statement.outline == f"GET {CUSTOMER}?full"
    request = statement.http
    assert request is not None
    assert (request.method, request.path, request.query, request.endpoint) == (
        "GET",
        "/v1/customers/17",
        "full=1",
        CUSTOMER,
    )
    assert (request.authority, request.version) == ("crm.gw.example.com", "HTTP/1.1")
    assert request.headers == (("Accept", "*/*"),)


def test_what_shows_the_targets_secret_is_in_no_record() -> None:
    scene = Scene(http=HttpTarget(login="header X-Api-Key"))
    statement = asked(scene, "/", TOKEN, ("X-Api-Key", "guess"), ("x_api_key", "guess"))
    assert statement.http is not None and statement.http.headers == ()


def test_the_whole_server_may_be_asked() -> None:
    statement = asked(Scene(), "*", method="OPTIONS")
    assert statement.text == statement.outline == "OPTIONS *"


# Answered here --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("authority", ["crm.gw.example.com", "CRM.GW.example.com", "crm.gw.example.com:443"])
def test_the_authority_may_be_spelled_as_clients_do(authority: str) -> None:
    assert asked(Scene(), authority=authority)


@pytest.mark.parametrize(
    "authority", ["hr.gw.example.com", "crm.gw.example.com:8443", "crm.gw.example.com.", "", "x@crm.gw.example.com"]
)
def test_a_foreign_authority_belongs_on_another_connection(authority: str) -> None:
    answer = refused(Scene(), authority=authority)
    assert (answer.status, answer.headers.get("connection")) == (421, "close")
    answer = refused(Scene(), authority=authority, version="HTTP/2.0")
    assert (answer.status, answer.headers.get("connection")) == (421, None)


def test_so_does_a_path_below_another_prefix() -> None:
    scene = Scene(prefix="/clusters/prod")
    assert asked(scene, "/clusters/prod/api/v1").text == "GET /api/v1"
    assert asked(scene, "/clusters/prod").text == "GET /"
    assert asked(scene, "*", method="OPTIONS").text == "OPTIONS *"
    for target in ("/clusters/production/api", "/clusters/other", "/api", "/clusters/%70rod/api"):
        assert refused(scene, target).status == 421
    assert refused(scene, "/clusters/prod/../other/api").status == 400


def test_each_request_shows_the_credentials_of_the_first() -> None:
    scene = Scene()
    assert asked(scene, "/", TOKEN)
    assert asked(scene, "/", TOKEN)
    answer = refused(scene, "/", ("Authorization", "Bearer another"))
    assert (answer.status, answer.headers.get("connection")) == (421, "close")
    assert refused(scene, "/", TOKEN, TOKEN).status == 421
    answer = refused(scene, "/")
    assert answer.status == 401 and next(answer.headers.all("www-authenticate")).startswith("Bearer")
    assert asked(scene, "/", TOKEN)


def test_a_connection_that_began_without_any_takes_none() -> None:
    scene = Scene()
    assert asked(scene, "/")
    assert refused(scene, "/", TOKEN).status == 421


def test_a_forward_proxys_are_its_own_field() -> None:
    scene = Scene(form="absolute")
    assert asked(scene, "/", ("Proxy-Authorization", "Basic eA=="), TOKEN)
    assert asked(scene, "/", ("Proxy-Authorization", "Basic eA=="))
    answer = refused(scene, "/", TOKEN)
    assert answer.status == 407 and answer.headers.get("proxy-authenticate")


def test_within_a_tunnel_nobody_shows_any() -> None:
    scene = Scene(form="tunnel")
    assert asked(scene, "/")
    assert asked(scene, "/", TOKEN)


@pytest.mark.parametrize(
    ("status", "method", "fields"),
    [
        (405, "TRACE", ()),
        (405, "TRACK", ()),
        (405, "CONNECT", ()),
        (417, "POST", (("Expect", "200-maybe"),)),
        (400, "POST", (("X-HTTP-Method-Override", "DELETE"),)),
        (400, "GET", (("Connection", "content-length"),)),
        (400, "POST", WEBSOCKET),
    ],
)
def test_what_nobody_needs_to_be_asked_about(status: int, method: str, fields: tuple[tuple[str, str], ...]) -> None:
    answer = refused(Scene(), "/", *fields, method=method)
    assert answer.status == status
    assert (answer.headers.get("allow") is not None) is (status == 405)


def test_an_ambiguous_path_is_refused_and_says_why() -> None:
    answer = refused(Scene(), "/v1/customers/../admin")
    assert answer.status == 400 and b".." in answer.body
    assert refused(Scene(), "/v1//customers/17").status == 400
    assert asked(Scene(http=HttpTarget()), "/v1//customers/a%2Fb").text == "GET /v1//customers/a%2Fb"


# To the target --------------------------------------------------------------------------------------------------------


def sent(scene: Scene, *args: Any, **more: Any) -> RequestHead:
    return scene.reading.outgoing(scene.request(*args, **more))


def test_the_target_is_asked_in_its_own_name_with_its_own_secret() -> None:
    head = sent(Scene(), "/v1/%63ustomers/17?x=%63", TOKEN, ("Proxy-Authorization", "x"), ("Accept", "*/*"))
    assert (head.scheme, head.authority, head.target) == ("https", "crm.internal:8443", "/v1/customers/17?x=%63")
    assert head.headers.fields == (("Accept", "*/*"), ("authorization", "Bearer s3cret"))


def test_the_secret_is_shown_as_the_target_wants_it() -> None:
    basic = sent(Scene(http=HttpTarget(login="basic")), "/", TOKEN)
    assert b64decode((basic.headers.get("authorization") or "").removeprefix("Basic ")) == b"gateway:s3cret"
    key = sent(Scene(http=HttpTarget(login="header X-Api-Key")), "/", TOKEN, ("X-API-Key", "mine"), ("X_Api_Key", "m"))
    assert key.headers.fields == (("x-api-key", "s3cret"),)
    umlaut = sent(Scene(secret=TargetSecret("gateway", Secret("sécret"))), "/")
    assert (umlaut.headers.get("authorization") or "").encode("latin-1").decode() == "Bearer sécret"
    assert sent(Scene(secret=None), "/", TOKEN).headers.fields == ()


def test_the_clients_credentials_stay_here_in_each_form() -> None:
    for form in ("origin", "absolute", "tunnel"):
        head = sent(Scene(form=form, secret=None), "/", TOKEN, ("Proxy-Authorization", "Basic eA=="))
        assert head.headers.fields == ()


def test_a_prefix_and_an_empty_query_are_kept_apart() -> None:
    scene = Scene(prefix="/clusters/prod", http=HttpTarget())
    assert sent(scene, "/clusters/prod/api?watch=1").target == "/api?watch=1"
    assert sent(scene, "/clusters/prod").target == "/"
    assert sent(scene, "/clusters/prod/api?").target == "/api?"


def test_an_answer_that_is_masked_is_asked_for_whole_and_plain() -> None:
    fields = (
        ("Accept-Encoding", "gzip, br"),
        ("Range", "bytes=0-5"),
        ("If-Range", '"x"'),
        ("If-Match", 'W/"x", W/"y"'),
        ("If-None-Match", 'W/"x"'),
    )
    head = sent(Scene(rule("$.a"), secret=None), "/v1/customers/17", *fields)
    assert head.headers.fields == (
        ("If-Match", '"x", "y"'),
        ("If-None-Match", 'W/"x"'),
        ("accept-encoding", "identity"),
    )
    assert sent(Scene(secret=None), "/v1/customers/17", *fields).headers.fields == fields
    assert sent(Scene(rule("$.a", CUSTOMER), secret=None), "/other", *fields).headers.fields == fields


# Back to the client ---------------------------------------------------------------------------------------------------


def test_a_response_passes_with_its_fields() -> None:
    fields = (
        ("Content-Type", "image/png"),
        ("ETag", '"x"'),
        ("Content-Length", "5"),
        ("Access-Control-Allow-Origin", "*"),
    )
    head = Scene().response(*fields)
    assert isinstance(head, ResponseHead) and head.headers.fields == fields
    assert Scene().body(*fields) is None


def test_a_response_that_leads_elsewhere_is_withheld() -> None:
    answer = Scene().response(("Location", "https://evil.example/"), status=302)
    assert isinstance(answer, Answer) and answer.status == 502 and b"another host" in answer.body
    assert b"evil" not in answer.body


def test_upgrades_are_what_was_asked_for() -> None:
    scene = Scene()
    request = scene.request("/ws", *WEBSOCKET)

    def told(status: int, *fields: tuple[str, str]) -> Any:
        return scene.reading.incoming(request, ResponseHead(status, "", "HTTP/1.1", Headers(fields)))

    assert told(101, *WEBSOCKET).status == 101
    assert told(101, ("Upgrade", "h2c")).status == 502
    assert told(302, ("Location", "/other")).status == 502
    assert told(401).status == 401
    assert scene.response(*WEBSOCKET, status=101).status == 502
    upgraded = scene.reading.upgraded(1, request, told(101, *WEBSOCKET))
    assert upgraded.feed(Side.SERVER, b"\x81\x02hi").to_client == b"\x81\x02hi"
    assert scene.reading.upgraded_here(1, request) is None


def test_a_forward_proxys_connection_serves_one_request() -> None:
    head = Scene(form="absolute").response(("Connection", "keep-alive"))
    assert isinstance(head, ResponseHead) and head.headers.fields == (("connection", "close"),)


def test_what_told_of_other_bytes_is_told_no_more() -> None:
    fields = (
        ("Content-Type", "application/json"),
        ("Content-Length", "5"),
        ("ETag", '"x"'),
        ("Digest", "sha-256=x"),
        ("Content-MD5", "x"),
        ("Repr-Digest", "x"),
        ("Accept-Ranges", "bytes"),
        ("Cache-Control", "no-store"),
    )
    wanted = (("Content-Type", "application/json"), ("ETag", 'W/"x"'), ("Cache-Control", "no-store"))
    for more in ({}, {"is_bodyless": True}):
        head = Scene(rule("$.a")).response(*fields, **more)
        assert isinstance(head, ResponseHead) and head.headers.fields == wanted
    weak = Scene(rule("$.a")).response(("ETag", 'W/"x"'), status=304, is_bodyless=True)
    assert isinstance(weak, ResponseHead) and weak.headers.get("etag") == 'W/"x"'


@pytest.mark.parametrize(
    ("fields", "by_rule", "by_content"),
    [
        ((("Content-Type", "application/json; charset=utf-8"),), "Document", "Document"),
        ((("Content-Type", "application/problem+json"),), "Document", "Document"),
        ((("Content-Type", "application/x-ndjson"),), "MessageStream", "MessageStream"),
        ((("Content-Type", "text/event-stream"),), "MessageStream", "MessageStream"),
        ((("Content-Type", "text/html; charset=ISO-8859-1"),), 502, "Text"),
        ((("Content-Type", "application/javascript"),), 502, "Text"),
        ((("Content-Type", "image/svg+xml"),), 502, "Text"),
        ((("Content-Type", "application/x-www-form-urlencoded"),), 502, "Text"),
        ((), 502, "Text"),
        ((("Content-Type", "image/png"),), 502, None),
        ((("Content-Type", "application/grpc+proto"),), 502, None),
        ((("Content-Type", "application/octet-stream"), ("Content-Encoding", "x-unknown")), 502, None),
        ((("Content-Type", "application/json"), ("Content-Type", "image/png")), 502, 502),
        ((("Content-Type", "application/json; charset=utf-16"),), 502, 502),
        ((("Content-Type", "text/plain; charset=UTF-7"),), 502, 502),
        ((("Content-Type", "application/json"), ("Content-Encoding", "gzip, br")), 502, 502),
        ((("Content-Type", "application/json"), ("Content-Encoding", "br")), "Document", "Document"),
        ((("Content-Type", "application/json"), ("Content-Range", "bytes 0-1/9")), 502, 502),
    ],
)
def test_bodies_are_read_as_what_they_are_told_to_be(
    fields: tuple[tuple[str, str], ...], by_rule: Any, by_content: Any
) -> None:
    by_list = by_rule
    for scene, wanted in (
        (Scene(rule("$.a", CUSTOMER)), by_rule),
        (Scene(regulated("$.a")), by_list),
        (Scene(maskers=[cards()]), by_content),
    ):
        head = scene.response(*fields)
        if wanted == 502:
            assert isinstance(head, Answer) and head.status == 502 and b"because it" in head.body
        else:
            body = scene.body(*fields)
            assert (type(body).__name__ if body else None) == wanted


def test_what_has_no_body_is_never_withheld() -> None:
    scene = Scene(regulated("$.a"))
    for status in (204, 304, 200):
        head = scene.response(("Content-Type", "image/png"), ("Content-Length", "9"), status=status, is_bodyless=True)
        assert isinstance(head, ResponseHead) and head.headers.fields == (("Content-Type", "image/png"),)


def test_errors_of_the_target_are_masked_as_any_answer() -> None:
    scene = Scene(maskers=[cards()])
    body = scene.body(("Content-Type", "application/json"), status=500)
    assert body is not None
    assert isinstance(Scene(rule("$.a")).response(("Content-Type", "text/html"), status=500), Answer)


def test_messages_of_a_websocket_are_masked() -> None:
    scene = Scene(maskers=[cards()])
    request = scene.request("/ws", *WEBSOCKET)
    head = scene.reading.incoming(request, ResponseHead(101, "", "HTTP/1.1", Headers(WEBSOCKET)))
    assert isinstance(head, ResponseHead)
    upgraded = scene.reading.upgraded(1, request, head)
    text = f'{{"pan":"{PAN}"}}'.encode()
    relayed = upgraded.feed(Side.SERVER, bytes((0x81, len(text))) + text)
    assert not relayed.to_client and relayed.ask is not None and not isinstance(relayed.ask, Statement)
    shown = upgraded.resume(Side.SERVER, scene.plan(relayed.ask)).to_client
    assert shown == bytes((0x81, len(text))) + b'{"pan":"************1486"}'
