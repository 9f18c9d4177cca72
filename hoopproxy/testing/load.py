"""Load: many sessions that each ask something at their own pace, in one thread, and how long their answers took.

Knows no gateway. Times are the wall's: they are for printing, never for deciding whether a test passes.
"""

import heapq
import ssl
from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil
from selectors import EVENT_READ, DefaultSelector
from time import perf_counter

from hoopproxy.testing.bare_client import RECEIVE_BYTES, Answer, BareClient, query

STALL_S_MAX = 60.0
"""So long without a single answer, and the load has failed."""


@dataclass(frozen=True, slots=True)
class Latencies:
    """Seconds from when a question was due to the end of its answer, the shortest first; a question that had to wait
    for an earlier answer was due all the same."""

    seconds: tuple[float, ...]

    def quantile_s(self, share: float) -> float:
        """`share` of the answers took no longer (0 to 1, nearest rank)."""
        return self.seconds[max(0, ceil(share * len(self.seconds)) - 1)]

    def __str__(self) -> str:
        shown = ((f"p{share * 100:g}", self.quantile_s(share)) for share in (0.5, 0.99))
        return ", ".join(f"{name} {1000 * took:.1f} ms" for name, took in shown)


@dataclass(slots=True)
class _Seat:
    client: BareClient
    due_s: float
    left: int
    answer: Answer | None = None

    def ask(self, question: bytes) -> None:
        self.answer = Answer()
        self.client.socket.sendall(question)

    def is_answered(self) -> bool:
        """Takes what has come. @raise RuntimeError"""
        while True:
            try:
                data = self.client.socket.recv(RECEIVE_BYTES)
            except (BlockingIOError, ssl.SSLWantReadError):
                return False
            answer = self.answer or Answer()  # it may speak unasked: to say goodbye
            is_whole = answer.take(data)
            if answer.errors or not data:
                raise RuntimeError(f"The server said {answer.errors or 'nothing more'}.")
            if is_whole:
                return True


def paced(clients: Sequence[BareClient], statement: str, *, every_s: float, rounds: int) -> Latencies:
    """Each client asks `statement` every `every_s` seconds, `rounds` times, spread evenly over the interval.

    The clients' sockets don't block afterwards. @raise RuntimeError: an answer was an error, or a connection ended.
    @raise TimeoutError: nobody is answered any more.
    """
    question, start_s, took_s = query(statement), perf_counter(), list[float]()
    seats = [_Seat(client, start_s + every_s * at / len(clients), rounds) for at, client in enumerate(clients)]
    due = [(seat.due_s, at) for at, seat in enumerate(seats)]  # sorted, and so a heap
    waiting = 0
    with DefaultSelector() as selector:
        for at, seat in enumerate(seats):
            seat.client.socket.setblocking(False)
            selector.register(seat.client, EVENT_READ, at)
        while due or waiting:
            while due and due[0][0] <= perf_counter():
                seats[heapq.heappop(due)[1]].ask(question)
                waiting += 1
            ready = selector.select(max(0.0, due[0][0] - perf_counter()) if due else STALL_S_MAX)
            if not ready and not due:
                raise TimeoutError(f"{waiting} questions were not answered within {STALL_S_MAX:g} s")
            for key, _ in ready:
                seat = seats[key.data]
                if seat.is_answered():
                    waiting -= 1
                    took_s.append(perf_counter() - seat.due_s)
                    seat.due_s, seat.left, seat.answer = seat.due_s + every_s, seat.left - 1, None
                    if seat.left:
                        heapq.heappush(due, (seat.due_s, key.data))
    return Latencies(tuple(sorted(took_s)))
