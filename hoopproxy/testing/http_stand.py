"""What stands in a stand's files so that its gateway speaks HTTP: listeners with a CA of their own, and targets.

For tests and demonstrations. Knows the shape of the files and nothing of processes.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from hoopproxy.disk.authority import make_authority
from hoopproxy.testing.certificates import Authority
from hoopproxy.testing.three_files import GROUPS, More, credential

ACCOUNT = "agent"
"""The account of every target."""

LISTENER, CLEAR = "web", "web-clear"
"""The listener in TLS, and the one in the clear; both are reverse and forward proxies."""

DOMAIN = "gw.test"
"""What follows a target's name in the hosts of the reverse proxy (RFC 6761 keeps `test` for tests)."""


@dataclass(frozen=True, slots=True)
class HttpTarget:
    """A server. Who knows its `token` may speak to it, and nobody but `roles` may come to it through the gateway.

    It proves to be `server_name` by a certificate of `ca_file`; without that it is spoken to in the clear. `settings`
    are lines of TOML for `[target.http]`.
    """

    name: str
    port: int
    token: str = ""
    ca_file: Path | None = None
    server_name: str = "localhost"
    host: str = "localhost"
    country: str = "DE"
    settings: str = ""
    roles: tuple[str, ...] = tuple(GROUPS)

    @property
    def authority(self) -> str:
        """By which clients of the forward proxy call it."""
        return f"{self.host}:{self.port}"

    @property
    def scheme(self) -> str:
        """What is spoken to it."""
        return "http" if self.ca_file is None else "https"


class HttpSite:
    """Certificates and credentials in `secrets`, and the TOML that names them: `more`.

    `ca_file` is what clients trust on the forward proxy; the listeners' own certificate is one of `authority`'s, for
    each target's host under the domain and those of `names`.
    """

    def __init__(
        self, secrets: Path, authority: Authority, targets: Sequence[HttpTarget], *, names: Sequence[str] = ()
    ) -> None:
        self.targets = {target.name: target for target in targets}
        for directory in (secrets, secrets / "credentials"):
            directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.ca_file = secrets / "web-ca.pem"
        make_authority(self.ca_file, secrets / "web-ca.key", secrets / "web-ca.pass", "stand", 30, ())
        hosts = [host_of(name) for name in (*self.targets, *names)]
        leaf = authority.issue(f"web-{secrets.parent.name}", dns=(DOMAIN, "localhost", *hosts), ips=("127.0.0.1",))
        for target in targets:
            if target.token:
                path = secrets / "credentials" / f"{credential(target.name, ACCOUNT)}.toml"
                path.touch(0o600)
                path.write_text(f'username = "{ACCOUNT}"\npassword = {_toml(target.token)}\n')
        tls = f"certificate = {_toml(leaf.certificate_file)}\nkey = {_toml(leaf.key_file)}"
        self.more = More(
            main=_listener(LISTENER, secrets, tls) + _listener(CLEAR, secrets, 'plaintext = "loopback"'),
            targets="".join(map(_target, targets)),
            policy="".join(map(_grant, targets)),
        )


def host_of(name: str) -> str:
    """The host by which the reverse proxy knows a target."""
    return f"{name}.{DOMAIN}"


def _listener(name: str, secrets: Path, tls: str) -> str:
    return f"""
[[listen]]
name = {_toml(name)}
protocol = "http"
addresses = ["127.0.0.1"]
port = 0
domain = {_toml(DOMAIN)}
authority = {_toml(secrets / "web-ca.pem")}
authority_key = {_toml(secrets / "web-ca.key")}
authority_passphrase_file = {_toml(secrets / "web-ca.pass")}
{tls}
"""


def _target(target: HttpTarget) -> str:
    tls = ""
    if target.ca_file is not None:
        tls = f"[target.tls]\nserver_name = {_toml(target.server_name)}\nca = {_toml(target.ca_file)}\n"
    return f"""
[[target]]
name = {_toml(target.name)}
protocol = "http"
host = {_toml(target.host)}
port = {target.port}
zone = "EU"
country = {_toml(target.country)}
allow_loopback = true

[target.http]
{target.settings}

{tls}
[target.accounts]
{ACCOUNT} = {_toml(credential(target.name, ACCOUNT) if target.token else "")}
"""


def _grant(target: HttpTarget) -> str:
    if not target.roles:
        return ""
    return f"""
[[grant]]
name = {_toml(f"{target.name}-from-europe")}
roles = {_toml(target.roles)}
targets = {_toml([target.name])}
accounts = {_toml([ACCOUNT])}
zone = "EU"
client_zones = ["EU", "CH"]
duration_s_max = 28800
"""


def _toml(value: str | Path | Sequence[str]) -> str:
    """A text or an array of texts: JSON's are TOML's, too, if all characters are escaped."""
    return json.dumps(str(value) if isinstance(value, Path) else value)
