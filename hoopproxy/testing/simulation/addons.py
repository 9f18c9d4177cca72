"""Who is who in the simulation, and the addons of a gateway before it: first-party ones, on simulated time and disk.

Where a first-party addon needs a network of its own (OIDC), a stand-in does its work. Knows no fault.
"""

from collections.abc import Mapping
from datetime import date
from functools import cache, partial
from ipaddress import ip_address, ip_network
from pathlib import Path
from random import Random

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from zope.interface import implementer

from hoopproxy.access.policy import GrantRule, MaskRule, Policy, Reveal, Role
from hoopproxy.addons.cidr_map import CidrMap
from hoopproxy.addons.column_masks import ColumnMasks
from hoopproxy.addons.declared import DeclaredCountry
from hoopproxy.addons.encrypted_recorder import EncryptedRecorder
from hoopproxy.addons.encrypted_recorder import Settings as RecorderSettings
from hoopproxy.addons.file_credentials import FileCredentials
from hoopproxy.addons.log_file import LogFile
from hoopproxy.addons.policy_grants import PolicyGrants
from hoopproxy.addons.statement_kinds import Rule, StatementKinds
from hoopproxy.addons.targets_file import TargetsFile
from hoopproxy.addons.wire_enforcement import Settings as WireSettings
from hoopproxy.addons.wire_enforcement import WireEnforcement
from hoopproxy.disk.recordings import RecordingFile
from hoopproxy.disk.segments import Segments
from hoopproxy.errors import Refused, UpstreamUnreachable
from hoopproxy.events import Statement
from hoopproxy.evidence.recording import Readers
from hoopproxy.interfaces import IAuthenticator, ISetting, IStatementGuard
from hoopproxy.masks import KeyedHash, Nullify, Partial, Redact
from hoopproxy.model import (
    Allow,
    Answer,
    Arrival,
    Credentials,
    Identity,
    IPAddress,
    Passage,
    Pending,
    Target,
    UpstreamTls,
)
from hoopproxy.rooms import IResolver, IScheduler
from hoopproxy.testing.healthy import FAR_S, Addons
from hoopproxy.testing.simulation.database import CARD, EMAIL, SCORE
from hoopproxy.testing.simulation.disk import SimulatedDisk

SEGMENT_BYTES, RESERVE_BYTES = 1 << 18, 1 << 16
HASH_KEY = b"simulated-hash-key-of-32-bytes--"
SECRET = "hunter2"
"""What the gateway shows every target, and nobody may ever see."""

DENIED_KIND = "DROP"

APPROVAL_S = 1.5
"""How long a change waits for somebody to approve it."""

PEOPLE: Mapping[str, tuple[str, str]] = {
    "ada": ("127.1.0.1", "analysts"),
    "amy": ("127.1.0.2", "analysts"),
    "kim": ("127.1.0.3", "auditors"),
    "eve": ("127.1.0.4", "owners"),
    "uma": ("127.2.0.1", "analysts"),  # sits in the US, from where nobody may
    "pat": ("127.1.0.5", "nobody"),  # has no role
    "who": ("127.1.0.6", ""),  # has no account
}
"""Name to address and group. All that is believed of anybody here is the address."""

_ROLES = {"analysts": "analyst", "auditors": "auditor", "owners": "owner"}


def _target(name: str, host: str) -> Target:
    return Target(
        name, "postgres", host, 5432, "EU", "DE", UpstreamTls(host, None), {"reader": "reader"}, databases=("shop",)
    )


TARGETS = {
    target.name: target
    for target in (
        _target("masked", "masked.example"),
        _target("plain", "plain.example"),
        _target("moved", "moved.example"),  # declared in DE, and the map of networks says US
        _target("gone", "gone.example"),  # its name leads nowhere
    )
}
HOSTS = {
    "masked.example": (ip_address("203.0.113.7"), ip_address("203.0.113.8")),
    "plain.example": (ip_address("203.0.113.9"),),
    "moved.example": (ip_address("198.51.100.7"),),
}
NETWORKS = {
    ip_network("127.1.0.0/16"): "DE",
    ip_network("127.2.0.0/16"): "US",
    ip_network("203.0.113.0/24"): "DE",
    ip_network("198.51.100.0/24"): "US",
}


def policy(grant_s: float) -> Policy:
    """Analysts see the ends of cards, auditors hashes of addresses, owners everything; of `masked` alone."""

    def masked(column: str, mask: Partial | Redact | Nullify | KeyedHash, *revealed: str) -> MaskRule:
        return MaskRule("masked", frozenset(), column, mask, (Reveal(frozenset(revealed), frozenset({"EU"})),))

    return Policy(
        "0" * 64,
        tuple(Role(role, frozenset({group})) for group, role in _ROLES.items()),
        (
            GrantRule(
                "all",
                frozenset(_ROLES.values()),
                frozenset(TARGETS),
                frozenset({"reader"}),
                "EU",
                ("EU",),
                {},
                grant_s,
            ),
        ),
        (
            masked(CARD, Partial(0, 4), "auditor", "owner"),
            masked(CARD, Nullify(), "analyst", "owner"),
            masked(EMAIL, Redact(), "auditor", "owner"),
            masked(EMAIL, KeyedHash(HASH_KEY), "analyst", "owner"),
            masked(SCORE, Redact(), "owner"),
        ),
    )


@implementer(IAuthenticator)
class KnowsByAddress:
    """Stands in for an identity provider."""

    name = "corp"

    async def identify(self, arrival: Arrival, credentials: Credentials) -> Identity | None:
        for name, (address, group) in PEOPLE.items():
            if address == str(arrival.client.address) and group:
                return Identity("https://idp.example", name, name.title(), frozenset({group}), FAR_S, "test")
        raise Refused("Your token is not valid; sign in again.", reason="credentials")


@implementer(IStatementGuard)
class Approver:
    """Stands in for a person who approves each change of a table, after a while."""

    name = "approver"

    def __init__(self, scheduler: IScheduler) -> None:
        self._scheduler = scheduler
        self._asked_s: dict[tuple[str, int], float] = {}

    async def examine(self, passage: Passage, statement: Statement) -> Answer:
        if not statement.text.startswith("UPDATE "):
            return Allow()
        now_s = self._scheduler.now_s()
        asked_s = self._asked_s.setdefault((passage.permit.arrival.connection_id, statement.number), now_s)
        return Allow() if now_s - asked_s > APPROVAL_S else Pending("Your change waits for approval.", FAR_S)


@implementer(IResolver)
class Hosts:
    """Stands in for DNS."""

    async def resolve(self, host: str) -> tuple[IPAddress, ...]:
        if host not in HOSTS:
            raise UpstreamUnreachable("The target's name leads nowhere; tell the operator of the gateway.")
        return HOSTS[host]


@cache
def keys() -> tuple[X25519PrivateKey, X25519PrivateKey]:
    """The private keys of zone and sealed halves: the checks read recordings with them."""
    return X25519PrivateKey.generate(), X25519PrivateKey.generate()


def recorder_settings(directory: Path, dice: Random) -> RecorderSettings:
    """Any of the modes."""
    return RecorderSettings(
        directory=directory,
        zone_key=directory,
        sealed_key=directory,
        record=dice.choice(("statements", "rows", "full", "full")),
        rows_max=dice.choice((0, 3, 1000)),
        durability=dice.choice(("strict", "bounded", "bounded")),
        flush_ms_max=dice.choice((1, 50, 2000)),
        unflushed_bytes_max=dice.choice((4096, 1 << 20)),
        recording_bytes_max=dice.choice((65536, 1 << 20, 1 << 20, 1 << 20)),
        stream_bytes_max=1 << 20,
    )


def addons(settings: RecorderSettings, setting: ISetting, disk: SimulatedDisk) -> Addons:
    """One gateway's."""
    directory, rules, scheduler = disk.directory, setting.policy, setting.scheduler
    zone, sealed = keys()
    return Addons(
        authenticators=[KnowsByAddress()],
        router=TargetsFile("targets", setting),
        grants=[PolicyGrants("standing", rules)],
        residency=[
            DeclaredCountry("declared"),
            CidrMap("networks", NETWORKS, date(2027, 1, 1), 4000, "configuration", scheduler),
        ],
        credentials=[FileCredentials("vault", secrets_in(directory.parent / "secrets"))],
        guards=[Approver(scheduler), StatementKinds("kinds", (Rule(deny=(DENIED_KIND,)),), 262144)],
        maskers=[ColumnMasks("masks", rules)],
        enforcement=WireEnforcement("wire", WireSettings()),
        recorder=EncryptedRecorder(
            "recorder",
            settings,
            Readers(zone.public_key(), sealed.public_key()),
            setting.gateway,
            setting.zone,
            scheduler,
            disk.in_thread,
            partial(RecordingFile, disk=disk),
        ),
        evidence=LogFile("log", Segments(directory / "log", SEGMENT_BYTES, RESERVE_BYTES, disk), 100, disk.in_thread),
    )


def secrets_in(directory: Path) -> Path:
    """A directory with the one credential of all targets."""
    directory.mkdir(mode=0o700)
    file = directory / "reader.toml"
    file.touch(mode=0o600)
    file.write_text(f'username = "reader"\npassword = "{SECRET}"\n')
    return directory
