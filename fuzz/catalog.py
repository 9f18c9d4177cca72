"""Harness: a hostile server that is asked what its catalog holds."""

from fuzz.choices import Choices, damaged
from fuzz.endings import Ending, ending
from fuzz.servers import answers
from hoopproxy.errors import SessionError
from hoopproxy.masking.names import Names
from hoopproxy.masks import Catalog
from hoopproxy.wire.postgres import messages
from hoopproxy.wire.postgres.catalog import CatalogReader

PATHS = frozenset({"public.customers.card", 'odd."a.b".ü'})
HONEST: tuple[tuple[tuple[bytes | None, ...], ...], ...] = (
    (),
    (
        (b"16401", b"public", b"customers", b"2", b"1", b"t"),
        (b"16402", b"odd", b'"a.b"', b"1", b"0", b"t"),
        (b"16403", b"odd", b"child", b"1", b"0", b"f"),
    ),
    ((b"16500", b"public", b"all_customers"),),
    ((b"16401 16402 16403 16500",),),
    ((b"f",), (b"g",)),
    (),
)
CELLS = (None, b"", b"0", b"-1", b"99999999999999999999", b"x", b"\xff\xfe", b"1 2 3", b"9" * 5000)


def run(data: bytes) -> None:
    """@raise AssertionError: a promise was broken."""
    choices = Choices(data)
    size = 1 + choices.byte()
    said = _said(choices)
    pieces = [said[at : at + size] for at in range(0, len(said), size)]
    assert _read([said] if said else []) == _read(pieces)


def _said(choices: Choices) -> bytes:
    """Six results, each spoiled or not, and anything in between."""
    said = b""
    for result in HONEST[: choices.below(7) or 6]:
        for row in result:
            cells = list(row)
            if choices.byte() & 3 == 3:
                cells[choices.below(len(cells))] = choices.pick(CELLS)
            if choices.byte() & 31 == 31:
                cells.append(b"more")
            row_said = messages.data_row(cells)
            said += row_said[:5] + damaged(choices, row_said[5:]) if choices.byte() & 31 == 31 else row_said
        if choices.byte() & 7 == 7:
            said += answers(choices)[0]
        said += messages.command_complete("SELECT")
    said += messages.ready_for_query(b"I")
    return (said + choices.some(20))[: -choices.byte() or None]


def _read(pieces: list[bytes]) -> tuple[Catalog, bytes] | Ending | None:
    """The catalog and what came behind it; or how it broke off."""
    reader = CatalogReader(PATHS)
    assert reader.query().isascii()
    found = None
    for number, piece in enumerate(pieces):
        try:
            found = reader.feed(piece)
        except SessionError as why:
            return ending(why)
        if found is not None:
            Names.of(found)
            assert frozenset(path for one in found.protected.values() for path in one.columns.values()) == PATHS
            return found, reader.rest + b"".join(pieces[number + 1 :])
    return None
