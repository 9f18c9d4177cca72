"""A package that offers addons and protocols, written to disk so that each test can break one thing in it."""

import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from ipaddress import ip_address
from pathlib import Path
from types import MappingProxyType
from typing import Any, cast

import pytest
from twisted.internet.task import Clock
from zope.interface.interface import Method

from hoopproxy.access.policy import Policy
from hoopproxy.config.model import AddonSettings, Config, GatewaySettings, RoleNames
from hoopproxy.errors import ConfigError
from hoopproxy.model import Target, UpstreamTls
from hoopproxy.registry import ROLES as INTERFACES
from hoopproxy.registry import Addons, build, protocols
from hoopproxy.residency.zones import Zones
from hoopproxy.scheduler import TwistedScheduler
from hoopproxy.settings import Limits, ListenerSettings, StoreSettings

SOURCE = """
from pathlib import Path
from pydantic import BaseModel, ConfigDict
from zope.interface import implementer, provider
from hoopproxy.interfaces import *
from hoopproxy.rooms import *

class Settings(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)
    issuer: str = "x"
    file: Path = Path("default")
    files: tuple[Path, ...] = ()

@provider(IAddonFactory)
@implementer(IAuthenticator, IRouter, IGrantSource, IResidencyCheck, ICredentialSource, IMasker, IEnforcement,
             IRecorder, IEvidenceSink)
class Whole:
    summary = "Everything but a guard."
    settings = Settings
    ATTRIBUTES
    @classmethod
    def build(cls, name, settings, setting):
        return cls(name, settings, setting)
    def __init__(self, name, settings, setting):
        self.name, self.kept, self.setting = name, settings, setting
    async def identify(self, arrival, credentials): ...
    async def route(self, identity, target_name): ...
    async def grants(self, identity, roles, target, at_s): ...
    async def examine(self, place): ...
    async def secret(self, passage, credential): ...
    async def protects(self, permit): ...
    async def plan(self, passage, shape): ...
    async def enter(self, passage, role, desk): ...

    def begin(self, passage, catalog): ...
    async def open(self, passage): ...
    async def append(self, leaves): ...

@provider(IAddonFactory)
@implementer(IStatementGuard)
class Guard:
    summary = "A guard."
    settings = Settings
    @classmethod
    def build(cls, name, settings, setting):
        return cls(name)
    def __init__(self, name):
        self.name = name
    async def examine(self, passage, statement): ...

@implementer(IListener)
class Listener:
    def __init__(self, settings, limits, scheduler):
        self.settings = settings
    def frontend(self, connection, arrival, adopt): ...

@implementer(IDialer)
class Dialer:
    def unfit(self, target): ...
    async def reach(self, permit): ...
    async def login(self, reached, passage, secret, protected, known=None): ...

@implementer(IWireFactory)
class Wires:
    treatment = "read"
    def wire(self, passage, peer, protected, rows_recorded_max): ...
"""

ATTRIBUTES = sorted(
    {
        name
        for interface in INTERFACES.values()
        for name, described in interface.namesAndDescriptions(all=True)
        if name != "name" and not isinstance(described, Method)
    }
)
SOURCE = SOURCE.replace("    ATTRIBUTES\n", "".join(f"    {name} = None\n" for name in ATTRIBUTES))

ENTRY_POINTS = """
[hoopproxy.addons]
whole = probe_module:Whole
guard = probe_module:Guard
[hoopproxy.listeners]
probe = probe_module:Listener
[hoopproxy.dialers]
probe = probe_module:Dialer
[hoopproxy.wires]
probe = probe_module:Wires
"""

ROLES = RoleNames(
    authenticators=("all",),
    router="all",
    grants=("all",),
    residency=("all",),
    credentials=("all",),
    guards=("guard",),
    maskers=("all",),
    enforcement="all",
    recorder="all",
    evidence="all",
)


@dataclass
class Probe:
    """The package and a configuration that names it."""

    directory: Path
    config: Config
    source: str = SOURCE
    entry_points: str = ENTRY_POINTS

    def change(self, old: str, new: str) -> None:
        assert old in self.source
        self.source = self.source.replace(old, new)

    def settings(self, **raw: Any) -> None:
        addons = {"all": AddonSettings("all", "whole", raw), "guard": AddonSettings("guard", "guard", {})}
        self.config = replace(self.config, addons=addons)

    def install(self, name: str = "probe-addons") -> None:
        (self.directory / "probe_module.py").write_text(self.source)
        info = self.directory / f"{name.replace('-', '_')}-1.2.dist-info"
        info.mkdir(exist_ok=True)
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.2\n")
        (info / "entry_points.txt").write_text(self.entry_points)

    def build(self) -> Addons:
        self.install()
        return build(self.config, TwistedScheduler(Clock()))

    def problems(self, what: Callable[[], Any] | None = None) -> tuple[str, ...]:
        with pytest.raises(ConfigError) as caught:
            (what or self.build)()
        return caught.value.problems

    def protocol_problems(self) -> tuple[str, ...]:
        self.install()
        return self.problems(lambda: protocols(self.config))


@pytest.fixture
def probe(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Probe]:
    packages = tmp_path / "packages"
    packages.mkdir()
    monkeypatch.syspath_prepend(packages)
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    target = Target("ledger", "probe", "db", 1, "EU", "DE", UpstreamTls("db", "ca"), {})
    config = Config(
        path=tmp_path / "hoopproxy.toml",
        digest="0" * 64,
        gateway=GatewaySettings("gw", "EU", "DE", tmp_path / "state", tmp_path / "control.sock", tmp_path / "key"),
        storage_country="DE",
        limits=Limits(),
        listeners=(ListenerSettings("front", "probe", (ip_address("::1"),), 1, "c", "k"),),
        roles=ROLES,
        addons={},
        targets=MappingProxyType({"ledger": target}),
        policy=Policy("r", (), (), ()),
        zones=cast(Zones, None),
        store=StoreSettings(None, tmp_path / "store.db", 30.0),
    )
    made = Probe(packages, config)
    made.settings()
    yield made
    sys.modules.pop("probe_module", None)
