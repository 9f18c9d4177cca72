"""Values that a client takes for its column's type, in text and in binary: what a redacted cell becomes.

The numbers are PostgreSQL's type OIDs (pg_type.dat) and the forms those of its send and receive functions; a test lets
real servers read each one back. A domain is described on the wire by its base type. Types with an OID of their own in
each database (enums, composites, extensions') have no constant: NULL fits them all. Knows neither columns nor masks.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from struct import pack
from types import MappingProxyType

from hoopproxy.events import Format

MASK = b"***"

BYTEA, NAME, INT8, INT2, INT4, TEXT, JSON, XML = 17, 19, 20, 21, 23, 25, 114, 142
FLOAT4, FLOAT8, MONEY, BPCHAR, VARCHAR, BIT, NUMERIC, UUID, JSONB = 700, 701, 790, 1042, 1043, 1560, 1700, 2950, 3802
DATE, TIMESTAMP, TIMESTAMPTZ = 1082, 1114, 1184

TEXTS = frozenset({TEXT, VARCHAR, BPCHAR, NAME})
"""Types whose binary form is their text, and in which every text is valid up to a length."""

TEXT_FORMS = TEXTS | {JSON, XML}
"""Types whose binary form is their text."""

INTEGERS: Mapping[int, int] = MappingProxyType({INT2: 2, INT4: 4, INT8: 8})
"""Integer types to their width in bytes."""

FLOATS = frozenset({FLOAT4, FLOAT8})

_FIXED: Mapping[int, tuple[bytes, bytes]] = MappingProxyType(
    {
        16: (b"f", bytes(1)),  # bool
        BYTEA: (b"\\x", b""),
        18: (b"*", b"*"),  # "char"
        INT8: (b"0", bytes(8)),
        INT2: (b"0", bytes(2)),
        INT4: (b"0", bytes(4)),
        26: (b"0", bytes(4)),  # oid
        27: (b"(0,0)", bytes(6)),  # tid
        28: (b"0", bytes(4)),  # xid
        29: (b"0", bytes(4)),  # cid
        JSON: (b'"***"', b'"***"'),
        XML: (b"<masked/>", b"<masked/>"),
        600: (b"(0,0)", bytes(16)),  # point
        601: (b"[(0,0),(0,0)]", bytes(32)),  # lseg
        603: (b"(0,0),(0,0)", bytes(32)),  # box
        650: (b"0.0.0.0/0", bytes.fromhex("0200010400000000")),  # cidr
        FLOAT4: (b"0", bytes(4)),
        FLOAT8: (b"0", bytes(8)),
        718: (b"<(0,0),0>", bytes(24)),  # circle
        774: (b"00:00:00:00:00:00:00:00", bytes(8)),  # macaddr8
        MONEY: (b"$0.00", bytes(8)),
        829: (b"00:00:00:00:00:00", bytes(6)),  # macaddr
        869: (b"0.0.0.0", bytes.fromhex("0220000400000000")),  # inet
        DATE: (b"1900-01-01", bytes.fromhex("ffff7154")),  # days since 2000-01-01
        1083: (b"00:00:00", bytes(8)),  # time
        TIMESTAMP: (b"1900-01-01 00:00:00", bytes.fromhex("fff4c9ee7c0b8000")),  # µs since 2000-01-01
        TIMESTAMPTZ: (b"1900-01-01 00:00:00+00", bytes.fromhex("fff4c9ee7c0b8000")),
        1186: (b"00:00:00", bytes(16)),  # interval
        1266: (b"00:00:00+00", bytes(12)),  # timetz
        1562: (b"", bytes(4)),  # varbit
        UUID: (b"00000000-0000-0000-0000-000000000000", bytes(16)),
        3220: (b"0/0", bytes(8)),  # pg_lsn
        3614: (b"", bytes(4)),  # tsvector
        JSONB: (b'"***"', b'\x01"***"'),  # version 1
        5069: (b"0", bytes(8)),  # xid8
    }
)

# int4range, numrange, tsrange, tstzrange, daterange, int8range, and the multiranges of the same
_RANGES = frozenset({3904, 3906, 3908, 3910, 3912, 3926})
_MULTIRANGES = frozenset({4451, 4532, 4533, 4534, 4535, 4536})

# Array type to the type of its elements
_ARRAYS: Mapping[int, int] = MappingProxyType(
    {
        array: element
        for element, array in {
            **{16: 1000, 17: 1001, 18: 1002, 19: 1003, 20: 1016, 21: 1005, 23: 1007, 25: 1009, 26: 1028, 27: 1010},
            **{28: 1011, 29: 1012, 114: 199, 142: 143, 600: 1017, 601: 1018, 603: 1020, 650: 651, 700: 1021, 701: 1022},
            **{718: 719, 774: 775, 790: 791, 829: 1040, 869: 1041, 1042: 1014, 1043: 1015, 1082: 1182, 1083: 1183},
            **{1114: 1115, 1184: 1185, 1186: 1187, 1266: 1270, 1560: 1561, 1562: 1563, 1700: 1231, 2950: 2951},
            **{3220: 3221, 3614: 3643, 3802: 3807, 5069: 271, 3904: 3905, 3906: 3907, 3908: 3909},
            **{3910: 3911, 3912: 3913, 3926: 3927, 4451: 6150, 4532: 6151, 4533: 6152, 4534: 6153, 4535: 6155},
            **{4536: 6157},
        }.items()
    }
)


@dataclass(frozen=True, slots=True)
class Kind:
    """A column's type as the wire names it: its OID, its modifier (-1: none) and the format of its cells."""

    oid: int
    modifier: int
    format: Format

    @property
    def binary(self) -> bool:
        """Whether cells come in the type's binary form."""
        return self.format is Format.BINARY

    @property
    def characters_max(self) -> int | None:
        """How many characters a text type holds; None for no limit."""
        if self.oid == NAME:
            return 63  # NAMEDATALEN - 1
        if self.oid in (VARCHAR, BPCHAR) and self.modifier >= 4:
            return self.modifier - 4  # VARHDRSZ
        return None

    def fit(self, text: bytes) -> bytes:
        """An ASCII text cut to what a text type holds, and for `char(n)` filled up to it."""
        cut = text[: self.characters_max]
        return cut.ljust(self.characters_max or 0) if self.oid == BPCHAR else cut

    def constant(self) -> bytes | None:
        """A cell of this type and format that tells nothing; None where there is only NULL."""
        if self.oid in TEXTS:
            return self.fit(MASK)
        both = _FIXED.get(self.oid) or self._made()
        return None if both is None else both[self.binary]

    def _made(self) -> tuple[bytes, bytes] | None:
        if self.oid == NUMERIC:
            return _numeric(self.modifier)
        if self.oid == BIT:
            bits = max(self.modifier, 0)
            return b"0" * bits, pack("!i", bits) + bytes(-(-bits // 8))
        if self.oid in _RANGES:
            return b"empty", b"\x01"  # RANGE_EMPTY
        if self.oid in _MULTIRANGES:
            return b"{}", bytes(4)
        if self.oid in _ARRAYS:
            return b"{}", pack("!iiI", 0, 0, _ARRAYS[self.oid])  # no dimension, no NULLs, the element's type
        return None


def numeric_scale(modifier: int) -> int:
    """The decimal places of a numeric by its modifier, which is one."""
    # numeric.c: the modifier is (precision << 16 | scale in 11 bits, two's complement) + VARHDRSZ
    return ((modifier - 4 & 0x7FF) ^ 0x400) - 0x400


def _numeric(modifier: int) -> tuple[bytes, bytes]:
    """Zero, with as many decimal places as the column shows."""
    scale = max(numeric_scale(modifier), 0) if modifier >= 4 else 0
    return (b"0." + b"0" * scale if scale else b"0"), pack("!hhHh", 0, 0, 0, scale)
