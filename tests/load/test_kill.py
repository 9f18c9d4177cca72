"""Live sessions of all kinds end at once: at their clients, in their words, and at what they reached.

The clocks stand at the clients' sockets, at the kernel's table of connections, at `pg_stat_activity` and at sshd's
processes. What they showed is printed; that nothing is left is asserted.
"""

import asyncio
import json
import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from math import ceil
from threading import Event
from time import perf_counter

import psycopg
import pytest

from hoopproxy.control.client import ControlClient
from hoopproxy.disk.bundles import _leaves
from hoopproxy.testing.certificates import Authority
from hoopproxy.testing.tcp_stand import MACHINE
from hoopproxy.testing.three_files import ISSUER_URL
from hoopproxy.testing.vitals import Vitals

from . import kinds, kinds_of_web
from .guests import REASON, Deaf, Gone, Guest
from .mixed import MixedStand, established, mixed_stand, sessions_of

MIX: dict[type[Guest], int] = {
    kinds.Postgres: 44,
    kinds.PostgresQuery: 20,
    kinds.PostgresCopyOut: 12,
    kinds.PostgresCopyIn: 12,
    kinds.PostgresDeaf: 4,
    kinds.PostgresAmid: 2,
    kinds.PostgresGone: 4,
    kinds_of_web.HttpIdle: 10,
    kinds_of_web.Http: 10,
    kinds_of_web.HttpUpload: 8,
    kinds_of_web.Http2: 8,
    kinds_of_web.ServerSentEvents: 8,
    kinds_of_web.WebSocket: 8,
    kinds_of_web.HttpDeaf: 2,
    kinds_of_web.HttpGone: 2,
    kinds_of_web.Watch: 4,
    kinds_of_web.PodLog: 4,
    kinds_of_web.PodExec: 4,
    kinds.Ssh: 6,
    kinds.SshShell: 6,
    kinds.SftpGet: 3,
    kinds.SftpPut: 3,
    kinds.Scp: 2,
    kinds.SshForward: 3,
    kinds.SshForwarded: 3,
    kinds.Raw: 6,
    kinds.RawBusy: 4,
    kinds.RawDeaf: 2,
}
ACCOUNTS = (
    ({"ledger", "web", "prod"}, ISSUER_URL, "ada"),
    ({"shell"}, "known:keys", "ada"),
    ({"raw"}, "known:machines", MACHINE),
)
"""Who comes to these targets."""

SHORT = 4
"""Of each kind so many times fewer, unless `LOAD` is `full`."""

ENTERING_AT_ONCE = 16
LOOK_S = 0.02
END_S_MAX = 60.0
"""What has not ended by then never will: no matter of speed."""


@pytest.fixture(scope="module")
def mixed(authority: Authority, tmp_path_factory: pytest.TempPathFactory) -> Iterator[MixedStand]:
    with mixed_stand(authority, tmp_path_factory.mktemp("mixed")) as running:
        yield running


@dataclass
class Upstream:
    """When there was last something left of the sessions at what they reached; 0 for what was gone before."""

    connections_s: float = 0.0
    backends_s: float = 0.0
    sshd_s: float = 0.0
    backend_s: dict[str, float] = field(default_factory=dict)
    """Of each session with PostgreSQL, by its client's address."""


def guests(stand: MixedStand) -> list[Guest]:
    """Each at an address of its own, and so with a session of its own."""
    fewer = 1 if os.environ.get("LOAD") == "full" else SHORT
    wanted = (kind for kind, many in MIX.items() for _ in range(ceil(many / fewer)))
    return [kind(stand, f"127.0.0.{last}") for last, kind in enumerate(wanted, start=2)]


async def enter_all(them: list[Guest]) -> None:
    turns = asyncio.Semaphore(ENTERING_AT_ONCE)

    async def enter(guest: Guest) -> None:
        async with turns:
            await guest.enter()

    await asyncio.gather(*map(enter, them))


def watch(stand: MixedStand, is_over: Event) -> Upstream:
    """Looks until nothing is left, or `is_over`."""
    seen = Upstream()
    with psycopg.connect(stand.cluster.admin_dsn, autocommit=True) as database:
        while not is_over.is_set():
            backends = database.execute("SELECT application_name FROM pg_stat_activity WHERE datname = 'ledger'")
            names = [name for (name,) in backends.fetchall()]
            now_s, left = perf_counter(), False
            if names:
                seen.backends_s, left = now_s, True
                seen.backend_s |= dict.fromkeys(names, now_s)
            if established(stand.target_ports):
                seen.connections_s, left = now_s, True
            if sessions_of(stand.sshd):
                seen.sshd_s, left = now_s, True
            if not left:
                break
            is_over.wait(LOOK_S)
    return seen


def end_all(stand: MixedStand, them: list[Guest]) -> dict[Guest, float]:
    """Asks for the end of every other one alone, from eight terminals at once, and then for that of all who are left:
    their accounts are disabled. When each was asked for."""
    control = ControlClient(stand.control_socket, END_S_MAX)
    live = control.call("sessions")["sessions"]
    ids = {(each["client"], each["target"]): each["session_id"] for each in live}
    missing = [guest.kind for guest in them if guest.session not in ids]
    assert not missing, f"these were not amid anything: {missing}"
    asked_s = dict[Guest, float]()

    def kill(guest: Guest) -> None:
        asked_s[guest] = perf_counter()
        assert control.call("kill", id=ids[guest.session], reason=REASON)["ended"], guest.kind

    with ThreadPoolExecutor(8) as terminals:
        list(terminals.map(kill, them[::2]))
    for targets, issuer, subject in ACCOUNTS:
        left = [guest for guest in them[1::2] if guest.target in targets]
        asked_s |= dict.fromkeys(left, perf_counter())
        control.call("account", step="disable", reason=REASON, issuer=issuer, subject=subject)
    return asked_s


def figures(seconds: list[float]) -> list[tuple[str, float]]:
    seconds = sorted(seconds)
    p50_s, p99_s = (seconds[max(0, ceil(share * len(seconds)) - 1)] for share in (0.5, 0.99))
    return [("p50", p50_s), ("p99", p99_s), ("max", seconds[-1])]


async def scene(stand: MixedStand, them: list[Guest], tell: Callable[[str], None]) -> None:
    started_s = perf_counter()
    await enter_all(them)
    tell(f"{len(them)} sessions came in within {perf_counter() - started_s:.1f} s")
    over, vitals = Event(), Vitals(stand.gateway.pid)
    cpu_s = vitals.cpu_s
    staying = [asyncio.create_task(guest.stay()) for guest in them]
    upstream = asyncio.create_task(asyncio.to_thread(watch, stand, over))
    try:
        asked_s = await asyncio.to_thread(end_all, stand, them)
        async with asyncio.timeout(END_S_MAX):
            await asyncio.gather(*staying)
            seen = await upstream
        tell(f"{vitals.cpu_s - cpu_s:.2f} s of the gateway's CPU for {len(them)} ends")
    finally:
        over.set()
        for guest in them:
            await guest.leave()
    report(them, asked_s, seen, tell)


def report(them: list[Guest], asked_s: dict[Guest, float], seen: Upstream, tell: Callable[[str], None]) -> None:
    listening = [guest for guest in them if not isinstance(guest, Deaf | Gone)]
    rows = {f"all {len(listening)} that listen": [guest.ended_s - asked_s[guest] for guest in listening]}
    for guest in them:
        if not isinstance(guest, Gone):
            rows.setdefault(guest.kind, []).append(guest.ended_s - asked_s[guest])
    for guest in them:
        if at_s := seen.backend_s.get(guest.source):
            rows.setdefault(f"the backend of {guest.kind}", []).append(at_s - asked_s[guest])
    for kind, took in rows.items():
        if took:
            tell(f"{kind}: {len(took)} ×, {', '.join(f'{name} {1000 * s:.0f}' for name, s in figures(took))} ms")
    last_s = max(asked_s.values())
    for what in ("connections", "backends", "sshd"):
        took_s = max(0.0, getattr(seen, f"{what}_s") - last_s)
        tell(f"{what} gone {1000 * took_s:.0f} ms after the last was asked for")


def test_sessions_of_all_kinds_end(mixed: MixedStand, record_property: Callable[[str, object], None]) -> None:
    them = guests(mixed)
    asyncio.run(scene(mixed, them, lambda line: record_property("load", line)))
    for guest in them:
        assert guest.hears.encode() in guest.heard, (guest.kind, bytes(guest.heard[-500:]))
    control = ControlClient(mixed.control_socket)
    assert control.call("sessions") == {"sessions": []}
    log = mixed.gateway.log()
    assert "Traceback" not in log and "cancelled-work-goes-on" not in log, log[-4000:]
    mixed.gateway.stop()
    entries = [json.loads(leaf) for leaf in _leaves(mixed.log_directory)]
    noted = {
        kind: [each["connection_id"] for each in entries if each["kind"] == kind] for kind in ("confirmed", "ended")
    }
    assert sorted(noted["ended"]) == sorted(noted["confirmed"]) and len(noted["ended"]) >= len(them)
    revoked = [each for each in entries if each["kind"] == "ended" and each["reason"] == "revoked"]
    assert len(revoked) >= len(them) and {each["cause"] for each in revoked} == {"killed", "identity-gone"}
