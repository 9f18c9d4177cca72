"""What stands in a stand's files so that its gateway speaks SSH: a listener, targets, people's keys.

For tests and demonstrations. Knows the shape of the files and nothing of processes.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from hoopproxy.testing.ssh_keys import KINDS, SshKey, new_key
from hoopproxy.testing.three_files import GROUPS, More, credential

ACCOUNT = "app"
"""The account of every target; behind it is whoever the server lets in."""

LISTENER = "ssh"


class SshServer(Protocol):
    """What a target is on: `hoopproxy.testing.sshd.Sshd`, or another that knows these keys."""

    host: str
    port: int
    user: str
    user_key: SshKey
    authority: SshKey

    @property
    def host_key_fingerprints(self) -> tuple[str, ...]:
        """One of them is the key that it shows."""


@dataclass(frozen=True, slots=True)
class SshTarget:
    """A target on a server. The gateway shows it a certificate if `is_minted`, else a key; `settings` is more TOML."""

    name: str
    server: SshServer
    is_minted: bool = False
    settings: str = ""


class SshSite:
    """Keys and credentials in `secrets`, the gateway's and its people's, and the TOML that names them: `more`.

    `people` maps who has SSH keys to their groups; each has one of each of the `kinds`, ada's in `key_file("ada")`.
    """

    def __init__(
        self,
        secrets: Path,
        targets: Sequence[SshTarget],
        people: Mapping[str, Sequence[str]],
        *,
        kinds: Sequence[str] = KINDS[:1],
        port: int = 0,
    ) -> None:
        self.host_key = new_key()
        self._homes = secrets.parent / "people"
        keys = {person: [new_key(kind) for kind in kinds] for person in people}
        credentials = secrets / "credentials"
        for directory in (secrets, credentials, self._homes):
            directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        host_key = self.host_key.write(secrets / "host_ed25519")
        for person in people:
            for kind, key in zip(kinds, keys[person], strict=True):
                key.write(self.key_file(person, kind))
        for target in targets:
            _write_credential(credentials / f"{credential(target.name, ACCOUNT)}.toml", target)
        self.more = More(
            main=_listener(host_key, port) + _identities(keys, people),
            targets="".join(map(_target, targets)),
            policy=_grant([target.name for target in targets]),
            authenticators=("keys",),
        )

    def key_file(self, person: str, kind: str = KINDS[0]) -> Path:
        """Where the person's private key lies, for commands that people copy."""
        return self._homes / f"{person}.{kind}"

    def known_hosts(self, host: str, port: int) -> str:
        """The gateway's line for a client's known_hosts file."""
        return f"[{host}]:{port} {self.host_key.public}\n"


def _write_credential(path: Path, target: SshTarget) -> None:
    kind, key = (
        ("authority_key", target.server.authority) if target.is_minted else ("private_key", target.server.user_key)
    )
    path.touch(0o600)
    path.write_text(f'username = {_toml(target.server.user)}\n{kind} = """\n{key.private}"""\n')


def _listener(host_key: Path, port: int) -> str:
    return f"""
[[listen]]
name = {_toml(LISTENER)}
protocol = "ssh"
addresses = ["127.0.0.1"]
port = {port}
host_keys = {_toml([str(host_key)])}
"""


def _identities(keys: Mapping[str, Sequence[SshKey]], people: Mapping[str, Sequence[str]]) -> str:
    return """
[addon.keys]
use = "known-identities"
""" + "".join(
        f"""
[[addon.keys.identity]]
subject = {_toml(person)}
name = {_toml(person.title())}
groups = {_toml(people[person])}
ssh_keys = {_toml([key.public for key in held])}
"""
        for person, held in keys.items()
    )


def _target(target: SshTarget) -> str:
    return f"""
[[target]]
name = {_toml(target.name)}
protocol = "ssh"
host = {_toml(target.server.host)}
port = {target.server.port}
zone = "EU"
country = "DE"
host_keys = {_toml(target.server.host_key_fingerprints)}
allow_loopback = true
{target.settings}
[target.accounts]
{ACCOUNT} = {_toml(credential(target.name, ACCOUNT))}
"""


def _grant(targets: Sequence[str]) -> str:
    return f"""
[[grant]]
name = "shells-from-europe"
roles = {_toml(tuple(GROUPS))}
targets = {_toml(targets)}
accounts = {_toml([ACCOUNT])}
zone = "EU"
client_zones = ["EU", "CH"]
duration_s_max = 28800
"""


def _toml(value: str | Sequence[str]) -> str:
    """A text or an array of texts: JSON's are TOML's, too, if all characters are escaped."""
    return json.dumps(value)
