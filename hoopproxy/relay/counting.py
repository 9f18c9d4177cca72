"""Counts of one connection while it lives. Never values, so it may be shown to anybody who may see that it exists."""

from collections.abc import Iterable

from hoopproxy.events import Asked, Record, Rejected, Rows
from hoopproxy.model import Tally


class Counting:
    """A tally that grows."""

    def __init__(self) -> None:
        self._statements = self._refused = self._rows = self._masked = 0
        self._to_client = self._to_server = 0

    def saw(self, records: Iterable[Record], bytes_to_client: int, bytes_to_server: int) -> None:
        """Count one step."""
        self._to_client += bytes_to_client
        self._to_server += bytes_to_server
        for record in records:
            match record:
                case Asked():
                    self._statements += 1
                case Rejected():
                    self._refused += 1
                case Rows():
                    self._rows += record.row_count
                    self._masked += record.cells_masked

    def tally(self) -> Tally:
        """The counts so far."""
        return Tally(
            statements=self._statements,
            refused=self._refused,
            rows=self._rows,
            cells_masked=self._masked,
            bytes_to_client=self._to_client,
            bytes_to_server=self._to_server,
        )
