"""A gateway out of addons alone: what `hoopproxy.service` builds, without configuration and listeners.

Knows neither what the addons are nor who is at the ends.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from hoopproxy.access.policy import Policy
from hoopproxy.admit.admission import Admission
from hoopproxy.admit.crowd import Crowd
from hoopproxy.admit.keyring import Keyring
from hoopproxy.admit.leases import Leases
from hoopproxy.admit.places import Places
from hoopproxy.asking import Asking
from hoopproxy.evidence.ledger import Ledger
from hoopproxy.evidence.pseudonyms import Pseudonyms
from hoopproxy.interfaces import IDialer, IResolver, IScheduler
from hoopproxy.relay.judges import Judges
from hoopproxy.residency.packaged import read_packaged
from hoopproxy.residency.zones import parse
from hoopproxy.session import Gateway
from hoopproxy.settings import Limits
from hoopproxy.testing.healthy import Addons
from hoopproxy.wire.postgres.machine import PostgresWires

GATEWAY, COUNTRY = "gw-1", "DE"


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What a gateway stands in: time, names, targets, and somebody who reads what it tells the operator."""

    scheduler: IScheduler
    resolver: IResolver
    dialer: IDialer
    new_session_id: Callable[[], str]
    tell: Callable[..., None]


def assembled(addons: Addons, policy: Policy, limits: Limits, around: Surroundings) -> Gateway:
    """The gateway, which stands and records in Germany. Its recorder notes chunks in its log, as in production."""
    scheduler, ask = around.scheduler, Asking(around.scheduler, limits.decision_s_max)
    leases = Leases(scheduler)
    places = Places(
        checks=addons.residency,
        zones=parse(read_packaged()),
        gateway_name=GATEWAY,
        gateway_country=COUNTRY,
        storage_country=COUNTRY,
        own=frozenset(),
        scheduler=scheduler,
        ask=ask,
    )
    admission = Admission(
        authenticators=addons.authenticators,
        router=addons.router,
        grant_sources=addons.grants,
        places=places,
        resolver=around.resolver,
        roles_of=policy.roles_of,
        leases=leases,
        limits=limits,
        scheduler=scheduler,
        ask=ask,
    )
    ledger = Ledger(addons.evidence, Pseudonyms(b"k" * 32), scheduler, GATEWAY, ask)
    recorder: Any = addons.recorder
    recorder.chunk_noted = ledger.note
    return Gateway(
        admission=admission,
        crowd=Crowd(limits),
        leases=leases,
        keyring=Keyring(addons.credentials, ask),
        dialers={"postgres": around.dialer},
        wires={"postgres": PostgresWires(limits)},
        judges=Judges(addons.guards, addons.maskers, addons.enforcement, limits, ask),
        recorder=addons.recorder,
        ledger=ledger,
        limits=limits,
        scheduler=scheduler,
        ask=ask,
        new_session_id=around.new_session_id,
        tell=around.tell,
    )
