"""Kubernetes' front door: HTTP's, with a cluster in the path, refusals that kubectl shows, and forwarded ports.

Knows nothing of what its requests mean.
"""

import re
from collections.abc import Callable
from dataclasses import replace

from zope.interface import implementer

from hoopproxy.connection import Connection
from hoopproxy.listen.http import HttpFrontend
from hoopproxy.listen.http_calls import Call, origin
from hoopproxy.listen.http_front import Front
from hoopproxy.listen.lane_children import LaneChildren
from hoopproxy.model import Arrival, Passage
from hoopproxy.rooms import IFrontend, IListener, IPeer, IScheduler
from hoopproxy.settings import Limits, ListenerSettings
from hoopproxy.wire.http.messages import Answer, RequestHead
from hoopproxy.wire.http.refusals import CHALLENGES
from hoopproxy.wire.http.statuses import refusal

_CLUSTER = re.compile(r"(/clusters/([A-Za-z0-9][A-Za-z0-9._-]{0,62}))(?:/.*)?")
"""How a path names the target, so that one host leads to many clusters."""


@implementer(IListener)
class KubernetesListener:
    """Makes frontends. Building it reads certificates and keys. @raise ConfigError"""

    def __init__(self, settings: ListenerSettings, limits: Limits, scheduler: IScheduler) -> None:
        self.settings = settings
        self._front = Front(settings, limits, scheduler)

    def frontend(self, connection: Connection, arrival: Arrival, adopt: Callable[[IFrontend], None]) -> IFrontend:
        return KubernetesFrontend(connection, arrival, self._front, adopt)


@implementer(IFrontend)
class KubernetesFrontend(HttpFrontend):
    """One client."""

    def __init__(
        self, connection: Connection, arrival: Arrival, front: Front, adopt: Callable[[IFrontend], None]
    ) -> None:
        super().__init__(connection, arrival, front)
        self._adopt = adopt
        self._path = ""

    async def welcome(self, passage: Passage, peer: IPeer) -> None:
        await super().welcome(passage, peer)
        front = self._front
        self._children = LaneChildren(self.arrival, passage.permit, self._adopt, front.limits, front.scheduler)

    def origin(self, head: RequestHead) -> Call:
        """As for HTTP; `/clusters/NAME` before the path names the target."""
        self._path = head.path
        found = _CLUSTER.fullmatch(head.path)
        prefix, name = found.groups() if found else ("", "")
        return origin(
            head,
            self._front.hosts,
            is_tls=self._is_tls,
            server_name=self._connection.server_name,
            prefix=prefix,
            name=name,
        )

    def refusal(self, status: int, sentence: str, session_id: str) -> Answer:
        """A Status, with a challenge where its code demands one."""
        answer = refusal(status, sentence, session_id, path=self._path)
        challenge = {401: "www-authenticate", 407: "proxy-authenticate"}.get(status)
        for each in CHALLENGES if challenge else ():
            answer = replace(answer, headers=answer.headers.plus(str(challenge), each))
        return answer
