"""A plain reading with its maskers behind it, as the relay asks them: what a client sees of a target's answers."""

from collections.abc import Coroutine, Iterable, Sequence
from ipaddress import ip_address
from typing import Any

from hoopproxy_plugins.mask_pan import MaskPan

from hoopproxy.access.policy import FieldRule, Policy, RegulatedRule
from hoopproxy.addons.field_masks import FieldMasks
from hoopproxy.events import Plan, Shape
from hoopproxy.interfaces import IMasker
from hoopproxy.masking import plans
from hoopproxy.masks import NO_CATALOG, Mask, Redact
from hoopproxy.model import Arrival, Endpoint, Grant, Identity, Measurements, Passage, Permit, Seal, Target, UpstreamTls
from hoopproxy.proofs import Secret, TargetSecret
from hoopproxy.settings import Limits
from hoopproxy.targets import HttpTarget
from hoopproxy.wire.http.messages import Answer, Headers, HttpGreeting, RequestHead, ResponseHead
from hoopproxy.wire.http.plain import PlainReading
from hoopproxy.wire.http.reading import Body

HERE = ip_address("127.0.0.1")
PAN, MASKED_PAN = "4539578763621486", "************1486"
CUSTOMER = "/v1/customers/{id}"

PLAIN, WITH_ENDPOINTS = HttpTarget(), HttpTarget(endpoints=(CUSTOMER,))
LIMITS, REDACT = Limits(), Redact()
SECRET = TargetSecret("gateway", Secret("s3cret"))

ORIGIN = {"http.authority": "crm.gw.example.com", "http.scheme": "https", "http.form": "origin", "http.prefix": ""}


def answered(work: Coroutine[Any, Any, Any]) -> Any:
    """The result of a coroutine that waits for nothing."""
    try:
        work.send(None)
    except StopIteration as ended:
        return ended.value
    raise AssertionError("it waits")


def passage(target: HttpTarget = PLAIN, **said: str) -> Passage:
    """To the target `crm`, at https://crm.internal:8443."""
    tls = UpstreamTls("crm.internal", None, frozenset({"sha256:"}))
    crm = Target("crm", "http", "crm.internal", 8443, "EU", "DE", tls, {"app": "crm"}, http=target)
    place = Endpoint(HERE, 8443)
    permit = Permit(
        session_id="s-1",
        arrival=Arrival("c", "web", "http", Endpoint(HERE, 1), 0.0),
        identity=Identity("i", "s", "Ada", frozenset(), 9e9, "test"),
        roles=frozenset({"support"}),
        target=crm,
        account="app",
        database="",
        parameters=ORIGIN | {f"http.{name}": value for name, value in said.items()},
        grant=Grant("g", frozenset({"support"}), "crm", frozenset({"app"}), "EU", ("EU",), {}, 9e9),
        addresses=(HERE,),
        client_zones=frozenset({"EU"}),
        verdicts=(),
        not_after_s=9e9,
        seal=Seal(),
    )
    return Passage(permit, place, Measurements(place, ""), (), Seal())


def rule(field: str, endpoint: str = "", mask: Mask = REDACT) -> FieldRule:
    """A [[mask]] table."""
    return FieldRule("crm", endpoint, field, mask, ())


def regulated(*fields: str, endpoint: str = CUSTOMER) -> RegulatedRule:
    """A [[regulated]] table."""
    return RegulatedRule("crm", endpoint, fields, ())


def cards() -> MaskPan:
    """The example plugin."""
    return MaskPan("cards", frozenset())


class Scene:
    """One connection's reading and the maskers of its session."""

    def __init__(
        self,
        *rules: FieldRule | RegulatedRule,
        maskers: Sequence[IMasker] = (),
        http: HttpTarget = WITH_ENDPOINTS,
        limits: Limits = LIMITS,
        secret: TargetSecret | None = SECRET,
        **said: str,
    ) -> None:
        self.passage = passage(http, **said)
        policy = Policy(
            "0" * 64,
            (),
            (),
            (),
            tuple(each for each in rules if isinstance(each, FieldRule)),
            tuple(each for each in rules if isinstance(each, RegulatedRule)),
        )
        self.maskers = [*maskers, FieldMasks("fields", policy)]
        self.protected: frozenset[str] = frozenset()
        for masker in self.maskers:
            self.protected |= answered(masker.protects(self.passage.permit))
        self.reading = PlainReading(self.passage, HttpGreeting("http/1.1", secret), self.protected, limits)
        self.asked: list[Shape] = []

    def request(
        self, target: str = "/v1/customers/17", *fields: tuple[str, str], method: str = "GET", **more: Any
    ) -> RequestHead:
        """As the machine has parsed one."""
        said = {"scheme": "https", "authority": "crm.gw.example.com", "version": "HTTP/1.1"} | more
        return RequestHead(method=method, target=target, headers=Headers(fields), is_bodyless=True, **said)

    def response(
        self, *fields: tuple[str, str], status: int = 200, target: str = "/v1/customers/17", **more: Any
    ) -> ResponseHead | Answer:
        """What becomes of a response's head."""
        head = ResponseHead(status, "OK", "HTTP/1.1", Headers(fields), **more)
        return self.reading.incoming(self.request(target), head)

    def body(self, *fields: tuple[str, str], target: str = "/v1/customers/17", status: int = 200) -> Body | None:
        """How a response's body is masked."""
        head = self.response(*fields, target=target, status=status)
        assert isinstance(head, ResponseHead), head.body
        return self.reading.body(1, self.request(target), head)

    def plan(self, shape: Shape) -> Plan:
        """As the relay's judges answer."""
        self.asked.append(shape)
        answers = [(masker.name, answered(masker.plan(self.passage, shape))) for masker in self.maskers]
        return plans.compile(shape, answers, NO_CATALOG, self.protected)

    def masked(
        self,
        pieces: Iterable[bytes],
        media_type: str = "application/json",
        target: str = "/v1/customers/17",
        **more: Any,
    ) -> bytes:
        """What the client sees of a body that comes in `pieces`. @raise Withheld: nothing more of it."""
        body = self.body(("Content-Type", media_type), *more.get("fields", ()), target=target)
        assert body is not None
        output = b""
        self.values = self.changed = 0
        for step in [*(lambda piece=piece: body.feed(piece) for piece in pieces if piece), body.end]:
            shown = step()
            while True:
                output += shown.data
                self.values += shown.row_count
                self.changed += shown.cells_masked
                if shown.refusal:
                    raise Withheld(shown.refusal, output)
                if shown.ask is None:
                    break
                shown = body.resume(self.plan(shown.ask))
        return output


class Withheld(Exception):
    """A body was refused; the second argument is what had been shown before."""


def cuts(data: bytes, size: int) -> list[bytes]:
    """`data` in pieces of that size."""
    return [data[at : at + size] for at in range(0, len(data), size)]
