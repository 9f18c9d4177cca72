"""The algorithms of SSH's key exchange and signatures that we offer and take: none that is broken or nearly so.

Ciphers and MACs are `packing`'s. Knows no connection.
"""

from hoopproxy.model import Side

KEY_EXCHANGES = [
    b"mlkem768x25519-sha256",
    b"curve25519-sha256",
    b"curve25519-sha256@libssh.org",
    b"ecdh-sha2-nistp256",
    b"ecdh-sha2-nistp384",
    b"ecdh-sha2-nistp521",
]
"""In order of preference. Conch does the first of them as a server only."""

SIGNATURES = [
    b"ssh-ed25519",
    b"ecdsa-sha2-nistp256",
    b"ecdsa-sha2-nistp384",
    b"ecdsa-sha2-nistp521",
    b"rsa-sha2-512",
    b"rsa-sha2-256",
]
"""How hosts prove themselves to us, in order of preference: RFC 8709, 5656, 8332."""

USER_SIGNATURES = [*SIGNATURES, b"sk-ssh-ed25519@openssh.com", b"sk-ecdsa-sha2-nistp256@openssh.com"]
"""How clients may prove themselves to us."""

STRICT = {Side.CLIENT: b"kex-strict-c-v00@openssh.com", Side.SERVER: b"kex-strict-s-v00@openssh.com"}
"""What either end says among its key exchanges if it is strict (OpenSSH's PROTOCOL §1.10, against CVE-2023-48795)."""


def key_format(signature: bytes) -> bytes:
    """The format of the keys that make such signatures (RFC 8332 §3: one format, several signatures)."""
    return b"ssh-rsa" if signature.startswith(b"rsa-") else signature
