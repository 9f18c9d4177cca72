"""What only some protocols need to know of a target: frozen values. Knows no target."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType


@dataclass(frozen=True, slots=True)
class HttpTarget:
    """How a target is spoken to in HTTP.

    `login` says how its credential is shown: `bearer` or `basic` (RFC 6750, RFC 7617), or `header NAME`. `endpoints`
    are path templates such as `/v1/customers/{id}`, in which `{…}` stands for one segment and a last `{…*}` for any
    rest. `redirects` are the hosts besides the target itself that its answers may send a client to.
    """

    login: str = "bearer"
    endpoints: tuple[str, ...] = ()
    redirects: frozenset[str] = frozenset()


USUAL_HTTP = HttpTarget()
"""Of a target of which targets.toml says nothing more."""


@dataclass(frozen=True, slots=True)
class KubernetesTarget:
    """As whom people come to a cluster: by their `user` ("subject" or "name" of their identity) if it fits one of
    `users` (shell patterns), in those of their groups that are among `groups`."""

    user: str = "subject"
    users: tuple[str, ...] = ()
    groups: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class PodTarget:
    """A port of pods that is reached through their cluster's API server, whose host, port and TLS the target has.

    `pod` is a shell pattern of names in `namespace`; `port` is the pod's. `people` are the cluster's: whoever comes to
    the pod comes to the cluster first.
    """

    cluster: str
    namespace: str
    pod: str
    port: int
    people: KubernetesTarget = KubernetesTarget()


@dataclass(frozen=True, slots=True)
class TargetMasks:
    """A database that keeps masks itself (`server` mode).

    `provisioner` is the credential with which the gateway makes what masks need there. `accepted` maps findings of the
    audit that somebody took responsibility for, by name, to the reason why.
    """

    provisioner: str
    accepted: Mapping[str, str] = MappingProxyType({})
