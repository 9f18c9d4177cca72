"""What in a model server belongs to a transaction: its status, a setting, and notifications that wait for its end.

Pure. Knows neither portals nor what a statement reads.
"""

import struct
from dataclasses import dataclass, field

from hoopproxy.testing.simulation.database import Failed, Result
from hoopproxy.wire.postgres import messages
from hoopproxy.wire.postgres.framing import message, string

CHANNEL = "news"


@dataclass(slots=True)
class Transaction:
    """One session's. `status` is what ReadyForQuery says: I idle, T in a block, E in a failed one."""

    status: bytes = b"I"
    _is_listening: bool = False
    _setting: str = ""
    _before: tuple[bool, str] = (False, "")
    """What rolling back leads back to."""
    _told_setting: str = ""
    _news: list[str] = field(default_factory=list)

    @property
    def is_idle(self) -> bool:
        """Whether nothing is open."""
        return self.status == b"I"

    def allows(self, text: str) -> None:
        """@raise Failed: it has failed, and the statement does not end it."""
        if self.status == b"E" and text not in ("COMMIT", "ROLLBACK"):
            raise Failed("25P02", "current transaction is aborted, commands ignored until end of transaction block")

    def fails(self) -> None:
        """A statement in it did; outside of a block all since the last ReadyForQuery is undone."""
        if self.is_idle:
            self._roll_back()
        else:
            self.status = b"E"

    def take(self, result: Result) -> None:
        """A statement ran. One that ends a failed block says so."""
        if result.begins:
            self.status = b"T"
        if result.ends:
            if self.status == b"E" or result.tag == "ROLLBACK":
                result.tag = "ROLLBACK"
                self._roll_back()
            self.status = b"I"
        if result.listens:
            self._is_listening = True
        if result.notifies and result.notifies not in self._news:
            self._news.append(result.notifies)
        if result.setting is not None:
            self._setting = result.setting

    def ready(self, *, is_guarded: bool) -> bytes:
        """The end of a query or batch: what was waited for, and ReadyForQuery."""
        said = b""
        if self.is_idle:
            self._before = self._is_listening, self._setting
            for payload in self._news if self._is_listening else ():
                shown = "" if is_guarded else payload
                said += message(b"A", struct.pack("!i", 1) + string(CHANNEL) + string(shown))
            self._news.clear()
        if self._setting != self._told_setting:
            self._told_setting = self._setting
            said += messages.parameter_status("application_name", self._setting)
        return said + messages.ready_for_query(self.status)

    def _roll_back(self) -> None:
        self._is_listening, self._setting = self._before
        self._news.clear()
