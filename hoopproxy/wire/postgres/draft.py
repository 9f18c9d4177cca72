"""A step in the making: what one `feed` or `resume` collects before it is handed out.

Knows no protocol.
"""

from hoopproxy.events import Ask, Record, Step
from hoopproxy.model import Side


class Draft:
    """Collects bytes for both ends, and records, in order."""

    def __init__(self) -> None:
        self.to_client: list[bytes] = []
        self.to_server: list[bytes] = []
        self.records: list[Record] = []

    def step(self, ask: Ask | None, pause: frozenset[Side], ended: bool, is_amid: bool) -> Step:
        """The finished step."""
        to_client, to_server = b"".join(self.to_client), b"".join(self.to_server)
        return Step(to_client, to_server, tuple(self.records), ask, pause, ended, is_amid)
