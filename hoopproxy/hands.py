"""All that an addon may await: a function in a thread, one HTTP exchange, and time.

Whatever else waits would block every session of this process. Knows no addon and no session; it lends out the
process's one reactor, so that an addon needs none.
"""

from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache, partial
from io import BytesIO
from pathlib import Path
from queue import SimpleQueue
from threading import Thread, stack_size
from time import monotonic
from typing import Any, NoReturn, cast

from cryptography.x509 import load_pem_x509_certificates
from OpenSSL.crypto import X509
from twisted.internet import ssl as _ssl
from twisted.internet.defer import Deferred
from twisted.internet.protocol import Protocol, connectionDone
from twisted.python.failure import Failure
from twisted.web import client as _web
from twisted.web.http_headers import Headers

ssl, web = cast(Any, _ssl), cast(Any, _web)
"""As Twisted ships them: without annotations."""

THREADS_MAX = 8
"""Threads of one role: enough to hide a directory's or a disk's latency, too few to starve the loop of the GIL."""

WAITING_MAX = 256
"""Calls of one role that may wait for a thread: more only means that their askers have timed out long ago."""

STACK_BYTES = 128 << 20
"""Of each thread; only what is used of it is there. libpg_query writes a tree by recursion, 128 bytes a level, without
a look at its end: a statement of 1 MiB (the most that wire-enforcement reads) may have half a million levels."""

STOP_S_MAX = 5.0
"""How long the end of the process waits for threads that are at work; they are daemons and die with it."""


class Overloaded(Exception):
    """All threads of a role are at work and as many calls as may are waiting for one."""


@dataclass(frozen=True, slots=True)
class HttpAnswer:
    """An answer of any status. Header names are in lower case; a repeated header's values are joined by `, `."""

    status: int
    headers: Mapping[str, str]
    body: bytes = field(repr=False)


async def in_thread[**P, T](role: str, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """The result of `function(*args)`, called in one of the threads of `role`.

    A role is a word such as `ldap` or `evidence`; its `THREADS_MAX` threads and its queue are its own, so that one slow
    service does not hold up another. Who is cancelled stops waiting; the function itself runs on to its end.

    @raise Overloaded: `WAITING_MAX` calls are waiting already; nothing was called.
    @raise Exception: what the function raised.
    """
    return cast(T, await _pool(role).call(partial(function, *args, **kwargs)))


async def http(
    method: str,
    url: str,
    *,
    headers: Mapping[str, str] | None = None,
    body: bytes = b"",
    timeout_s: float,
    bytes_max: int,
    ca_file: str | Path | None = None,
) -> HttpAnswer:
    """One exchange over HTTP/1.1 on a connection of its own. Redirects are not followed; bodies are not decompressed.

    For https the server's certificate and name are always verified, against `ca_file` (PEM, one or more certificates)
    or else the system's authorities.

    @raise TimeoutError: the whole answer was not there within `timeout_s`.
    @raise ValueError: the answer's body is longer than `bytes_max`, or the URL is none.
    @raise Exception: no connection, no trust, no HTTP; the text says which.
    """

    def late(*_: Any) -> NoReturn:
        raise TimeoutError(f"{method} {url} had no whole answer within {timeout_s:g} s")

    exchange = Deferred.fromCoroutine(_exchange(method, url, headers or {}, body, bytes_max, ca_file))
    return await exchange.addTimeout(timeout_s, _reactor(), onTimeoutCancel=late)


async def sleep(duration_s: float) -> None:
    """Let that much time pass."""
    done: Deferred[None] = Deferred(lambda _: call.cancel())
    call = _reactor().callLater(duration_s, done.callback, None)
    await done


# Threads --------------------------------------------------------------------------------------------------------------


class _Pool:
    """The threads of one role, made as they are needed.

    Not Twisted's own pool, which spends a fifth of a small query's CPU: a coordinator, locks that are Python objects,
    and a wake-up of the loop for each call. Here calls that end at the same time share one.
    """

    def __init__(self, role: str) -> None:
        self._role = role
        self._asked: SimpleQueue[tuple[Callable[[], Any], Deferred[Any]] | None] = SimpleQueue()
        self._answered: deque[tuple[Deferred[Any], Any]] = deque()
        self._is_told = False
        self._threads: list[Thread] = []
        self._open = 0  # calls that run or wait, however their askers fare

    def call(self, function: Callable[[], Any]) -> Deferred[Any]:
        """What it returns or raises, as soon as a thread has called it. @raise Overloaded."""
        if self._open >= THREADS_MAX + WAITING_MAX:
            raise Overloaded(f"{WAITING_MAX} calls are waiting for the {THREADS_MAX} threads of {self._role!r} already")
        if self._open >= len(self._threads) < THREADS_MAX:
            thread = Thread(target=self._work, name=f"hoopproxy-{self._role}-{len(self._threads)}", daemon=True)
            self._threads.append(thread)
            before = stack_size(STACK_BYTES)
            thread.start()
            stack_size(before)
        self._open += 1
        answer: Deferred[Any] = Deferred()
        self._asked.put((function, answer))
        return answer

    def _work(self) -> None:
        """One thread's life."""
        while (asked := self._asked.get()) is not None:
            function, answer = asked
            try:
                result = function()
            except BaseException:  # noqa: BLE001 # whatever it is, it is the asker's
                result = Failure()  # type: ignore[no-untyped-call] # Twisted's is not annotated
            self._answered.append((answer, result))
            # The loop unsets this before it looks at the answers: seen as set, ours will be looked at.
            if not self._is_told:
                self._is_told = True
                _reactor().callFromThread(self._deliver)

    def _deliver(self) -> None:
        self._is_told = False
        while self._answered:
            answer, result = self._answered.popleft()
            self._open -= 1
            answer.callback(result)

    def end(self) -> None:
        """Stop, but wait no longer than `STOP_S_MAX` for a thread that hangs in somebody else's library."""
        for _ in self._threads:
            self._asked.put(None)
        last_s = monotonic() + STOP_S_MAX
        for thread in self._threads:
            thread.join(max(0.0, last_s - monotonic()))


@cache
def _pool(role: str) -> _Pool:
    pool = _Pool(role)
    # After the services have stopped: their last words to the disk go through these threads.
    _reactor().addSystemEventTrigger("after", "shutdown", pool.end)
    return pool


def _reactor() -> Any:
    from twisted.internet import reactor  # noqa: TID251 # lending the process's one reactor is what this module is for

    return reactor


# HTTP -----------------------------------------------------------------------------------------------------------------


async def _exchange(
    method: str, url: str, headers: Mapping[str, str], body: bytes, bytes_max: int, ca_file: str | Path | None
) -> HttpAnswer:
    agent = web.Agent(_reactor(), contextFactory=web.BrowserLikePolicyForHTTPS(_authorities(ca_file)))
    producer = web.FileBodyProducer(BytesIO(body)) if body else None
    fields = Headers({name: [value] for name, value in headers.items()})
    response = await agent.request(method.encode("ascii"), url.encode("ascii"), fields, producer)
    received = _Body(bytes_max)
    response.deliverBody(received)
    whole = await received.whole
    raw = response.headers.getAllRawHeaders()
    shown = {name.decode("latin-1").lower(): b", ".join(values).decode("latin-1") for name, values in raw}
    return HttpAnswer(response.code, shown, whole)


def _authorities(ca_file: str | Path | None) -> Any:
    if ca_file is None:
        return ssl.platformTrust()
    certificates = load_pem_x509_certificates(Path(ca_file).read_bytes())
    return ssl.trustRootFromCertificates([ssl.Certificate(X509.from_cryptography(one)) for one in certificates])


class _Body(Protocol):
    """Collects a body up to a limit."""

    def __init__(self, bytes_max: int) -> None:
        self._bytes_max = bytes_max
        self._received = bytearray()
        self.whole: Deferred[bytes] = Deferred(lambda _: self._abort())

    def dataReceived(self, data: bytes) -> None:
        if self.whole.called:
            return
        self._received += data
        if len(self._received) > self._bytes_max:
            self.whole.errback(ValueError(f"the answer's body is longer than {self._bytes_max} bytes"))
            self._abort()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        if self.whole.called:
            return
        if isinstance(reason.value, web.ResponseDone):
            self.whole.callback(bytes(self._received))
        else:  # PotentialDataLoss among them: a body without an end that could be told from a cut one
            self.whole.errback(reason)

    def _abort(self) -> None:
        if self.transport is not None:
            self.transport.loseConnection()
