"""Routes by the targets of targets.toml. Knows no person: who may go there is a grant's matter."""

import contextlib

from pydantic import BaseModel, ConfigDict
from zope.interface import implementer, provider

from hoopproxy.interfaces import IAddonFactory, IRouter, ISetting
from hoopproxy.model import Identity, Target
from hoopproxy.residency.addresses import parse_host


class Settings(BaseModel):
    """`use = "targets-file"` takes no keys: the file is `gateway.targets`."""

    model_config = ConfigDict(extra="forbid", frozen=True)


@provider(IAddonFactory)
@implementer(IRouter)
class TargetsFile:
    """A target by its name in targets.toml; for raw TCP also as `NAME:PORT` or `HOST:PORT`, as `ssh -L` names it."""

    summary = "Routes to the targets of targets.toml."
    settings = Settings

    @classmethod
    def build(cls, name: str, settings: Settings, setting: ISetting) -> "TargetsFile":
        """Make it."""
        return cls(name, setting)

    def __init__(self, name: str, setting: ISetting) -> None:
        self.name = name
        self._targets = setting.targets
        raw = [target for target in setting.targets.values() if target.protocol == "tcp"]
        hosts = {_place(target.host, target.port): target for target in reversed(raw)}  # of two, the first
        self._places = hosts | {_place(target.name, target.port): target for target in raw}

    async def route(self, identity: Identity, target_name: str) -> Target | None:
        """The target, whoever asks; None when the file has none of that name."""
        found = self._targets.get(target_name) or self._places.get(target_name)
        return found or self._places.get(_canonical(target_name))


def _place(host: str, port: int | str) -> str:
    """As in a URI: an IPv6 address stands in brackets (RFC 3986 §3.2.2)."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _canonical(place: str) -> str:
    """The same with its host as targets.toml has it, if it is one."""
    host, _, port = place.rpartition(":")
    with contextlib.suppress(ValueError):
        return _place(str(parse_host(host.removeprefix("[").removesuffix("]"))), port)
    return place
