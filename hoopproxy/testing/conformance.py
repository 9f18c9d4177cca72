"""What every masker must do, as a test class for its author: `TestMine = masker_suite(Mine, b"before", b"after")`.

Needs pytest and Hypothesis, which hoopproxy itself does not. Knows no masker.
"""

from collections.abc import Awaitable, Mapping
from dataclasses import replace
from functools import cache
from inspect import iscoroutinefunction
from typing import Any

from hypothesis import given
from hypothesis import strategies as some
from twisted.internet.defer import Deferred
from zope.interface.verify import verifyObject

from hoopproxy.events import Call, Field, Format, Shape
from hoopproxy.interfaces import IAddonFactory, IMasker, IRecording
from hoopproxy.masking import plans
from hoopproxy.masks import Mask, PerCell
from hoopproxy.model import Passage
from hoopproxy.testing import healthy
from hoopproxy.testing.house import LEDGER, PROTECTED, House

TEXT, INT4 = 25, 23

SHAPE = Shape(
    (
        Field("note", "", 0, 0, TEXT, -1, Format.TEXT),
        Field("note", "public.notes.note", 16385, 2, TEXT, -1, Format.BINARY),
        Field("id", "public.notes.id", 16385, 1, INT4, -1, Format.TEXT),
        Field("id", "public.notes.id", 16385, 1, INT4, -1, Format.BINARY),
    )
)
"""A result as maskers meet it: text and numbers, in text and in binary, from a column and from an expression."""


class _Witness(healthy.MemoryRecorder):
    """A recorder that keeps the passage that it was opened with."""

    passage: Passage

    async def open(self, passage: Passage) -> IRecording:
        """As any recorder."""
        self.passage = passage
        return await super().open(passage)


@cache
def a_passage() -> Passage:
    """A passage as the house gives it: an analyst in Germany, let in to the target `ledger`."""
    witness = _Witness()
    visit = House(replace(healthy.addons(LEDGER, PROTECTED), recorder=witness)).connect()
    visit.frontend.give(b"")
    return witness.passage


def answered(work: Awaitable[Any]) -> Any:
    """The result of what is ready at once. @raise AssertionError: it waits for something."""
    results: list[Any] = []
    failures: list[Any] = []

    async def wait() -> Any:
        return await work

    Deferred.fromCoroutine(wait()).addCallbacks(results.append, failures.append)
    if failures:
        failures[0].raiseException()
    assert results, "it waits; a suite without a reactor can't go on"
    return results[0]


def masker_suite(factory: Any, before: bytes, after: bytes | None, **keys: Any) -> type:
    """A class of tests for the masker that `factory` builds with the settings `keys`.

    `before` is a text that it must change and `after` what it must make of it, as on the wire; None is NULL.
    """

    def make() -> IMasker:
        return factory.build("under-test", factory.settings(**keys), None)  # type: ignore[no-any-return] # is checked

    def masks(shape: Shape = SHAPE) -> Mapping[int, Mask]:
        return answered(make().plan(a_passage(), shape))  # type: ignore[no-any-return] # is checked

    class MaskerSuite:
        """What the gateway relies on."""

        def test_it_is_a_factory_of_maskers(self) -> None:
            """Its entry point loads, and what it builds has every method, with the right arguments."""
            assert verifyObject(IAddonFactory, factory)
            masker = make()
            assert verifyObject(IMasker, masker)
            assert masker.name == "under-test"
            assert iscoroutinefunction(masker.protects)
            assert iscoroutinefunction(masker.plan)

        def test_it_says_what_it_protects(self) -> None:
            """A frozenset of paths; "*" stands for any."""
            protected = answered(make().protects(a_passage().permit))
            assert isinstance(protected, frozenset)
            assert all(path == "*" or path.count(".") >= 2 for path in protected)

        def test_its_plan_is_a_mapping_of_fields_to_masks(self) -> None:
            """Indexes of the shape's fields alone, and what can be made an operation."""
            answer = masks()
            assert isinstance(answer, Mapping)
            assert set(answer) <= set(range(len(SHAPE.fields)))
            for index, mask in answer.items():
                plans.operation(SHAPE.fields[index], "under-test", mask)

        def test_equal_shapes_have_equal_fields_masked(self) -> None:
            """Plans are kept by shape."""
            assert set(masks()) == set(masks(Shape(tuple(replace(field) for field in SHAPE.fields))))

        def test_a_result_without_columns_has_no_mask(self) -> None:
            """`SELECT FROM t` is a result, too."""
            assert not masks(Shape(()))

        def test_the_example_is_masked(self) -> None:
            """In every text column that it names."""
            named = [mask.mask(before) for mask in masks().values() if isinstance(mask, PerCell)]
            assert named, "it answered no PerCell for a column of text"
            assert named == [after] * len(named)

        @given(some.one_of(some.binary(), some.text().map(str.encode), some.just(before)))
        def test_its_function_takes_any_bytes(self, cell: bytes) -> None:
            """Total and pure: a raise would end a session, and another answer next time would tell apart."""
            for index, mask in masks().items():
                operation = plans.operation(SHAPE.fields[index], "under-test", mask)
                if isinstance(operation, Call):
                    assert operation.addon == "under-test", (
                        "PerCell names whom to blame: `PerCell(function, self.name)`"
                    )
                    answer = operation.function(cell)
                    assert answer is None or isinstance(answer, bytes)
                    assert operation.function(cell) == answer

    return MaskerSuite
