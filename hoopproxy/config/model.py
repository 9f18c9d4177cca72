"""The configuration as frozen values: what the rest of the house reads.

Knows no TOML and no file system; `hoopproxy.config.load` makes these.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hoopproxy.access.bundle import Bundle, Signing
from hoopproxy.access.policy import Policy
from hoopproxy.model import Target
from hoopproxy.residency.zones import Zones
from hoopproxy.settings import Limits, ListenerSettings, PortalSettings, StoreSettings, WebhookSettings


@dataclass(frozen=True, slots=True)
class GatewaySettings:
    """The `[gateway]` table, paths made absolute. `country` is ISO 3166-1 alpha-2."""

    name: str
    zone: str
    country: str
    state_dir: Path
    control_socket: Path
    pseudonym_key_file: Path


@dataclass(frozen=True, slots=True)
class AddonSettings:
    """One `[addon.NAME]` table: `use` is the entry point, `raw` the other keys, still unchecked."""

    name: str
    use: str
    raw: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class RoleNames:
    """The `[roles]` table: names of addons, in the order in which they are asked."""

    authenticators: tuple[str, ...]
    router: str
    grants: tuple[str, ...]
    residency: tuple[str, ...]
    credentials: tuple[str, ...]
    guards: tuple[str, ...]
    maskers: tuple[str, ...]
    enforcement: str
    recorder: str
    evidence: str


@dataclass(frozen=True, slots=True)
class Config:
    """All three files, checked against each other.

    `path` is hoopproxy.toml; relative paths of addon settings are relative to its directory. `digest` is the SHA-256,
    in hex, over the SHA-256 digests of hoopproxy.toml, targets.toml and policy.toml in this order: evidence names it.
    `storage_country` is where recordings and log lie. `signing` says who signs the policy, None where it counts as it
    is; then `bundle` is what the policy was read from.
    """

    path: Path
    digest: str
    gateway: GatewaySettings
    storage_country: str
    limits: Limits
    listeners: tuple[ListenerSettings, ...]
    roles: RoleNames
    addons: Mapping[str, AddonSettings]
    targets: Mapping[str, Target]
    policy: Policy
    zones: Zones
    store: StoreSettings
    signing: Signing | None = None
    bundle: Bundle | None = None
    portal: PortalSettings | None = None
    webhooks: tuple[WebhookSettings, ...] = ()

    @property
    def listening(self) -> tuple[ListenerSettings | PortalSettings, ...]:
        """All that the gateway listens on."""
        return self.listeners if self.portal is None else (*self.listeners, self.portal)
