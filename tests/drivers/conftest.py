"""Each PostgreSQL that is installed, a gateway before it, and what all drivers did there."""

import functools
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

import pytest

from hoopproxy.testing.certificates import Authority
from hoopproxy.testing.installations import installed
from hoopproxy.testing.postgres import PostgresCluster
from hoopproxy.testing.stand import Stand

from .database import MASKS, SETTINGS, SQL
from .programs import DRIVERS, VARIANTS, Driver, Performance, Programs, Run
from .script import MASKED, SCRIPT

AT_ONCE = 4
"""Programs wait most of the time: for the gateway, as it waits for its disk before each statement."""


def drivers(version: int) -> Mapping[str, Driver]:
    """Those that meet this version: the newest meets them in all ways in which they are used."""
    return {**DRIVERS, **VARIANTS} if version == max(installed()) else DRIVERS


@dataclass(frozen=True, slots=True)
class Performances:
    """What one driver did: past the gateway and through it, and through it where columns are masked."""

    driver: Driver
    direct: Performance
    through: Performance
    masked: Performance


type Performed = Callable[[int, str], Performances]
"""A version of PostgreSQL and a driver's name → what that driver did."""


@pytest.fixture(scope="session")
def performed(authority: Authority, tmp_path_factory: pytest.TempPathFactory) -> Performed:
    """All drivers meet a version when one of them is asked for: several at a time, each in a database of its own."""
    programs = Programs(tmp_path_factory.mktemp("programs"))

    @functools.cache
    def meet(version: int) -> Mapping[str, Future[Performances]]:
        leaf = authority.issue(f"database-{version}", dns=("localhost",), ips=("127.0.0.1",))
        certificate = leaf.certificate_file, leaf.key_file
        directory = tmp_path_factory.mktemp("pg")
        fitting = drivers(version)
        databases = dict.fromkeys([*fitting, "ledger"], SQL)
        with (
            PostgresCluster(directory, version=version, certificate=certificate, settings=SETTINGS) as cluster,
            Stand(tmp_path_factory.mktemp("stand"), cluster, authority, databases, masks=MASKS) as stand,
            ThreadPoolExecutor(AT_ONCE) as threads,
        ):

            def perform(name: str, driver: Driver) -> Performances:
                return Performances(
                    driver,
                    *programs.perform(
                        driver,
                        Run("direct", stand.direct(name), SCRIPT),
                        Run("through", stand.through("ada", name), SCRIPT),
                        Run("masked", stand.through("ada", "ledger"), MASKED),
                    ),
                )

            return {name: threads.submit(perform, name, driver) for name, driver in fitting.items()}

    return lambda version, name: meet(version)[name].result()
