"""Which keys of a [[listen]] table mean something where a protocol is spoken: one that does not is a mistake.

A key that is silently ignored may be somebody's only lock. Knows no protocol.
"""

from hoopproxy.errors import ConfigError
from hoopproxy.settings import ListenerSettings, Plaintext

_KEYS = {
    "certificate": "certificate_file",
    "key": "key_file",
    "client_ca": "client_ca_file",
    "client_certificate": "is_client_certificate_optional",
    "host_keys": "host_key_files",
    "target": "target",
    "account": "account",
    "domain": "domain",
    "authority": "authority_file",
    "authority_key": "authority_key_file",
    "authority_passphrase_file": "authority_passphrase_file",
}
"""The optional keys, and where their values are."""


def expect(settings: ListenerSettings, *keys: str, plaintext: tuple[Plaintext, ...] = (Plaintext.NEVER,)) -> None:
    """@raise ConfigError: a key is set that is none of these, or `plaintext` to something else."""
    problems = [
        f"listen.{settings.name}.{key} is set, which means nothing where {settings.protocol} is spoken; take it out."
        for key, field in _KEYS.items()
        if key not in keys and getattr(settings, field)
    ]
    if settings.is_client_certificate_optional and not settings.client_ca_file and "client_certificate" in keys:
        problems.append(
            f'listen.{settings.name}.client_certificate is "optional", and there is no client_ca; wanted is the '
            "authority that clients' certificates come from, or neither."
        )
    if settings.plaintext not in plaintext:
        values = " or ".join(f'"{each.value}"' for each in plaintext)
        problems.append(
            f'listen.{settings.name}.plaintext is "{settings.plaintext.value}"; where {settings.protocol} is spoken, '
            f"wanted is {values}."
        )
    if problems:
        raise ConfigError(tuple(problems))
