"""One listening socket: accepts, whatever the kernel may say, and never spins when it has nothing to give.

Twisted's own port turns clients away when descriptors run out, too, but comes back at once to a kernel that is out of
buffers or memory, for as long as that lasts, and logs each time. Knows neither limits nor what is done with who came.
"""

import errno
import os
import socket
from collections.abc import Callable
from contextlib import suppress
from ipaddress import ip_address
from typing import Any

import structlog
from twisted.internet.interfaces import IDelayedCall, IReadDescriptor
from twisted.python.failure import Failure
from zope.interface import implementer

from hoopproxy.model import Endpoint, IPAddress

log = structlog.get_logger()

BACKLOG = 1024
"""Connections that the kernel holds until we accept them; Linux caps it by net.core.somaxconn (4096 by default)."""

ACCEPTS_MAX = 16
"""Connections accepted in one turn of the loop: those who are in already have theirs, however many come."""

REST_S = 0.1
"""How long a port looks away from a kernel that can't give it what it has; clients wait in the backlog meanwhile."""

_OF_ONE_PEER = frozenset(
    (
        errno.ECONNABORTED,
        errno.ECONNRESET,
        errno.ENOTCONN,
        errno.EPERM,
        errno.EPROTO,
        errno.ENOPROTOOPT,
        errno.EOPNOTSUPP,
        errno.ENETDOWN,
        errno.ENETUNREACH,
        errno.ENONET,
        errno.EHOSTDOWN,
        errno.EHOSTUNREACH,
    )
)
"""Errors of the connection that was to be accepted, which is gone with it: a firewall's no, a reset, and the network's
errors, which Linux passes on here (accept(2)). All others are shortages of the machine, and stay."""

_OUT_OF_DESCRIPTORS = frozenset((errno.EMFILE, errno.ENFILE))


@implementer(IReadDescriptor)
class Port:
    """Listens on `address`, calls `accepted` with each socket (which it must take a duplicate of, as the reactor does)
    and `failed` with each shortage. @raise OSError: it can't be listened on.

    `start` begins, `close` ends. One descriptor is kept aside so that clients can be turned away when there are no
    more: who waits for one that may not come does better elsewhere.
    """

    def __init__(
        self,
        reactor: Any,
        address: IPAddress,
        number: int,
        accepted: Callable[[socket.socket, IPAddress], None],
        failed: Callable[[OSError], None],
    ) -> None:
        self._reactor, self._accepted, self._failed = reactor, accepted, failed
        self._socket = _listening(address, number)
        self._spare: int | None = os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)
        self._rest: IDelayedCall | None = None
        self.endpoint = Endpoint(address, self._socket.getsockname()[1])

    def start(self) -> None:
        """Accept from now on."""
        self._reactor.addReader(self)

    def close(self) -> None:
        """Accept no more; who waits in the backlog is reset."""
        self._reactor.removeReader(self)
        if self._rest is not None and self._rest.active():
            self._rest.cancel()
        if self._spare is not None:
            os.close(self._spare)
            self._spare = None
        self._socket.close()

    def fileno(self) -> int:
        return self._socket.fileno()

    def logPrefix(self) -> str:
        return f"port {self.endpoint}"

    def connectionLost(self, reason: Failure) -> None:
        """The reactor has given this descriptor up; it should never."""
        log.error("port-lost", endpoint=str(self.endpoint), reason=str(reason.value))
        self.close()

    def doRead(self) -> None:
        for _ in range(ACCEPTS_MAX):
            try:
                client, (host, *_) = self._socket.accept()
                with client:
                    self._accepted(client, ip_address(host.partition("%")[0]))
            except BlockingIOError:
                return
            except OSError as why:
                if why.errno in _OF_ONE_PEER:
                    continue
                self._failed(why)
                if why.errno not in _OUT_OF_DESCRIPTORS or not self._turn_away():
                    self._look_away()
                    return
            except Exception:  # a bug; an exception here would make the reactor drop the port
                log.exception("accept-crashed", endpoint=str(self.endpoint))

    def _turn_away(self) -> bool:
        """Close who waits, with the descriptor that was kept for this; False when it is lost to somebody else."""
        if self._spare is not None:
            os.close(self._spare)
            with suppress(OSError):
                self._socket.accept()[0].close()
        try:
            self._spare = os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)
        except OSError:
            self._spare = None
        return self._spare is not None

    def _look_away(self) -> None:
        self._reactor.removeReader(self)
        self._rest = self._reactor.callLater(REST_S, self._reactor.addReader, self)


def _listening(address: IPAddress, number: int) -> socket.socket:
    """An IPv6 socket takes IPv6 alone: `::` and `0.0.0.0` stand side by side, and no client has two addresses."""
    made = socket.socket(socket.AF_INET6 if address.version == 6 else socket.AF_INET, socket.SOCK_STREAM)
    try:
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if address.version == 6:
            made.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        made.setblocking(False)
        made.bind((str(address), number))
        made.listen(BACKLOG)
    except OSError:
        made.close()
        raise
    return made
