"""SCRAM-SHA-256 and SCRAM-SHA-256-PLUS from the client's side (RFC 5802, RFC 7677), as three messages.

Pure: the nonce is given. Trusts nothing of the server: it must prove that it knows the password, too.
"""

import base64
import binascii
import hashlib
import hmac
import re
import stringprep
import unicodedata
from functools import lru_cache

from hoopproxy.errors import UpstreamRefused
from hoopproxy.proofs import Secret

PLAIN, PLUS = "SCRAM-SHA-256", "SCRAM-SHA-256-PLUS"

ITERATIONS_MIN = 4096
"""RFC 7677 §4: what a server should at least ask for; PostgreSQL's default."""

ITERATIONS_MAX = 600_000
"""What OWASP's Password Storage Cheat Sheet asks of PBKDF2-HMAC-SHA256: up to a second of computing, once per secret.
A target can't hold up the gateway by asking for more."""

_CHALLENGE = re.compile(r"r=([!-+\--~]+),s=([^,]*),i=([1-9][0-9]{0,8})")
"""server-first-message (RFC 5802 §7): a nonce of what is printable, and no extensions, as in libpq."""

SALT_BYTES_MAX = 1024


class Scram:
    """One exchange: `first`, then `reply` to the server's challenge, then `check` its proof. `iterations_min` is the
    least that the server may ask for.

    `end_point` is the hash of the server's certificate (RFC 5929 §4), b"" where there is none to bind to. With it,
    PLAIN tells the server that we could have bound the channel: one that offered PLUS, and whose offer was cut out on
    the way, refuses then (RFC 5802 §6).
    """

    def __init__(
        self,
        password: Secret,
        nonce: str,
        mechanism: str,
        end_point: bytes = b"",
        iterations_min: int = ITERATIONS_MIN,
    ) -> None:
        self.mechanism = mechanism
        self._password, self._nonce, self._iterations_min = password, nonce, iterations_min
        if mechanism == PLUS:
            self._header, bound = "p=tls-server-end-point,,", end_point
        else:
            self._header, bound = "y,," if end_point else "n,,", b""
        self._binding = base64.b64encode(self._header.encode() + bound).decode()
        self._bare = f"n=,r={nonce}"
        self._server_signature = b""

    def first(self) -> bytes:
        """client-first-message. The user's name is in the startup message, so it is empty here (as libpq sends it)."""
        return (self._header + self._bare).encode()

    def reply(self, challenge: bytes) -> bytes:
        """client-final-message. @raise UpstreamRefused: the challenge is none that an honest server sends."""
        if self._server_signature:
            raise _refused("it sends a second SCRAM challenge")  # each may cost a second of computing
        text = _ascii(challenge)
        found = _CHALLENGE.fullmatch(text)
        if found is None:
            raise _refused("its SCRAM challenge is malformed")
        nonce, encoded, iterations = found.groups()
        try:
            salt = base64.b64decode(encoded, validate=True)
        except binascii.Error as why:
            raise _refused("its SCRAM salt is no base64") from why
        if not 0 < len(salt) <= SALT_BYTES_MAX:
            raise _refused(f"its SCRAM salt has {len(salt)} bytes, wanted are 1 to {SALT_BYTES_MAX}")
        if not nonce.startswith(self._nonce) or nonce == self._nonce:
            raise _refused("its SCRAM nonce does not continue ours")
        if not self._iterations_min <= int(iterations) <= ITERATIONS_MAX:
            raise _refused(
                f"it asks for {iterations} iterations, wanted are {self._iterations_min} to {ITERATIONS_MAX}"
            )
        client_key, server_key = _keys(_prepared(self._password.reveal()), salt, int(iterations))
        final = f"c={self._binding},r={nonce}"
        message = f"{self._bare},{text},{final}".encode()
        signature = _hmac(hashlib.sha256(client_key).digest(), message)
        proof = bytes(key ^ sign for key, sign in zip(client_key, signature, strict=True))
        self._server_signature = _hmac(server_key, message)
        return f"{final},p={base64.b64encode(proof).decode()}".encode()

    def check(self, outcome: bytes) -> None:
        """server-final-message. @raise UpstreamRefused: the server does not know the password."""
        wanted = b"v=" + base64.b64encode(self._server_signature)
        if not self._server_signature or not hmac.compare_digest(wanted, outcome):
            raise _refused("it could not prove that it knows the password")


def verifier(password: Secret, salt: bytes, iterations: int) -> str:
    """What PostgreSQL keeps of a password, and takes in the place of one (manual, "pg_authid"): it never sees the
    password itself, and neither does its log."""
    client_key, server_key = _keys(_prepared(password.reveal()), salt, iterations)
    stored_key = hashlib.sha256(client_key).digest()
    encoded_salt, stored, server = (base64.b64encode(part).decode() for part in (salt, stored_key, server_key))
    return f"{PLAIN}${iterations}:{encoded_salt}${stored}:{server}"


def end_point(certificate_der: bytes, signature_hash: str | None) -> bytes:
    """tls-server-end-point (RFC 5929 §4.1): MD5 and SHA-1 count as SHA-256; b"" where a signature names no hash."""
    name = "sha256" if signature_hash in ("md5", "sha1") else signature_hash
    if name is None or name not in hashlib.algorithms_available:
        return b""
    return hashlib.new(name, certificate_der).digest()


@lru_cache(maxsize=256)
def _keys(password: bytes, salt: bytes, iterations: int) -> tuple[bytes, bytes]:
    """ClientKey and ServerKey: milliseconds to compute, and the same for each login with one secret."""
    salted = hashlib.pbkdf2_hmac("sha256", password, salt, iterations)
    return _hmac(salted, b"Client Key"), _hmac(salted, b"Server Key")


def _hmac(key: bytes, message: bytes) -> bytes:
    return hmac.new(key, message, hashlib.sha256).digest()


def _prepared(password: str) -> bytes:
    """SASLprep (RFC 4013), and the bytes as they are where it does not apply, as PostgreSQL does."""
    if password.isascii():
        return password.encode()
    mapped = "".join(
        " " if stringprep.in_table_c12(character) else character
        for character in password
        if not stringprep.in_table_b1(character)
    )
    prepared = unicodedata.normalize("NFKC", mapped)
    is_prohibited = any(is_in(character) for character in prepared for is_in in _PROHIBITED)
    return (password if is_prohibited or not _is_one_way(prepared) else prepared).encode()


_PROHIBITED = (
    stringprep.in_table_c12,
    stringprep.in_table_c21_c22,
    stringprep.in_table_c3,
    stringprep.in_table_c4,
    stringprep.in_table_c5,
    stringprep.in_table_c6,
    stringprep.in_table_c7,
    stringprep.in_table_c8,
    stringprep.in_table_c9,
    stringprep.in_table_a1,
)


def _is_one_way(text: str) -> bool:
    """Not empty; and where it is written from right to left, so are its ends, and nothing else (RFC 3454 §6)."""
    to_left = [stringprep.in_table_d1(character) for character in text]
    if not any(to_left):
        return bool(text)
    return to_left[0] and to_left[-1] and not any(map(stringprep.in_table_d2, text))


def _ascii(message: bytes) -> str:
    try:
        return message.decode("ascii")
    except UnicodeDecodeError as why:
        raise _refused("its SCRAM challenge is no ASCII text") from why


def _refused(what: str) -> UpstreamRefused:
    return UpstreamRefused(
        "The gateway could not log in to the target; tell the operator of the gateway.",
        detail=f"the target failed SCRAM: {what}",
    )
