"""What simulated clients do: scripts in the manner of real drivers, thrown with dice.

Knows the model database's SQL and the protocol's messages; nothing of a gateway.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from random import Random

from hoopproxy.events import Format, Parameter
from hoopproxy.wire.postgres import requests
from hoopproxy.wire.postgres.framing import message
from hoopproxy.wire.postgres.requests import FLUSH, SYNC, Named


@dataclass(frozen=True, slots=True)
class Send:
    """These bytes, which `readies` ReadyForQuery will answer."""

    data: bytes
    readies: int = 0


@dataclass(frozen=True, slots=True)
class Wait:
    """Until all is answered."""


@dataclass(frozen=True, slots=True)
class CopyIn:
    """These bytes once the server asks for data; `otherwise` if it never does."""

    data: bytes
    otherwise: bytes = b""


@dataclass(frozen=True, slots=True)
class Rest:
    """Neither read nor send for a while."""

    duration_s: float


@dataclass(frozen=True, slots=True)
class Stop:
    """Cancel what runs, with the key that was given or a wrong one."""

    is_own_key: bool


@dataclass(frozen=True, slots=True)
class Leave:
    """Go: with Terminate, or just so."""

    is_polite: bool


type Move = Send | Wait | CopyIn | Rest | Stop | Leave

SELECTS = (
    "SELECT id, card FROM customers",
    "SELECT * FROM customers",
    "SELECT id, name, card, email, score FROM customers WHERE id <= 4 ORDER BY id",
    "SELECT score, id FROM customers WHERE id = 2",
    "SELECT id, title, body FROM products",
    "SELECT id, title FROM products WHERE id <= 5",
    "SELECT upper(card) FROM customers",
    "SELECT id, card FROM everybody",
)
BY_ID = ("SELECT id, card, score FROM customers WHERE id = $1", "SELECT id, body FROM products WHERE id <= $1")
OTHERS = (
    "UPDATE products SET title = 'x' WHERE id = 1",
    "INSERT INTO customers (id, name) VALUES (1, 'x')",
    "SELECT 1/0",
    "SELECT id FROM nowhere",
    "SELEC 1",
    "DROP TABLE products",
    "SET application_name = 'x'",
    "LISTEN news",
    "NOTIFY news, 'no canary'",
    "DEALLOCATE ALL",
    "COPY products (id, title) TO STDOUT",
    "COPY customers (id, name) TO STDOUT",
    "COPY customers (id, card) TO STDOUT",
    "",
)
COPY_IN = "COPY products (id, title) FROM STDIN"
SLEEP = "SELECT pg_sleep(30)"
_FORMATS: tuple[tuple[Format, ...], ...] = ((), (Format.TEXT,), (Format.BINARY,))


def script(dice: Random) -> list[Move]:
    """A visit from its first statement to its goodbye."""
    moves: list[Move] = []
    for _ in range(dice.randint(0, 7)):
        moves += dice.choice(KINDS)(dice)
        if dice.random() < 0.15:
            moves.append(Rest(dice.choice((0.01, 1.0, 20.0))))
    if dice.random() < 0.8:
        moves += [Wait()] * (dice.random() < 0.9) + [Leave(dice.random() < 0.7)]
    return moves


def _statement(dice: Random) -> str:
    return dice.choice(dice.choice((SELECTS, SELECTS, OTHERS)))


def _query(text: str) -> Send:
    return Send(requests.query(text), 1)


def _simple(dice: Random) -> list[Move]:
    """psql: a query, its answer, the next."""
    texts = [_statement(dice) for _ in range(dice.randint(1, 3))]
    if dice.random() < 0.2:
        texts = ["; ".join(text for text in texts if not text.startswith("SELEC "))]
    return [move for text in texts for move in (_query(text), Wait())]


def _impatient(dice: Random) -> list[Move]:
    """Queries without waiting for answers."""
    return [*(_query(_statement(dice)) for _ in range(dice.randint(2, 6))), Wait()]


def _transaction(dice: Random) -> list[Move]:
    """With an error in it, perhaps."""
    texts = ("BEGIN", *(_statement(dice) for _ in range(dice.randint(1, 3))), dice.choice(("COMMIT", "ROLLBACK")))
    return [move for text in texts for move in (_query(text), Wait())]


def _bind(dice: Random, statement: str, text: str, portal: str = "") -> bytes:
    given: tuple[Parameter, ...] = ()
    if "$1" in text:
        number = dice.randint(1, 8)
        given = (Parameter(str(number).encode(), Format.TEXT), Parameter(number.to_bytes(4), Format.BINARY))
        given = (dice.choice(given),)
    return requests.Bind(portal, statement, given, dice.choice(_FORMATS)).encode()


def _parse(name: str, text: str) -> bytes:
    return requests.Parse(name, text.encode()).encode()


def _undescribed(dice: Random) -> list[Move]:
    """asyncpg, and pgjdbc from its fifth time on: no Describe before Execute."""
    text = dice.choice(SELECTS + BY_ID + OTHERS)
    return [Send(_parse("", text) + _bind(dice, "", text) + requests.execute("") + SYNC, 1), Wait()]


def _described(dice: Random) -> list[Move]:
    """psycopg: the portal is described; others describe the statement, and wait for that."""
    text = dice.choice(SELECTS + BY_ID + OTHERS)
    if dice.random() < 0.5:
        first = Send(_parse("", text) + requests.describe(Named.STATEMENT, "") + SYNC, 1)
        return [first, Wait(), Send(_bind(dice, "", text) + requests.execute("") + SYNC, 1), Wait()]
    about = requests.describe(Named.PORTAL, "")
    return [Send(_parse("", text) + _bind(dice, "", text) + about + requests.execute("") + SYNC, 1), Wait()]


def _pipelined(dice: Random) -> list[Move]:
    """Several batches on their way at once, errors among them."""
    moves: list[Move] = []
    for _ in range(dice.randint(1, 4)):
        batch = b""
        for _ in range(dice.randint(1, 3)):
            text = dice.choice(SELECTS + BY_ID + OTHERS)
            batch += _parse("", text) + _bind(dice, "", text) + requests.execute("")
            if dice.random() < 0.2:
                batch += FLUSH
        moves.append(Send(batch + SYNC, 1))
    return [*moves, Wait()]


def _reused(dice: Random) -> list[Move]:
    """A named statement, executed again and again, closed, and its name given to another text."""
    moves: list[Move] = []
    name = f"s{dice.randint(1, 3)}"
    for text in dice.sample(SELECTS[:6] + BY_ID, 2):
        moves += [Send(_parse(name, text) + SYNC, 1), Wait()]
        for _ in range(dice.randint(1, 4)):
            moves.append(Send(_bind(dice, name, text) + requests.execute("") + SYNC, 1))
        moves += [Wait(), Send(requests.close(Named.STATEMENT, name) + SYNC, 1), Wait()]
    return moves


def _portal(dice: Random) -> list[Move]:
    """A portal that is read in parts."""
    text = dice.choice(SELECTS[:6])
    first = _parse("", text) + _bind(dice, "", text, "p") + requests.execute("p", dice.randint(1, 4))
    moves: list[Move] = [_query("BEGIN"), Wait(), Send(first + SYNC, 1), Wait()]
    for _ in range(dice.randint(0, 3)):
        moves += [Send(requests.execute("p", dice.choice((0, 1, 2))) + SYNC, 1), Wait()]
    return [*moves, Send(requests.close(Named.PORTAL, "p") + SYNC, 1), Wait(), _query("COMMIT"), Wait()]


def _cursor(dice: Random) -> list[Move]:
    """SQL's own cursor."""
    fetches = ["FETCH 2 FROM c"] * dice.randint(1, 4)
    texts = ("BEGIN", "DECLARE c CURSOR FOR SELECT id, card FROM customers", *fetches, "CLOSE c", "COMMIT")
    return [move for text in texts for move in (_query(text), Wait())]


def _copy_in(dice: Random) -> list[Move]:
    """COPY FROM STDIN, by either protocol; broken off by the client or for bad data, sometimes."""
    rows = [b"1\tone\n", b"2\ttwo\n" * 50, b"3\tbad\n" if dice.random() < 0.3 else b"3\tthree\n"]
    end = message(b"f", b"enough\0") if dice.random() < 0.3 else message(b"c")
    data = b"".join(message(b"d", row) for row in rows) + end
    if dice.random() < 0.5:
        return [_query(COPY_IN), CopyIn(data), Wait()]
    batch = _parse("", COPY_IN) + _bind(dice, "", COPY_IN) + requests.execute("")
    return [Send(batch + FLUSH, 1), CopyIn(data + SYNC, SYNC), Wait()]


def _sleeper(dice: Random) -> list[Move]:
    """A long statement that is cancelled; with the wrong key it goes on."""
    return [_query(SLEEP), Rest(dice.choice((0.5, 2.0))), Stop(dice.random() < 0.7), Wait()]


KINDS: Sequence[Callable[[Random], list[Move]]] = (
    _simple,
    _simple,
    _impatient,
    _transaction,
    _undescribed,
    _described,
    _pipelined,
    _reused,
    _portal,
    _cursor,
    _copy_in,
    _sleeper,
)
