"""Surroundings for gateways without configuration and listeners: one that stands and records in Germany.

Knows neither its addons nor who is at the ends.
"""

from collections.abc import Callable

from hoopproxy.access.policy import Policy
from hoopproxy.assembly import Surroundings
from hoopproxy.evidence.pseudonyms import Pseudonyms
from hoopproxy.residency.packaged import read_packaged
from hoopproxy.residency.zones import parse
from hoopproxy.rooms import IDialer, IResolver, IScheduler
from hoopproxy.settings import Limits
from hoopproxy.testing.memory_journal import MemoryJournal
from hoopproxy.wire.postgres.machine import PostgresWires

GATEWAY, COUNTRY = "gw-1", "DE"


def in_germany(
    policy: Policy,
    limits: Limits,
    scheduler: IScheduler,
    resolver: IResolver,
    dialer: IDialer,
    new_session_id: Callable[[], str],
    tell: Callable[..., None],
) -> Surroundings:
    """What the gateway `GATEWAY` stands in; `dialer` leads to its PostgreSQL targets."""
    return Surroundings(
        gateway_name=GATEWAY,
        gateway_country=COUNTRY,
        storage_country=COUNTRY,
        zones=parse(read_packaged()),
        own=frozenset(),
        policy=policy,
        targets={},
        journal=MemoryJournal(),
        store_lease_s_max=30.0,
        pseudonyms=Pseudonyms(b"k" * 32),
        resolver=resolver,
        dialers={"postgres": dialer},
        wires={"postgres": PostgresWires(limits)},
        limits=limits,
        scheduler=scheduler,
        new_session_id=new_session_id,
        tell=tell,
    )
