"""Random clients against a fake server: through the gateway they get, byte for byte, what a server would answer that
masks and refuses by itself; whatever the timing and the cuts, nothing protected comes out.

Two relations are protected, each in another column, and all have rows of one form, so that a row that is cut by
another's plan shows a canary. `MODEL_SEQUENCES` plays more of them than a suite has time for, from `MODEL_SEED` on.
"""

import os
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from random import Random

import pytest

from hoopproxy.errors import ProtocolViolation
from hoopproxy.events import Format, Forward
from hoopproxy.model import Side
from hoopproxy.wire.postgres import requests
from hoopproxy.wire.postgres.framing import Splitter, message, string
from hoopproxy.wire.postgres.requests import FLUSH, SYNC, Named

from .fake_postgres import CARD, OTHER_CARD, FakePostgres
from .rig import Rig, machine

SEQUENCES = int(os.environ.get("MODEL_SEQUENCES", "2000"))
FIRST_SEED = int(os.environ.get("MODEL_SEED", "0"))
BLOCKS = 6

SELECTS = ("select customers", "select payments", "select products", "select t", "execute t")
TEXTS = (
    *SELECTS * 2,
    "switch",
    "switch payments",
    "insert",
    "insert forbidden",
    "insert unrunnable",
    "begin",
    "begin",
    "commit",
    "rollback",
    "fail",
    "mistyped",
    "copy out",
    "note",
    "discard all",
    "deallocate all",
    "deallocate a",
    "",
)
STATEMENTS = ("", "", "a", "a", "b")
PORTALS = ("", "", "p", "p", "q")
ROWS_MAX = (0, 0, 0, 1, 2)
FORMATS = ((), (Format.BINARY,), (Format.TEXT, Format.BINARY))


@dataclass(frozen=True)
class Turn:
    """The client sends `data` in pieces of `sent` bytes, then so many `pieces` of `size` bytes come from the server."""

    data: bytes
    sent: int
    pieces: int
    size: int


def parse(random: Random) -> bytes:
    return requests.Parse(random.choice(STATEMENTS), random.choice(TEXTS).encode()).encode()


def bind(random: Random) -> bytes:
    return requests.Bind(random.choice(PORTALS), random.choice(STATEMENTS), (), random.choice(FORMATS)).encode()


def execute(random: Random) -> bytes:
    return requests.execute(random.choice(PORTALS), random.choice(ROWS_MAX))


def named(random: Random) -> tuple[Named, str]:
    if random.random() < 0.5:
        return Named.PORTAL, random.choice(PORTALS)
    return Named.STATEMENT, random.choice(STATEMENTS)


def describe(random: Random) -> bytes:
    return requests.describe(*named(random))


def close(random: Random) -> bytes:
    return requests.close(*named(random))


def end(random: Random) -> bytes:
    return random.choice((SYNC, SYNC, SYNC, FLUSH))


def query(random: Random) -> bytes:
    return requests.query(";".join(random.choices(TEXTS, k=random.choice((1, 1, 2, 3)))))


def transaction(random: Random) -> bytes:
    return requests.query(random.choice(("begin", "begin", "commit", "rollback")))


def unprepared(random: Random) -> bytes:
    """As asyncpg's `fetch` and pgjdbc send it: no Describe of the portal; pgjdbc none at all."""
    name, text = random.choice(STATEMENTS), random.choice(TEXTS).encode()
    described = requests.describe(Named.STATEMENT, name) + SYNC if random.random() < 0.5 else b""
    return requests.Parse(name, text).encode() + described + prepared(random, name)


def prepared(random: Random, name: str | None = None) -> bytes:
    """A statement that was prepared before, by whatever it stands for now."""
    name = random.choice(STATEMENTS) if name is None else name
    return requests.Bind("", name, (), random.choice(FORMATS)).encode() + requests.execute("") + SYNC


def described(random: Random) -> bytes:
    """As psycopg sends it."""
    bound = requests.Bind("", random.choice(STATEMENTS)).encode()
    return bound + requests.describe(Named.PORTAL, "") + requests.execute("") + SYNC


def ran(text: bytes) -> bytes:
    """A statement run beside others, in their batch."""
    return requests.Parse("", text).encode() + requests.Bind("q", "").encode() + requests.execute("q")


def in_portions(random: Random) -> bytes:
    """A portal that is fetched from by and by; meanwhile its statement may be closed, its name prepared anew, or what
    it reads be another relation."""
    name, portal = random.choice(STATEMENTS), random.choice(PORTALS)
    before = requests.Parse(name, random.choice(SELECTS).encode()).encode() if random.random() < 0.5 else b""
    meanwhile = random.choice(
        (
            b"",
            FLUSH,
            requests.close(Named.STATEMENT, name),
            requests.describe(Named.PORTAL, portal),
            requests.close(Named.STATEMENT, name) + requests.Parse(name, random.choice(SELECTS).encode()).encode(),
            requests.Parse("", random.choice(SELECTS).encode()).encode(),
            requests.Bind("q", random.choice(STATEMENTS)).encode() + requests.execute("q", 1),
            ran(b"switch"),
            ran(b"switch payments"),
        )
    )
    said = requests.Bind(portal, name, (), random.choice(FORMATS)).encode() + requests.execute(portal, 1)
    return before + said + meanwhile + requests.execute(portal, random.choice((0, 1, 2))) + random.choice((b"", SYNC))


def switched(random: Random) -> bytes:
    """A portal, and what is known of it before it reads another relation: in one batch, or in one transaction."""
    name, portal = random.choice(STATEMENTS), random.choice(PORTALS)
    said = requests.Parse(name, random.choice(("select t", "execute t", "execute t")).encode()).encode()
    said += requests.describe(Named.STATEMENT, name) if random.random() < 0.3 else b""
    bound = requests.Bind(portal, name, (), random.choice(FORMATS)).encode()
    seen = requests.describe(Named.PORTAL, portal) if random.random() < 0.7 else b""
    text = random.choice((b"switch", b"switch payments"))
    switch = random.choice((ran(text), SYNC + requests.query(text.decode()), SYNC + ran(text) + SYNC))
    begun = requests.query("begin") if random.random() < 0.7 else b""
    return (
        begun + said + random.choice((bound + seen + switch, switch + bound + seen)) + requests.execute(portal) + SYNC
    )


def copy(random: Random) -> bytes:
    """COPY in the middle of everything, as libpq sends it (a Sync behind Execute, which the server ignores) or as a
    simple query; where there is no COPY to be had, the server ignores data, too."""
    data = b"".join(message(b"d", random.choice((b"1\tone\n", b"bad\n", b""))) for _ in range(random.randint(0, 2)))
    over = random.choice((message(b"c"), message(b"c"), message(b"f", string("no"))))
    if random.random() < 0.5:
        return requests.query(random.choice(("copy in", "copy in;select customers", "insert;copy in"))) + data + over
    begun = requests.Parse("copy", b"copy in").encode() + requests.Bind("copy", "copy").encode()
    forgotten = requests.close(Named.STATEMENT, "copy") + requests.close(Named.PORTAL, "copy") + SYNC
    return forgotten + begun + requests.execute("copy") + SYNC + data + over + SYNC


SAYINGS: tuple[Callable[[Random], bytes], ...] = (
    *(parse, bind, execute, execute, describe, close, end, end, query, transaction),
    *(unprepared, unprepared, prepared, described, in_portions, in_portions, switched, copy),
)


def one_query(random: Random) -> bytes:
    return requests.query(random.choice(TEXTS))


ONE_EACH = tuple(one_query if saying is query else saying for saying in SAYINGS if saying is not copy)
"""Of several statements in one text those behind a result that is cut off may have run: nobody stops them in time."""


def script(seed: int, sayings: Sequence[Callable[[Random], bytes]] = SAYINGS) -> list[Turn]:
    random = Random(seed)
    return [
        Turn(
            random.choice(sayings)(random),
            random.choice((1000, 1000, 1000, 11)),
            random.randint(0, 3),
            random.randint(1, 60),
        )
        for _ in range(random.randint(1, 16))
    ] + [Turn(SYNC, 1000, 0, 1)]


def refuse(action: str, text: str) -> str:
    if "forbidden" in text or ("unrunnable" in text and action == "execute"):
        return "The security team refuses this statement; ask them."
    return ""


def play(rig: Rig, turns: list[Turn]) -> None:
    # A guard that refuses an Execute speaks before the server could say that the portal is gone already. So that both
    # say the same, the client waits for answers where there is such a statement.
    patient = any(b"unrunnable" in turn.data for turn in turns)
    for turn in turns:
        for at in range(0, len(turn.data), turn.sent):
            rig.client(turn.data[at : at + turn.sent])
        for _ in range(turn.pieces):
            rig.serve(turn.size)
        if patient:
            rig.serve()
    rig.serve()


def was_too_early(why: ProtocolViolation) -> bool:
    """The one thing that the gateway can't know in time (see `statements.be_sure`)."""
    return "before the target had confirmed it" in why.sentence


def outcome(turns: list[Turn], protected: tuple[str, ...], rows_max: int = 0) -> str:
    """How it went, "" for the whole way. @raise AssertionError: the client got something else than it should."""
    guarded = bool(protected)
    rig = Rig(wire=machine(protected=protected), refuse=refuse, forward=lambda ask: Forward(ask.text, (), rows_max))
    perfect = FakePostgres(masked=guarded, refuse=refuse, rows_max=rows_max or 1000)
    said = b"".join(turn.data for turn in turns)
    expected = perfect.feed(said)
    ended = ""
    try:
        play(rig, turns)
    except ProtocolViolation as why:
        if not was_too_early(why):
            raise
        ended = "used a name too early"
    if guarded:
        assert b"canary" not in rig.shown, "a protected value was shown"
        assert b"canary" not in repr(rig.records).encode() + b"".join(getattr(r, "raw", b"") for r in rig.records)
    if ended:
        assert expected.startswith(bytes(rig.shown))
        return ended
    assert bytes(rig.shown) == expected
    assert rig.server.executed == perfect.executed
    if not (guarded or rows_max) and b"E" not in kinds(expected):
        assert bytes(rig.sent) == said  # what a server would skip after an error need not be sent to it at all
    return ended


def kinds(data: bytes) -> set[bytes]:
    splitter, found = Splitter(Side.SERVER), set()
    splitter.append(data)
    while (got := splitter.next(1 << 30, "")) is not None:
        found.add(got.kind)
    return found


def fails(turns: list[Turn], protected: tuple[str, ...], rows_max: int = 0) -> bool:
    try:
        outcome(turns, protected, rows_max)
    except Exception:  # noqa: BLE001 # whatever it is, a shorter script that does it as well is easier to read
        return True
    return False


def shortest(turns: list[Turn], protected: tuple[str, ...], rows_max: int = 0) -> list[Turn]:
    """The same failure with fewer turns."""
    at = 0
    while at < len(turns):
        fewer = turns[:at] + turns[at + 1 :]
        turns, at = (fewer, at) if fails(fewer, protected, rows_max) else (turns, at + 1)
    return turns


def seeds(block: int, protected: tuple[str, ...]) -> Iterator[int]:
    """Most where something can leak."""
    return iter(range(FIRST_SEED + block, FIRST_SEED + (SEQUENCES if protected else SEQUENCES // 4), BLOCKS))


@pytest.mark.parametrize("block", range(BLOCKS))
@pytest.mark.parametrize(
    "protected", [pytest.param((CARD, OTHER_CARD), id="masked"), pytest.param((), id="nothing protected")]
)
def test_a_client_gets_what_a_perfect_server_would_answer(protected: tuple[str, ...], block: int) -> None:
    """Where nothing is protected, the server gets what the client sent, too."""
    ends = Counter[str]()
    for seed in seeds(block, protected):
        turns = script(seed)
        try:
            ends[outcome(turns, protected)] += 1
        except Exception as why:
            why.add_note(f"MODEL_SEED={seed}; the shortest that fails: {shortest(turns, protected)}")
            raise
    assert ends[""] > 0.6 * ends.total(), ends


@pytest.mark.parametrize("rows_max", [1, 2])
@pytest.mark.parametrize(
    "protected", [pytest.param((CARD, OTHER_CARD), id="masked"), pytest.param((), id="nothing protected")]
)
def test_a_bounded_result_ends_as_if_the_server_had_failed(protected: tuple[str, ...], rows_max: int) -> None:
    ends = Counter[str]()
    for seed in range(FIRST_SEED, FIRST_SEED + SEQUENCES // 4):
        turns = script(seed, ONE_EACH)
        try:
            ends[outcome(turns, protected, rows_max)] += 1
        except Exception as why:
            why.add_note(f"MODEL_SEED={seed}; the shortest: {shortest(turns, protected, rows_max)}")
            raise
    assert ends[""] > 0.6 * ends.total(), ends
