"""Values of every type that masks might stumble over, as texts that PostgreSQL reads; the same ones in each run."""

import json
import struct
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import date
from random import Random

RANDOM_COUNT = 50

_CHARACTERS = "aZ09 *\\\"'%_-./:@\t\n\x01\x7féß€中😀\u0301\u200d\ufeff"
_WORDS = (
    "",
    "x",
    "vip",
    "phone",
    "medical",
    "diagnosis",
    "cards",
    "number",
    "odd name",
    'qu"ote',
    "a.b",
    "é",
    "~",
    "*",
)


def values(type_sql: str) -> list[str]:
    """For a column of that type; each fits it."""
    random = Random(type_sql)
    base = type_sql.partition("(")[0].partition(" COLLATE")[0]
    made = None if type_sql.endswith("[]") else _MADE.get(base)
    return [*FIXED.get(type_sql, ()), *(made(random, type_sql) if made else ())]


def text(random: Random, characters_max: int = 60) -> str:
    """Any characters that a text may have."""
    return "".join(random.choices(_CHARACTERS, k=random.randrange(characters_max + 1)))


def _texts(random: Random, type_sql: str) -> Iterator[str]:
    limit = int(type_sql.partition("(")[2].partition(")")[0] or 60)
    for _ in range(RANDOM_COUNT):
        yield text(random, limit)
        yield "".join(random.choices("0123456789-/ ", k=random.randrange(limit + 1)))


def _names(random: Random, type_sql: str) -> Iterator[str]:
    return (text(random, 15) for _ in range(RANDOM_COUNT))


def _integers(bits: int) -> "Made":
    def made(random: Random, type_sql: str) -> Iterator[str]:
        most = 1 << bits - 1
        for edge in (0, 1, 2, 999, 1000, 1001, most - 1, most // 2):
            yield from (str(edge), str(-edge))
        yield str(-most)
        for _ in range(RANDOM_COUNT):
            yield str(random.choice((1, -1)) * random.randrange(1 << random.randrange(1, bits)))

    return made


def _numerics(random: Random, type_sql: str) -> Iterator[str]:
    yield from ("NaN", "0", "-0")
    if type_sql == "numeric":
        yield from ("Infinity", "-Infinity", "1e131071", "-9.99e131071", "1e-16383", "0.000", "100000.00", "-99999999")
        yield "1" * 5000 + "." + "9" * 5000
    whole, places = {"numeric": (60, 30), "numeric(10,2)": (8, 2), "numeric(3,-2)": (5, 0), "numeric(3,5)": (0, 5)}[
        type_sql
    ]
    for _ in range(RANDOM_COUNT):
        digits = "".join(random.choices("0123456789", k=random.randrange(whole + 1)))
        behind = "".join(random.choices("0123456789", k=random.randrange(places + 1)))
        behind = f"00{behind}"[:5] if type_sql == "numeric(3,5)" else behind
        if type_sql == "numeric(3,-2)" and int(digits or 0) >= 99950:
            continue
        yield f"{random.choice(('', '-'))}{digits or 0}.{behind or 0}"


def _floats(layout: str) -> "Made":
    def made(random: Random, type_sql: str) -> Iterator[str]:
        yield from ("NaN", "Infinity", "-Infinity", "0", "-0", "999.9999999", "1000", "-1000.5", "123456", "1234567")
        yield from ("1e15", "999999999999999", "123456789012345678", "9007199254740993", "1e-5", "1.5e20", "-3e30")
        size = struct.calcsize(layout)
        edges = [bytes([0x7F, 0x7F if size == 4 else 0xEF]) + b"\xff" * (size - 2), bytes(size - 1) + b"\x01"]
        for raw in (*edges, *(random.randbytes(size) for _ in range(RANDOM_COUNT))):
            yield repr(struct.unpack(layout, raw)[0])
        for _ in range(RANDOM_COUNT):
            yield repr(random.uniform(-1, 1) * 10 ** random.randrange(20))

    return made


def _civil(days: int) -> str:
    """A date of the Gregorian calendar by its days since 1 January of the year 1."""
    cycles, rest = divmod(days, 146097)
    within = date.fromordinal(rest + 1)
    year = within.year + 400 * cycles
    shown = f"{year:04}" if year > 0 else f"{1 - year:04}"
    return f"{shown}-{within.month:02}-{within.day:02}" + ("" if year > 0 else " BC")


def _dates(random: Random, type_sql: str) -> Iterator[str]:
    yield from (
        "infinity",
        "-infinity",
        "4714-11-24 BC",
        "4714-12-31 BC",
        "4713-01-01 BC",
        "0001-12-31 BC",
        "0001-01-01",
    )
    yield from ("5874897-12-31", "294276-12-31", "294277-01-01", "1999-12-31", "2000-01-01", "2000-02-29", "9999-12-31")
    for _ in range(RANDOM_COUNT):
        yield _civil(random.randrange(-1721425, 2145000000))
        yield _civil(random.randrange(600000, 800000))


def _moments(random: Random, type_sql: str) -> Iterator[str]:
    zone = "+00" if "tz" in type_sql else ""
    yield from ("infinity", "-infinity", f"4714-11-24 00:00:00{zone} BC", f"4714-12-31 23:59:59.999999{zone} BC")
    yield from (f"4713-01-01 00:00:00{zone} BC", f"0001-12-31 12:00:00{zone} BC", f"294276-12-31 23:59:59.4{zone}")
    for _ in range(RANDOM_COUNT):
        day, _, era = _civil(
            random.choice((random.randrange(-1721425, 107483000), random.randrange(730000, 740000)))
        ).partition(" ")
        clock = f"{random.randrange(24):02}:{random.randrange(60):02}:{random.randrange(60):02}"
        yield f"{day} {clock}.{random.randrange(1000000):06}{zone} {era}".strip()


def tree(random: Random, depth: int = 4) -> object:
    """A document."""
    kind = random.randrange(8 if depth else 5)
    if kind == 0:
        return random.choice((None, True, False))
    if kind == 1:
        return random.choice((0, -1, 1.5, 10**30, 1e-7, -0.0, 12345678901234567890123.0))
    if kind < 5:
        return random.choice((random.choice(_WORDS), text(random, 8)))
    if kind < 7:
        return {random.choice(_WORDS): tree(random, depth - 1) for _ in range(random.randrange(6))}
    return [tree(random, depth - 1) for _ in range(random.randrange(5))]


_ODD_ESCAPES = (
    *(r"\u0000", r"\ud83d\ude00", r"\ud83d", r"\ude00", r"\\u0000"),
    *(r"\\\u0000", r"\ud800\\\udc00", r"\\ud800\udc00", r"\ud800x\udc00"),
)
_ODD_NUMBERS = ("1e500000", "1e-20000", "1e999", "-1E+1000", "1" * 140000, "0." + "0" * 17000 + "1", "1e9999999")


def _documents(random: Random, type_sql: str) -> Iterator[str]:
    for _ in range(RANDOM_COUNT):
        yield json.dumps(tree(random), ensure_ascii=bool(random.randrange(2)))
    yield from ('{"cards":' + "[" * 120 + "]" * 120 + "}", '{"a":' * 90 + "1" + "}" * 90)
    yield from ("  {}  ", " [ ] ", r'"\u00e9"', '{"vip":' + "1" * 300 + "}", '{"vip":1e400}', '{"vip":"\\\\u0000"}')
    yield from ('{"vip": 1.500, "phone": 1e3, "medical": {"diagnosis": -0.0, "x": 1E-2}}', '{"vip":1,"vip":2,"a":{}}')
    yield json.dumps({"vip": True, "cards": [{"number": "4111", "brand": "visa"}] * 200, "note": "x" * (1 << 18)})
    if type_sql == "json":
        for odd in _ODD_ESCAPES:
            for place in ('"{}"', '{{"vip":"{}"}}', '{{"{}":1}}', '[1,{{"phone":"{}"}}]', '{{"a":"\\"{}"}}'):
                yield place.format(odd)
        for number in _ODD_NUMBERS:
            yield from (f'{{"vip":{number}}}', f'{{"vip":"{number}"}}', f"[{number},2]", number)
        yield '{"id":"550e8400-e29b-41d4-a716-446655440000","vip":"x"}'


type Made = Callable[[Random, str], Iterator[str]]

_MADE: Mapping[str, Made] = {
    "smallint": _integers(16),
    "integer": _integers(32),
    "bigint": _integers(64),
    "numeric": _numerics,
    "real": _floats("!f"),
    "double precision": _floats("!d"),
    "text": _texts,
    "varchar": _texts,
    "char": _texts,
    "bpchar": _texts,
    "name": _names,
    "date": _dates,
    "timestamp": _moments,
    "timestamptz": _moments,
    "json": _documents,
    "jsonb": _documents,
}

_LONG = "é😀x" * (1 << 18)

FIXED: Mapping[str, Sequence[str]] = {
    "text": ["", _LONG, "123-45-6789", "4111 1111 1111 1111", "1" * 36, "1" * 37, "12345", "e\u0301" * 10, "*" * 9],
    "boolean": ["t", "f"],
    '"char"': ["a", ""],
    "oid": ["0", "4294967295"],
    "uuid": ["9b1f6a52-4c3e-4d7a-8f21-0a6b7c8d9e01", "ffffffff-ffff-ffff-ffff-ffffffffffff"],
    "bytea": ["", "\\x00ff5c27", "\\x" + "00" * 5000],
    "inet": ["10.1.2.3/8", "::1", "ffff::/16"],
    "cidr": ["10.0.0.0/8", "::/0"],
    "macaddr": ["08:00:2b:01:02:03"],
    "macaddr8": ["08:00:2b:01:02:03:04:05"],
    "interval": ["1 year -3 days 00:00:01.5", "-178000000 years", "0"],
    "interval(0)": ["1 day 00:00:00.5"],
    "time": ["24:00:00", "00:00:00", "12:34:56.789"],
    "time(0)": ["23:59:59"],
    "timetz": ["24:00:00-15:59", "00:00:00+15:59"],
    "money": ["-92233720368547758.08", "0", "12.34"],
    "bit(9)": ["111111111", "000000000"],
    "bit varying(5)": ["", "10101"],
    "xml": ["<a>1</a>", "text"],
    "tsvector": ["", "'a':1 'b':2"],
    "tsquery": ["", "'a' & !'b'"],
    "point": ["(1,2)", "(NaN,Infinity)"],
    "polygon": ["((0,0),(1,1))"],
    "circle": ["<(0,0),5>"],
    "pg_lsn": ["FFFFFFFF/FFFFFFFF"],
    "xid8": ["18446744073709551615"],
    "regclass": ["pg_class"],
    "jsonpath": ["$.a"],
    "integer[]": ["{}", "{{1,2},{3,NULL}}", "[5:6]={1,2}"],
    "text[]": ["{}", '{"a,b",NULL,"\\"\\\\"}'],
    "numeric(6,2)[]": ["{1.00}"],
    "jsonb[]": ["{}"],
    "int4range": ["empty", "(,)", "[1,5)"],
    "int4multirange": ["{}", "{[1,2),[5,)}"],
    "tstzrange": ["(,)"],
    "mood": ["sad", "glad"],
    "pair": ["(1,x)", "(,)"],
    "pair[]": ["{}"],
    "email": ["a@b"],
    "stated": ["x"],
    "short": ["abc"],
    "hstore": ['"a"=>"1"', ""],
    "citext": ["Ada"],
}

TYPES = (
    *FIXED,
    *(each for each in _MADE if each not in ("numeric", "varchar", "char", *FIXED)),
    *("numeric", "numeric(10,2)", "numeric(3,-2)", "numeric(3,5)", "varchar(2)", "varchar(40)", "varchar", "char(1)"),
    *("char(20)", 'text COLLATE "C"', 'varchar(12) COLLATE "POSIX"', "timestamp(0)", "timestamptz(3)"),
)
