"""A revision of policy.toml with the signatures of those who stand for it: DSSE v1 with Ed25519 (RFC 8032).

DSSE (github.com/secure-systems-lab/dsse, protocol.md and envelope.md) signs type and length along with the payload, so
that no other document can be passed off as this one. There is one way to write a bundle: whatever is written otherwise
is none. Knows no file and no clock.
"""

import hashlib
import tomllib
from base64 import b64decode, b64encode
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import orjson
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

PAYLOAD_TYPE = "application/vnd.hoopproxy.policy.v1+json"

BUNDLE_BYTES_MAX = 6 << 20
"""A file of configuration of 4 MiB in base64, and what stands around it."""

SIGNATURES_MAX = 16

REVISION_MAX = 2**53 - 1
"""The largest number that every reader of JSON takes for itself (RFC 8259 §6)."""


class BundleRefused(ValueError):
    """It does not count. The text is one full sentence."""


@dataclass(frozen=True, slots=True)
class Signing:
    """Who may sign (name to Ed25519 key, 32 bytes), and how many of them must have."""

    signers: Mapping[str, bytes]
    signatures_min: int

    def key_id(self, name: str) -> str:
        """What the log, which names nobody, calls a signer: the SHA-256 of the key, in hex."""
        return hashlib.sha256(self.signers[name]).hexdigest()


@dataclass(frozen=True, slots=True)
class Revision:
    """The text of policy.toml, the `revision` that stands at its top, and the SHA-256 in hex of the text that it
    follows ("": of none)."""

    number: int
    text: str
    previous: str

    @classmethod
    def of(cls, text: str, previous: str) -> "Revision":
        """@raise BundleRefused: there is no number at its top."""
        return cls(number_of(text), text, previous)

    @property
    def sha256(self) -> str:
        """Of the text, in hex: what evidence calls the policy."""
        return sha256_of(self.text)

    @property
    def signed_bytes(self) -> bytes:
        """What signatures are over."""
        return pae(PAYLOAD_TYPE.encode(), self.payload)

    @property
    def payload(self) -> bytes:
        """What it says, in JSON with sorted keys."""
        said = {"policy": self.text, "previous": self.previous, "revision": self.number}
        return orjson.dumps(said, option=orjson.OPT_SORT_KEYS)


@dataclass(frozen=True, slots=True)
class Bundle:
    """A revision and its signatures (64 bytes each) by signer."""

    revision: Revision
    signatures: Mapping[str, bytes]

    @classmethod
    def read(cls, data: bytes) -> "Bundle":
        """What `written` made. @raise BundleRefused: it is something else."""
        if len(data) > BUNDLE_BYTES_MAX:
            raise BundleRefused(f"The bundle has more than {BUNDLE_BYTES_MAX} bytes.")
        try:
            bundle = cls._of(orjson.loads(data))
        except (KeyError, TypeError, ValueError) as why:
            if isinstance(why, BundleRefused):
                raise
            raise BundleRefused("This is no bundle of a policy, or it was changed.") from why
        if bundle.written() != data:
            raise BundleRefused("The bundle is not written as hoopproxy writes bundles: it was changed.")
        return bundle

    @classmethod
    def _of(cls, envelope: Any) -> "Bundle":
        said = orjson.loads(b64decode(envelope["payload"], validate=True))
        number, text, previous = said["revision"], said["policy"], said["previous"]
        if type(number) is not int or not isinstance(text, str) or not isinstance(previous, str):
            raise TypeError
        if number != number_of(text):
            raise BundleRefused(f"The bundle says that it is revision {number}, and the policy in it says otherwise.")
        signatures = {str(each["keyid"]): b64decode(each["sig"], validate=True) for each in envelope["signatures"]}
        return cls(Revision(number, text, previous), signatures)

    def written(self) -> bytes:
        """The one way to write it: a DSSE envelope in JSON, keys and signers sorted, on one line."""
        envelope = {
            "payload": b64encode(self.revision.payload).decode(),
            "payloadType": PAYLOAD_TYPE,
            "signatures": [
                {"keyid": name, "sig": b64encode(signature).decode()}
                for name, signature in sorted(self.signatures.items())
            ],
        }
        return orjson.dumps(envelope, option=orjson.OPT_SORT_KEYS | orjson.OPT_APPEND_NEWLINE)

    def signed(self, name: str, key: Ed25519PrivateKey) -> "Bundle":
        """The same, signed by one more. (Ed25519 has one signature of each text: whoever signs twice has signed once.)

        @raise BundleRefused: as many as may have signed.
        """
        signatures = {**self.signatures, name: key.sign(self.revision.signed_bytes)}
        if len(signatures) > SIGNATURES_MAX:
            raise BundleRefused(f"{SIGNATURES_MAX} people have signed this; that is as many as may.")
        return Bundle(self.revision, signatures)

    def verify(self, signing: Signing) -> tuple[str, ...]:
        """Who has signed, sorted. One signature that does not count spoils all: somebody meddled with it.

        @raise BundleRefused
        """
        for name, signature in self.signatures.items():
            if name not in signing.signers:
                raise BundleRefused(f"{name!r} has signed this policy, who is none of its signers in [policy].")
            try:
                Ed25519PublicKey.from_public_bytes(signing.signers[name]).verify(signature, self.revision.signed_bytes)
            except InvalidSignature as why:
                raise BundleRefused(
                    f"The signature of {name!r} is not one of this policy: it was changed, or another key signed."
                ) from why
        if (count := len(self.signatures)) < signing.signatures_min:
            raise BundleRefused(
                f"Revision {self.revision.number} is signed by {count} of the {signing.signatures_min} people that it "
                "needs; have another one sign it (hoopproxy policy sign)."
            )
        return tuple(sorted(self.signatures))


def sha256_of(text: str) -> str:
    """Of a policy's text, in hex."""
    return hashlib.sha256(text.encode()).hexdigest()


def text_of(data: bytes) -> str:
    """The text of a policy, which stands in `data` itself or in a bundle of it. @raise BundleRefused"""
    if data.lstrip().startswith(b"{"):
        return Bundle.read(data).revision.text
    try:
        return data.decode()
    except UnicodeDecodeError as why:
        raise BundleRefused("The policy holds bytes that are no UTF-8; wanted is TOML, which is UTF-8.") from why


def number_of(text: str) -> int:
    """The `revision` at the top of a policy.toml. @raise BundleRefused: there is none."""
    try:
        number = tomllib.loads(text).get("revision")
    except tomllib.TOMLDecodeError as why:
        raise BundleRefused(f"The policy is no TOML: {why}.") from why
    if type(number) is not int or not 1 <= number <= REVISION_MAX:
        raise BundleRefused(
            "A policy that is signed says at its top which revision it is: revision = 7, a whole number from 1."
        )
    return number


def follow(bundle: Bundle, highest: int, sha256: str) -> None:
    """Whether it may take the place of revision `highest`, whose text has that SHA-256. @raise BundleRefused"""
    revision = bundle.revision
    if revision.number <= highest:
        raise BundleRefused(
            f"Revision {revision.number} is not above {highest}, the highest that was ever applied here: an older "
            "policy never comes back. Give its text a new number, and have it signed."
        )
    if revision.number == highest + 1 and revision.previous != sha256:
        raise BundleRefused(
            f"Revision {revision.number} was not made from the revision {highest} that is in force here "
            f"({sha256[:16]}…); have it signed as one that follows it (hoopproxy policy sign --previous)."
        )


def pae(kind: bytes, payload: bytes) -> bytes:
    """What is signed of a payload of that kind: DSSE's pre-authentication encoding (protocol.md)."""
    return b"DSSEv1 %d %b %d %b" % (len(kind), kind, len(payload), payload)
