"""What one side of a relayed connection sends, and whether its last step left something open.

Knows no protocol: a half is whatever understands that side.
"""

from dataclasses import dataclass

from hoopproxy.events import Reply
from hoopproxy.model import Side


@dataclass(slots=True)
class Direction[Half]:
    """One direction of a machine (`rooms.IWire`)."""

    side: Side
    half: Half
    is_asking: bool = False
    is_unfinished: bool = False

    @property
    def is_busy(self) -> bool:
        """Whether a question waits for its answer, or there is more to go through."""
        return self.is_asking or self.is_unfinished

    def may_be_fed(self) -> None:
        """@raise AssertionError: whoever drives the machine read too early."""
        if self.is_busy:
            raise AssertionError(
                f"the {self.side.value} was read before its question was answered or its last step finished"
            )

    def may_resume(self, reply: Reply | None) -> None:
        """@raise AssertionError: whoever drives the machine answers what was not asked, or does not answer."""
        if not (self.is_unfinished if reply is None else self.is_asking):
            raise AssertionError(f"nothing was asked about the {self.side.value}, or it is to be answered")
