"""Whether the three files agree: every name that one table uses is given by another, and given once.

Pure. Knows the tables of all three files and no file system. A table that is malformed by itself still gives its name,
so that one mistake is not reported twice.
"""

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

from hoopproxy.access.actions import WORDS, fitting, tells
from hoopproxy.config.document import Document
from hoopproxy.config.policy_tables import GrantTable, MaskTable, RegulatedTable, RevealTable, RoleTable
from hoopproxy.config.request_tables import RequestTable
from hoopproxy.config.sentences import hint, shown, wanted
from hoopproxy.config.tables import AddonTable, GatewayTable, ListenTable, PodTable, RolesTable, TargetTable
from hoopproxy.residency.zones import Zones

ACTIONS_GUARD = "grant-actions"
"""The addon that holds sessions to the `actions` of their grant."""

type Placed[T] = Sequence[tuple[str, T]]
"""Tables of an array, each with its place, such as `target[2]`."""


@dataclass(frozen=True, slots=True)
class Tables:
    """The well-formed tables of the three files; None where there is none."""

    main: Document
    targets_file: Document
    policy_file: Document
    gateway: GatewayTable | None
    roles: RolesTable | None
    listeners: Placed[ListenTable]
    addons: Mapping[str, AddonTable]
    targets: Placed[TargetTable]
    policy_roles: Placed[RoleTable]
    grants: Placed[GrantTable]
    masks: Placed[MaskTable]
    regulated: Placed[RegulatedTable]
    requests: Placed[RequestTable]
    zones: Zones | None


def check(tables: Tables) -> None:
    """Tell each document what in it leads nowhere or stands twice."""
    _listeners(tables)
    _addons(tables)
    _targets(tables)
    _once(tables.policy_file, tables.policy_roles)
    _once(tables.policy_file, tables.grants)
    for place, grant in tables.grants:
        _grant(tables, place, grant)
        if grant.actions:
            limited(tables, place, grant.targets, grant.actions)
    _once(tables.policy_file, tables.requests)
    for place, request in tables.requests:
        _grant(tables, place, request)
        _roles(tables, f"{place}.approvers.roles", request.approvers.roles)
        _zones(tables, tables.policy_file, f"{place}.approvers.client_zones", request.approvers.client_zones)
        _roles(tables, f"{place}.break_glass.roles", request.break_glass.roles if request.break_glass else ())
    for place, mask in tables.masks:
        _mask(tables, place, mask)
    for place, regulated in tables.regulated:
        _regulated(tables, place, regulated)
    _masked_once(tables)
    _regulated_once(tables)


def _listeners(tables: Tables) -> None:
    _once(tables.main, tables.listeners)
    if not tables.main.broken and tables.main.names("listen") == frozenset() and not tables.listeners:
        tables.main.say("there is no [[listen]]; wanted is at least one, or nobody can come in.")
    if tables.gateway:
        _zones(tables, tables.main, "gateway.zone", [tables.gateway.zone])
    taken: dict[str, str] = {}
    for place, listener in tables.listeners:
        if listener.target:
            _leads(tables, place, listener)
        for address in listener.addresses:
            socket = f"port {listener.port} of {address}"
            if listener.port and socket in taken:
                tables.main.say(f"{place} takes {socket}, which {taken[socket]} has already; wanted is a free one.")
            taken.setdefault(socket, place)


def _leads(tables: Tables, place: str, listener: ListenTable) -> None:
    """Where a listener leads of itself."""
    main, name = tables.main, str(listener.target)
    _known(main, f"{place}.target", [name], tables.targets_file.names("target"), _TARGET)
    for target in (target for _, target in tables.targets if target.name == name):
        if target.protocol != listener.protocol:
            main.say(
                f"{place}.target names {shown(name)}, which speaks {target.protocol}; wanted is one that speaks "
                f"{listener.protocol}, as the listener does."
            )
        if listener.account is not None:
            _known(main, f"{place}.account", [listener.account], target.accounts, f"an account of {name}")


def _addons(tables: Tables) -> None:
    if tables.roles is None:
        return
    known = tables.main.names("addon") or frozenset()
    used: set[str] = set()
    for role, value in tables.roles.model_dump().items():
        names = [value] if isinstance(value, str) else list(value)
        used.update(names)
        _known(tables.main, f"roles.{role}", names, known, "an [addon.NAME] table of this file")
        for name, count in Counter(names).items():
            if count > 1:
                tables.main.say(f"roles.{role} names {shown(name)} {count} times; wanted is each once.")
    for name in sorted(known - used):
        tables.main.say(f"addon.{name} is in no list of [roles]; name it in one, or take the table out.")


def _targets(tables: Tables) -> None:
    _once(tables.targets_file, tables.targets)
    for place, target in tables.targets:
        _zones(tables, tables.targets_file, f"{place}.zone", [target.zone])
        if target.masks and target.protocol != "postgres":
            tables.targets_file.say(
                f"{place}.masks is set, and {target.name} speaks {target.protocol}; masks are kept by databases that "
                "speak postgres."
            )
        if target.pod:
            _pod(tables, place, target, target.pod)
        else:
            _has_place(tables.targets_file, place, target)


def _has_place(document: Document, place: str, target: TargetTable) -> None:
    for key in ("host", "port"):
        if getattr(target, key) is None:
            field = TargetTable.model_fields[key]
            document.say(f"{place}.{key} is missing; wanted is {wanted(field.annotation, field.metadata)}.")


def _pod(tables: Tables, place: str, target: TargetTable, pod: PodTable) -> None:
    """It is where its cluster is, proves itself as that does, and is entered in the same names."""
    document = tables.targets_file
    for key in ("host", "port", "tls", "kubernetes"):
        if getattr(target, key) is not None:
            document.say(f"{place}.{key} is set, and a pod has that of its cluster; take it out.")
    _known(document, f"{place}.pod.cluster", [pod.cluster], document.names("target"), _TARGET)
    for cluster in (cluster for _, cluster in tables.targets if cluster.name == pod.cluster):
        if cluster.kubernetes is None:
            document.say(
                f"{place}.pod.cluster names {shown(pod.cluster)}, which speaks {cluster.protocol}; wanted is one that "
                "speaks kubernetes."
            )


def _grant(tables: Tables, place: str, grant: GrantTable | RequestTable) -> None:
    """What is given, for good or on request."""
    policy, targets = tables.policy_file, dict((target.name, target) for _, target in tables.targets)
    _zones(tables, policy, f"{place}.zone", [grant.zone])
    _zones(tables, policy, f"{place}.client_zones", grant.client_zones)
    _roles(tables, f"{place}.roles", grant.roles)
    _known(policy, f"{place}.targets", grant.targets, tables.targets_file.names("target"), _TARGET)
    if grant.targets <= targets.keys():
        accounts = {account for name in grant.targets for account in targets[name].accounts}
        _known(policy, f"{place}.accounts", grant.accounts, accounts, "an account of its targets")
        for name in sorted(grant.targets):
            if not grant.accounts & targets[name].accounts.keys():
                policy.say(f"{place}.targets names {shown(name)}, which has none of the accounts of this grant.")
    _known(policy, f"{place}.reveals", grant.reveals, policy.names("mask", "column"), "a column that a [[mask]] names")


def limited(tables: Tables, place: str, names: Collection[str], actions: frozenset[str]) -> None:
    """Whether it can be told, and is looked after, that no more than these actions is done on these targets."""
    policy, targets = tables.policy_file, [target for _, target in tables.targets if target.name in names]
    guards = [] if tables.roles is None else [tables.addons.get(name) for name in tables.roles.guards]
    if tables.roles is not None and not any(guard and guard.use == ACTIONS_GUARD for guard in guards):
        policy.say(
            f"{place}.actions is set, and nobody holds sessions to it; name an addon in roles.guards of "
            f'{tables.main.file} that has use = "{ACTIONS_GUARD}".'
        )
    for target in targets:
        if not tells(target.protocol):
            policy.say(
                f"{place}.actions is set, and {target.name} speaks {target.protocol}, of which the gateway can't tell "
                "what is done; take the target out, or the actions."
            )
        elif not fitting(target.protocol, actions):
            words = "methods such as GET" if target.protocol == "http" else ", ".join(WORDS[target.protocol])
            policy.say(
                f"{place}.actions holds nothing that can be done on {target.name}, which speaks {target.protocol}; "
                f"wanted is one or more of {words}."
            )
    told = [target.protocol for target in targets if tells(target.protocol)]
    if len(told) == len(names):
        known = frozenset(action for protocol in told for action in fitting(protocol, actions))
        for action in sorted(actions - known):
            policy.say(f"{place}.actions names {shown(action)}, which none of its targets speaks of; take it out.")


def _mask(tables: Tables, place: str, mask: MaskTable) -> None:
    policy = tables.policy_file
    _known(policy, f"{place}.target", [mask.target], tables.targets_file.names("target"), _TARGET)
    for target in (target for _, target in tables.targets if target.name == mask.target):
        if target.databases:
            _known(policy, f"{place}.databases", mask.databases, target.databases, f"a database of {target.name}")
        if mask.field is not None:
            _in_json(tables, place, target, mask.endpoint)
        elif target.protocol == "postgres" and target.masks is None:
            tables.targets_file.say(
                f"target {shown(target.name)} has masked columns ({place} of policy.toml), and no [target.masks]; "
                'wanted is its provisioner, the credential with which masks are made there, or enforcement = "wire".'
            )
        elif target.protocol in _JSON:
            policy.say(
                f"{place}.column is {shown(mask.column)}, and {target.name} speaks {target.protocol}; wanted is field, "
                'a path in its JSON such as "$.cards[*].number".'
            )
    _revealed(tables, place, mask.reveal)


def _regulated(tables: Tables, place: str, regulated: RegulatedTable) -> None:
    targets = tables.targets_file.names("target")
    _known(tables.policy_file, f"{place}.target", [regulated.target], targets, _TARGET)
    for target in (target for _, target in tables.targets if target.name == regulated.target):
        _in_json(tables, place, target, regulated.endpoint)
    _revealed(tables, place, regulated.reveal)


_JSON = ("http", "kubernetes")
"""The protocols in which masks know fields instead of columns."""


def _in_json(tables: Tables, place: str, target: TargetTable, endpoint: str | None) -> None:
    """Whether the target answers in JSON, at that endpoint."""
    policy = tables.policy_file
    if target.protocol not in _JSON:
        policy.say(
            f"{place}.target names {shown(target.name)}, which speaks {target.protocol}, where there are no fields of "
            "JSON; wanted is a target that speaks http or kubernetes."
        )
    elif endpoint is not None and target.protocol == "http":
        _known(policy, f"{place}.endpoint", [endpoint], target.http.endpoints, f"one of the endpoints of {target.name}")


def _revealed(tables: Tables, place: str, reveal: Sequence[RevealTable]) -> None:
    for index, table in enumerate(reveal):
        _roles(tables, f"{place}.reveal[{index}].roles", table.roles)
        _zones(tables, tables.policy_file, f"{place}.reveal[{index}].client_zones", table.client_zones)


def _masked_once(tables: Tables) -> None:
    """Two masks for one column or field would leave open which of them counts."""
    for index, (place, mask) in enumerate(tables.masks):
        for earlier, other in tables.masks[:index]:
            everywhere = not mask.databases or not other.databases
            if _masked(mask) == _masked(other) and (everywhere or mask.databases & other.databases):
                what = mask.column or mask.field
                tables.policy_file.say(
                    f"{place} masks {what} of {mask.target}, which {earlier} does already; wanted is one mask "
                    f"for each {'column' if mask.column else 'field'}."
                )


def _masked(mask: MaskTable) -> tuple[str | None, ...]:
    return mask.target, mask.column, mask.endpoint, mask.field


def _regulated_once(tables: Tables) -> None:
    places: dict[tuple[str, str], str] = {}
    for place, table in tables.regulated:
        earlier = places.setdefault((table.target, table.endpoint), place)
        if earlier != place:
            tables.policy_file.say(
                f"{place} regulates {table.endpoint} of {table.target}, which {earlier} does already; wanted is one "
                "list for each endpoint."
            )


_TARGET = "a [[target]] of targets.toml"


def _roles(tables: Tables, key: str, names: Iterable[str]) -> None:
    _known(tables.policy_file, key, names, tables.policy_file.names("role"), "a [[role]] of this file")


def _zones(tables: Tables, document: Document, key: str, names: Iterable[str]) -> None:
    _known(document, key, names, None if tables.zones is None else tables.zones.names, "a zone that the gateway knows")


def _known(document: Document, key: str, names: Iterable[str], known: Collection[str] | None, what: str) -> None:
    """`known` None: its file can't be read, and that is reported already."""
    for name in sorted(set(names)):
        if known is not None and name not in known:
            document.say(f"{key} names {shown(name)}, which is not {what}{hint(name, known)}")


def _once(
    document: Document,
    named: Placed[ListenTable] | Placed[TargetTable] | Placed[RoleTable] | Placed[GrantTable] | Placed[RequestTable],
) -> None:
    places: dict[str, str] = {}
    for place, table in named:
        if table.name in places:
            document.say(
                f"{place}.name is {shown(table.name)}, as {places[table.name]}.name is; wanted is each name once."
            )
        places.setdefault(table.name, place)
