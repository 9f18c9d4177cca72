"""The store of a running gateway: opened before anybody is served, listened to, and closed at the end.

Knows nothing of what is kept.
"""

from collections.abc import Callable
from threading import Event, Thread
from typing import Any

from twisted.application.service import Service

from hoopproxy.access.journal import StoreUnavailable
from hoopproxy.hands import in_thread
from hoopproxy.store.database import Database

AGAIN_S = 1.0
"""How soon a connection that broke is made again; the journal is polled meanwhile."""

STOP_S_MAX = 2.0


class StoreService(Service):
    """`nudge` is called, in the reactor's thread, when another gateway has written."""

    def __init__(self, reactor: Any, database: Database, nudge: Callable[[], None]) -> None:
        self._reactor, self._database, self._nudge = reactor, database, nudge
        self._stopping = Event()
        self._listener: Thread | None = None

    async def open(self) -> None:
        """Bring the store up to date, and listen. @raise StoreUnavailable"""
        try:
            await in_thread("store", self._database.upgrade)
        except Exception as why:  # noqa: BLE001 # SQLAlchemy, Alembic or the disk: nobody comes in without a store
            raise StoreUnavailable(f"{type(why).__name__}: {getattr(why, 'orig', why)}") from None
        if self._database.is_postgres and not self._stopping.is_set():
            self._listener = Thread(target=self._listen, name="hoopproxy-store-listener", daemon=True)
            self._listener.start()

    def stopService(self) -> Any:
        super().stopService()  # type: ignore[no-untyped-call] # Twisted's is not annotated
        self._stopping.set()

    def close(self) -> None:
        """When nothing more will be written."""
        if self._listener is not None:
            self._listener.join(STOP_S_MAX)
        self._database.close()

    def _listen(self) -> None:
        while not self._stopping.is_set():
            try:
                self._database.notices(self._stopping.is_set, lambda: self._reactor.callFromThread(self._nudge))
            except Exception:  # noqa: BLE001 # whatever broke it, the journal is polled, and says so when it is away
                self._stopping.wait(AGAIN_S)
