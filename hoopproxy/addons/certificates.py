"""An identity from a client certificate, by rules on the names in it; and certificates for clients, where it has a key.

That a chain leads to the listener's authorities, and that the client holds the key, was proved before it comes here.
Knows no connection.
"""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Self

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator
from zope.interface import implementer, provider

from hoopproxy.disk.client_authority import ClientAuthority, NotSigned
from hoopproxy.disk.revoked import RevokedFile, Stale
from hoopproxy.errors import ConfigError, Refused
from hoopproxy.hands import in_thread
from hoopproxy.interfaces import (
    IAddonFactory,
    IAuthenticator,
    IIssuesCertificates,
    INoticesChanges,
    IRechecking,
    ISetting,
)
from hoopproxy.model import Arrival, Credentials, Identity
from hoopproxy.proofs import HeldKey
from hoopproxy.rooms import IScheduler

SUBJECT_CHARACTERS_MAX = 255
GROUPS_MAX = 1000

_KINDS: dict[str, type[x509.DNSName] | type[x509.UniformResourceIdentifier] | type[x509.RFC822Name]] = {
    "dns": x509.DNSName,
    "uri": x509.UniformResourceIdentifier,
    "email": x509.RFC822Name,
}
"""Kinds of subjectAltName (RFC 5280 §4.2.1.6) that name somebody."""

_PARTS = {"dns": "[^.]+", "uri": "[^/]+", "email": "[^@]+"}
"""What `*` stands for: one label, one segment of a path, a mailbox."""

_FORMS = {"dns": r"[a-z0-9*.-]+", "uri": r"[a-z][a-z0-9+.-]*://[!-~]+", "email": r"[!-?A-~]+@[a-z0-9.-]+"}
_OID = re.compile(r"\d+(\.\d+)+")


def _san(text: str) -> str:
    kind, _, value = text.partition(":")
    if kind not in _KINDS or not re.fullmatch(_FORMS[kind], value) or len(value) > SUBJECT_CHARACTERS_MAX:
        raise ValueError(
            'wanted is a name as in certificates, with * for one part of it, such as "email:*@example.com", '
            '"uri:spiffe://example.com/ns/*/sa/*" or "dns:*.example.com"'
        )
    return text


def _attribute(text: str) -> str:
    if text.lower() == "ou":
        return NameOID.ORGANIZATIONAL_UNIT_NAME.dotted_string
    if not _OID.fullmatch(text):
        raise ValueError('wanted is "ou", or the dotted number of another attribute of subjects')
    return text


class Rule(BaseModel):
    """One `rule`: who has a name like `san` is in `groups`, and in those that `groups_from`, an attribute of the
    certificate's subject, names."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    san: Annotated[str, AfterValidator(_san)]
    groups: frozenset[str] = frozenset()
    groups_from: Annotated[str, AfterValidator(_attribute)] | None = None

    def fits(self, name: "_Name") -> bool:
        """Whether a certificate's name is like this."""
        kind, _, pattern = self.san.partition(":")
        parts = map(re.escape, pattern.split("*"))
        return kind == name.kind and re.fullmatch(_PARTS[kind].join(parts), name.value) is not None


class Settings(BaseModel):
    """The keys of `[addon.NAME]` with `use = "certificates"`. `lifetime_s_max` None: whatever their issuer thinks."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    rule: tuple[Rule, ...] = Field(min_length=1)
    authority: Path | None = None
    revoked: Path | None = None
    lifetime_s_max: Annotated[float, Field(ge=60, le=315360000)] | None = None
    authority_key: Path | None = None
    authority_passphrase_file: Path | None = None

    @model_validator(mode="after")
    def _whose_they_are(self) -> Self:
        if (self.revoked or self.authority_key) and not self.authority:
            raise ValueError("revoked or authority_key is set, and no authority whose they are")
        if (self.authority_key is None) != (self.authority_passphrase_file is None):
            raise ValueError("wanted are authority_key and authority_passphrase_file, or none of them")
        return self


@dataclass(frozen=True, slots=True)
class _Name:
    """One name in a certificate, in the form in which it is compared."""

    kind: str
    value: str


@provider(IAddonFactory)
@implementer(IAuthenticator, IRechecking, INoticesChanges)
class CertificateAuthenticator:
    """An identity from a client certificate."""

    summary = "Knows people and services by client certificates, by rules on their names; and issues certificates."
    settings = Settings

    @classmethod
    def build(cls, name: str, settings: Settings, setting: ISetting) -> "CertificateAuthenticator":
        """Make it; with an `authority_key`, one that issues. @raise ConfigError: files that can't be believed."""
        return (cls if settings.authority_key is None else IssuingAuthenticator)(name, settings, setting.scheduler)

    def __init__(self, name: str, settings: Settings, scheduler: IScheduler) -> None:
        self.name = name
        self._settings, self._scheduler = settings, scheduler
        self._authorities = _authorities(settings.authority)
        self._revoked = RevokedFile(settings.revoked, self._authorities) if settings.revoked else None

    async def identify(self, arrival: Arrival, credentials: Credentials) -> Identity | None:
        """Whom the certificate names; None for a token, for another authority's, and for a name that no rule is for."""
        if credentials.secret.reveal():
            return None
        try:
            return await self._identity(credentials)
        except (Stale, ConfigError, OSError) as why:
            raise Refused(
                "The gateway can't check at the moment whether your certificate was revoked; try again later, or tell "
                "its operator.",
                reason="credentials",
                detail=f"{self.name}: {why}",
            ) from why

    async def recheck(self, identity: Identity, credentials: Credentials) -> Identity | None:
        """The same for now. @raise Stale, ConfigError, OSError: nobody can tell what is revoked."""
        return await self._identity(credentials)

    def has_changed(self) -> bool:
        """Whether the list of what is revoked has."""
        return self._revoked is not None and self._revoked.has_changed()

    async def _identity(self, credentials: Credentials) -> Identity | None:
        match credentials.key:
            case HeldKey("x509", der):
                certificate = x509.load_der_x509_certificate(der)
            case _:
                return None
        if self._authorities and not any(_is_issued(certificate, each) for each in self._authorities):
            return None
        found = self._ruled(certificate)
        if found is None:
            return None
        name, groups = found
        await self._check(certificate)
        return Identity(
            issuer=f"certificates:{self.name}",
            subject=name.value,
            name=name.value,
            groups=groups,
            expires_at_s=certificate.not_valid_after_utc.timestamp(),
            method="certificate",
        )

    def _ruled(self, certificate: x509.Certificate) -> tuple[_Name, frozenset[str]] | None:
        """Whom it names by the first rule that fits, and in which groups. @raise Refused: it names several."""
        named: dict[_Name, Rule] = {}
        for name in _names(certificate):
            rule = next((each for each in self._settings.rule if each.fits(name)), None)
            if rule is not None:
                named[name] = rule
        if not named:
            return None
        if len(named) > 1:
            raise self._refused("names several whom this gateway would know", f"{sorted(map(str, named))}")
        ((name, rule),) = named.items()
        groups = rule.groups
        if rule.groups_from is not None:
            listed = certificate.subject.get_attributes_for_oid(x509.ObjectIdentifier(rule.groups_from))
            groups |= {str(each.value) for each in listed}
        if len(groups) > GROUPS_MAX:
            raise self._refused("names too many groups", f"{len(groups)} groups")
        return name, groups

    async def _check(self, certificate: x509.Certificate) -> None:
        """@raise Refused: it is not valid, not for this, or not any more. @raise Stale, ConfigError, OSError"""
        now_s, serial = self._scheduler.now_s(), f"number {certificate.serial_number:x}"
        begin_s = certificate.not_valid_before_utc.timestamp()
        end_s = certificate.not_valid_after_utc.timestamp()
        if not begin_s <= now_s < end_s:
            raise self._refused("is not valid today", serial)
        if not _is_for_clients(certificate):
            raise self._refused("is not meant for clients", serial)
        if self._settings.lifetime_s_max is not None and end_s - begin_s > self._settings.lifetime_s_max:
            raise self._refused("is valid for longer than this gateway allows", f"{serial}: {end_s - begin_s:g} s")
        if self._revoked is not None and await self._revoked.has(certificate, now_s):
            raise self._refused("was revoked", serial)

    def _refused(self, what: str, detail: str) -> Refused:
        return Refused(
            f"Your certificate {what}; ask whoever issued it for another.",
            reason="credentials",
            detail=f"{self.name}: {what}: {detail}",
        )


@implementer(IIssuesCertificates)
class IssuingAuthenticator(CertificateAuthenticator):
    """The same, with the key of its authority."""

    def __init__(self, name: str, settings: Settings, scheduler: IScheduler) -> None:
        super().__init__(name, settings, scheduler)
        assert settings.authority and settings.authority_key and settings.authority_passphrase_file
        files = settings.authority, settings.authority_key, settings.authority_passphrase_file
        self._signer = ClientAuthority(*files)

    async def issue(self, request: bytes, san: str, groups: tuple[str, ...], lifetime_s: float) -> x509.Certificate:
        """A certificate in the name of `san`, which some rule must be for."""
        kind, _, value = san.partition(":")
        name = _normal(kind, value) if kind in _KINDS and "*" not in value else None
        if name is None or not any(each.fits(name) for each in self._settings.rule):
            raise Refused(f"No rule of {self.name} is for {san!r:.100}: nobody would know it.", reason="credentials")
        general = _KINDS[kind](value)
        try:
            return await in_thread(
                "certificates", self._signer.sign, request, general, groups, lifetime_s, self._scheduler.now_s()
            )
        except NotSigned as why:
            raise Refused(str(why), reason="credentials") from why


def _authorities(path: Path | None) -> tuple[x509.Certificate, ...]:
    if path is None:
        return ()
    try:
        return tuple(x509.load_pem_x509_certificates(path.read_bytes()))
    except (OSError, ValueError) as why:
        raise ConfigError(
            (f"{path}: it can't be used ({why}); wanted are certificates of authorities in PEM.",)
        ) from why


def _is_issued(certificate: x509.Certificate, authority: x509.Certificate) -> bool:
    try:
        certificate.verify_directly_issued_by(authority)
    except (ValueError, TypeError, InvalidSignature, UnsupportedAlgorithm):
        return False
    return True


def _is_for_clients(certificate: x509.Certificate) -> bool:
    """RFC 5280 §4.2.1.12 and §4.2.1.3: a client's by its own word, whose key may sign a handshake."""
    extensions = certificate.extensions
    try:
        if ExtendedKeyUsageOID.CLIENT_AUTH not in extensions.get_extension_for_class(x509.ExtendedKeyUsage).value:
            return False
        return extensions.get_extension_for_class(x509.KeyUsage).value.digital_signature
    except x509.ExtensionNotFound as why:
        return why.oid == x509.KeyUsage.oid  # without it a key may do anything


def _names(certificate: x509.Certificate) -> set[_Name]:
    """Its names, without those that stand for many."""
    try:
        listed = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except (x509.ExtensionNotFound, x509.DuplicateExtension, x509.UnsupportedGeneralNameType, ValueError):
        return set()
    found = (_normal(kind, value) for kind, general in _KINDS.items() for value in listed.get_values_for_type(general))
    return {name for name in found if name is not None}


def _normal(kind: str, value: str) -> _Name | None:
    """Hosts are compared in lower case, mailboxes and URIs as they are; None for what no name looks like."""
    match kind:
        case "dns":
            value = value.lower()
        case "email":
            mailbox, _, domain = value.rpartition("@")
            value = f"{mailbox}@{domain.lower()}"
    is_one = value.isascii() and "*" not in value and len(value) <= SUBJECT_CHARACTERS_MAX
    return _Name(kind, value) if is_one and re.fullmatch(_FORMS[kind], value) else None
