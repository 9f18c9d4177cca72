"""What stands in a stand's files so that ports of a cluster's pods may be forwarded: a target for each, and who may.

For tests and demonstrations. Knows the shape of the files and nothing of processes.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass

from hoopproxy.testing.kubernetes_stand import ACCOUNT
from hoopproxy.testing.three_files import GROUPS, More, credential


@dataclass(frozen=True, slots=True)
class PodPort:
    """A port of the pods whose names fit `pod`, a shell pattern. Nobody but `roles` may have it forwarded."""

    name: str
    cluster: str
    pod: str
    port: int
    roles: tuple[str, ...] = tuple(GROUPS)


def pod_more(ports: Sequence[PodPort]) -> More:
    """What they add to the files of a stand that has the clusters."""
    return More(targets="".join(map(_target, ports)), policy="".join(map(_grant, ports)))


def _target(port: PodPort) -> str:
    return f"""
[[target]]
name = {json.dumps(port.name)}
protocol = "pod"
zone = "EU"
country = "DE"

[target.pod]
cluster = {json.dumps(port.cluster)}
namespace = "default"
pod = {json.dumps(port.pod)}
port = {port.port}

[target.accounts]
{ACCOUNT} = {json.dumps(credential(port.cluster, ACCOUNT))}
"""


def _grant(port: PodPort) -> str:
    if not port.roles:
        return ""
    return f"""
[[grant]]
name = {json.dumps(f"{port.name}-from-europe")}
roles = {json.dumps(port.roles)}
targets = {json.dumps([port.name])}
accounts = {json.dumps([ACCOUNT])}
zone = "EU"
client_zones = ["EU", "CH"]
duration_s_max = 28800
"""
