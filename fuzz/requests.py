"""Harness: a hostile client of HTTP, over either version, before targets that answer as any would."""

from functools import reduce

from fuzz.choices import Choices
from fuzz.http_says import CANARY, JSON_MESSAGE, PREFACE, SECRET, TOKEN, Frames, request
from fuzz.http_stage import Stage
from hoopproxy.events import Asked, Rejected
from hoopproxy.wire.http.lanes import Frame, Kind

EVENTS_MAX = 24
WORDS = (CANARY, TOKEN, SECRET)
PIECES_MAX = 12


def run(data: bytes) -> None:
    """@raise AssertionError: a promise was broken."""
    choices = Choices(reduce(lambda left, word: left.replace(word.encode(), b""), WORDS, data))
    ways = choices.byte()
    is_h2, alpn, is_masked = bool(ways & 1), "h2" if ways & 2 else "http/1.1", bool(ways & 4)
    size = 1 + choices.byte()
    events = said(choices, is_h2)
    whole, cut = (played(Stage(alpn, is_masked=is_masked, is_h2=is_h2), events, each) for each in (0, size))
    alike(whole, cut)


def said(choices: Choices, is_h2: bool) -> list[bytes]:
    """What the client says; b"" where the targets answer what they were asked."""
    frames = Frames(1)
    events = [PREFACE + b"\0\0\0\4\0\0\0\0\0"] if is_h2 else []
    while choices.left and len(events) < EVENTS_MAX:
        match choices.below(8):
            case 0 | 1:
                events.append(b"")
            case 2:
                events.append(frames.other(choices) if is_h2 else choices.some(60))
            case _:
                events.append(frames.request(choices) if is_h2 else request(choices))
    return [*events, b""]


def played(stage: Stage, events: list[bytes], size: int) -> Stage:
    """All of it, in pieces of that size; whole when that is 0."""
    stage.settle()
    for event in events:
        step = max(size or len(event), len(event) // PIECES_MAX, 1)
        for at in range(0, len(event), step):
            stage.client(event[at : at + step])
        stage.settle()
        if not event:
            _served(stage)
    stage.last_words()
    stage.client(b"")
    return stage


def _served(stage: Stage) -> None:
    """The targets answer, each as it was asked."""
    for number, lane in list(stage.lanes.items()):
        if lane.alpn == "h2":
            continue  # `answers` has those
        while lane.waiting and not stage.over:
            _, is_head = lane.waiting.pop(0)
            body = b"" if is_head else JSON_MESSAGE
            head = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"
            stage.target(Frame(Kind.DATA, number, head % len(JSON_MESSAGE) + body))
            lane.answered()
            stage.settle()


def alike(whole: Stage, cut: Stage) -> None:
    """However bytes are cut, the same is asked, allowed and refused, and the targets hear the same."""
    if whole.broke or cut.broke:
        assert (whole.broke and cut.broke) or whole.ended or cut.ended
    first, second = (
        [each.statement for each in stage.records if isinstance(each, Asked | Rejected)] for stage in (whole, cut)
    )
    shorter = min(len(first), len(second)) if whole.over or cut.over else max(len(first), len(second))
    assert first[:shorter] == second[:shorter], f"{first} in one piece, {second} in several"
