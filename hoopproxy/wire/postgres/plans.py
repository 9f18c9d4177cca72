"""The plans of one connection, by shape, and a result whose rows one of them is cutting.

Knows neither messages nor why a plan is as it is.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from hoopproxy.events import Field, Operation, Plan, Shape
from hoopproxy.wire.kernel import Cutter

_PLANS_MAX = 256
"""Shapes remembered for one connection; a plan asked for twice costs one more question, nothing else."""

NO_LIMIT = 1 << 62
"""More rows than a result has."""


@dataclass(slots=True, eq=False)
class Result:
    """The rows of one statement, cut as `operations` say (None: as they are, by columns that nobody knows).

    `recorded_left`: so many more go into the recording, and `left` to the client.
    """

    number: int
    operations: tuple[Operation, ...] | None
    cutter: Cutter
    recorded_left: int
    left: int = NO_LIMIT
    rows: int = 0


class Plans:
    """The plans of one connection by shape, each with its kernel ready to run."""

    def __init__(self, row_bytes_max: int) -> None:
        self._row_bytes_max = row_bytes_max
        self._known: dict[Shape, tuple[Plan, Cutter]] = {}
        self.counting = Cutter(None, row_bytes_max)
        self.nothing = Cutter((), row_bytes_max)
        self._wanted: Shape | None = None

    def find(self, fields: Sequence[Field]) -> tuple[Plan, Cutter] | Shape:
        """The plan for these fields, or their shape to ask for one."""
        shape = Shape(tuple(fields))
        found = self._known.get(shape)
        if found is None:
            self._wanted = shape
            return shape
        return found

    def learn(self, plan: Plan) -> None:
        """The answer to what `find` wanted. Masking with the wrong plan would be our worst mistake: it is compared."""
        if plan.shape != self._wanted or len(plan.operations) != len(plan.shape.fields):
            raise AssertionError("the plan is not for the shape that was asked about")
        if len(self._known) >= _PLANS_MAX:
            del self._known[next(iter(self._known))]
        self._known[plan.shape] = plan, Cutter(plan.operations, self._row_bytes_max)
        self._wanted = None
