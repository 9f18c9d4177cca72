"""Kubernetes as a reading of HTTP: who asks for which resource, what comes back of it, and what runs in pods.

Knows no bytes, no lanes and no policy. What reaches an API server comes from whom the gateway says, and what would lead
past the gateway does not pass at all (CVE-2018-1002102, CVE-2020-8559, CVE-2022-3172).
"""

from dataclasses import replace

from hoopproxy.errors import Refused
from hoopproxy.events import Action, Statement
from hoopproxy.model import Passage
from hoopproxy.requests import KubernetesRequest
from hoopproxy.settings import Limits
from hoopproxy.wire.http import port_forward
from hoopproxy.wire.http.bodies import Making, Masked
from hoopproxy.wire.http.impersonation import impersonation, is_claim
from hoopproxy.wire.http.machine import HttpWires
from hoopproxy.wire.http.messages import Answer, Headers, HttpGreeting, RequestHead, ResponseHead
from hoopproxy.wire.http.plain import PlainReading
from hoopproxy.wire.http.pod_channels import Pod, PodChannels, offered
from hoopproxy.wire.http.protection import Protection
from hoopproxy.wire.http.reading import Upgraded
from hoopproxy.wire.http.resource_masks import SECRETS_MASKED, SECRETS_SHOWN, ResourceProtection, narrowed
from hoopproxy.wire.http.resources import CONNECTING, Unreadable, first_values, is_true, outline, read, resource_name
from hoopproxy.wire.http.statuses import refusal
from hoopproxy.wire.http.websocket import Sockets

RUNNING = frozenset(("exec", "attach"))
"""Subresources of pods in which something runs."""

LOG, SECRETS = "log", "secrets"

SUBRESOURCES = CONNECTING | {
    "",
    "approval",
    "binding",
    "ephemeralcontainers",
    "eviction",
    "finalize",
    LOG,
    "resize",
    "scale",
    "status",
}
"""What passes; of the others nobody here knows what they do."""

OLD_KUBECTL = (
    "The gateway speaks with pods over WebSockets alone: use kubectl 1.30 or later, and do not set "
    "KUBECTL_REMOTE_COMMAND_WEBSOCKETS=false."
)

_REASONS = {
    "proxy": "What passes there is another service's: have it made a target of its own.",
    "token": "Tokens of service accounts would open the cluster past the gateway.",
}


class KubernetesReading(PlainReading):
    """One connection's with a cluster."""

    def __init__(self, passage: Passage, greeting: HttpGreeting, protected: frozenset[str], limits: Limits) -> None:
        super().__init__(passage, greeting, protected, limits)
        cluster = passage.permit.target.kubernetes
        assert cluster is not None
        self._unknown = ""
        self._claims = Headers()
        try:
            self._claims = Headers(impersonation(passage.permit.identity, cluster))
        except Refused as why:
            self._unknown = why.sentence
        self._protocol = ""

    # Requests -------------------------------------------------------------------------------------------------------

    def ask(self, number: int, request: RequestHead) -> Statement | Answer:
        """See `Reading`."""
        if refused := self.refused(request):
            return refused
        if self._unknown:
            return refusal(403, self._unknown, self._passage.session_id, path=request.path)
        try:
            asked = self._read(request)
        except Unreadable as why:
            return self.says(400, str(why))
        if sentence := self._unfit(asked) or _unfit_upgrade(asked, request):
            return self.says(403, sentence)
        if moved := self.moved(request):
            return moved
        path = self.path(request)
        query = f"?{request.query}" if request.query else ""
        return Statement(
            number,
            Action.RUN if asked.subresource in RUNNING and request.wants_upgrade else Action.CALL,
            f"{request.method} {path}{query}",
            _outline(asked, path, request),
            http=replace(self.described(request), endpoint=self.endpoint(request)),
            kubernetes=asked,
        )

    def outgoing(self, request: RequestHead) -> RequestHead:
        """See `Reading`."""
        sent, asked = super().outgoing(request), self._read(request)
        headers = sent.headers.where(lambda name, _: not is_claim(name))
        protection = self.protection(self.endpoint(request))
        if asked.resource and asked.subresource != LOG and not protection.is_empty:
            # In those of Secrets there is nothing but names and counts.
            headers = narrowed(headers, keeps_tables=resource_name(asked) == SECRETS or not protection.by_path)
        headers = headers.without("sec-websocket-protocol")  # browsers show tokens in it
        if request.wants_upgrade:
            protocols = ", ".join(offered(_protocols(request.headers)))
            headers = headers.without("origin").plus("sec-websocket-protocol", protocols)
        return replace(sent, headers=Headers((*headers.fields, *self._claims.fields)))

    def upgraded_here(self, number: int, request: RequestHead) -> tuple[Answer, Upgraded] | Answer | None:
        """A port-forward is ours to answer: each connection in it is judged as one of its own. And SPDY is refused, but
        not before the guards were asked: kubectl comes with it when a WebSocket was refused, and shows this answer."""
        asked = self._read(request)
        if not request.wants_upgrade:
            return self.says(403, OLD_KUBECTL) if _is_changing(request) else None
        if asked.subresource != "portforward":
            return None
        pod = f"{self._passage.permit.target.name}:{asked.namespace}/{asked.name}"
        return port_forward.begin(number, request, pod, self._limits)

    def endpoint(self, request: RequestHead) -> str:
        """The resource; a pod's log is none of its places."""
        asked = self._read(request)
        return f"{resource_name(asked)}/{LOG}" if asked.subresource == LOG else resource_name(asked)

    def protection(self, endpoint: str) -> Protection:
        """For its objects, wherever they stand."""
        return ResourceProtection.of(self._protected, endpoint)

    def _read(self, request: RequestHead) -> KubernetesRequest:
        """@raise Unreadable"""
        return read(request.method, self.path(request), request.query)

    def _unfit(self, asked: KubernetesRequest) -> str:
        """Why nobody may ask for this here, in a full sentence; "" for no reason."""
        subresource = "proxy" if asked.verb == "proxy" else asked.subresource
        if subresource not in SUBRESOURCES:
            why = _REASONS.get(subresource, "The gateway does not know what it does.")
            return f"{asked.resource}/{subresource} is not reached through the gateway. {why}"
        if subresource in CONNECTING and (asked.group or asked.resource != "pods"):
            return f"Only pods have a {subresource} that is reached through the gateway."
        if resource_name(asked) == SECRETS and not self._protected & (SECRETS_MASKED | SECRETS_SHOWN):
            return (
                "Secrets are not reached through the gateway, since it has no addon that says who may see them: tell "
                "its operator."
            )
        return ""

    # Responses ------------------------------------------------------------------------------------------------------

    def incoming(self, request: RequestHead, response: ResponseHead) -> ResponseHead | Answer:
        """See `Reading`."""
        if sentence := _astray(request, response):
            return self.says(502, sentence)
        shown = super().incoming(request, response)
        if isinstance(shown, Masked) and shown.making is Making.DOCUMENT and self._read(request).verb == "watch":
            return replace(shown, making=Making.LINES)
        if isinstance(shown, Answer) or shown.status != 101:
            return shown
        chosen = response.headers.get("sec-websocket-protocol") or ""
        protocols = offered(_protocols(request.headers))
        if chosen not in protocols:
            return self.says(502, "The cluster speaks none of the protocols that it was asked to speak with pods.")
        self._protocol = chosen
        return replace(shown, headers=shown.headers.instead("sec-websocket-protocol", protocols[0]))

    def upgraded(self, number: int, request: RequestHead, response: ResponseHead) -> Upgraded:
        """What runs in the pod."""
        pod = Pod(
            number,
            is_terminal=is_true(first_values(request.query), "tty"),
            is_masked="*" in self._protected,
            protocol=self._protocol,
        )
        return Sockets(number, self._limits, PodChannels(pod))

    def says(self, status: int, sentence: str) -> Answer:
        """A Status object."""
        return refusal(status, sentence, self._passage.session_id)


def _unfit_upgrade(asked: KubernetesRequest, request: RequestHead) -> str:
    """Why a request that is to change the protocol, or ought to, may not."""
    is_entering = asked.subresource in CONNECTING
    if not request.wants_upgrade:
        is_changing = _is_changing(request)
        if is_entering and is_changing and request.is_bodyless and request.version != "HTTP/2.0":
            return ""  # not yet: see `upgraded_here`
        return OLD_KUBECTL if is_entering or is_changing else ""
    if asked.subresource == "portforward":
        return port_forward.unfit(request)
    if not is_entering:
        return "The gateway passes WebSockets only for exec, attach and port-forward."
    if not offered(_protocols(request.headers)):
        return "Your client offers neither v5.channel.k8s.io nor v4.channel.k8s.io: use kubectl 1.30 or later."
    return ""


def _is_changing(request: RequestHead) -> bool:
    return "upgrade" in request.headers.tokens("connection") or request.headers.get("upgrade") is not None


def _astray(request: RequestHead, response: ResponseHead) -> str:
    """Why the client does not get what an API server answered."""
    status = response.status
    if 300 <= status < 400 and status != 304:
        return "The cluster tried to send your client elsewhere, which the gateway does not let it do."
    if request.wants_upgrade and status != 101 and status < 400:
        return "The cluster did not change to the protocol that it was asked for."
    if status == 401:
        return "The cluster did not accept the gateway's credential: tell the gateway's operator."
    return ""


def _protocols(headers: Headers) -> tuple[str, ...]:
    """Those that are offered; among them may be a token, which is why none but known ones go on."""
    return tuple(each.strip() for value in headers.all("sec-websocket-protocol") for each in value.split(","))


def _outline(asked: KubernetesRequest, path: str, request: RequestHead) -> str:
    if asked.subresource not in RUNNING:
        return outline(asked, path)
    command = first_values(request.query).get("command", "")
    return f"{asked.subresource} {asked.namespace}/{asked.name}" + (f" -- {command}" if command else "")


class KubernetesWires(HttpWires):
    """Makes machines whose targets are clusters."""

    reading = KubernetesReading
