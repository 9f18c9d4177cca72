"""The gateway's own SSH host keys, from files. Knows no client."""

from collections.abc import Mapping
from pathlib import Path

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import load_pem_private_key, load_ssh_private_key
from twisted.conch.ssh.keys import Key

from hoopproxy.errors import ConfigError
from hoopproxy.settings import ListenerSettings

WANTED = "an Ed25519, ECDSA or RSA key of 2048 bits or more, in OpenSSH's format or PEM, without a passphrase"
RSA_BITS_MIN = 2048


def host_keys(settings: ListenerSettings) -> Mapping[bytes, Key]:
    """The keys of `settings.host_key_files` by their format, such as `ssh-ed25519`. @raise ConfigError"""
    key = f"listen.{settings.name}.host_keys"
    if not settings.host_key_files:
        raise ConfigError((f"{key} is missing; wanted is at least one file with {WANTED}.",))
    found, problems = dict[bytes, Key](), list[str]()
    for file in settings.host_key_files:
        try:
            made = Key(_load(Path(file).read_bytes()))  # type: ignore[no-untyped-call] # conch's is not annotated
        except (OSError, ValueError, TypeError, UnsupportedAlgorithm) as why:  # TypeError: it has a passphrase
            problems.append(f"{key}: {file} can't be used ({why}); wanted is {WANTED}.")
            continue
        kind = made.sshType()  # type: ignore[no-untyped-call] # as above
        if kind in found:
            problems.append(f"{key}: {file} is a second {kind.decode()} key; wanted is one of each kind.")
        found[kind] = made
    if problems:
        raise ConfigError(tuple(problems))
    return found


def _load(data: bytes) -> ed25519.Ed25519PrivateKey | ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey:
    load = load_ssh_private_key if b"BEGIN OPENSSH PRIVATE KEY" in data else load_pem_private_key
    key = load(data, None)
    match key:
        case ed25519.Ed25519PrivateKey():
            return key
        case ec.EllipticCurvePrivateKey() if key.curve.name in ("secp256r1", "secp384r1", "secp521r1"):
            return key
        case rsa.RSAPrivateKey() if key.key_size >= RSA_BITS_MIN:
            return key
    raise ValueError("it is of another kind")
