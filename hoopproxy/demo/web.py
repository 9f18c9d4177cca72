"""The demonstration's HTTP service and its cluster, the gateway's own CA, and what the three files say of them.

Knows the shape of the files and no tour.
"""

import json
from base64 import b64encode
from collections.abc import Mapping
from contextlib import ExitStack
from http.client import HTTPSConnection
from pathlib import Path
from ssl import create_default_context
from typing import Any

from hoopproxy.disk.authority import make_authority
from hoopproxy.testing.certificates import Authority
from hoopproxy.testing.http_target import CustomerService
from hoopproxy.testing.kubernetes_api import ApiServer
from hoopproxy.testing.stand import ACCOUNT, PEOPLE
from hoopproxy.testing.three_files import GROUPS, More, credential

CRM, CLUSTER = "crm", "prod"
"""A service in JSON, and a cluster."""

WEB, CLUSTERS = "web", "clusters"
"""The gateway's listeners for them."""

DOMAIN = "localhost"
"""`crm.localhost` is the service through the gateway: names below localhost lead to this machine (RFC 6761 §6.3)."""

CA_DAYS = 7

SECRET_NAME, PASSWORD = "shop-database", "correct horse battery staple"
SECRET = {
    "apiVersion": "v1",
    "kind": "Secret",
    "metadata": {"name": SECRET_NAME},
    "type": "Opaque",
    "data": {"password": b64encode(PASSWORD.encode()).decode()},
}
"""Lies in the cluster, in the namespace `default`, beside the pod `web`."""

TOKEN = "a-secret-of-the-gateway-alone"
"""By which the service knows the gateway. It is on this machine, and holds made-up people."""

READ_ONLY = "{target} is read through this gateway and not changed: ask its owner."


class Web:
    """Both servers, running, and `more` for the stand's files; a context manager. `directory` is the stand's.

    @raise OSError: a server can't listen, or a file can't be written.
    """

    def __init__(self, directory: Path, authority: Authority, ports: tuple[int, int]) -> None:
        self._parts = ExitStack()
        self._directory, self._secrets = directory, directory / "secrets"
        (self._secrets / "credentials").mkdir(mode=0o700, parents=True, exist_ok=True)
        self.ca_file = directory / "ca" / "hoopproxy-web.crt"
        key, passphrase = (self._secrets / f"web-ca.{suffix}" for suffix in ("key", "pass"))
        make_authority(self.ca_file, key, passphrase, "hoopproxy demo", CA_DAYS, (DOMAIN,))
        own = authority.issue("servers", dns=("localhost",), ips=("127.0.0.1",))
        shown = authority.issue(WEB, dns=(DOMAIN, f"{CRM}.{DOMAIN}"), ips=("127.0.0.1",))
        certificate = Path(own.certificate_file), Path(own.key_file)
        try:
            self.crm = self._parts.enter_context(CustomerService(certificate, token=TOKEN))
            self.cluster = self._parts.enter_context(ApiServer(certificate, directory / "cluster.log"))
            self._fill(authority)
        except BaseException:
            self.close()
            raise
        tls = {"certificate": shown.certificate_file, "key": shown.key_file}
        forward = {"authority": self.ca_file, "authority_key": key, "authority_passphrase_file": passphrase}
        web = _listener(WEB, "http", ports[0], {"domain": DOMAIN, **tls, **forward})
        clusters = _listener(CLUSTERS, "kubernetes", ports[1], tls)
        users = f"[target.kubernetes]\nusers = {_toml([*PEOPLE])}\ngroups = {_toml([*GROUPS.values()])}\n"
        endpoints = _toml(["/customers", "/customers/{id}"])
        self.more = More(
            main=web + clusters + _RULES,
            targets=_target(CRM, "http", self.crm.port, authority, f"[target.http]\nendpoints = {endpoints}\n")
            + _target(CLUSTER, "kubernetes", self.cluster.port, authority, users),
            policy=_grants() + _MASKS,
            guards=("requests", "verbs"),
            maskers=("fields", "secrets"),
        )
        for target, token in ((CRM, TOKEN), (CLUSTER, self.cluster.token)):
            _write_private(
                self._secrets / "credentials" / f"{credential(target, ACCOUNT)}.toml",
                f"username = {_toml(ACCOUNT)}\npassword = {_toml(token)}\n",
            )

    def __enter__(self) -> "Web":
        return self

    def __exit__(self, *why: object) -> None:
        self.close()

    def close(self) -> None:
        """End both."""
        self._parts.close()

    def _fill(self, authority: Authority) -> None:
        """The cluster has a Secret: its owner made it, past the gateway."""
        cluster = HTTPSConnection(
            "localhost", self.cluster.port, context=create_default_context(cafile=str(authority.ca_file))
        )
        try:
            headers = {"Authorization": f"Bearer {self.cluster.token}", "Impersonate-User": "owner"}
            cluster.request("POST", "/api/v1/namespaces/default/secrets", json.dumps(SECRET), headers)
            cluster.getresponse().read()
        finally:
            cluster.close()

    @property
    def targets(self) -> dict[str, dict[str, Any]]:
        """Where they are, past the gateway, and what they want to see."""
        return {
            CRM: {"protocol": "http", "direct": f"https://localhost:{self.crm.port}", "token": TOKEN},
            CLUSTER: {
                "protocol": "kubernetes",
                "direct": f"https://localhost:{self.cluster.port}",
                "token": self.cluster.token,
            },
        }


_RULES = f"""
# What may be asked, before anything of it leaves.
[addon.requests]
use = "request-rules"

[[addon.requests.rule]]
deny = ["POST,PUT,PATCH,DELETE /**"]
targets = [{json.dumps(CRM)}]
sentence = {json.dumps(READ_ONLY)}

[addon.verbs]
use = "kubernetes-rules"
default = "allow"

[[addon.verbs.rule]]
decision = "deny"
verbs = ["delete", "deletecollection"]
resources = ["*"]

# What of the answers is hidden: by where it stands, as policy.toml says, and the values of all Secrets.
[addon.fields]
use = "field-masks"

[addon.secrets]
use = "kubernetes-secrets"
"""

_MASKS = f"""
[[mask]]
target = {json.dumps(CRM)}
field = "$..email"
mask = {{ partial = {{ first = 1, last = 0 }} }}
# Fraud officers see them, as long as they sit in the EU.
reveal = [{{ roles = ["fraud"], client_zones = ["EU"] }}]
"""


def _listener(name: str, protocol: str, port: int, keys: Mapping[str, object]) -> str:
    more = "".join(f"{key} = {_toml(str(value))}\n" for key, value in keys.items())
    return f"""
[[listen]]
name = {_toml(name)}
protocol = {_toml(protocol)}
addresses = ["127.0.0.1"]
port = {port}
{more}"""


def _target(name: str, protocol: str, port: int, authority: Authority, more: str) -> str:
    return f"""
[[target]]
name = {_toml(name)}
protocol = {_toml(protocol)}
host = "localhost"
port = {port}
zone = "EU"
country = "DE"
allow_loopback = true

[target.tls]
server_name = "localhost"
ca = {_toml(str(authority.ca_file))}

{more}
[target.accounts]
{ACCOUNT} = {_toml(credential(name, ACCOUNT))}
"""


def _grants() -> str:
    return f"""
[[grant]]
name = "web-from-europe"
roles = {_toml([*GROUPS])}
targets = {_toml([CRM, CLUSTER])}
accounts = {_toml([ACCOUNT])}
zone = "EU"
client_zones = ["EU", "CH"]
duration_s_max = 28800
"""


def _write_private(path: Path, content: str) -> None:
    path.touch(0o600)
    path.write_text(content)


def _toml(value: str | list[str]) -> str:
    """A text or an array of texts: JSON's are TOML's, too, if all characters are escaped."""
    return json.dumps(value)
