"""Writes the three configuration files of a stand: a gateway in Frankfurt before databases, and more, on this machine.

Knows the shape of the files and nothing of processes. The files are meant to be read: the demonstration shows them.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

ISSUER_URL = "https://id.hoopproxy.test"
"""What the local identity provider calls itself; nobody asks it, its keys come from a file."""

NETWORKS = {"127.0.0.0/24": "DE", "127.0.1.0/24": "DE", "127.0.2.0/24": "CH", "127.0.3.0/24": "US", "::1/128": "DE"}
"""Where the addresses of this machine lie, as far as a stand is concerned; of the rest nothing is known."""

GROUPS = {"analyst": "analysts", "fraud": "fraud"}
"""Each role of a stand and the group that gives it."""

MASKS = """\
[[mask]]
target = "ledger"
column = "public.customers.card"
mask = { partial = { first = 0, last = 4 } }
# Fraud officers see card numbers, as long as they sit in the EU.
reveal = [{ roles = ["fraud"], client_zones = ["EU"] }]

[[mask]]
target = "ledger"
column = "public.customers.email"
mask = { partial = { first = 1, last = 0 } }
reveal = [{ roles = ["fraud"], client_zones = ["EU"] }]

[[mask]]
target = "ledger"
column = "public.customers.ssn"
mask = "redact"
"""
"""What nobody, or not everybody, sees of the sample database."""


@dataclass(frozen=True, slots=True)
class More:
    """What stands in the files beside PostgreSQL: TOML for the end of each, and names for three of the roles.

    `authenticators` are asked behind `corp`, `guards` behind `kinds`, `maskers` behind `masks`; their `[addon.NAME]`
    tables belong into `main`.
    """

    main: str = ""
    targets: str = ""
    policy: str = ""
    authenticators: tuple[str, ...] = ()
    maskers: tuple[str, ...] = ()
    guards: tuple[str, ...] = ()


NO_MORE = More()


@dataclass(frozen=True, slots=True)
class Site:
    """What the files speak of. Paths are absolute; `port` 0 takes any free one. `targets` maps each target's name,
    which is its database's name too, to its account names; all are on `database_host:database_port`. Those in `kept`
    keep their masks themselves, as far as `accepted` (TOML for each one's `accept`) allows; `enforcement` are lines for
    the addon that has them do it.
    """

    directory: Path
    state: Path
    secrets: Path
    port: int
    addresses: tuple[str, ...]
    issuer_url: str
    jwks_file: Path
    targets: Mapping[str, tuple[str, ...]]
    database_host: str
    database_port: int
    database_ca: Path
    server_name: str
    masks: str = MASKS
    limits: str = ""
    recorder: str = ""
    more: More = NO_MORE
    kept: frozenset[str] = frozenset()
    accepted: str = ""
    enforcement: str = ""


def write(site: Site) -> Path:
    """Write hoopproxy.toml, targets.toml and policy.toml into `site.directory`; the path of the first."""
    site.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    main = site.directory / "hoopproxy.toml"
    main.write_text(_main(site))
    (site.directory / "targets.toml").write_text(_targets(site))
    (site.directory / "policy.toml").write_text(_policy(site))
    return main


def credential(target: str, account: str) -> str:
    """What the files call the credential of an account."""
    return f"{target}-{account}"


def provisioner(target: str) -> str:
    """What the files call the credential with which masks are made in a target."""
    return credential(target, "provisioner")


def _main(site: Site) -> str:
    networks = ", ".join(f"{_toml(network)} = {_toml(country)}" for network, country in NETWORKS.items())
    return f"""\
# hoopproxy.toml: the gateway itself. Owner: operations.

[gateway]
name = "gw-fra-1"
zone = "EU"
country = "DE"
state_dir = {_toml(site.state)}
pseudonym_key = {_toml(site.secrets / "pseudonym.key")}

[storage]
country = "DE"

[limits]
{site.limits}
[[listen]]
name = "front"
protocol = "postgres"
addresses = {_toml(site.addresses)}
port = {site.port}
certificate = {_toml(site.secrets / "gateway.crt")}
key = {_toml(site.secrets / "gateway.key")}

[roles]
authenticators = {_toml(("corp", *site.more.authenticators))}
router = "targets"
grants = ["asked", "standing"]
residency = ["declared", "networks"]
credentials = ["vault"]
guards = {_toml(("kinds", *site.more.guards))}
maskers = {_toml(("masks", *site.more.maskers))}
enforcement = "enforcement"
recorder = "recorder"
evidence = "log"

[addon.corp]
use = "oidc"
issuer = {_toml(site.issuer_url)}
audience = "hoopproxy"
jwks_file = {_toml(site.jwks_file)}

[addon.targets]
use = "targets-file"

[addon.asked]
use = "access-requests"

[addon.standing]
use = "policy-grants"

[addon.vault]
use = "file-credentials"
directory = {_toml(site.secrets / "credentials")}

[addon.declared]
use = "declared"

# A map of this machine's own addresses, so that clients on it can sit in several countries.
[addon.networks]
use = "cidr-map"
dated = {datetime.now(UTC):%Y-%m-%d}
networks = {{ {networks} }}

[addon.kinds]
use = "statement-kinds"

[addon.masks]
use = "column-masks"

[addon.enforcement]
{_enforcement(site)}
[addon.recorder]
use = "encrypted-recorder"
directory = {_toml(site.state / "recordings")}
zone_key = {_toml(site.secrets / "zone.pub")}
sealed_key = {_toml(site.secrets / "sealed.pub")}
{site.recorder}
[addon.log]
use = "log-file"
directory = {_toml(site.state / "log")}
segment_bytes = 4194304
reserve_bytes = 65536
{site.more.main}"""


def _targets(site: Site) -> str:
    tables = "".join(
        f"""
[[target]]
name = {_toml(name)}
protocol = "postgres"
host = {_toml(site.database_host)}
port = {site.database_port}
zone = "EU"
country = "DE"
databases = [{_toml(name)}]
# It is on this machine; in real life nobody needs this.
allow_loopback = true

{_masks(site, name)}
[target.tls]
server_name = {_toml(site.server_name)}
ca = {_toml(site.database_ca)}

[target.accounts]
{"".join(f"{account} = {_toml(credential(name, account))}\n" for account in accounts)}"""
        for name, accounts in site.targets.items()
    )
    head = "# targets.toml: what may be reached, and where it lies. Owner: the data stewards.\n"
    return head + tables + site.more.targets


def _enforcement(site: Site) -> str:
    if not site.kept:
        return f'use = "wire-enforcement"\n{site.enforcement}'
    return f"""\
use = "server-enforcement"
login_key = {_toml(site.secrets / "login.key")}
{site.enforcement}"""


def _masks(site: Site, name: str) -> str:
    if name not in site.kept:
        return """\
# Results are masked on their way: nothing is made in the database.
[target.masks]
enforcement = "wire"
"""
    return f"""\
# The database keeps the masks itself; they are made there with this credential.
[target.masks]
provisioner = {_toml(provisioner(name))}
{site.accepted}"""


def _policy(site: Site) -> str:
    roles = "".join(f"\n[[role]]\nname = {_toml(role)}\ngroups = [{_toml(group)}]\n" for role, group in GROUPS.items())
    accounts = sorted({account for accounts in site.targets.values() for account in accounts})
    return f"""\
# policy.toml: who may do what, and what they don't see. Owner: security.
{roles}
[[grant]]
name = "read-from-europe"
roles = {_toml(tuple(GROUPS))}
targets = {_toml(tuple(site.targets))}
accounts = {_toml(tuple(accounts))}
zone = "EU"
client_zones = ["EU", "CH"]
duration_s_max = 28800

{site.masks}{site.more.policy}"""


def _toml(value: str | Path | tuple[str, ...]) -> str:
    """A text or an array of texts. JSON's are TOML's, too (TOML 1.0, basic strings), if all characters are escaped."""
    return json.dumps(list(value) if isinstance(value, tuple) else str(value))
