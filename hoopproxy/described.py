"""What a gateway with this configuration would be: listeners, whom each role asks, targets, addons.

For `twistd hoopproxy --check` and `hoopproxy check` alike. Opens nothing.
"""

from dataclasses import asdict
from typing import Any

from hoopproxy.config.model import Config
from hoopproxy.model import Endpoint
from hoopproxy.registry import Addons


def described(config: Config, addons: Addons) -> dict[str, Any]:
    """What would run, as JSON can say it."""
    portal = config.portal
    return {
        "gateway": {"name": config.gateway.name, "zone": config.gateway.zone, "country": config.gateway.country},
        "digest": config.digest,
        "storage": {"country": config.storage_country},
        "policy": {
            "revision": config.policy.number,
            "sha256": config.policy.revision,
            "signers": sorted(config.bundle.signatures) if config.bundle else [],
        },
        "listeners": [
            {
                "name": one.name,
                "protocol": one.protocol,
                "endpoints": [str(Endpoint(address, one.port)) for address in one.addresses],
                "plaintext": one.plaintext.value,
            }
            for one in config.listeners
        ],
        "portal": {"url": portal.url, "endpoints": [str(Endpoint(each, portal.port)) for each in portal.addresses]}
        if portal
        else None,
        "roles": asdict(config.roles),
        "targets": [
            {
                "name": one.name,
                "protocol": one.protocol,
                "host": one.host,
                "port": one.port,
                "zone": one.zone,
                "country": one.country,
                "accounts": sorted(one.accounts),
            }
            for one in config.targets.values()
        ],
        "addons": [
            {"name": name, "use": config.addons[name].use, "from": origin, "sha256": digest}
            for name, origin, digest in addons.provenance
        ],
    }


def lines(config: Config, addons: Addons) -> list[str]:
    """The same for people."""
    found = described(config, addons)
    gateway = found["gateway"]
    said = [
        f"gateway {gateway['name']} in {gateway['country']}, zone {gateway['zone']}: configuration is fine",
        f"evidence lies in {found['storage']['country']}; configuration {found['digest'][:16]}",
    ]
    if signers := found["policy"]["signers"]:
        said.append(f"policy: revision {found['policy']['revision']}, signed by {', '.join(signers)}")
    for one in found["listeners"]:
        places = ", ".join(one["endpoints"])
        said.append(f"listener {one['name']}: {one['protocol']} on {places}, plaintext {one['plaintext']}")
    if portal := found["portal"]:
        said.append(f"portal {portal['url']} on {', '.join(portal['endpoints'])}")
    for role, names in found["roles"].items():
        asked = (names,) if isinstance(names, str) else names
        said.append(f"{role}: {', '.join(f'{name} ({config.addons[name].use})' for name in asked) or 'none'}")
    for one in found["targets"]:
        said.append(
            f"target {one['name']}: {one['protocol']}, zone {one['zone']}, accounts {', '.join(one['accounts'])}"
        )
    for one in found["addons"]:
        said.append(f"addon {one['name']}: {one['use']} of {one['from']}, sha256 {one['sha256'][:16]}")
    return said
