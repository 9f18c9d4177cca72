"""A desk in each database of a target, for one command: opened as its provisioner, used, closed.

Runs a reactor of its own, which a process can do once. Knows no SQL.
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from twisted.internet import task
from twisted.internet.defer import Deferred

from hoopproxy.cli.answers import Mistake
from hoopproxy.config.model import Config
from hoopproxy.dial.postgres import PostgresDialer
from hoopproxy.dial.resolver import Resolver
from hoopproxy.errors import UpstreamUnreachable
from hoopproxy.interfaces import ICredentialSource
from hoopproxy.model import Endpoint, IPAddress, Target
from hoopproxy.proofs import TargetSecret
from hoopproxy.registry import build, spoken
from hoopproxy.rooms import IDesk
from hoopproxy.scheduler import TwistedScheduler


@dataclass(frozen=True, slots=True)
class Visit:
    """One database, at a desk; `roles` are those that the accounts of the target stand for there."""

    desk: IDesk
    database: str
    roles: tuple[str, ...]


def visited[T](
    config: Config, target: Target, databases: Sequence[str], work: Callable[[Visit], Awaitable[T]]
) -> list[T]:
    """What `work` made of each database, one after the other. @raise ConfigError, SessionError, and as `work` does."""
    outcome: list[T] = []
    failed: list[BaseException] = []

    async def main(reactor: Any) -> None:
        try:
            async for visit in _visits(config, target, databases, reactor):
                outcome.append(await work(visit))
        except BaseException as why:  # noqa: BLE001 # the reactor is ended in either case; whoever asked is told
            failed.append(why)

    try:
        task.react(lambda reactor: Deferred.fromCoroutine(main(reactor)))
    except SystemExit:
        pass  # the reactor's way to say that it is over
    if failed:
        raise failed[0]
    return outcome


async def _visits(config: Config, target: Target, databases: Sequence[str], reactor: Any) -> AsyncIterator[Visit]:
    scheduler = TwistedScheduler(reactor)
    addons = build(config, scheduler)
    dialer = spoken(config, reactor, scheduler).dialers[target.protocol]
    if target.masks is None or not isinstance(dialer, PostgresDialer):
        raise Mistake(
            f"targets.toml: target {target.name} does not keep masks itself; wanted is [target.masks] with a "
            "provisioner."
        )
    provisioner = await _secret(addons.credentials, target, target.masks.provisioner)
    roles = [
        (await _secret(addons.credentials, target, credential)).username if credential else account
        for account, credential in target.accounts.items()
    ]
    for database in databases:
        desk = await _desk(
            dialer, await Resolver(reactor, config.limits).resolve(target.host), target, database, provisioner
        )
        try:
            yield Visit(desk, database, tuple(sorted({*roles})))
        finally:
            desk.close()


async def _secret(sources: Sequence[ICredentialSource], target: Target, name: str) -> TargetSecret:
    for source in sources:
        found = await source.secret(None, name)
        if found is not None:
            return found
    raise Mistake(
        f"targets.toml: target {target.name} names the credential {name!r}, which no credential source holds."
    )


async def _desk(
    dialer: PostgresDialer, addresses: Sequence[IPAddress], target: Target, database: str, secret: TargetSecret
) -> IDesk:
    """At the first address that can be reached."""
    for address in addresses[:-1]:
        with suppress(UpstreamUnreachable):
            return await dialer.desk_at(target, Endpoint(address, target.port), database, secret)
    return await dialer.desk_at(target, Endpoint(addresses[-1], target.port), database, secret)
