"""Keys, signatures and payloads of authentication (RFC 4252), made without the code under test. Knows no state."""

import struct
from functools import cache

from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA1, SHA256, SHA512
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from fuzz.choices import Choices, damaged
from tests.wire.ssh.speech import string

ED25519 = ed25519.Ed25519PrivateKey.from_private_bytes(b"7" * 32)
ECDSA = ec.derive_private_key(7**70, ec.SECP256R1())


@cache
def rsa_key() -> rsa.RSAPrivateKey:
    """Made when it is first wanted."""
    return rsa.generate_private_key(65537, 2048)


def number(value: int) -> bytes:
    """An mpint."""
    return string(value.to_bytes(value.bit_length() // 8 + 1))


def blob(kind: bytes) -> bytes:
    """The public key of a kind, as it goes over the wire."""
    if kind == b"ssh-ed25519":
        return string(kind) + string(ED25519.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw))
    if kind == b"ecdsa-sha2-nistp256":
        point = ECDSA.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
        return string(kind) + string(b"nistp256") + string(point)
    public = rsa_key().public_key().public_numbers()
    return string(b"ssh-rsa") + number(public.e) + number(public.n)


def signature(kind: bytes, over: bytes) -> bytes:
    """Made with that algorithm."""
    if kind == b"ssh-ed25519":
        return string(kind) + string(ED25519.sign(over))
    if kind == b"ecdsa-sha2-nistp256":
        r, s = decode_dss_signature(ECDSA.sign(over, ec.ECDSA(SHA256())))
        return string(kind) + string(number(r) + number(s))
    hashes = {b"rsa-sha2-512": SHA512(), b"rsa-sha2-256": SHA256(), b"ssh-rsa": SHA1()}
    return string(kind) + string(rsa_key().sign(over, padding.PKCS1v15(), hashes[kind]))


def has_signed(kind: bytes, shown: bytes, made: bytes, over: bytes) -> bool:
    """Whether it is a signature of ours of that kind, made with the key that is shown."""
    if kind not in ALGORITHMS[:4] or shown != blob(kind):
        return False
    if kind == b"ssh-ed25519" or kind.startswith(b"rsa"):
        return made == signature(kind, over)  # neither has any choice in it
    size = int.from_bytes(made[len(kind) + 8 : len(kind) + 12])
    r, at = made[len(kind) + 12 : len(kind) + 12 + size], len(kind) + 12 + size
    s = made[at + 4 :]
    pair = encode_dss_signature(int.from_bytes(r), int.from_bytes(s))
    ECDSA.public_key().verify(pair, over, ec.ECDSA(SHA256()))
    return made.startswith(string(kind))


ALGORITHMS = (b"ssh-ed25519", b"ecdsa-sha2-nistp256", b"rsa-sha2-512", b"rsa-sha2-256", b"ssh-rsa")
ODD_BLOBS = (
    b"",
    string(b"ssh-ed25519"),
    string(b"ssh-ed25519") + string(b"x" * 31),
    string(b"ssh-ed25519") + string(b"x" * 32) + b"more",
    string(b"ssh-rsa") + number(3) + number(2**2047 + 1),
    string(b"ssh-rsa") + number(2**64 + 1) + number(2**4095 + 1),
    string(b"ssh-rsa") + number(0) + number(0),
    string(b"ssh-rsa") + string(b"\xff") + string(b"\xff" * 256),
    string(b"ssh-dss") + number(5) * 4,
    string(b"ecdsa-sha2-nistp256") + string(b"nistp521") + string(b"\4" + bytes(64)),
    string(b"ecdsa-sha2-nistp256") + string(b"nistp256") + string(b"\0"),
    string(b"ecdsa-sha2-nistp384") + string(b"nistp384") + string(b""),
    string(b"sk-ssh-ed25519@openssh.com") + string(b"x" * 32) + string(b"ssh:"),
    string(b"sk-ecdsa-sha2-nistp256@openssh.com") + string(b"nistp256") + string(b"\4") + string(b"ssh:"),
    string(b"ssh-ed25519-cert-v01@openssh.com") + string(b"x" * 32),
)
USERS = (b"box", b"reader+box", b"root+box", b"", b"\xff", b"a\nb", b"x" * 300)
SERVICES = (b"ssh-connection", b"ssh-connection", b"ssh-connection", b"ssh-userauth", b"")
SESSION, OTHER_SESSION = b"s" * 32, b"o" * 32


def head(choices: Choices, method: bytes) -> bytes:
    """A request up to its method's own."""
    return b"\x32" + string(choices.pick(USERS)) + string(choices.pick(SERVICES)) + string(method)


def client_says(choices: Choices) -> bytes:
    """One payload of a client's that logs in."""
    said = choices.call(*_CLIENT)
    return (damaged(choices, said) or b"\0") if choices.byte() & 15 == 15 else said


def _proof(choices: Choices) -> bytes:
    """Signed, and perhaps for something else than it says."""
    kind = choices.pick(ALGORITHMS)
    said = head(choices, b"publickey") + b"\1" + string(kind) + string(blob(kind))
    over, by = said, kind
    match choices.below(8):
        case 5:
            over = head(choices, b"publickey") + b"\1" + string(kind) + string(blob(kind))
        case 6:
            return said + string(signature(kind, string(OTHER_SESSION) + said))
        case 7:
            by = choices.pick(ALGORITHMS)
    return said + string(signature(by, string(SESSION) + over))


def _asks(choices: Choices) -> bytes:
    kind = choices.pick(
        (*ALGORITHMS, b"ssh-dss", b"ssh-ed25519-cert-v01@openssh.com", *(_kind(one) for one in ODD_BLOBS))
    )
    shown = choices.call(lambda choices: blob(choices.pick(ALGORITHMS)), lambda choices: choices.pick(ODD_BLOBS))
    said = head(choices, b"publickey") + bytes((choices.below(2),)) + string(kind) + string(shown)
    return said + choices.pick((b"", string(string(kind) + string(choices.some(70)))))


def _kind(shown: bytes) -> bytes:
    return shown[4 : 4 + int.from_bytes(shown[:4])]


_CLIENT = (
    _proof,
    _proof,
    _asks,
    _asks,
    lambda choices: head(choices, b"none"),
    lambda choices: head(choices, b"password") + b"\0" + string(choices.pick((b"token", b"", b"\xff", b"t" * 70_000))),
    lambda choices: head(choices, b"password") + b"\1" + string(b"token") + string(b"new"),
    lambda choices: head(choices, b"keyboard-interactive") + string(b"") + string(b""),
    lambda choices: b"\x3d" + struct.pack("!I", choices.pick((1, 1, 1, 0, 2, 2**32 - 1))) + string(b"token"),
    lambda choices: head(choices, choices.pick((b"hostbased", b"gssapi-with-mic", b""))) + choices.some(20),
    lambda choices: bytes((choices.pick((50, 51, 52, 53, 60, 61, 66, 79)),)) + choices.some(40),
)
