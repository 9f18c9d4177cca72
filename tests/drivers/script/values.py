"""A few values of each type, as literals: ordinary ones, and those at the type's edges. Knows no driver."""

from itertools import zip_longest

TYPES: dict[str, dict[str, tuple[str, ...]]] = {
    "numbers": {
        "bool": ("true", "false"),
        "int2": ("-32768", "32767"),
        "int4": ("-2147483648", "0", "2147483647"),
        "int8": ("-9223372036854775808", "9223372036854775807"),
        "float4": ("1.5", "-0", "NaN", "-Infinity", "3.4028235e38", "1e-45"),
        "float8": ("0.1", "-0", "NaN", "Infinity", "1.7976931348623157e308", "5e-324"),
        "numeric": ("0", "0.00", "-12345678901234567890.000000000123456789", "NaN", "1e200", "1e-200", "Infinity"),
        "numeric(12,2)": ("-0.05", "9999999999.99"),
        "money": ("12.34", "-0.01"),
        "oid": ("0", "4294967295"),
        "regclass": ("pg_class", "0"),
        "regtype": ("integer",),
        "xid": ("4294967295",),
        "pg_lsn": ("16/B374D848",),
    },
    "texts": {
        "text": ("", " ", "line\nbreak\ttab\\slash'quote", "ä中文😀e\u0301", "NULL"),
        "varchar(5)": ("", "abcde"),
        "char(8)": ("pad", ""),
        '"char"': ("x", ""),
        "name": ("a name",),
        "bytea": ("", r"\x00ff0a5c", r"\x4a414441"),
        "uuid": ("6ba7b810-9dad-11d1-80b4-00c04fd430c8", "00000000-0000-0000-0000-000000000000"),
        "json": ('{"a": [1, null, "x"],  "a": "ä"}', "null", "3"),
        "jsonb": ('{"b": 1.50, "a": [1, null, "x"]}', "null", '""'),
        "jsonpath": ("$.a[*] ? (@ > 1)",),
        "xml": ("<a b='1'>ä</a>",),
        "bit(8)": ("10110000",),
        "bit varying": ("", "101"),
        "tsvector": ("'fat':2A 'cat':3",),
        "tsquery": ("'fat' & !'rat'",),
    },
    "times": {
        "date": ("2026-02-28", "infinity", "-infinity"),
        "time": ("00:00", "23:59:59.999999"),
        "time(0)": ("12:34:56",),
        "timetz": ("12:00:00+05:30", "23:59:59.5-15:59"),
        "timestamp": ("1999-12-31 23:59:59.5", "0001-01-01 00:00:00", "infinity"),
        "timestamptz": ("2026-11-25 10:00:00+01", "1900-01-01 00:00:00.000001+00", "-infinity"),
        "interval": ("1 mon 2 days 03:04:05.6", "-1 year", "0"),
    },
    "times beyond what languages know": {
        "date": ("0044-03-15 BC", "5874897-12-31"),
        "time": ("24:00",),
        "timestamp": ("4713-01-01 00:00 BC",),
        "interval": ("178000000 years",),
    },
    "networks": {
        "inet": ("192.168.0.1", "10.1.2.3/8", "2001:db8::1/64"),
        "cidr": ("10.0.0.0/8", "2001:db8::/32"),
        "macaddr": ("08:00:2b:01:02:03",),
        "macaddr8": ("08:00:2b:01:02:03:04:05",),
    },
    "arrays": {
        "int4[]": ("{}", "{1,NULL,-3}", "{{1,2},{3,4}}", "[0:1]={7,8}"),
        "text[]": ("{}", '{"a,b",c,NULL,"NULL","",ä}', r'{{"\"q\"","\\"}}'),
        "bool[]": ("{t,f,NULL}",),
        "numeric[]": ("{1.50,NaN}",),
        "bytea[]": (r'{"\\x00","\\xff"}',),
        "timestamptz[]": ("{2026-11-25 10:00:00+01,NULL}",),
        "jsonb[]": (r'{"{\"a\": 1}",null}',),
        "int4range[]": ('{"[1,2)",empty}',),
    },
    "ranges": {
        "int4range": ("empty", "[1,10)", "(,5]", "(,)"),
        "numrange": ("[1.5,2.50]",),
        "tstzrange": ("[2026-01-01 00:00+00,)",),
        "daterange": ("[2026-01-01,2026-02-01)",),
        "int4multirange": ("{}", "{[1,3),[5,7)}"),
        "datemultirange": ("{[2026-01-01,2026-02-01)}",),
    },
    "shapes": {
        "point": ("(1.5,-2)",),
        "line": ("{1,2,3}",),
        "lseg": ("[(0,0),(1,1)]",),
        "box": ("(1,1),(0,0)",),
        "path": ("((0,0),(1,1))", "[(0,0),(1,1)]"),
        "polygon": ("((0,0),(1,1),(1,0))",),
        "circle": ("<(0,0),2>",),
    },
    "types of the database's own": {
        "mood": ("sad", "happy"),
        "mood[]": ("{sad,NULL,happy}",),
        "positive": ("7",),
        "pair": ('(1,"b, c")', "(,)"),
        "pair[]": (r'{"(1,\"b, c\")",NULL}',),
    },
}
"""Families, each: PostgreSQL's name of the type → literals without their quotes."""


def selecting(family: str) -> str:
    """A column of each type with all its values, and at least one NULL."""
    types = TYPES[family]
    rows = [*zip_longest(*types.values()), (None,) * len(types)]
    lines = ", ".join(f"({', '.join(map(_cell, types, row))})" for row in rows)
    return f"SELECT * FROM (VALUES {lines}) listed({', '.join(map(_name, types))})"


def through_text(family: str) -> str:
    """A column of each type, made from a parameter that is a text."""
    types = enumerate(TYPES[family], 1)
    return f"SELECT {', '.join(f'${number}::text::{name} AS {_name(name)}' for number, name in types)}"


def _cell(name: str, text: str | None) -> str:
    return f"NULL::{name}" if text is None else "'" + text.replace("'", "''") + f"'::{name}"


def _name(name: str) -> str:
    return '"' + name.replace('"', "'") + '"'
