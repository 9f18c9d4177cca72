"""One desk that many share: opened when it is wanted, asked one question at a time, opened anew once it was lost.

Knows neither what is asked nor how a desk is opened. Every question must be one that may be asked twice.
"""

from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import Any, Protocol

from hoopproxy.errors import ProtocolViolation, SqlFailed, UpstreamUnreachable
from hoopproxy.rooms import IDesk, Rows

type OpenDesk = Callable[[], Awaitable[IDesk]]


class Lock(Protocol):
    """Lets one in at a time; it may be taken again and again."""

    def __aenter__(self) -> Awaitable[Any]:
        """Wait for one's turn."""

    def __aexit__(self, *why: Any) -> Awaitable[Any]:
        """Let the next in."""


class SharedDesk:
    """A desk behind a lock. Whoever uses it says how one is opened: the latest way counts."""

    def __init__(self, lock: Lock) -> None:
        self._lock = lock
        self._open: OpenDesk | None = None
        self._desk: IDesk | None = None

    def reach(self, open_desk: OpenDesk) -> None:
        """From now on a desk is opened so."""
        self._open = open_desk

    async def ask(self, text: str) -> tuple[Rows, ...]:
        """As `IDesk.ask`; a desk that was lost meanwhile is opened anew, once. @raise SessionError"""
        async with self._lock:
            if self._desk is not None:
                try:
                    return await self._asked(self._desk, text)
                except UpstreamUnreachable:
                    pass
            assert self._open is not None, "nobody said how it is opened"
            self._desk = await self._open()
            return await self._asked(self._desk, text)

    async def asked[T](self, text: str, read: Callable[[tuple[Rows, ...]], T]) -> T:
        """What the answer says. @raise SessionError"""
        answer = await self.ask(text)
        with sense_wanted():
            return read(answer)

    async def _asked(self, desk: IDesk, text: str) -> tuple[Rows, ...]:
        try:
            return await desk.ask(text)
        except SqlFailed as why:
            if why.sqlstate.startswith(("57P", "25P")):  # the server ends the connection (appendix "Error Codes")
                self.close()
                raise UpstreamUnreachable(why.sentence, detail=why.detail) from why
            raise
        except BaseException:  # who asked may have been cancelled: the answer still comes, and is nobody's
            self.close()
            raise

    def close(self) -> None:
        """Leave; the next question opens another."""
        if self._desk is not None:
            self._desk.close()
            self._desk = None


@contextmanager
def sense_wanted() -> Iterator[None]:
    """Reading an answer fails as a peer's fault. @raise ProtocolViolation"""
    try:
        yield
    except (ValueError, LookupError, TypeError) as why:
        raise ProtocolViolation(
            "server",
            "The target did not answer the gateway's questions about its catalog as PostgreSQL does; tell the operator "
            "of the gateway.",
            detail=f"{type(why).__name__}: {why}",
        ) from why
