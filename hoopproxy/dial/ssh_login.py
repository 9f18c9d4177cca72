"""The gateway's login at an SSH target (RFC 4252): each proof that it holds is shown once, and only if it is asked for.

Knows neither the client nor where secrets come from; the target has proved itself before.
"""

from dataclasses import dataclass

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import load_ssh_private_key
from twisted.conch.ssh.keys import Key

from hoopproxy.errors import UpstreamRefused
from hoopproxy.proofs import Secret, TargetSecret
from hoopproxy.ssh.exchange import SERVICE_ACCEPT, ClientExchange, printable
from hoopproxy.wire.ssh import userauth
from hoopproxy.wire.ssh.messages import string
from hoopproxy.wire.ssh.userauth import INTERACTIVE, PASSWORD, PUBLICKEY, Failure

CERTIFICATE = b"ssh-ed25519-cert-v01@openssh.com"

_NONE = b"none"


class UnfitKey(Exception):
    """A key of the gateway's can't be used; the text is for the operator and holds nothing of it."""


@dataclass(frozen=True, slots=True)
class Proof:
    """A key to sign with, and what is shown of it: `shown` is its blob or a certificate for it. Without `algorithm` it
    signs as the target likes."""

    key: Key
    shown: bytes
    algorithm: bytes = b""

    @classmethod
    def by_key(cls, private_key: Secret) -> "Proof":
        """@raise UnfitKey"""
        key = _loaded(private_key)
        return cls(key, key.blob())  # type: ignore[no-untyped-call] # conch's is not annotated

    @classmethod
    def by_certificate(cls, private_key: Secret, certificate: bytes) -> "Proof":
        """For an Ed25519 key. @raise UnfitKey"""
        return cls(_loaded(private_key), certificate, CERTIFICATE)


class Login:
    """One login as `secret.username`, by `proof` or else by the secret's password. `take` payloads of authentication
    until it `is_done`. `whom` says for people whose login where it is."""

    def __init__(self, exchange: ClientExchange, whom: str, secret: TargetSecret, proof: Proof | None) -> None:
        self.is_done = False
        self._exchange, self._whom, self._proof = exchange, whom, proof
        self._user, self._password = secret.username.encode(), secret.password.reveal().encode()
        self._shown = b""
        self._was_told = False

    def take(self, payload: bytes) -> None:
        """@raise UpstreamRefused, ProtocolViolation"""
        match payload[0], self._shown:
            case userauth.BANNER, _:
                pass  # for people, and before anybody is let in
            case number, b"" if number == SERVICE_ACCEPT:
                self._show(_NONE, userauth.request(self._user, _NONE))
            case userauth.SUCCESS, _:
                self.is_done = self._exchange.is_open = True
            case userauth.FAILURE, _:
                self._show_next(Failure.read(payload))
            case userauth.METHOD, method if method == INTERACTIVE:
                self._answer(userauth.questions(payload))
            case userauth.METHOD, method if method == PASSWORD:
                raise self.refused("wants the gateway's password to be changed first")
            case number, _:
                raise self._exchange.violated("sent a message of authentication out of turn", f"message {number}")

    def refused(self, what: str, detail: str = "") -> UpstreamRefused:
        """What the target did instead of letting us in, as an error."""
        return UpstreamRefused(f"{self._whom} {what}; tell the operator of the gateway.", detail=detail)

    def _show_next(self, failure: Failure) -> None:
        """By what it takes and was not shown. A password is shown by one of two ways: accounts are locked by less."""
        methods = failure.methods
        offered = printable(b", ".join(sorted(methods)))
        if failure.is_partial:
            raise self.refused("wants more than one proof, and the gateway holds one", f"it goes on with {offered}")
        if self._shown != _NONE:
            raise self.refused("did not accept the gateway's proof", f"shown: {self._shown.decode()}")
        if self._proof is not None and PUBLICKEY in methods:
            self._show(PUBLICKEY, self._signed(self._proof))
        elif self._password and PASSWORD in methods:
            self._show(PASSWORD, userauth.password_request(self._user, self._password))
        elif self._password and INTERACTIVE in methods:
            self._show(INTERACTIVE, userauth.interactive_request(self._user))
        else:
            raise self.refused("takes no proof of the kind that the gateway holds", f"it takes {offered}")

    def _show(self, method: bytes, request: bytes) -> None:
        self._shown = method
        self._exchange.say(request)

    def _signed(self, proof: Proof) -> bytes:
        algorithm, key = proof.algorithm, proof.key
        signature_type = key.sshType()  # type: ignore[no-untyped-call] # conch's is not annotated
        if signature_type == b"ssh-rsa":  # the key's format; SHA-1 is meant by it as an algorithm (RFC 8332 §3)
            known = self._exchange.peerExtensions.get(b"server-sig-algs", b"rsa-sha2-512").split(b",")
            signature_type = b"rsa-sha2-512" if b"rsa-sha2-512" in known else b"rsa-sha2-256"
        request = userauth.key_request(self._user, algorithm or signature_type, proof.shown)
        signature = key.sign(string(self._exchange.sessionID or b"") + request, signature_type)
        return request + string(signature)

    def _answer(self, may_be_shown: list[bool]) -> None:
        """One question that may not be shown on a screen is the one for the password."""
        if may_be_shown == [False] and not self._was_told:
            self._was_told = True
            self._exchange.say(userauth.answers(self._password))
        elif not may_be_shown:
            self._exchange.say(userauth.answers())
        else:
            raise self.refused("asks for more than a password", f"{len(may_be_shown)} questions")


def _loaded(private_key: Secret) -> Key:
    try:
        return Key(load_ssh_private_key(private_key.reveal().encode(), None))  # type: ignore[no-untyped-call] # as above
    except (ValueError, TypeError, UnsupportedAlgorithm) as why:
        # The cause may quote the key: it is left out on purpose.
        raise UnfitKey(f"it is no key without passphrase in OpenSSH's format ({type(why).__name__})") from None
