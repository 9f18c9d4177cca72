"""SSH user certificates, minted by the gateway for one login: for one account, from one address, for minutes.

The format is OpenSSH's (PROTOCOL.certkeys). Knows no connection and no session.
"""

import secrets
from binascii import a2b_base64
from dataclasses import dataclass

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    SSHCertificateBuilder,
    SSHCertificateType,
    load_ssh_private_key,
)

from hoopproxy.model import IPAddress
from hoopproxy.proofs import Secret

VALID_S = 5 * 60
"""A certificate is shown once, right after it was made; the rest is for slow targets and clocks that differ."""

SKEW_S = 60
"""How far back validity begins, for targets whose clock is behind."""


class UnfitAuthority(Exception):
    """The key can't sign certificates; the text is for the operator and holds nothing of the key."""


@dataclass(frozen=True, slots=True)
class Minted:
    """`private_key` is OpenSSH's PEM without passphrase; `certificate` is of `ssh-ed25519-cert-v01@openssh.com`, as it
    stands in a signature request (RFC 4252 §7)."""

    private_key: Secret
    certificate: bytes


def minted(
    authority: Secret, principal: str, source_address: IPAddress, now_s: float, key_id: str, *, valid_s: int = VALID_S
) -> Minted:
    """A new key and `authority`'s certificate for it: good for a terminal and commands as `principal`, never for
    forwarding, from `source_address` alone, until `valid_s` after `now_s` (Unix time). sshd logs the `key_id`.

    @raise UnfitAuthority
    """
    key = Ed25519PrivateKey.generate()
    builder = (
        SSHCertificateBuilder()
        .public_key(key.public_key())
        .serial(secrets.randbits(64))
        .type(SSHCertificateType.USER)
        .key_id(key_id.encode())
        .valid_principals([principal.encode()])
        .valid_after(int(now_s) - SKEW_S)
        .valid_before(int(now_s) + valid_s)
        .add_critical_option(b"source-address", f"{source_address}/{source_address.max_prefixlen}".encode())
        .add_extension(b"permit-pty", b"")
    )
    try:
        signer = load_ssh_private_key(authority.reveal().encode(), password=None)
        certificate = builder.sign(signer)  # type: ignore[arg-type] # what it can't sign with raises TypeError
    except (ValueError, TypeError, UnsupportedAlgorithm) as why:
        # The cause may quote the key: it is left out on purpose.
        raise UnfitAuthority(
            f"it is no Ed25519, ECDSA or RSA key without passphrase in OpenSSH's format ({type(why).__name__})"
        ) from None
    _, _, blob = certificate.public_bytes().partition(b" ")
    return Minted(
        Secret(key.private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption()).decode()), a2b_base64(blob)
    )
