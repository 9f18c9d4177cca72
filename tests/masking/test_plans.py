"""Masks to operations: who wins, what has no valid form, and when a result is refused whole."""

import pytest
from hypothesis import given
from hypothesis import strategies as some

from hoopproxy.events import Call, Constant, Field, Format, Keep, KeepEnds, Null, Shape
from hoopproxy.masking import plans
from hoopproxy.masks import Catalog, KeyedHash, Mask, Nullify, Partial, PerCell, Redact, Relation

EMAIL = "public.customers.email"
CATALOG = Catalog(
    {1: Relation(1, "public", "customers", {3: EMAIL})},
    {2: Relation(2, "public", "v_contact", {})},
    frozenset({1, 2, 3}),
    frozenset(),
)
EMPTY = Catalog({}, {}, frozenset(), frozenset())


def field(oid: int = 25, modifier: int = -1, format: Format = Format.TEXT, origin: tuple[int, int] = (0, 0)) -> Field:
    return Field("f", EMAIL if origin == (1, 3) else "", *origin, oid, modifier, format)


def plan(each: Field, *answers: tuple[str, dict[int, Mask]]) -> plans.Plan:
    return plans.compile(Shape((each,)), answers, CATALOG, frozenset({EMAIL}))


def test_an_unnamed_field_is_kept() -> None:
    answer = plan(field())
    assert answer.operations == (Keep(),)
    assert not answer.masks
    assert not answer.refusal


def test_the_first_masker_to_name_a_field_wins() -> None:
    assert plan(field(), ("a", {}), ("b", {0: Nullify()}), ("c", {0: Redact()})).operations == (Null(),)


def test_on_a_protected_field_a_mask_by_origin_goes_before_one_by_content() -> None:
    content = PerCell(lambda value: value, "content")
    by_origin = ("columns", {0: Redact()})
    assert plan(field(origin=(1, 3)), ("content", {0: content}), by_origin).operations == (Constant(b"***"),)
    assert plan(field(), ("content", {0: content}), by_origin).operations == (Call(content.mask, "content"),)
    # A redactor of one's own may well be the mask of a column.
    assert plan(field(origin=(1, 3)), ("content", {0: content})).operations == (Call(content.mask, "content"),)


@pytest.mark.parametrize("masks", [{1: Redact()}, {-1: Redact()}, {"0": Redact()}, {True: Redact()}, {0: "redact"}])
def test_an_answer_that_is_none_is_the_addons_fault(masks: dict[int, Mask]) -> None:
    with pytest.raises(ValueError, match="mine"):
        plan(field(), ("mine", masks))


@pytest.mark.parametrize(
    ("origin", "says"),
    [
        ((4, 1), "newer than this session"),
        ((2, 1), "public.v_contact"),
        ((1, 0), "no plain column"),
        ((1, -1), "no plain column"),
        ((1, 3), "no mask for public.customers.email"),
    ],
)
def test_a_result_that_cannot_be_masked_is_refused_whole(origin: tuple[int, int], says: str) -> None:
    answer = plan(field(origin=origin))
    assert says in answer.refusal
    assert answer.refusal.endswith(".")
    assert answer.operations == (Null(),)


def test_columns_of_known_relations_and_expressions_pass() -> None:
    for origin in ((0, 0), (1, 1), (3, 7)):
        assert plan(field(origin=origin)).operations == (Keep(),)


def test_without_named_protected_columns_nothing_is_refused() -> None:
    shape = Shape((field(origin=(99, 1)),))
    for protected in (frozenset[str](), frozenset({"*"})):
        assert not plans.compile(shape, [], EMPTY, protected).refusal
    assert plans.compile(shape, [], EMPTY, frozenset({EMAIL})).refusal


def test_a_path_given_by_the_machine_is_protected_too() -> None:
    named = Field("f", EMAIL, 3, 1, 25, -1, Format.TEXT)
    assert "no mask" in plan(named).refusal


@pytest.mark.parametrize("format", list(Format))
@pytest.mark.parametrize(
    ("mask", "oid", "wanted"),
    [
        (Redact(), 25, Constant(b"***")),
        (Redact(), 99999, Null()),
        (Nullify(), 25, Null()),
        (Partial(0, 4), 25, KeepEnds(0, 4)),
        (Partial(0, 4), 1043, KeepEnds(0, 4)),
        (Partial(0, 4), 3614, Constant(b"")),
        (Partial(0, 4), 99999, Null()),
        (KeyedHash(b"k"), 1082, Null()),
        (KeyedHash(b"k"), 99999, Null()),
    ],
)
def test_a_mask_by_type(mask: Mask, oid: int, wanted: object, format: Format) -> None:
    if oid == 3614 and format is Format.BINARY:
        wanted = Constant(bytes(4))
    assert plans.operation(field(oid, format=format), "mine", mask) == wanted


def test_a_redacted_number_stays_a_number_in_both_formats() -> None:
    assert plans.operation(field(23), "mine", Redact()) == Constant(b"0")
    assert plans.operation(field(23, format=Format.BINARY), "mine", Redact()) == Constant(bytes(4))


def test_a_function_of_text_meets_no_binary_number() -> None:
    mask = PerCell(lambda value: value, "mine")
    called = Call(mask.mask, "mine")
    assert plans.operation(field(23), "x", mask) == called
    assert plans.operation(field(25, format=Format.BINARY), "x", mask) == called
    assert plans.operation(field(114, format=Format.BINARY), "x", mask) == called
    for oid in (23, 1700, 3802, 1009, 99999):
        assert plans.operation(field(oid, format=Format.BINARY), "x", mask) == Null()


def test_the_ends_of_a_padded_text_are_those_of_its_value() -> None:
    operation = plans.operation(field(1042, 14), "mine", Partial(1, 2))
    assert isinstance(operation, Call)
    assert operation.function("Zoë Ada   ".encode()) == b"Z****da   "
    assert operation.function(b"Ad        ") == b"**        "


@given(some.text(), some.integers(0, 5), some.integers(0, 5))
def test_kept_ends_keep_the_length_and_nothing_between(text: str, first: int, last: int) -> None:
    masked = plans.keep_ends(text, first, last)
    assert len(masked) == len(text)
    if len(text) > first + last:
        assert masked[:first] == text[:first]
        assert masked[len(text) - last :] == text[len(text) - last :]
        assert set(masked[first : len(text) - last]) == {"*"}
    else:
        assert set(masked) <= {"*"}
