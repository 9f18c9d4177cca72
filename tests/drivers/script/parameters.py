"""Parameters: of each kind, NULL, large, and as many as there may be. Knows no driver."""

from .steps import Op, Step, ask, int_, text


def parameters() -> list[Step]:
    """Sent beside the statement."""
    kinds = (
        ("int8", ("int", -9007199254740991)),
        ("float8", ("float", 0.1)),
        ("bool", ("bool", False)),
        ("numeric", ("numeric", "-12345678901234567890.000000000123456789")),
        ("text", ("text", "ä'\"\\\n$1 %s ?")),
        ("varchar", ("text", "")),
        ("bytea", ("bytes", "00ff0a5c27")),
        ("uuid", ("uuid", "6ba7b810-9dad-11d1-80b4-00c04fd430c8")),
        ("date", ("date", "2026-02-28")),
        ("timestamptz", ("timestamptz", "2026-11-25T10:00:00+01:00")),
        ("int4[]", ("int[]", [1, None, -3])),
        ("text[]", ("text[]", ["a,b", None, '"', "ä", ""])),
    )
    one_by_one = [ask(f"SELECT $1::{name} AS v", value, keep=keep) for keep in ("", "v") for name, value in kinds]
    nulls = [ask(f"SELECT $1::{name} AS v, $2::int", (kind, None), int_(1)) for name, (kind, _) in kinds]
    together = ", ".join(f"${number}::{name}" for number, (name, _) in enumerate(kinds, 1))
    big = "0123456789" * 100_000
    return [
        Step("parameters, one of each kind", one_by_one),
        Step("parameters that are NULL", nulls),
        Step("parameters together", [ask(f"SELECT {together}", *(value for _, value in kinds))]),
        Step("a parameter of a megabyte", [ask("SELECT length($1::text), md5($2::text)", text(big), text(big))]),
        Step("ten thousand parameters", [_among(10_000, keep="among")]),
        Step("as many parameters as there may be", [_among(65_535), ask("SELECT 'on'")]),
        Step("one parameter too many", [_among(65_536), ask("SELECT 'on'")], fresh=True),
    ]


def _among(count: int, **more: str) -> Op:
    places = ", ".join(f"${number}" for number in range(1, count + 1))
    sql = f"SELECT count(*), sum(g) FROM generate_series(1, 100) g WHERE g IN ({places})"
    return ask(sql, *(int_(number * 7) for number in range(count)), **more)
