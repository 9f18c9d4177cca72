"""The terms under which one PostgreSQL connection is relayed: what is protected in it and what its limits are.

Knows no message.
"""

from dataclasses import dataclass

from hoopproxy.masks import Catalog
from hoopproxy.settings import Limits


@dataclass(frozen=True, slots=True)
class Terms:
    """`protected` as the maskers named it: paths, and `"*"` for values judged by content."""

    catalog: Catalog
    protected: frozenset[str]
    rows_recorded_max: int
    limits: Limits

    @property
    def guarded(self) -> bool:
        """Whether results are masked here. Where none is, every byte of the server passes as it is.

        A target that keeps masks itself keeps those of columns; those by content are still ours.
        """
        return self.judged_by_content if self.catalog.shadow is not None else bool(self.protected)

    @property
    def judged_by_content(self) -> bool:
        """Whether a value may have to be masked wherever it comes from: a COPY has no columns to judge it by."""
        return "*" in self.protected

    def path(self, table_oid: int, column_number: int) -> str:
        """The path of a protected column, "" for every other."""
        relation = self.catalog.protected.get(table_oid)
        return "" if relation is None else relation.columns.get(column_number, "")
