"""HTTP's own reading: which requests the gateway answers itself, and what of the others crosses it.

Knows no bytes, no lanes and no policy. A protocol over HTTP builds on it: `refused`, `path`, `outgoing` and `incoming`
hold for all of them.
"""

from base64 import b64encode
from collections import OrderedDict
from dataclasses import replace
from functools import lru_cache

from hoopproxy.events import Action, Statement
from hoopproxy.model import Passage
from hoopproxy.proofs import TargetSecret
from hoopproxy.requests import HttpRequest
from hoopproxy.settings import Limits
from hoopproxy.wire.http import bodies, fields, websocket
from hoopproxy.wire.http.bodies import Making
from hoopproxy.wire.http.codings import Decoder
from hoopproxy.wire.http.documents import Document
from hoopproxy.wire.http.endpoints import Ambiguous, Endpoints, outline
from hoopproxy.wire.http.events_stream import Events
from hoopproxy.wire.http.json_masks import Masks
from hoopproxy.wire.http.message_masks import Messages
from hoopproxy.wire.http.message_stream import JsonLines, MessageStream
from hoopproxy.wire.http.messages import FORM, Answer, HttpGreeting, RequestHead, ResponseHead
from hoopproxy.wire.http.names import Elsewhere, Names, settled_authority
from hoopproxy.wire.http.protection import Protection
from hoopproxy.wire.http.reading import Body, Upgraded
from hoopproxy.wire.http.refusals import refusal
from hoopproxy.wire.http.texts import Text, TextPlan
from hoopproxy.wire.http.unreadable import Unreadable

_ECHOING = frozenset(("TRACE", "TRACK", "CONNECT"))
"""The first two would show the client the target's secret (RFC 9110 §9.3.8); a tunnel is the listener's business."""

PATHS_KNOWN_MAX = 8
"""Each may be as long as a head, and most connections wait."""

ENDPOINTS_KNOWN_MAX = 64
"""Of so many endpoints a connection remembers what is masked there; each may hold some 10 MB of places."""

_ALLOWED = "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS"


class Foreign(ValueError):
    """A request that belongs on another connection. The text is a full sentence for the client."""


class PlainReading:
    """One connection's. `protected` as maskers answer it, in the words of `masking.fields`."""

    def __init__(self, passage: Passage, greeting: HttpGreeting, protected: frozenset[str], limits: Limits) -> None:
        target = passage.permit.target
        self.names = Names.of(passage.permit)
        self.endpoints = Endpoints(target.http.endpoints)
        self._passage, self._protected, self._limits = passage, protected, limits
        self._form = passage.permit.parameters[FORM]
        self._login = _login(target.http.login, greeting.secret)
        self._credentials: tuple[str, ...] | None = None
        self._path = lru_cache(PATHS_KNOWN_MAX)(self._settled)
        self._masks: OrderedDict[str, Masks] = OrderedDict()
        self._text = TextPlan()

    # Requests -------------------------------------------------------------------------------------------------------

    def ask(self, number: int, request: RequestHead) -> Statement | Answer:
        """See `Reading`."""
        if refused := self.refused(request) or self.moved(request):
            return refused
        path = self.path(request)
        return Statement(
            number,
            Action.CALL,
            f"{request.method} {_target(path, request)}",
            outline(request.method, path, request.query, self.endpoints.of(path)),
            http=self.described(request),
        )

    def refused(self, request: RequestHead) -> Answer | None:
        """The answer to a request that nobody needs to be asked about; None: it is fit to be judged."""
        try:
            self.path(request)
            if not self._is_ours(request):
                raise Foreign("This connection is for another host than this request names: open one for it.")
        except Ambiguous as why:
            return self.says(400, str(why))
        except Foreign as why:
            return self._on_another_connection(request, str(why))
        if unproven := self._unproven(request):
            return unproven
        if request.method in _ECHOING:
            said = self.says(405, f"The gateway does not pass on {request.method} requests.")
            return _with(said, "allow", _ALLOWED)
        if sentence := fields.misused(request.headers):
            return self.says(400, sentence)
        if request.wants_upgrade and request.method != "GET":
            return self.says(400, "A WebSocket is asked for with GET (RFC 6455 §4.1).")
        if set(request.headers.tokens("expect")) - {"100-continue"}:
            return self.says(417, "The gateway knows no other expectation than 100-continue.")
        return None

    def moved(self, request: RequestHead) -> Answer | None:
        """The answer to a request that could bring a masked value where it is not masked."""
        if not (fields.has_patch(request.headers) and self.protection(self.endpoint(request)).by_path):
            return None
        return self.says(
            403, "A JSON Patch could copy what is masked here to where it is not: send another kind of patch."
        )

    def path(self, request: RequestHead) -> str:
        """The path that is judged, and that the target is sent. @raise Ambiguous, Foreign."""
        return self._path(request.path)

    def _settled(self, path: str) -> str:
        prefix = self.names.prefix
        if prefix and path != "*":
            rest = path.removeprefix(prefix)
            if not path.startswith(prefix) or rest[:1] not in ("", "/"):
                raise Foreign(f"This connection is for paths below {prefix}/: open another one for this request.")
            path = rest or "/"
        return self.endpoints.settled(path)

    def described(self, request: RequestHead) -> HttpRequest:
        """The request as guards and recorders see it."""
        path = self.path(request)
        hidden = fields.IDENTIFYING | ({fields.folded(self._login[0])} if self._login else set())
        return HttpRequest(
            method=request.method,
            authority=self.names.authority,
            path=path,
            query=request.query,
            version=request.version,
            endpoint=self.endpoints.of(path),
            headers=request.headers.where(lambda name, _: fields.folded(name) not in hidden).fields,
        )

    def endpoint(self, request: RequestHead) -> str:
        """What masks know by which template or resource an answer is found; "" for none."""
        return self.endpoints.of(self.path(request))

    def outgoing(self, request: RequestHead) -> RequestHead:
        """See `Reading`."""
        headers = fields.outgoing(request.headers, self.names, upgrades=request.wants_upgrade)
        if not self._masks_of(request).protection.is_empty:
            headers = bodies.asked_for(headers)
        if self._login:
            shown = fields.folded(self._login[0])
            headers = headers.where(lambda name, _: fields.folded(name) != shown).plus(*self._login)
        return replace(
            request,
            scheme=self.names.target_scheme,
            authority=self.names.target_authority,
            target=_target(self.path(request), request),
            headers=headers,
        )

    def upgraded_here(self, number: int, request: RequestHead) -> tuple[Answer, Upgraded] | Answer | None:
        """None: a WebSocket is the target's to answer."""
        return None

    def _is_ours(self, request: RequestHead) -> bool:
        return settled_authority(request.authority, self.names.scheme) == self.names.authority

    def _unproven(self, request: RequestHead) -> Answer | None:
        """Each request shows what the connection's first did: nobody else's comes in through it."""
        if self._form == "tunnel":
            return None
        shown = tuple(request.headers.all("proxy-authorization"))
        if self._form == "origin":
            shown += tuple(request.headers.all("authorization"))
        if self._credentials is None:
            self._credentials = shown
        if shown == self._credentials:
            return None
        if shown:
            return self._on_another_connection(
                request, "This connection began with other credentials: open another one for these."
            )
        status = 401 if self._form == "origin" else 407
        return self.says(status, "Show the gateway your token with each request, as you did with the first.")

    def _on_another_connection(self, request: RequestHead, sentence: str) -> Answer:
        """421: the client may ask again on another connection (RFC 9110 §15.5.20), and needs this one no more."""
        said = self.says(421, sentence)
        return said if request.version == "HTTP/2.0" else _with(said, "connection", "close")

    # Responses ------------------------------------------------------------------------------------------------------

    def incoming(self, request: RequestHead, response: ResponseHead) -> ResponseHead | Answer:
        """See `Reading`."""
        upgraded = response.status == 101
        if request.wants_upgrade and 300 <= response.status < 400:
            return self.says(502, "The target answers a request for a WebSocket by sending the client elsewhere.")
        if upgraded and not (request.wants_upgrade and "websocket" in response.headers.tokens("upgrade")):
            return self.says(502, "The target changes to another protocol than it was asked for.")
        try:
            headers = fields.incoming(response.headers, self.names, upgraded=upgraded)
        except Elsewhere:
            return self.says(
                502,
                "The target's answer leads to another host, which the gateway does not vouch for: ask the owner of the "
                "target to list it among its redirects.",
            )
        if self._form == "absolute" and not upgraded and response.status >= 200:
            headers = headers.instead("connection", "close")
        try:
            return bodies.announced(self._masks_of(request).protection, replace(response, headers=headers))
        except Unreadable as why:
            return self.says(502, why.sentence)

    def body(self, number: int, request: RequestHead, response: ResponseHead) -> Body | None:
        """See `Reading`."""
        if not isinstance(response, bodies.Masked):
            return None
        bytes_max = self._limits.document_bytes_max
        decoder = Decoder(response.codings, bytes_max)
        masks = self._masks_of(request)
        match response.making:
            case Making.DOCUMENT:
                return Document(masks, decoder, bytes_max)
            case Making.LINES:
                return MessageStream(JsonLines(), Messages(masks, must_be_json=True), decoder, bytes_max)
            case Making.EVENTS:
                events = Events(is_strict=masks.protection.by_path)
                return MessageStream(events, Messages(masks), decoder, bytes_max)
            case Making.TEXT:
                return Text(self._text, decoder)

    def upgraded(self, number: int, request: RequestHead, response: ResponseHead) -> Upgraded:
        """See `Reading`."""
        masks = self._masks_of(request)
        messages = None if masks.protection.is_empty else Messages(masks)
        return websocket.Sockets(number, self._limits, websocket.Messages(number, messages))

    def protection(self, endpoint: str) -> Protection:
        """What of its answers is masked."""
        return Protection.of(self._protected, endpoint)

    def _masks_of(self, request: RequestHead) -> Masks:
        """The masks of its endpoint, with the columns that are known by now."""
        endpoint = self.endpoint(request) if self._protected else ""
        masks = self._masks.pop(endpoint, None)
        if masks is None or masks.columns.is_worn:
            bytes_max = max(self._limits.document_bytes_max, self._limits.message_bytes_max)
            masks = Masks(self.protection(endpoint), bytes_max)
        self._masks[endpoint] = masks
        if len(self._masks) > ENDPOINTS_KNOWN_MAX:
            self._masks.popitem(last=False)
        return masks

    def says(self, status: int, sentence: str) -> Answer:
        """See `Reading`."""
        return refusal(status, sentence, self._passage.session_id)


def _target(path: str, request: RequestHead) -> str:
    return f"{path}?{request.query}" if "?" in request.target else path


def _with(answer: Answer, name: str, value: str) -> Answer:
    return replace(answer, headers=answer.headers.plus(name, value))


def _login(login: str, secret: TargetSecret | None) -> tuple[str, str] | None:
    """The field that shows the target the gateway's secret (RFC 6750 §2.1, RFC 7617 §2)."""
    if secret is None:
        return None
    password = secret.password.reveal()
    match login:
        case "bearer":
            return "authorization", f"Bearer {_as_field(password)}"
        case "basic":
            return "authorization", f"Basic {b64encode(f'{secret.username}:{password}'.encode()).decode()}"
        case _:
            return login.removeprefix("header ").lower(), _as_field(password)


def _as_field(text: str) -> str:
    return text.encode().decode("latin-1")
