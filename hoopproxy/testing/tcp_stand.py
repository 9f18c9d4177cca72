"""What stands in a stand's files so that its gateway passes raw TCP: listeners, targets, and who may use them.

For tests and demonstrations. Knows the shape of the files and nothing of processes.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from hoopproxy.testing.three_files import GROUPS, More

ACCOUNT = "any"
"""The account of every target: nothing is shown to it."""

MACHINE, GROUP = "batch", "analysts"
"""Who comes from this machine's 127.0.0.1 without a certificate, or with one for `MACHINE.example`."""


@dataclass(frozen=True, slots=True)
class TcpTarget:
    """A server. Nobody but `roles` may reach it."""

    name: str
    host: str
    port: int
    country: str = "DE"
    roles: tuple[str, ...] = tuple(GROUPS)


@dataclass(frozen=True, slots=True)
class TcpDoor:
    """A listener that leads to one target; with `client_ca`, over TLS with the gateway's certificate in `secrets`."""

    name: str
    target: str
    client_ca: Path | None = None
    secrets: Path = Path()
    port: int = 0


def tcp_more(targets: Sequence[TcpTarget], doors: Sequence[TcpDoor] = ()) -> More:
    """What they add to the files."""
    return More(
        main="".join(map(_listener, doors)) + _IDENTITIES,
        targets="".join(map(_target, targets)),
        policy="".join(map(_grant, targets)),
        authenticators=("machines",),
    )


def together(*more: More) -> More:
    """One after the other."""
    return More(
        main="".join(each.main for each in more),
        targets="".join(each.targets for each in more),
        policy="".join(each.policy for each in more),
        authenticators=tuple(name for each in more for name in each.authenticators),
        maskers=tuple(name for each in more for name in each.maskers),
        guards=tuple(name for each in more for name in each.guards),
    )


_IDENTITIES = f"""
[addon.machines]
use = "known-identities"

[[addon.machines.identity]]
subject = "{MACHINE}"
groups = ["{GROUP}"]
addresses = ["127.0.0.1/32"]
certificates = ["dns:{MACHINE}.example"]
"""


def _listener(door: TcpDoor) -> str:
    tls = 'plaintext = "loopback"'
    if door.client_ca is not None:
        files = {
            "certificate": door.secrets / "gateway.crt",
            "key": door.secrets / "gateway.key",
            "client_ca": door.client_ca,
        }
        tls = "\n".join(f"{name} = {json.dumps(str(path))}" for name, path in files.items())
    return f"""
[[listen]]
name = {json.dumps(door.name)}
protocol = "tcp"
addresses = ["127.0.0.1"]
port = {door.port}
target = {json.dumps(door.target)}
{tls}
"""


def _target(target: TcpTarget) -> str:
    return f"""
[[target]]
name = {json.dumps(target.name)}
protocol = "tcp"
host = {json.dumps(target.host)}
port = {target.port}
zone = "EU"
country = {json.dumps(target.country)}
allow_loopback = true

[target.accounts]
{ACCOUNT} = ""
"""


def _grant(target: TcpTarget) -> str:
    if not target.roles:
        return ""
    return f"""
[[grant]]
name = {json.dumps(f"{target.name}-from-europe")}
roles = {json.dumps(target.roles)}
targets = {json.dumps([target.name])}
accounts = {json.dumps([ACCOUNT])}
zone = "EU"
client_zones = ["EU", "CH"]
duration_s_max = 28800
"""
