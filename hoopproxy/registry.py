"""From names in configuration to working parts: entry point, load, check, build, check again.

The one place that knows which interface stands behind which role. Everything that is wrong with an addon stops the
start, with the key of its table, the package that it came from, and the method. Knows no addon by name.
"""

import ast
import hashlib
import inspect
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from types import MappingProxyType
from typing import Any

from pydantic import BaseModel
from zope.interface import implementer
from zope.interface.exceptions import DoesNotImplement, Invalid
from zope.interface.interface import InterfaceClass, Method
from zope.interface.verify import verifyClass, verifyObject

from hoopproxy.access.in_force import InForce
from hoopproxy.access.policy import Policy
from hoopproxy.config.model import AddonSettings, Config
from hoopproxy.config.sentences import checked, hint, shown
from hoopproxy.errors import ConfigError
from hoopproxy.interfaces import (
    IAddonFactory,
    IAuthenticator,
    ICredentialSource,
    IEnforcement,
    IEvidenceSink,
    IGrantSource,
    IMasker,
    IRecorder,
    IResidencyCheck,
    IRouter,
    ISetting,
    IStatementGuard,
)
from hoopproxy.model import Target
from hoopproxy.rooms import IDialer, IListener, IScheduler, IWireFactory

ADDONS = "hoopproxy.addons"

ROLES: Mapping[str, InterfaceClass] = MappingProxyType(
    {
        "authenticators": IAuthenticator,
        "router": IRouter,
        "grants": IGrantSource,
        "residency": IResidencyCheck,
        "credentials": ICredentialSource,
        "guards": IStatementGuard,
        "maskers": IMasker,
        "enforcement": IEnforcement,
        "recorder": IRecorder,
        "evidence": IEvidenceSink,
    }
)
"""Each key of `[roles]` and what an addon named there must implement."""


@dataclass(frozen=True, slots=True)
class Addons:
    """All addons, by role and in the order in which they are asked.

    `modules` maps a module to the addon in it, for whoever has to name the culprit of a stack. `provenance` is what
    evidence notes at the start: each addon's name, its distribution as `name==version`, and its module file's SHA-256.
    """

    authenticators: tuple[IAuthenticator, ...]
    router: IRouter
    grants: tuple[IGrantSource, ...]
    residency: tuple[IResidencyCheck, ...]
    credentials: tuple[ICredentialSource, ...]
    guards: tuple[IStatementGuard, ...]
    maskers: tuple[IMasker, ...]
    enforcement: IEnforcement
    recorder: IRecorder
    evidence: IEvidenceSink
    modules: Mapping[str, str]
    provenance: tuple[tuple[str, str, str], ...]


@dataclass(frozen=True, slots=True)
class Protocols:
    """What speaks each protocol that the configuration names; `IListener`, `IDialer` and `IWireFactory` tell how each
    class is built."""

    listeners: Mapping[str, Callable[..., IListener]]
    dialers: Mapping[str, Callable[..., IDialer]]
    wires: Mapping[str, Callable[..., IWireFactory]]


@dataclass(frozen=True, slots=True)
class Spoken:
    """Listeners in the order of configuration, and by protocol the dialers and the makers of machines."""

    listeners: tuple[IListener, ...]
    dialers: Mapping[str, IDialer]
    wires: Mapping[str, IWireFactory]


@implementer(ISetting)
@dataclass(frozen=True, slots=True)
class Setting:
    """What each addon is told of the gateway."""

    gateway: str
    zone: str
    state_dir: str
    policy: Policy | InForce
    targets: Mapping[str, Target]
    scheduler: IScheduler


def build(config: Config, scheduler: IScheduler, policy: InForce | None = None) -> Addons:
    """Every addon of the configuration, checked and built; all ask `policy`, if it may change. Opens no socket.

    @raise ConfigError: all that is wrong.
    """
    gateway, asked = config.gateway, policy or config.policy
    setting = Setting(gateway.name, gateway.zone, str(gateway.state_dir), asked, config.targets, scheduler)
    made: dict[str, Any] = {}
    provenance: list[tuple[str, str, str]] = []
    modules: dict[str, str] = {}
    problems: list[str] = []
    for name, table in config.addons.items():
        try:
            entry = _entry(ADDONS, table.use, f"{config.path.name}: addon.{name}.use")
            addon = made[name] = _addon(config, table, entry, setting)
        except ConfigError as why:
            problems.extend(why.problems)
            continue
        module = sys.modules[type(addon).__module__]
        modules[module.__name__] = f"{modules[module.__name__]} or {name}" if module.__name__ in modules else name
        provenance.append((name, _origin(entry, "=="), _digest(module.__file__)))
    if problems:
        raise ConfigError(tuple(problems))
    roles: dict[str, Any] = {
        role: made[names] if isinstance(names, str) else tuple(made[name] for name in names)
        for role, names in _names(config).items()
    }
    return Addons(**roles, modules=MappingProxyType(modules), provenance=tuple(provenance))


def protocols(config: Config) -> Protocols:
    """The classes for each protocol: of `[[listen]]` tables, and of targets. @raise ConfigError: all that is wrong."""
    listened = {listener.protocol: f"the listener {listener.name}" for listener in config.listeners}
    dialled = {target.protocol: f"the target {target.name}" for target in config.targets.values()}
    problems: list[str] = []

    def load(group: str, interface: InterfaceClass, users: Mapping[str, str]) -> Mapping[str, Any]:
        found = {}
        for protocol, user in users.items():
            try:
                key = f"{config.path.name}: protocol of {user}"
                entry = _entry(group, protocol, key)
                found[protocol] = _loaded(entry, key)
                if wrong := faults(interface, found[protocol], of_class=True):
                    raise ConfigError((f"{key}: {_origin(entry)}: {entry.value} {wrong}.",))
            except ConfigError as why:
                problems.extend(why.problems)
        return MappingProxyType(found)

    result = Protocols(
        load("hoopproxy.listeners", IListener, listened),
        load("hoopproxy.dialers", IDialer, dialled),
        load("hoopproxy.wires", IWireFactory, dialled),
    )
    if problems:
        raise ConfigError(tuple(problems))
    return result


def spoken(config: Config, reactor: Any, scheduler: IScheduler) -> Spoken:
    """The listeners of the configuration, and the ways to its targets. Opens no socket.

    @raise ConfigError: all that keeps a listener from listening or a target from being dialled, as far as it can be
    told.
    """
    found, limits = protocols(config), config.limits
    problems: list[str] = []
    listeners: list[IListener] = []
    for each in config.listeners:
        try:
            listeners.append(found.listeners[each.protocol](each, limits, scheduler))
        except ConfigError as why:
            problems.extend(why.problems)
    dialers = {name: dialer(reactor, limits, scheduler) for name, dialer in found.dialers.items()}
    for target in config.targets.values():
        if wrong := dialers[target.protocol].unfit(target):
            problems.append(f"targets.toml: target {target.name}: {wrong}")
    if problems:
        raise ConfigError(tuple(problems))
    return Spoken(tuple(listeners), dialers, {name: wire(limits) for name, wire in found.wires.items()})


def faults(interface: InterfaceClass, candidate: Any, *, of_class: bool = False) -> str:
    """What keeps `candidate` (an object, or with `of_class` a class of such objects) from being what `interface` says;
    "" when nothing does. Unlike zope's own check it tells `async def` from `def`."""
    found: list[str] = []
    try:
        (verifyClass if of_class else verifyObject)(interface, candidate)
    except Invalid as why:  # alone, or a MultipleInvalid, which zope's stubs do not know
        found += [_fault(interface, one) for one in getattr(why, "exceptions", (why,))]
    for name, method in interface.namesAndDescriptions(all=True):
        mine = getattr(candidate, name, None)
        if isinstance(method, Method) and callable(mine):
            wanted = name in _coroutines(method.interface)
            if wanted != inspect.iscoroutinefunction(mine):
                kinds = ("a plain function", "a coroutine function (async def)")
                found.append(f"has {name} as {kinds[not wanted]}, wanted is {kinds[wanted]}")
    return ", ".join(found)


def _fault(interface: InterfaceClass, why: Invalid) -> str:
    if isinstance(why, DoesNotImplement):
        return f"does not declare {interface.__name__}"
    if isinstance(described := why.args[1], str):
        return f"has {why.args[0].__name__} with another signature ({described})"
    return f"lacks {described.__name__}"


@cache
def _coroutines(interface: InterfaceClass) -> frozenset[str]:
    """The methods that an interface declares `async def`: zope forgets it, so its source is read."""
    tree = ast.parse(inspect.getsource(sys.modules[interface.__module__]))
    bodies = (
        node.body for node in ast.walk(tree) if isinstance(node, ast.ClassDef) and node.name == interface.__name__
    )
    return frozenset(node.name for body in bodies for node in body if isinstance(node, ast.AsyncFunctionDef))


def _addon(config: Config, table: AddonSettings, entry: EntryPoint, setting: Setting) -> Any:
    key = f"{config.path.name}: addon.{table.name}"
    factory = _loaded(entry, f"{key}.use")
    where = f"{key}: {_origin(entry)}: {entry.value}"
    if wrong := faults(IAddonFactory, factory):
        raise ConfigError((f"{where} {wrong}.",))
    model = factory.settings
    if not (isinstance(model, type) and issubclass(model, BaseModel)):
        raise ConfigError((f"{where} has settings that are no pydantic model.",))
    if model.model_config.get("extra") != "forbid":
        raise ConfigError((f'{where} has settings without extra="forbid": a misspelt key would go unnoticed.',))
    settings = _anchored(checked(model, table.raw, config.path.name, ("addon", table.name)), config.path.parent)
    try:
        addon = factory.build(table.name, settings, setting)
    except ConfigError as why:
        raise ConfigError(tuple(f"{key}: {problem}" for problem in why.problems)) from why
    except Exception as why:  # an addon may raise anything; whatever it is, it stops the start
        raise ConfigError((f"{key}: {_origin(entry)} can't build it: {_said(why)}.",)) from why
    problems = [
        f"{where} stands in roles.{role} and {wrong}."
        for role, names in _names(config).items()
        if table.name in ([names] if isinstance(names, str) else names) and (wrong := faults(ROLES[role], addon))
    ]
    if problems:
        raise ConfigError(tuple(problems))
    if addon.name != table.name:
        raise ConfigError((f"{where} built an addon named {shown(addon.name)}, wanted is {shown(table.name)}.",))
    return addon


def _names(config: Config) -> Mapping[str, str | tuple[str, ...]]:
    return {field.name: getattr(config.roles, field.name) for field in fields(config.roles)}


def _entry(group: str, name: str, key: str) -> EntryPoint:
    found = entry_points(group=group)
    matches = tuple(found.select(name=name))
    if not matches:
        known = found.names
        raise ConfigError((f"{key} is {shown(name)}, which no installed package offers in {group}{hint(name, known)}",))
    if len(matches) > 1:
        packages = " and ".join(sorted(_origin(match) for match in matches))
        raise ConfigError((f"{key} is {shown(name)}, which {packages} both offer; uninstall one of them.",))
    return matches[0]


def _loaded(entry: EntryPoint, key: str) -> Any:
    try:
        return entry.load()
    except Exception as why:  # importing runs somebody's code, which may raise anything
        raise ConfigError((f"{key}: {_origin(entry)} does not load {entry.value}: {_said(why)}.",)) from why


def _anchored(value: Any, base: Path) -> Any:
    """Settings whose relative paths start at `base`: a path in a file is relative to that file."""
    match value:
        case Path():
            return base / value
        case BaseModel():
            return value.model_copy(update={name: _anchored(item, base) for name, item in value})
        case tuple() | list() | frozenset():
            return type(value)(_anchored(item, base) for item in value)
        case Mapping():
            return {key: _anchored(item, base) for key, item in value.items()}
        case _:
            return value


def _origin(entry: EntryPoint, between: str = " ") -> str:
    return f"{entry.dist.name}{between}{entry.dist.version}" if entry.dist else "an unknown package"


def _said(why: Exception) -> str:
    return f"{type(why).__name__}: {why}".rstrip(". ")


def _digest(file: str | None) -> str:
    return hashlib.sha256(Path(file).read_bytes()).hexdigest() if file else ""
