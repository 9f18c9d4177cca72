"""SSH keys as programs keep them: OpenSSH's private file, the public line, the fingerprint; for tests and demos.

Knows no connection and no certificate.
"""

import base64
import hashlib
import os
from dataclasses import dataclass, field
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

RSA_BITS = 2048
"""As long as they must be; longer ones take a second to make."""

KINDS = ("ed25519", "ecdsa", "rsa")


@dataclass(frozen=True, slots=True)
class SshKey:
    """`private` is OpenSSH's PEM without passphrase, `public` one line as in authorized_keys, without a comment."""

    private: str = field(repr=False)
    public: str

    @property
    def blob(self) -> bytes:
        """The public key as RFC 4253 §6.6 has it."""
        return base64.b64decode(self.public.split()[1])

    @property
    def fingerprint(self) -> str:
        """As `ssh-keygen -l` prints it: `SHA256:` and 43 characters of Base64."""
        return "SHA256:" + base64.b64encode(hashlib.sha256(self.blob).digest()).decode().rstrip("=")

    def write(self, path: Path) -> Path:
        """A new file for its owner alone, and beside it the public line in `path.pub`; `path`."""
        with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            file.write(self.private)
        path.with_name(path.name + ".pub").write_text(self.public + "\n")
        return path


def new_key(kind: str = "ed25519") -> SshKey:
    """A new key of one of the `KINDS`; `ecdsa` is P-256."""
    key: ed25519.Ed25519PrivateKey | ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey
    match kind:
        case "ed25519":
            key = ed25519.Ed25519PrivateKey.generate()
        case "ecdsa":
            key = ec.generate_private_key(ec.SECP256R1())
        case "rsa":
            key = rsa.generate_private_key(65537, RSA_BITS)
        case _:
            raise ValueError(f"no such kind of key: {kind}")
    return SshKey(
        key.private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption()).decode(),
        key.public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH).decode(),
    )
