"""Three files to one `Config`, or every mistake in them at once; opens nothing but files, and changes none.

Knows neither addons' own settings (`hoopproxy.registry` does) nor what runs later.
"""

import hashlib
import os
import stat
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType

from hoopproxy.access.bundle import REVISION_MAX
from hoopproxy.access.policy import FieldRule, GrantRule, MaskRule, Policy, RegulatedRule, Reveal, Role
from hoopproxy.config.document import Document
from hoopproxy.config.model import AddonSettings, Config, GatewaySettings, RoleNames
from hoopproxy.config.policy_tables import GrantTable, MaskKind, MaskTable, RegulatedTable, RevealTable, RoleTable
from hoopproxy.config.references import Tables, check
from hoopproxy.config.request_tables import LinkTable, RequestTable, people
from hoopproxy.config.sentences import shown
from hoopproxy.config.signing import in_force, signing
from hoopproxy.config.tables import (
    AddonTable,
    GatewayTable,
    LimitsTable,
    ListenTable,
    MasksTable,
    PolicyTable,
    PortalTable,
    RolesTable,
    StorageTable,
    StoreTable,
    TargetTable,
)
from hoopproxy.config.webhook_tables import WebhookTable, webhook
from hoopproxy.errors import ConfigError
from hoopproxy.masks import (
    ColumnMask,
    Generalise,
    JsonPaths,
    KeyedHash,
    Nullify,
    Partial,
    Redact,
    Token,
    Truncate,
)
from hoopproxy.model import Target, UpstreamTls
from hoopproxy.residency.packaged import read_packaged
from hoopproxy.residency.zones import Zones, parse
from hoopproxy.settings import Limits, ListenerSettings, PortalSettings, StoreSettings, WebhookSettings
from hoopproxy.targets import HttpTarget, KubernetesTarget, PodTarget, TargetMasks

KEY_BYTES_MIN = 32
KEY_BYTES_MAX = 4096
SOCKET_PATH_BYTES_MAX = 107
"""`sun_path` of Linux is 108 bytes with its zero (unix(7))."""


def load(path: Path, policy: bytes | None = None) -> Config:
    """The configuration that `path`, a hoopproxy.toml, names; with `policy` in place of the policy that it has.

    @raise ConfigError: all that is wrong, in sentences.
    """
    problems: list[str] = []
    main = Document(path, problems)
    targets_file = Document(main.resolve(Path(main.text("gateway", "targets", "targets.toml"))), problems)
    signed = main.optional("policy", PolicyTable)
    signers = signing(main, signed) if signed else None
    bundle = None
    if signed and signers and policy is None:
        bundle = in_force(main, signed, signers, main.resolve(Path(main.text("gateway", "state_dir", ""))))
        policy = bundle.revision.text.encode() if bundle else None
    policy_path = main.resolve(Path(main.text("gateway", "policy", "policy.toml")))
    policy_file = Document(policy_path, problems, policy)
    gateway = main.table("gateway", GatewayTable)
    storage = main.table("storage", StorageTable)
    limits = main.table("limits", LimitsTable)
    roles = main.table("roles", RolesTable)
    tables = Tables(
        main=main,
        targets_file=targets_file,
        policy_file=policy_file,
        gateway=gateway,
        roles=roles,
        listeners=main.tables("listen", ListenTable),
        addons=main.named("addon", AddonTable),
        targets=targets_file.tables("target", TargetTable),
        policy_roles=policy_file.tables("role", RoleTable),
        grants=policy_file.tables("grant", GrantTable),
        masks=policy_file.tables("mask", MaskTable),
        regulated=policy_file.tables("regulated", RegulatedTable),
        requests=policy_file.tables("request", RequestTable),
        zones=_zones(main, problems),
    )
    links = policy_file.tables("link", LinkTable)
    store = main.optional("store", StoreTable)
    portal_table = main.optional("portal", PortalTable)
    portal = _portal(main, portal_table) if portal_table else None
    webhooks = _webhooks(main)
    number = policy_file.number("revision", REVISION_MAX)
    for document in (main, targets_file, policy_file):
        document.finish()
    check(tables)
    settings = _gateway(main, gateway) if gateway else None
    listeners = tuple(_listener(main, place, table) for place, table in tables.listeners)
    targets = _located({table.name: _target(targets_file, place, table) for place, table in tables.targets})
    masks = tuple(_mask(policy_file, place, table) for place, table in tables.masks)
    if problems or not (settings and storage and limits and roles and tables.zones):
        raise ConfigError(tuple(problems))
    return Config(
        path=main.path.absolute(),
        digest=hashlib.sha256(main.digest + targets_file.digest + policy_file.digest).hexdigest(),
        gateway=settings,
        storage_country=storage.country,
        limits=Limits(**limits.model_dump()),
        listeners=listeners,
        roles=RoleNames(**roles.model_dump()),
        addons=MappingProxyType({name: _addon(name, table) for name, table in tables.addons.items()}),
        targets=MappingProxyType(targets),
        policy=Policy(
            revision=policy_file.digest.hex(),
            number=number,
            roles=tuple(Role(table.name, table.groups) for _, table in tables.policy_roles),
            grants=tuple(_grant(table) for _, table in tables.grants),
            masks=tuple(mask for mask in masks if isinstance(mask, MaskRule)),
            fields=tuple(mask for mask in masks if isinstance(mask, FieldRule)),
            regulated=tuple(_regulated(table) for _, table in tables.regulated),
            requests=tuple(table.rule() for _, table in tables.requests),
            people=people(links),
        ),
        store=_store(main, store or StoreTable.model_validate({}), settings),
        zones=tables.zones,
        signing=signers,
        bundle=bundle,
        portal=portal,
        webhooks=webhooks,
    )


def _zones(main: Document, problems: list[str]) -> Zones | None:
    """The packaged zones, joined by the files of `gateway.zones`; one of the same file name takes their place."""
    files = dict(read_packaged())
    named = main.text("gateway", "zones", "")
    try:
        if named:
            directory = main.resolve(Path(named))
            files |= {file.name: file.read_bytes() for file in sorted(directory.iterdir()) if file.suffix == ".toml"}
        return parse(files)
    except OSError as why:
        main.say(f"gateway.zones: {why.filename} can't be read ({why.strerror}); wanted is a directory of zone files.")
    except ConfigError as why:
        problems.extend(why.problems)
    return None


def _gateway(main: Document, table: GatewayTable) -> GatewaySettings:
    state_dir = main.resolve(table.state_dir)
    socket = main.resolve(table.control_socket) if table.control_socket else state_dir / "control.sock"
    key_file = main.resolve(table.pseudonym_key)
    if not (state_dir.is_dir() and os.access(state_dir, os.W_OK | os.X_OK)):
        main.say(
            f"gateway.state_dir is {state_dir}; wanted is a directory that the gateway may write to "
            f"(install -d -m 0700 {state_dir})."
        )
    if len(os.fsencode(socket)) > SOCKET_PATH_BYTES_MAX:
        main.say(
            f"gateway.control_socket is {socket}; wanted is a path of up to {SOCKET_PATH_BYTES_MAX} bytes, "
            "since Linux takes no longer ones."
        )
    _key(main, "gateway.pseudonym_key", key_file)
    return GatewaySettings(table.name, table.zone, table.country, state_dir, socket, key_file)


def _store(main: Document, table: StoreTable, gateway: GatewaySettings) -> StoreSettings:
    """In a file of the gateway's own, unless a database is named."""
    url_file = main.resolve(table.url_file) if table.url_file else None
    return StoreSettings(url_file, gateway.state_dir / "store.db", table.lease_s_max)


def _file(main: Document, key: str, path: Path | None, *, private: bool = False) -> str:
    """The absolute path of a file that must be there, "" for none."""
    if path is None:
        return ""
    path = main.resolve(path)
    if _readable(main, key, path) and private and stat.S_IMODE(path.stat().st_mode) & 0o007:
        main.say(f"{key} is {path}, which everybody may read; wanted is a file for the gateway alone (chmod 0600).")
    return str(path)


def _portal(main: Document, table: PortalTable) -> PortalSettings:
    link_key_file = main.resolve(table.link_key) if table.link_key else None
    if link_key_file:
        _key(main, "portal.link_key", link_key_file)
    return PortalSettings(
        link_key_file=link_key_file,
        certificate_file=_file(main, "portal.certificate", table.certificate),
        key_file=_file(main, "portal.key", table.key, private=True),
        **table.model_dump(exclude={"certificate", "key", "link_key"}),
    )


def _webhooks(main: Document) -> tuple[WebhookSettings, ...]:
    found: dict[str, WebhookSettings] = {}
    for place, table in main.tables("webhook", WebhookTable):
        if table.name in found:
            main.say(f"{place}.name is {shown(table.name)}, which another webhook has; wanted is a name of its own.")
        key = _key(main, f"{place}.secret_file", main.resolve(table.secret_file))
        found[table.name] = webhook(main, place, table, key, _file(main, f"{place}.ca_file", table.ca_file))
    return tuple(found.values())


def _listener(main: Document, place: str, table: ListenTable) -> ListenerSettings:
    def file(key: str, path: Path | None, *, private: bool = False) -> str:
        return _file(main, f"{place}.{key}", path, private=private)

    return ListenerSettings(
        name=table.name,
        protocol=table.protocol,
        addresses=table.addresses,
        port=table.port,
        certificate_file=file("certificate", table.certificate),
        key_file=file("key", table.key, private=True),
        plaintext=table.plaintext,
        balancers=table.balancers,
        client_ca_file=file("client_ca", table.client_ca),
        is_client_certificate_optional=table.client_certificate == "optional",
        host_key_files=tuple(
            file(f"host_keys[{index}]", path, private=True) for index, path in enumerate(table.host_keys)
        ),
        target=table.target or "",
        account=table.account or "",
        domain=table.domain or "",
        authority_file=file("authority", table.authority),
        authority_key_file=file("authority_key", table.authority_key, private=True),
        authority_passphrase_file=file("authority_passphrase_file", table.authority_passphrase_file, private=True),
    )


def _addon(name: str, table: AddonTable) -> AddonSettings:
    return AddonSettings(name, table.use, MappingProxyType(dict(table.model_extra or {})))


def _target(document: Document, place: str, table: TargetTable) -> Target:
    return Target(
        name=table.name,
        protocol=table.protocol,
        host=table.host or "",
        port=table.port or 0,
        zone=table.zone,
        country=table.country,
        tls=_tls(document, place, table),
        accounts=MappingProxyType(dict(table.accounts)),
        databases=table.databases,
        allow_loopback=table.allow_loopback,
        classes=table.classes,
        host_keys=table.host_keys,
        environment=table.environment,
        http=HttpTarget(**table.http.model_dump()),
        kubernetes=KubernetesTarget(**table.kubernetes.model_dump()) if table.kubernetes else None,
        pod=PodTarget(**table.pod.model_dump()) if table.pod else None,
        masks=_masks(table.masks),
    )


def _masks(table: MasksTable | None) -> TargetMasks | None:
    """None where results are masked on their way."""
    if table is None or table.provisioner is None:
        return None
    return TargetMasks(table.provisioner, MappingProxyType({each.finding: each.reason for each in table.accept}))


def _located(targets: Mapping[str, Target]) -> dict[str, Target]:
    """The same, pods with what they have of their clusters. (A cluster that is none is reported already.)"""
    located = dict(targets)
    for name, target in targets.items():
        if target.pod and (cluster := targets.get(target.pod.cluster)):
            located[name] = replace(
                target,
                host=cluster.host,
                port=cluster.port,
                tls=cluster.tls,
                allow_loopback=cluster.allow_loopback,
                pod=replace(target.pod, people=cluster.kubernetes or KubernetesTarget()),
            )
    return located


def _tls(document: Document, place: str, table: TargetTable) -> UpstreamTls | None:
    if table.tls is None:
        return None
    ca_file = document.resolve(table.tls.ca) if table.tls.ca else None
    if ca_file:
        _readable(document, f"{place}.tls.ca", ca_file)
    return UpstreamTls(table.tls.server_name or table.host or "", str(ca_file) if ca_file else None, table.tls.pins)


def _grant(table: GrantTable) -> GrantRule:
    return GrantRule(
        name=table.name,
        roles=table.roles,
        targets=table.targets,
        accounts=table.accounts,
        zone=table.zone,
        client_zones=table.client_zones,
        assurance_min=MappingProxyType(dict(table.assurance_min.values())),
        duration_s_max=table.duration_s_max,
        reveals=table.reveals,
        hours=table.hours.hours() if table.hours else None,
        actions=table.actions or frozenset(),
    )


def _mask(document: Document, place: str, table: MaskTable) -> MaskRule | FieldRule:
    mask = _column_mask(document, f"{place}.mask", table.mask)
    if table.column is not None:
        return MaskRule(table.target, table.databases, table.column, mask, _reveal(table.reveal))
    assert table.field is not None  # one of both is there
    return FieldRule(table.target, table.endpoint or "", table.field, mask, _reveal(table.reveal))


def _column_mask(document: Document, place: str, kind: MaskKind) -> ColumnMask:
    if kind.nullify is not None:
        return Nullify()
    if kind.partial is not None:
        return Partial(kind.partial.first, kind.partial.last)
    if kind.truncate is not None:
        return Truncate(kind.truncate)
    if kind.generalise is not None:
        return Generalise(kind.generalise.step)
    if kind.hash is not None:
        return KeyedHash(_key(document, f"{place}.hash.key_file", document.resolve(kind.hash.key_file)))
    if kind.token is not None:
        return Token(_key(document, f"{place}.token.key_file", document.resolve(kind.token.key_file)))
    if kind.document is not None:
        return JsonPaths(kind.document.show or kind.document.hide, is_hidden=bool(kind.document.hide))
    return Redact()


def _regulated(table: RegulatedTable) -> RegulatedRule:
    return RegulatedRule(table.target, table.endpoint, table.fields, _reveal(table.reveal))


def _reveal(tables: tuple[RevealTable, ...]) -> tuple[Reveal, ...]:
    return tuple(Reveal(table.roles, table.client_zones) for table in tables)


def _readable(document: Document, key: str, path: Path) -> bool:
    try:
        if stat.S_ISFIFO(path.stat().st_mode):
            raise OSError(0, "a pipe would hold up the start", path)
        with path.open("rb") as file:
            file.read(1)
    except OSError as why:
        document.say(f"{key} is {path}, which can't be read ({why.strerror}); wanted is a readable file.")
        return False
    return True


def _key(document: Document, key: str, path: Path) -> bytes:
    """A secret key of the gateway's own; b"" when the file is reported as unfit."""
    if not _readable(document, key, path):
        return b""
    with path.open("rb") as file:
        data, mode = file.read(KEY_BYTES_MAX + 1), stat.S_IMODE(os.fstat(file.fileno()).st_mode)
    if mode & 0o077:
        document.say(f"{key} is {path}, which others may read; wanted is a file for the gateway alone (chmod 0600).")
    if not KEY_BYTES_MIN <= len(data) <= KEY_BYTES_MAX:
        document.say(
            f"{key} is {path}, which holds {len(data)} bytes; wanted are {KEY_BYTES_MIN} to {KEY_BYTES_MAX} "
            f"random ones (openssl rand -out {path} {KEY_BYTES_MIN})."
        )
    return data
