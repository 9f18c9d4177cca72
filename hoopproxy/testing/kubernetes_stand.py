"""What stands in a stand's files so that its gateway speaks Kubernetes: a listener, and clusters.

For tests and demonstrations. Knows the shape of the files and nothing of processes.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from hoopproxy.testing.certificates import Authority
from hoopproxy.testing.three_files import GROUPS, More, credential

ACCOUNT = "people"
"""The account of every cluster: behind it is who may speak for others."""

LISTENER = "clusters"

USERS = ("*",)
KNOWN_GROUPS = ("analysts", "fraud")
"""Whom the gateway brings to a cluster, and which of their groups it tells."""

_SECRETS = """
[addon.secrets]
use = "kubernetes-secrets"
reveal = [{ roles = ["fraud"], client_zones = ["EU"] }]
"""


@dataclass(frozen=True, slots=True)
class Cluster:
    """An API server, to which who knows its `token` may speak for others. It proves to be `localhost` by a certificate
    of `ca_file`."""

    name: str
    port: int
    token: str
    ca_file: Path
    users: Sequence[str] = USERS
    roles: tuple[str, ...] = tuple(GROUPS)


class KubernetesSite:
    """Certificates and credentials in `secrets`, and the TOML that names them: `more`.

    The listener's certificate is one of `authority`'s, for localhost and 127.0.0.1. Of Secrets only fraud officers see
    the values.
    """

    def __init__(self, secrets: Path, authority: Authority, clusters: Sequence[Cluster], *, port: int = 0) -> None:
        for directory in (secrets, secrets / "credentials"):
            directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        leaf = authority.issue("clusters", dns=("localhost",), ips=("127.0.0.1",))
        for cluster in clusters:
            path = secrets / "credentials" / f"{credential(cluster.name, ACCOUNT)}.toml"
            path.touch(0o600)
            path.write_text(f'username = "hoopproxy"\npassword = {_toml(cluster.token)}\n')
        self.more = More(
            main=_listener(leaf.certificate_file, leaf.key_file, port) + _SECRETS,
            targets="".join(map(_target, clusters)),
            policy=_grant(clusters),
            maskers=("secrets",),
        )


def _listener(certificate: Path, key: Path, port: int) -> str:
    return f"""
[[listen]]
name = {_toml(LISTENER)}
protocol = "kubernetes"
addresses = ["127.0.0.1"]
port = {port}
certificate = {_toml(str(certificate))}
key = {_toml(str(key))}
"""


def _target(cluster: Cluster) -> str:
    return f"""
[[target]]
name = {_toml(cluster.name)}
protocol = "kubernetes"
host = "localhost"
port = {cluster.port}
zone = "EU"
country = "DE"
allow_loopback = true

[target.tls]
server_name = "localhost"
ca = {_toml(str(cluster.ca_file))}

[target.kubernetes]
users = {_toml(list(cluster.users))}
groups = {_toml(list(KNOWN_GROUPS))}

[target.accounts]
{ACCOUNT} = {_toml(credential(cluster.name, ACCOUNT))}
"""


def _grant(clusters: Sequence[Cluster]) -> str:
    return "".join(
        f"""
[[grant]]
name = {_toml(f"{cluster.name}-from-europe")}
roles = {_toml(list(cluster.roles))}
targets = {_toml([cluster.name])}
accounts = {_toml([ACCOUNT])}
zone = "EU"
client_zones = ["EU", "CH"]
duration_s_max = 28800
"""
        for cluster in clusters
    )


def _toml(value: str | Sequence[str]) -> str:
    """A text or an array of texts: JSON's are TOML's, too, if all characters are escaped."""
    return json.dumps(value)
