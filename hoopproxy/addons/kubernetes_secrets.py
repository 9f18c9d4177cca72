"""Masks the values of Kubernetes Secrets, wherever an API server shows one: to people who need not know them.

Without it nobody reads a Secret through the gateway at all. Knows the shape of a Secret and no path of a request.
"""

from base64 import b64encode
from collections.abc import Mapping
from typing import Any

import orjson
from pydantic import BaseModel, ConfigDict, Field
from zope.interface import implementer, provider

from hoopproxy.access.policy import Reveal
from hoopproxy.events import Shape
from hoopproxy.interfaces import IAddonFactory, IMasker, ISetting
from hoopproxy.masking.fields import covers
from hoopproxy.masks import Mask, Nullify, PerCell
from hoopproxy.model import Passage, Permit
from hoopproxy.wire.http.resource_masks import APPLIED, SECRET_VALUES, SECRETS_MASKED, SECRETS_SHOWN

MASK = b"***"
_TEXT_OID = 25  # pg_type.dat: a JSON string


class Shown(BaseModel):
    """One of `reveal`: somebody with one of these roles who sits in one of these zones."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    roles: frozenset[str] = Field(min_length=1, description="Roles of policy.toml.")
    client_zones: frozenset[str] = Field(min_length=1, description="Zones that their clients lie in.")


class Settings(BaseModel):
    """The keys of an [addon.NAME] table with `use = "kubernetes-secrets"`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    reveal: tuple[Shown, ...] = Field(default=(), description="Who sees the values of Secrets.")


@provider(IAddonFactory)
@implementer(IMasker)
class KubernetesSecrets:
    """The mask over all Secrets."""

    summary = "Masks the values of Secrets in Kubernetes clusters."
    settings = Settings

    @classmethod
    def build(cls, name: str, settings: Settings, setting: ISetting) -> "KubernetesSecrets":
        """Make it."""
        known = {role.name for role in setting.policy.roles}
        for shown in settings.reveal:
            if unknown := shown.roles - known:
                raise ValueError(f"reveal names the role {min(unknown)!r}, which policy.toml does not")
        return cls(name, tuple(Reveal(shown.roles, shown.client_zones) for shown in settings.reveal))

    def __init__(self, name: str, reveal: tuple[Reveal, ...]) -> None:
        self.name = name
        self._reveal = reveal
        self._encoded = PerCell(lambda _: b64encode(MASK), name)
        self._applied = PerCell(_without_values, name)

    async def protects(self, permit: Permit) -> frozenset[str]:
        """Secrets are judged here, in each session with a cluster."""
        if permit.target.kubernetes is None:
            return frozenset()
        return SECRETS_SHOWN if self._sees(permit) else SECRETS_MASKED

    async def plan(self, passage: Passage, shape: Shape) -> Mapping[int, Mask]:
        """A mask for each value of a Secret; it stays what a client can decode."""
        permit = passage.permit
        if permit.target.kubernetes is None or self._sees(permit):
            return {}
        masks: dict[int, Mask] = {}
        for index, field in enumerate(shape.fields):
            if not field.path:
                continue
            if any(covers(path, field.path) for path in SECRET_VALUES):
                masks[index] = self._encoded if field.type_oid == _TEXT_OID else Nullify()
            elif covers(APPLIED, field.path):
                masks[index] = self._applied
        return masks

    def _sees(self, permit: Permit) -> bool:
        return any(each.roles & permit.roles and each.client_zones & permit.client_zones for each in self._reveal)


def _without_values(text: bytes) -> bytes:
    """A Secret as JSON without its values; without anything if it is none."""
    try:
        secret: Any = orjson.loads(text)
        for name, mask in (("data", b64encode(MASK)), ("stringData", MASK)):
            if name in secret:
                secret[name] = dict.fromkeys(secret[name].keys(), mask.decode())
        return orjson.dumps(dict(secret))
    except (ValueError, TypeError, AttributeError):
        return b"{}"
