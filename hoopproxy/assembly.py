"""A gateway out of its addons and its surroundings: the one place where the rooms are wired to each other.

Knows no configuration file and no listener, and no addon but by its role.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from hoopproxy.access.in_force import InForce
from hoopproxy.access.journal import IJournal
from hoopproxy.access.links import Links
from hoopproxy.access.office import Changed, Office
from hoopproxy.access.policy import Policy
from hoopproxy.admit.admission import Admission
from hoopproxy.admit.crowd import Crowd
from hoopproxy.admit.door import Door
from hoopproxy.admit.keyring import Keyring
from hoopproxy.admit.leases import Leases
from hoopproxy.admit.places import Places
from hoopproxy.admit.rechecking import Rechecks
from hoopproxy.admit.standing import Standing
from hoopproxy.asking import Asking
from hoopproxy.errors import Revoked
from hoopproxy.evidence.ledger import Ledger
from hoopproxy.evidence.pseudonyms import Pseudonyms
from hoopproxy.interfaces import (
    IAsksOffice,
    IAsksPeople,
    IAuthenticator,
    ICredentialSource,
    IEnforcement,
    IEvidenceSink,
    IGrantSource,
    IMasker,
    IRecorder,
    IResidencyCheck,
    IRouter,
    IStatementGuard,
)
from hoopproxy.model import Endpoint, Target
from hoopproxy.relay.approvals import Approvals
from hoopproxy.relay.gallery import Gallery
from hoopproxy.relay.judges import Judges
from hoopproxy.relay.quota import Quotas
from hoopproxy.relay.votes import Votes
from hoopproxy.residency.zones import Zones
from hoopproxy.rooms import IDialer, IResolver, IScheduler, IWireFactory
from hoopproxy.session import Gateway
from hoopproxy.settings import Limits


class Roles(Protocol):
    """All addons, by role and in the order in which they are asked."""

    @property
    def authenticators(self) -> Sequence[IAuthenticator]: ...
    @property
    def router(self) -> IRouter: ...
    @property
    def grants(self) -> Sequence[IGrantSource]: ...
    @property
    def residency(self) -> Sequence[IResidencyCheck]: ...
    @property
    def credentials(self) -> Sequence[ICredentialSource]: ...
    @property
    def guards(self) -> Sequence[IStatementGuard]: ...
    @property
    def maskers(self) -> Sequence[IMasker]: ...
    @property
    def enforcement(self) -> IEnforcement: ...
    @property
    def recorder(self) -> IRecorder: ...
    @property
    def evidence(self) -> IEvidenceSink: ...


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What a gateway stands in: its name and places, time, the ways to its targets, and who reads what it tells.

    `own` is where it listens itself; `journal` holds what was asked for and decided, and without it live
    sessions go on for `store_lease_s_max`. `tell` writes to the operator's log. `links` are those of the portal.
    """

    gateway_name: str
    gateway_country: str
    storage_country: str
    zones: Zones
    own: frozenset[Endpoint]
    policy: Policy | InForce
    targets: Mapping[str, Target]
    journal: IJournal
    store_lease_s_max: float
    pseudonyms: Pseudonyms
    resolver: IResolver
    dialers: Mapping[str, IDialer]
    wires: Mapping[str, IWireFactory]
    limits: Limits
    scheduler: IScheduler
    new_session_id: Callable[[], str]
    tell: Callable[..., None]
    links: Links | None = None


def assembled(addons: Roles, around: Surroundings) -> Gateway:
    """The gateway: every room with what it needs, and nothing that it doesn't. Its recorder notes chunks in its log."""
    limits, scheduler = around.limits, around.scheduler
    ask = Asking(scheduler, limits.decision_s_max)
    leases = Leases(scheduler)
    places = Places(
        checks=addons.residency,
        zones=around.zones,
        gateway_name=around.gateway_name,
        gateway_country=around.gateway_country,
        storage_country=around.storage_country,
        own=around.own,
        scheduler=scheduler,
        ask=ask,
    )
    ledger = Ledger(addons.evidence, around.pseudonyms, scheduler, around.gateway_name, ask)
    office = Office(
        journal=around.journal,
        policy=around.policy,
        targets=around.targets,
        scheduler=scheduler,
        gateway=around.gateway_name,
        new_id=around.new_session_id,
        note=ledger.note,
        links=around.links,
    )
    standing = Standing(office, leases, scheduler, around.store_lease_s_max, around.tell)
    quotas = Quotas(office, scheduler, around.tell)
    office.changed, leases.still_may = _both(standing.changed, quotas.changed), standing.still_may
    for source in addons.grants:
        if IAsksOffice.providedBy(source):
            IAsksOffice(source).office = office
    admission = Admission(
        authenticators=addons.authenticators,
        router=addons.router,
        grant_sources=addons.grants,
        places=places,
        resolver=around.resolver,
        roles_of=around.policy.roles_of,
        door=Door(office, limits, scheduler),
        leases=leases,
        limits=limits,
        scheduler=scheduler,
        ask=ask,
    )
    addons.recorder.chunk_noted = addons.enforcement.note = ledger.note
    addons.enforcement.end_session = lambda session_id, sentence: leases.end(session_id, Revoked(sentence))
    approvals = Approvals(scheduler, limits, around.new_session_id)
    for guard in addons.guards:
        if IAsksPeople.providedBy(guard):
            IAsksPeople(guard).approvals = approvals
    provisioning = Asking(scheduler, limits.provision_s_max, "limits.provision_s_max")
    judges = Judges(addons.guards, addons.maskers, addons.enforcement, limits, ask, provisioning, approvals)
    return Gateway(
        admission=admission,
        office=office,
        standing=standing,
        crowd=Crowd(limits),
        leases=leases,
        rechecks=Rechecks(admission, judges.protects, around.tell),
        keyring=Keyring(addons.credentials, ask),
        dialers=around.dialers,
        wires=around.wires,
        judges=judges,
        gallery=Gallery(scheduler),
        approvals=approvals,
        votes=Votes(approvals, office, scheduler, ledger.note),
        quotas=quotas,
        recorder=addons.recorder,
        ledger=ledger,
        limits=limits,
        scheduler=scheduler,
        ask=ask,
        new_session_id=around.new_session_id,
        tell=around.tell,
    )


def _both(first: Callable[[Changed], None], second: Callable[[Changed], None]) -> Callable[[Changed], None]:
    """Tells one and then the other."""

    def tell(what: Changed) -> None:
        first(what)
        second(what)

    return tell
