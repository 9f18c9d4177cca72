"""What somebody shows to prove who they are: texts that nobody may see, and keys.

Knows neither who shows it nor to whom.
"""

from dataclasses import dataclass
from hmac import compare_digest
from typing import NoReturn


class Secret:
    """A text that must not be shown: no repr, no pickling, no equality that a log could call."""

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        self._text = text

    def reveal(self) -> str:
        """The text. Calls of this are the list of places that a reviewer reads."""
        return self._text

    def is_same(self, other: "Secret") -> bool:
        """Whether both hold one text, in a time that does not tell where they differ."""
        return compare_digest(self._text.encode(), other._text.encode())

    def __repr__(self) -> str:
        return "<secret>"

    def __reduce__(self) -> NoReturn:
        raise TypeError("a Secret is never serialised")


@dataclass(frozen=True, slots=True)
class HeldKey:
    """A public key whose private half the client has proved to hold.

    `kind` "x509": `data` is a DER certificate whose chain leads to the listener's `client_ca` (RFC 5280). `kind` "ssh":
    `data` is a key in the format of RFC 4253 §6.6.
    """

    kind: str
    data: bytes


@dataclass(frozen=True, slots=True)
class ServiceToken:
    """What is kept of a token that the gateway made for a service: all but the token.

    `sha256` is the digest (hex) of the whole token, of which 256 bits are random: there is nothing to guess, and so
    nothing that a slow hash or a salt would add (NIST SP 800-63B-4 §3.1.2.2 asks for these below 112 bits). Times are
    POSIX seconds; `revoked_s` 0: it is not; `used_s` 0: never yet, else to the hour.
    """

    token_id: str
    sha256: str
    subject: str
    groups: frozenset[str]
    created_s: float
    expires_s: float
    made_by: str
    note: str = ""
    revoked_s: float = 0.0
    used_s: float = 0.0


@dataclass(frozen=True, slots=True)
class TargetSecret:
    """What the gateway shows the target as `username`; the user never sees it.

    One of: a password; `private_key`, which the target knows; or `authority_key`, which it trusts to sign certificates,
    of which the gateway mints one for each session (both OpenSSH's PEM, without passphrase). A password that
    `is_random` has 256 bits that nobody chose: no number of iterations makes it harder to guess.
    """

    username: str
    password: Secret
    private_key: Secret | None = None
    authority_key: Secret | None = None
    is_random: bool = False
