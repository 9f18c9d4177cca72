"""The four places of a session, examined by every residency check and judged against the zones of a grant.

Asks addons for findings; the verdict itself is `hoopproxy.residency.verdict`'s. Knows no socket and no file.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial

from hoopproxy.asking import Asking, a
from hoopproxy.errors import Refused
from hoopproxy.interfaces import IResidencyCheck
from hoopproxy.model import (
    Arrival,
    Assurance,
    Decision,
    Endpoint,
    Finding,
    Grant,
    IPAddress,
    Measurements,
    Permit,
    Place,
    SubjectKind,
    Target,
    Verdict,
)
from hoopproxy.residency.addresses import forbidden
from hoopproxy.residency.verdict import judge, zones_of
from hoopproxy.residency.zones import Zones
from hoopproxy.rooms import IScheduler


class OutOfZone(Refused):
    """A place does not lie where the grant wants it, as far as anybody can tell. Unknown means no."""

    def __init__(self, verdicts: tuple[Verdict, ...]) -> None:
        denials = [verdict for verdict in verdicts if verdict.decision is Decision.DENY]
        super().__init__(
            denials[0].sentence,
            reason="residency",
            detail="; ".join(f"{verdict.subject.value} {verdict.name}: {verdict.code}" for verdict in denials),
        )
        self.verdicts = verdicts


@dataclass(frozen=True, slots=True)
class Places:
    """Judges places. `countries` are what configuration declares of the gateway and of the recording storage."""

    checks: Sequence[IResidencyCheck]
    zones: Zones
    gateway_name: str
    gateway_country: str
    storage_country: str
    own: frozenset[Endpoint]
    scheduler: IScheduler
    ask: Asking

    async def judge(
        self, arrival: Arrival, target: Target, addresses: Sequence[IPAddress], grant: Grant
    ) -> tuple[Verdict, ...]:
        """All verdicts, each of them a permit. A name with one address outside is outside. @raise OutOfZone."""
        wanted = (grant.zone,)
        client = Place(SubjectKind.CLIENT, "client", arrival.client.address, None)
        gateway = Place(SubjectKind.GATEWAY, self.gateway_name, None, self.gateway_country)
        storage = Place(SubjectKind.STORAGE, "recordings", None, self.storage_country)
        verdicts = [await self._verdict(client, grant.client_zones, grant)]
        verdicts += [await self._verdict(place, wanted, grant) for place in (gateway, storage)]
        for address in addresses:
            place = Place(SubjectKind.DESTINATION, target.name, address, target.country)
            verdicts.append(await self._destination(place, target, grant))
        if any(verdict.decision is Decision.DENY for verdict in verdicts):
            raise OutOfZone(_mixed(verdicts))
        return tuple(verdicts)

    async def confirm(self, permit: Permit, measurements: Measurements) -> Verdict:
        """The verdict on the destination again, now for the peer that answered. @raise OutOfZone."""
        target = permit.target
        place = Place(SubjectKind.DESTINATION, target.name, measurements.peer.address, target.country, measurements)
        verdict = await self._destination(place, target, permit.grant)
        if verdict.decision is Decision.DENY:
            raise OutOfZone((verdict,))
        return verdict

    async def zones_at(self, address: IPAddress) -> frozenset[str]:
        """Every zone in which somebody at that address lies, as far as is known; for those who vote."""
        place = Place(SubjectKind.CLIENT, "client", address, None)
        findings = [
            await self.ask(check, "examine", partial(check.examine, place), a(Finding)) for check in self.checks
        ]
        now_s = self.scheduler.now_s()
        return frozenset(
            zone
            for zone in self.zones.names
            if judge(place, (zone,), Assurance.DECLARED, self.zones, findings, now_s).decision is Decision.PERMIT
        )

    def client_zones(self, verdicts: Sequence[Verdict]) -> frozenset[str]:
        """Every zone that the client surely lies in: mask sets follow from them."""
        (client,) = (verdict for verdict in verdicts if verdict.subject is SubjectKind.CLIENT)
        return zones_of(client, self.zones, self.scheduler.now_s())

    async def _destination(self, place: Place, target: Target, grant: Grant) -> Verdict:
        assert place.address is not None
        reason = forbidden(place.address, allow_loopback=target.allow_loopback, own=self.own, port=target.port)
        if reason is None:
            return await self._verdict(place, (grant.zone,), grant)
        return Verdict(
            subject=place.kind,
            name=place.name,
            zone=grant.zone,
            zone_revision=self.zones.revision,
            decision=Decision.DENY,
            code="FORBIDDEN_ADDRESS",
            required=_required(grant, place.kind),
            achieved=Assurance.NONE,
            country=None,
            findings=(),
            sentence=f"Target '{target.name}' resolves to an address that no gateway may dial ({reason}); "
            "tell the operator of the gateway.",
        )

    async def _verdict(self, place: Place, wanted: Sequence[str], grant: Grant) -> Verdict:
        findings = [
            await self.ask(check, "examine", partial(check.examine, place), a(Finding)) for check in self.checks
        ]
        return judge(place, wanted, _required(grant, place.kind), self.zones, findings, self.scheduler.now_s())


def _required(grant: Grant, kind: SubjectKind) -> Assurance:
    return grant.assurance_min.get(kind, Assurance.DECLARED)


def _mixed(verdicts: Sequence[Verdict]) -> tuple[Verdict, ...]:
    """A name with addresses on both sides of a border gets that code: it is the name that has to be mended."""
    places = {verdict.decision for verdict in verdicts if verdict.subject is SubjectKind.DESTINATION}
    if len(places) < 2:
        return tuple(verdicts)
    return tuple(
        replace(verdict, code="MIXED_ADDRESSES")
        if verdict.subject is SubjectKind.DESTINATION and verdict.decision is Decision.DENY
        else verdict
        for verdict in verdicts
    )
