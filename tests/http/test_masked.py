"""What people are shown of JSON, events and messages where values are masked, and what they may not ask for."""

import asyncio
import json
import re
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
import websockets

from hoopproxy.testing.http_target import CARD, MASKED
from hoopproxy.testing.vitals import Vitals

from .conftest import HttpStand, Services
from .ways import Way

MIB = 1 << 20


@pytest.fixture(params=["reverse", "forward"])
def way(request: pytest.FixtureRequest, stand: HttpStand) -> Way:
    """For Ada, who may not see them."""
    found: Way = getattr(stand, request.param)("cards")
    return found


def customers(way: Way, path: str, *words: str) -> Any:
    answer = way.fetch(path, *words)
    assert answer.status == 200, answer
    return json.loads(answer.body)


@pytest.mark.parametrize("version", ["--http1.1", "--http2"])
@pytest.mark.parametrize("path", ["/customers", "/customers.chunked", "/customers.gz", "/customers.br"])
def test_cards_and_emails_are_masked_however_they_are_packed(way: Way, path: str, version: str) -> None:
    shown = customers(way, path, version, "--compressed")
    ada, bob, chloe = shown["customers"]
    assert (ada["card"], bob["card"], chloe["card"]) == (MASKED, "************5559", None)
    assert (ada["name"], bob["name"], chloe["name"]) == ("Ada Lovelace", "Bob Gray", "Chloé d'Arc")
    assert ada["email"].startswith("a") and "example" not in ada["email"] and chloe["email"] is None
    assert (ada["balance"], bob["balance"], chloe["balance"]) == (10.5, 0, -3)
    assert shown["note"] == f"Ada's card is {MASKED}."


def test_who_may_see_them_sees_emails(stand: HttpStand) -> None:
    shown = customers(stand.reverse("cards", "franz"), "/customers")
    assert [each["email"] for each in shown["customers"]] == ["ada@example.com", "bob@example.com", None]
    assert CARD not in str(shown), "the plugin knows no roles"


def test_of_a_regulated_answer_only_what_is_listed_is_shown(way: Way) -> None:
    shown = customers(way, "/customers/1")
    assert (shown["id"], shown["name"]) == (1, "Ada Lovelace")
    assert not {"ada@example.com", CARD, MASKED} & set(map(str, shown.values()))


def test_the_length_that_is_told_is_that_of_what_is_shown(way: Way) -> None:
    answer = way.fetch("/customers", "--http1.1")
    assert int(answer.get("content-length") or len(answer.body)) == len(answer.body)


@pytest.mark.parametrize("version", ["--http1.1", "--http2"])
def test_events_are_masked_though_they_come_in_pieces(way: Way, version: str) -> None:
    answer = way.fetch("/events?count=40", version)
    assert re.findall(rb'"card":"([^"]*)"', answer.body) == [MASKED.encode()] * 40
    assert re.findall(rb"^id: (\d+)$", answer.body, flags=re.M) == [b"%d" % number for number in range(40)]


def test_messages_are_masked(stand: HttpStand) -> None:
    way = stand.reverse("cards")

    async def speak() -> list[str | bytes]:
        host, port = way.address
        how: dict[str, Any] = {"host": host, "port": port, "ssl": way.tls, "proxy": None}
        url = f"wss://{way.netloc}/socket"
        async with websockets.connect(url, additional_headers=dict(way.headers), **how) as line:
            await line.send("cards")
            said = [await line.recv()]
            await line.send(f"his is {CARD} and hers is not")
            return [*said, await line.recv()]

    document, text = asyncio.run(speak())
    assert json.loads(document) == {"card": MASKED}
    assert text == f"his is {MASKED} and hers is not"


TWICE_READ = [
    '{"card": "1", "card": "CARD"}',
    '{"card": NaN}',
    '{"card": "\xff"}',
    '{"card": "CARD"',
    '{"card": "CARD"} {"card": "CARD"}',
    "{'card': 'CARD'}",
]


@pytest.mark.parametrize("body", TWICE_READ, ids=["twice", "nan", "no-utf8", "cut", "two", "quotes"])
def test_json_that_can_be_read_in_two_ways_is_withheld(stand: HttpStand, body: str) -> None:
    said = quote(body.replace("CARD", CARD), encoding="latin-1")
    answer = stand.reverse("cards").fetch(f"/say?type=application/json&body={said}")
    assert answer.status == 502
    assert CARD.encode() not in answer.body


def test_a_bomb_is_withheld_and_takes_no_memory(stand: HttpStand) -> None:
    way = stand.reverse("cards")
    way.fetch("/customers.gz")
    vitals = Vitals(stand.gateway.pid)
    before = vitals.rss_bytes
    vitals.forget_peak()
    assert way.fetch("/bomb.gz").status == 502
    assert vitals.peak_bytes - before < 64 * MIB


def test_what_cannot_be_masked_is_withheld(way: Way) -> None:
    """A field rule that holds everywhere is about JSON alone."""
    answer = way.fetch(f"/say?type=text/html&body=Ada%20has%20{CARD}")
    assert answer.status == 502 and "only JSON can be masked" in json.loads(answer.body)["error"]


@pytest.mark.parametrize("version", ["--http1.1", "--http2"])
def test_a_request_that_a_rule_denies_is_refused_in_a_sentence(way: Way, services: Services, version: str) -> None:
    services.cards.arrived.clear()
    answer = way.fetch("/customers/2", version, "-X", "DELETE")
    said = json.loads(answer.body)
    assert (answer.status, said["error"]) == (403, "Nobody may DELETE /customers/2.")
    assert re.fullmatch("[0-9a-f]{20}", said["session"])
    assert services.cards.arrived == []


@pytest.mark.parametrize("version", ["--http1.1", "--http2"])
def test_an_upload_that_is_denied_is_not_read(way: Way, services: Services, version: str, tmp_path: Path) -> None:
    services.cards.arrived.clear()
    large = tmp_path / "large.bin"
    with large.open("wb") as file:
        file.truncate(200 * MIB)
    words = ["-T", large, "-H", "Expect:", "-w", "\n%{http_code} %{size_upload}", "-o", tmp_path / "said"]
    ran = way.curl("/upload", version, *words)
    status, sent = ran.out.split()[-2:]
    assert (status, json.loads((tmp_path / "said").read_bytes())["error"]) == (b"403", "Nobody may PUT /upload.")
    assert int(sent) < 20 * MIB
    assert services.cards.arrived == []
