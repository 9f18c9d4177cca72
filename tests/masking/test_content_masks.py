"""The addon: whom its rules bind, which fields they speak of, and that it holds however bytes are cut."""

from collections.abc import Iterator
from dataclasses import replace
from struct import pack
from types import SimpleNamespace
from typing import Any, cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from hoopproxy.addons.content_masks import ContentMasks
from hoopproxy.events import Call, Field, Format, Null, Plan, Rows, Shape
from hoopproxy.interfaces import ISetting
from hoopproxy.masking import plans
from hoopproxy.masks import NO_CATALOG, Mask, PerCell
from hoopproxy.model import Passage
from hoopproxy.testing.conformance import a_passage, answered, masker_suite
from hoopproxy.wire.postgres.messages import command_complete, data_row, ready_for_query, row_description
from hoopproxy.wire.postgres.requests import query

from ..wire.http.plainly import Scene
from ..wire.http.plainly import cuts as http_cuts
from ..wire.rig import Rig, machine
from ..wire.ssh import speech as say
from ..wire.ssh.rig import Rig as SshRig

CARD, MAIL = b"4539 5787 6362 1486", b"ada@example.org"
PASSAGE = a_passage()
LEDGER = PASSAGE.permit.target.name
SETTING = cast(ISetting, SimpleNamespace(targets={LEDGER: None, "crm": None}))


def masker(**keys: Any) -> ContentMasks:
    return ContentMasks.build("content", ContentMasks.settings.model_validate(keys), SETTING)


def field(path: str = "", oid: int = 25, format: Format = Format.TEXT, name: str = "x") -> Field:
    return Field(name, path, 0, 0, oid, -1, format)


def plan(addon: ContentMasks, *fields: Field, passage: Passage = PASSAGE) -> dict[int, Mask]:
    return dict(answered(addon.plan(passage, Shape(fields))))


def masked(addon: ContentMasks, value: bytes, where: Field | None = None) -> bytes | None:
    mask = plan(addon, where or field()).get(0)
    assert mask is None or isinstance(mask, PerCell)
    return value if mask is None else mask.mask(value)


TestContentMasks = masker_suite(ContentMasks, b"mail ada@example.org.", b"mail [email].")


def test_without_rules_the_usual_entities_are_masked_for_everybody() -> None:
    addon = masker()
    assert answered(addon.protects(PASSAGE.permit)) == {"*"}
    assert masked(addon, b"%b %b" % (CARD, MAIL)) == b"[card] [email]"
    assert masked(addon, b"host 203.0.113.77") == b"host 203.0.113.77"


def test_rules_bind_by_target_and_role() -> None:
    nurse = replace(PASSAGE, permit=replace(PASSAGE.permit, roles=frozenset({"nurse"})), seal=PASSAGE.seal)
    for keys, here, there in (
        ({"targets": ["crm"]}, False, False),
        ({"targets": [LEDGER]}, True, True),
        ({"roles": ["nurse"]}, False, True),
        ({"except_roles": ["nurse"]}, True, False),
    ):
        addon = masker(rule=[keys])
        for passage, is_bound in ((PASSAGE, here), (nurse, there)):
            assert answered(addon.protects(passage.permit)) == (frozenset({"*"}) if is_bound else frozenset())
            assert bool(plan(addon, field(), passage=passage)) == is_bound


def test_the_first_rule_that_speaks_of_an_entity_in_a_field_counts() -> None:
    addon = masker(
        rule=[
            {"entities": ["card"], "columns": ["public.orders.*"], "mask": "partial"},
            {"entities": ["card", "email"], "mask": "redact"},
            {"entities": ["email"], "mask": "whole"},
        ]
    )
    value = b"%b %b" % (CARD, MAIL)
    assert masked(addon, value, field("public.orders.note")) == b"**** **** **** 1486 [email]"
    assert masked(addon, value, field("public.people.note")) == b"[card] [email]"
    assert masked(addon, value, field("")) == b"**** **** **** 1486 [email]"  # its origin may be any


@pytest.mark.parametrize(
    ("column", "path", "is_covered"),
    [
        ("public.people.note", "public.people.note", True),
        ("public.people.n*", "public.people.note", True),
        ("*.people.*", "sales.people.name", True),
        ("public.people.note", "public.people.notes", False),
        ("* $..notes", "/v1/customers/{id} $.a.notes", True),
        ("/v1/customers/{id} $.cards[*].number", "/v1/customers/{id} $.cards[*].number", True),
        ("/v1/customers/{id} $.cards[*].number", "* $.cards[*].number", False),
        ("public.people.note", "* $.note", False),
    ],
)
def test_columns_are_names_and_patterns(column: str, path: str, is_covered: bool) -> None:
    assert bool(plan(masker(rule=[{"columns": [column]}]), field(path))) == is_covered


def test_names_of_columns_and_members_are_words() -> None:
    addon = masker(rule=[{"entities": ["pl-pesel"]}])
    for where in (
        field(name="pesel"),
        field("public.people.pesel", name="x"),
        field("/v1/people $.pesel", name="pesel"),
        field("* $.pesel.value", name="value"),
        field(name="pesel", oid=20),
    ):
        assert masked(addon, b"44051401359", where) == (b"0" if where.type_oid == 20 else b"[pl-pesel]"), where
    for where in (field(name="id"), field("public.pesel.id"), field("/v1/pesel $.id", name="id")):
        assert masked(addon, b"44051401359", where) == b"44051401359", where


def test_binary_cells_are_masked_in_their_own_form_and_others_keep_theirs() -> None:
    addon = masker()
    fields = (field(oid=20, format=Format.BINARY), field(oid=3802, format=Format.BINARY), field(oid=17), field(oid=16))
    compiled = plans.compile(Shape(fields), [("content", plan(addon, *fields))], NO_CATALOG, frozenset({"*"}))
    number, document, *others = compiled.operations
    assert isinstance(number, Call) and number.function(pack("!q", 4539578763621486)) == bytes(8)
    assert number.function(pack("!q", 17)) == pack("!q", 17)
    assert isinstance(document, Call) and document.function(b'\x01"%b"' % MAIL) == b'\x01"[email]"'
    assert not any(isinstance(other, Call) for other in others)


def test_a_function_that_does_not_read_binary_is_not_shown_it() -> None:
    where = field(oid=20, format=Format.BINARY)
    assert plans.operation(where, "mine", PerCell(bytes, "mine")) == Null()
    assert isinstance(plans.operation(where, "mine", PerCell(bytes, "mine", reads_binary=True)), Call)


# Own patterns --------------------------------------------------------------------------------------------------------

BADGE = {"name": "badge", "pattern": r"EMP-(\d{6})", "context": ["badge"]}


def test_own_patterns_are_entities() -> None:
    addon = masker(pattern=[BADGE, {"name": "ward", "pattern": "Ward [0-9]+"}])
    assert masked(addon, b"badge EMP-123456, EMP-123456 is on Ward 17") == b"badge EMP-******, EMP-****** is on [ward]"
    assert masked(addon, b"EMP-123456") == b"EMP-123456"
    assert masked(addon, b"EMP-123456", field(name="badge_no")) == b"EMP-******"
    only = masker(pattern=[BADGE], rule=[{"entities": ["badge"], "mask": "partial"}])
    assert masked(only, b"badge EMP-123456 %b" % MAIL) == b"badge EMP-****** ada@example.org"


@pytest.mark.parametrize(
    ("keys", "sentence"),
    [
        ({"pattern": [BADGE | {"pattern": "("}]}, "RE2 can't read the pattern"),
        ({"pattern": [BADGE | {"pattern": "x*"}]}, "fits where nothing is"),
        ({"pattern": [BADGE | {"pattern": r"(?!a)b"}]}, "RE2 can't read the pattern"),
        ({"pattern": [BADGE | {"name": "A b"}]}, "should match pattern"),
        ({"pattern": [BADGE | {"name": "card"}]}, "has the name of another entity"),
        ({"pattern": [BADGE, BADGE]}, "has the name of another entity"),
        ({"rule": [{"entities": ["crad"]}]}, "'crad', which is neither built in nor a pattern"),
        ({"rule": [{"targets": ["nowhere"]}]}, "'nowhere', which targets.toml does not"),
        ({"rule": [{"columns": ["people"]}]}, "names no column"),
        ({"rule": [{"columns": ["* people"]}]}, "names no field"),
        ({"rule": [{"mask": "hash"}]}, "'redact', 'partial' or 'whole'"),
        ({"rules": []}, "Extra inputs"),
    ],
)
def test_mistakes_stop_the_start(keys: dict[str, Any], sentence: str) -> None:
    with pytest.raises((ValueError, ValidationError), match=sentence):
        masker(**keys)


# However the bytes are cut -------------------------------------------------------------------------------------------

ADDON = masker(pattern=[{"name": "ward", "pattern": "Ward [0-9]+"}])
PARTS = st.sampled_from(
    [
        CARD,
        MAIL,
        b"ssn 536-90-4399",
        b"Ward 17",
        b" ",
        b", ",
        b"12",
        "ë".encode(),
        b"DE89370400440532013000",
        b"x@",
        b"-",
    ]
)
VALUES = st.lists(PARTS, max_size=6).map(b"".join)
SIZES = st.lists(st.integers(1, 40), min_size=1, max_size=8)


class Mute:
    """A server whose words the test says."""

    def feed(self, data: bytes) -> bytes:
        return b""


def pieces(data: bytes, sizes: list[int]) -> Iterator[bytes]:
    at, turn = 0, 0
    while at < len(data):
        size = sizes[turn % len(sizes)]
        yield data[at : at + size]
        at, turn = at + size, turn + 1


def planned(shape: Shape) -> Plan:
    answers = [("content", plan(ADDON, *shape.fields))]
    return plans.compile(shape, answers, NO_CATALOG, frozenset({"*"}))


@given(st.lists(st.tuples(VALUES, st.none() | VALUES), max_size=4), SIZES)
@settings(deadline=None, max_examples=40)
def test_rows_of_postgresql_are_masked_wherever_they_are_cut(
    rows: list[tuple[bytes, bytes | None]], sizes: list[int]
) -> None:
    head = row_description([field(name="a"), field(name="b", oid=1043)])
    tail = command_complete(f"SELECT {len(rows)}") + ready_for_query(b"I")
    rig = Rig(machine(protected={"*"}), cast(Any, Mute()), plan=planned)
    rig.client(query("SELECT a, b FROM notes"))
    for piece in pieces(head + b"".join(data_row(list(row)) for row in rows) + tail, sizes):
        rig.from_server(piece)
    shown = [[None if each is None else masked(ADDON, each) for each in row] for row in rows]
    assert bytes(rig.shown) == head + b"".join(data_row(row) for row in shown) + tail
    assert sum(each.row_count for each in rig.records if isinstance(each, Rows)) == len(rows)


LINES = st.lists(VALUES, max_size=5)


@given(LINES, SIZES)
@settings(deadline=None, max_examples=40)
def test_output_over_ssh_is_masked_wherever_it_is_cut(lines: list[bytes], sizes: list[int]) -> None:
    text = b"".join(line + b"\n" for line in lines)
    rig = SshRig(masked=True, plan=planned).running()
    for piece in pieces(text, sizes):
        rig.server(say.data(0, piece))
    shown = b"".join(payload[9:] for payload in say.unframed(bytes(rig.shown)) if payload[0] == 94)
    assert shown == b"".join((masked(ADDON, line) or b"") + b"\n" for line in lines)


@given(LINES, st.integers(1, 40))
@settings(deadline=None, max_examples=40)
def test_texts_over_http_are_masked_wherever_they_are_cut(lines: list[bytes], size: int) -> None:
    text = b"".join(line + b"\n" for line in (b"begin", *lines))
    shown = Scene(maskers=[ADDON]).masked(http_cuts(text, size), "text/plain")
    assert shown == b"".join((masked(ADDON, line) or b"") + b"\n" for line in (b"begin", *lines))


@pytest.mark.parametrize("size", [1, 3, 17, 1000])
def test_documents_over_http_are_masked_wherever_they_are_cut(size: int) -> None:
    text = b'{"mail": "ada@example.org", "ssn": "536904399", "n": "536904399", "card": 4539578763621486}'
    shown = b'{"mail": "[email]", "ssn": "[us-ssn]", "n": "536904399", "card": 0}'
    assert Scene(maskers=[ADDON]).masked(http_cuts(text, size), "application/json") == shown
