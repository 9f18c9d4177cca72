"""Harness: a hostile target of HTTP, over either version, that is asked by honest clients; what it has is masked."""

from collections.abc import Sequence
from functools import reduce

from fuzz.choices import Choices
from fuzz.http_says import CANARY, HOST, PREFACE, SECRET, TOKEN, Frames, frame, response
from fuzz.http_stage import Stage
from hoopproxy.events import Record, Streamed
from hoopproxy.wire.http.lanes import Frame, Kind

EVENTS_MAX = 14
WORDS = (CANARY, TOKEN, SECRET)
PIECES_MAX = 12
ASKED = ("/v1/customers/17", "/v1/customers/17", "/events", "/lines")

type Event = tuple[int, Kind, bytes]
"""A lane's; or of the client, where the lane is -1."""


def run(data: bytes) -> None:
    """@raise AssertionError: a promise was broken."""
    choices = Choices(reduce(lambda left, word: left.replace(word.encode(), b""), WORDS, data))
    ways = choices.byte()
    is_h2, alpn = bool(ways & 1), "h2" if ways & 2 else "http/1.1"
    size = 1 + choices.byte()
    events = said(choices, is_h2, alpn)
    whole, cut = (played(Stage(alpn, is_masked=True, is_h2=is_h2), events, each) for each in (0, size))
    alike(whole, cut)


def said(choices: Choices, is_h2: bool, alpn: str) -> list[Event]:
    """Requests, and what comes of them."""
    asks, answers, stream = Frames(1), Frames(2), 1
    events: list[Event] = [(-1, Kind.DATA, PREFACE + frame(4, 0, 0))] if is_h2 else []
    events.append((-1, Kind.DATA, _request(choices, asks, is_h2)))
    while choices.left and len(events) < EVENTS_MAX:
        lane = choices.pick((0, 0, 0, 0, 1, 2))
        match choices.below(9):
            case 0 | 1:
                events.append((-1, Kind.DATA, _request(choices, asks, is_h2)))
            case 2:
                events.append((lane, choices.pick((Kind.ENDED, Kind.CLOSED)), choices.pick((b"", b"It broke off."))))
            case 3 if alpn == "h2":
                answers.opened = [stream]
                events.append((0, Kind.DATA, answers.other(choices)))
            case 4:
                events.append((lane, Kind.DATA, choices.some(60) or b"\0"))
            case _ if alpn == "h2":
                events.append((0, Kind.DATA, answers.response(choices, stream)))
                stream += choices.pick((2, 2, 2, 0, 4))
            case _:
                events.append((lane, Kind.DATA, response(choices, choices.byte() & 15 == 15)))
    return events


def _request(choices: Choices, frames: Frames, is_h2: bool) -> bytes:
    method, target = choices.pick(("GET", "GET", "GET", "HEAD", "POST")), choices.pick(ASKED)
    if is_h2:
        fields = [(":method", method), (":scheme", "https"), (":authority", HOST), (":path", target)]
        return frames.asked([*fields, ("authorization", f"Bearer {TOKEN}")])
    upgrade = choices.pick(("",) * 3 + ("Connection: Upgrade\r\nUpgrade: websocket\r\n",))
    return f"{method} {target} HTTP/1.1\r\nHost: {HOST}\r\nAuthorization: Bearer {TOKEN}\r\n{upgrade}\r\n".encode()


def played(stage: Stage, events: Sequence[Event], size: int) -> Stage:
    """All of it, in pieces of that size; whole when that is 0."""
    stage.settle()
    for lane, kind, data in events:
        if lane not in stage.lanes and lane >= 0:
            continue  # nobody has asked for it yet
        step = max(size or len(data), len(data) // PIECES_MAX, 1)
        for at in range(0, len(data), step) if kind is Kind.DATA else (0,):
            piece = data[at : at + step] if kind is Kind.DATA else data
            if lane < 0:
                stage.client(piece)
            else:
                stage.target(Frame(kind, lane, piece))
        if lane >= 0 and kind is Kind.DATA:
            stage.lanes[lane].answered()
        stage.settle()
    stage.last_words()
    return stage


def alike(whole: Stage, cut: Stage) -> None:
    """However bytes are cut, each answer is the same as far as it goes: h2 forgets what came in one piece with what is
    wrong. Unless what is withheld was there as a whole, and so its lane serves again."""
    if whole.over or cut.over or _asked(whole) != _asked(cut):
        return
    one, other = _bodies(whole.records), _bodies(cut.records)
    for number in one.keys() & other.keys():
        shorter, longer = sorted((one[number], other[number]), key=len)
        assert longer.startswith(shorter), f"the answer to request {number} depends on how it was cut"


def _asked(stage: Stage) -> dict[int, list[tuple[str, str]]]:
    return {number: lane.asked for number, lane in stage.lanes.items()}


def _bodies(records: Sequence[Record]) -> dict[int, bytes]:
    """What each client was shown."""
    shown: dict[int, bytes] = {}
    for each in records:
        if isinstance(each, Streamed) and each.stream == "response":
            shown[each.statement_number] = shown.get(each.statement_number, b"") + each.raw
    return shown
