"""Routes by the targets of targets.toml. Knows no person: who may go there is a grant's matter."""

import contextlib
import re
from dataclasses import replace
from fnmatch import fnmatchcase

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
    """A target by its name in targets.toml; one that speaks HTTP also as `HOST:PORT`, as clients of a forward proxy
    name it, and raw TCP as `HOST:PORT` or `NAME:PORT`, as `ssh -L` does. Of two at one place, that of HTTP is found:
    the other has a second name.

    A port of a pod, as `kubectl port-forward` names it, is `CLUSTER:NAMESPACE/POD:PORT`.
    """

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
        spoken = [target for target in setting.targets.values() if target.protocol in ("http", "kubernetes")]
        hosts = {_place(target.host, target.port): target for target in reversed((*spoken, *raw))}  # of two, the first
        self._places = hosts | {_place(target.name, target.port): target for target in raw}
        self._pods = [(target, target.pod) for target in setting.targets.values() if target.pod]

    async def route(self, identity: Identity, target_name: str) -> Target | None:
        """The target, whoever asks; None when the file has none of that name."""
        found = self._targets.get(target_name) or self._places.get(target_name)
        return found or self._places.get(_canonical(target_name)) or self._pod(target_name)

    def _pod(self, name: str) -> Target | None:
        """The first whose pattern the pod fits; what is reached is that pod, and the log calls it the database."""
        if place := _POD.fullmatch(name):
            cluster, namespace, pod, port = place.groups()
            for target, wanted in self._pods:
                if (cluster, namespace, int(port)) == (wanted.cluster, wanted.namespace, wanted.port) and fnmatchcase(
                    pod, wanted.pod
                ):
                    return replace(target, pod=replace(wanted, pod=pod), databases=(pod,))
        return None


_POD = re.compile(r"([^:/]+):([a-z0-9-]{1,63})/([a-z0-9](?:[a-z0-9.-]{0,251}[a-z0-9])?):([1-9][0-9]{0,4})")
"""The names of a cluster, a namespace and a pod (RFC 1123, as Kubernetes has it), and a port."""


def _place(host: str, port: int | str) -> str:
    """As in a URI: an IPv6 address stands in brackets (RFC 3986 §3.2.2)."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _canonical(place: str) -> str:
    """The same with its host as targets.toml has it, if it is one."""
    host, _, port = place.rpartition(":")
    with contextlib.suppress(ValueError):
        return _place(str(parse_host(host.removeprefix("[").removesuffix("]"))), port)
    return place
