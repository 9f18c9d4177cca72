"""People and services by name, known by a key or certificate that they hold, or for raw TCP by where they come from.

For those whom no identity provider gives a token. Whoever is taken out of the file is unknown from then on, live
sessions included. Verifies no signature: what a client holds was proved before it comes here.
"""

import base64
import os
import stat
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network, ip_network
from math import inf
from pathlib import Path
from typing import Annotated, Any, Self

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.serialization import load_ssh_public_key
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, PlainValidator, model_validator
from zope.interface import implementer, provider

from hoopproxy.errors import ConfigError, Refused
from hoopproxy.hands import in_thread
from hoopproxy.interfaces import IAddonFactory, IAuthenticator, INoticesChanges, IRechecking, ISetting
from hoopproxy.model import Arrival, Credentials, Identity, IPAddress
from hoopproxy.proofs import HeldKey
from hoopproxy.residency.addresses import parse_host
from hoopproxy.residency.datafile import parsed
from hoopproxy.rooms import IScheduler

FILE_BYTES_MAX = 4 << 20
"""Some ten thousand people."""

RSA_BITS_MIN = 2048
"""NIST SP 800-131A Rev. 2, table 2."""

type Network = IPv4Network | IPv6Network


def _ssh_key(line: Any) -> bytes:
    """A line as in id_ed25519.pub or authorized_keys, to the key in the format of RFC 4253 §6.6."""
    try:
        kind, key, *_ = str(line).split()
        public = load_ssh_public_key(f"{kind} {key}".encode())
        blob = base64.b64decode(key, validate=True)
    except (ValueError, UnsupportedAlgorithm):
        public = None
    if public is None or kind == "ssh-dss" or "-cert-" in kind:
        raise ValueError('wanted is an OpenSSH public key such as "ssh-ed25519 AAAA… ada@laptop", without options')
    if isinstance(public, RSAPublicKey) and public.key_size < RSA_BITS_MIN:
        raise ValueError(f"it has {public.key_size} bits; wanted is an RSA key of {RSA_BITS_MIN} bits or more")
    return blob


def _certificate_name(text: str) -> str:
    """A subject alternative name (RFC 5280 §4.2.1.6), in the form in which it is compared."""
    kind, _, value = text.partition(":")
    if kind == "dns" and isinstance(host := _host(value), str):
        return f"dns:{host}"
    if kind == "uri" and "://" in value and value.isascii() and value.isprintable():
        return text
    local, at, domain = value.rpartition("@")
    if kind == "email" and local and at and value.isascii() and value.isprintable():
        return f"email:{local}@{domain.lower()}"
    raise ValueError(
        'wanted is a name in a certificate, such as "dns:api.example.com", "uri:spiffe://example.com/api" or '
        '"email:ada@example.com"'
    )


def _host(value: str) -> Any:
    try:
        return parse_host(value)
    except ValueError:
        return None


def _network(text: Any) -> Network:
    try:
        return ip_network(str(text))
    except ValueError as why:
        raise ValueError('wanted is a network such as "10.0.0.0/24", "10.0.0.7/32" or "fd00::/64"') from why


def _subject(text: str) -> str:
    if not 0 < len(text) <= 255 or not text.isprintable():
        raise ValueError("wanted are 1 to 255 printable characters")
    return text


class Known(BaseModel):
    """One `identity`: who it is, and by what it is recognised. `addresses` count for raw TCP without a certificate."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    subject: Annotated[str, AfterValidator(_subject)]
    name: str = ""
    groups: frozenset[str] = frozenset()
    ssh_keys: tuple[Annotated[bytes, PlainValidator(_ssh_key)], ...] = ()
    certificates: tuple[Annotated[str, AfterValidator(_certificate_name)], ...] = ()
    addresses: tuple[Annotated[Network, PlainValidator(_network)], ...] = ()

    @property
    def proofs(self) -> Iterable["Proof"]:
        """All that it is recognised by."""
        return (*self.ssh_keys, *self.certificates, *self.addresses)

    @model_validator(mode="after")
    def _can_be_recognised(self) -> Self:
        if not self.proofs:
            raise ValueError("wanted is at least one of ssh_keys, certificates and addresses")
        return self


type Proof = bytes | str | Network


class Settings(BaseModel):
    """The keys of `[addon.NAME]` with `use = "known-identities"`: `[[addon.NAME.identity]]` tables, or a `file` with
    `[[identity]]` tables. `lifetime_s_max` is how long somebody is believed without being asked again."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    file: Path | None = None
    identity: tuple[Known, ...] = ()
    lifetime_s_max: Annotated[float, Field(ge=60, le=604800)] = 43200.0

    @model_validator(mode="after")
    def _one_source(self) -> Self:
        if (self.file is None) != bool(self.identity):
            raise ValueError("wanted is either file, or one [[addon.NAME.identity]] or more")
        return self


class _File(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    identity: tuple[Known, ...] = ()


@dataclass(frozen=True, slots=True)
class _Book:
    """Whose each proof is."""

    of: Mapping[Proof, Known]
    by_subject: Mapping[str, Known]

    @classmethod
    def made(cls, where: str, identities: Iterable[Known]) -> "_Book":
        """@raise ConfigError: two have one subject, or one thing to be recognised by."""
        of: dict[Proof, Known] = {}
        subjects: dict[str, Known] = {}
        problems: list[str] = []
        for each in identities:
            if each.subject in subjects:
                problems.append(f"{where}: there are two identities with the subject {each.subject!r}.")
            subjects[each.subject] = each
            for proof in each.proofs:
                if proof in of:
                    shown = base64.b64encode(proof).decode() if isinstance(proof, bytes) else str(proof)
                    problems.append(
                        f"{where}: {shown} is of {of[proof].subject!r} and of {each.subject!r}; wanted is each thing "
                        "that somebody is recognised by once."
                    )
                of[proof] = each
        if problems:
            raise ConfigError(tuple(problems))
        return cls(of, subjects)

    def at(self, address: IPAddress) -> Known | None:
        """Whose the longest network is that holds the address."""
        lengths = sorted({each.prefixlen for each in self.of if isinstance(each, Network.__value__)}, reverse=True)
        fitting = (ip_network((address, length), strict=False) for length in lengths if length <= address.max_prefixlen)
        return next((self.of[network] for network in fitting if network in self.of), None)


@provider(IAddonFactory)
@implementer(IAuthenticator, IRechecking, INoticesChanges)
class KnownIdentities:
    """An identity from a list."""

    summary = "Knows people and services by SSH keys, client certificates and, for raw TCP, addresses."
    settings = Settings

    @classmethod
    def build(cls, name: str, settings: Settings, setting: ISetting) -> "KnownIdentities":
        """Make it. @raise ConfigError: a sentence for each mistake in the list."""
        return cls(name, settings, setting.scheduler)

    def __init__(self, name: str, settings: Settings, scheduler: IScheduler) -> None:
        self.name = name
        self._lifetime_s_max, self._scheduler = settings.lifetime_s_max, scheduler
        self._file = None if settings.file is None else _BookFile(settings.file)
        self._book = _Book.made("identity", settings.identity)

    async def identify(self, arrival: Arrival, credentials: Credentials) -> Identity | None:
        """Who holds this key or certificate, or is at this address; None for a token, and for whom the list has not.

        @raise Refused: a certificate that is several people's.
        """
        if credentials.secret.reveal():
            return None
        if credentials.key is None and arrival.protocol != "tcp":
            return None
        book = await self._current()
        if credentials.key is None:
            return self._identity("address", book.at(arrival.client.address))
        return self._holder(book, credentials.key)

    async def recheck(self, identity: Identity, credentials: Credentials) -> Identity | None:
        """Who holds it now. Whoever came by an address stays who that is, as long as the list has addresses of theirs.

        @raise Exception: the list can't be read, or can't be believed.
        """
        book = await self._current()
        if credentials.key is not None:
            return self._holder(book, credentials.key)
        known = book.by_subject.get(identity.subject)
        return self._identity("address", known if known and known.addresses else None)

    def has_changed(self) -> bool:
        """Whether the file has."""
        return self._file is not None and self._file.has_changed()

    async def _current(self) -> _Book:
        return self._book if self._file is None else await self._file.book()

    def _holder(self, book: _Book, held: HeldKey) -> Identity | None:
        match held:
            case HeldKey("ssh", key):
                return self._identity("ssh-key", book.of.get(key))
            case HeldKey("x509", der):
                return self._certified(book, x509.load_der_x509_certificate(der))
        return None

    def _certified(self, book: _Book, certificate: x509.Certificate) -> Identity | None:
        named = {known.subject: known for name in _names(certificate) if (known := book.of.get(name))}
        if len(named) > 1:
            raise Refused(
                "Your certificate names several whom this gateway knows; ask whoever issued it for one that names you.",
                reason="credentials",
                detail=f"{self.name}: a certificate of {' and '.join(map(repr, sorted(named)))}",
            )
        return self._identity("certificate", *named.values(), not_after_s=certificate.not_valid_after_utc.timestamp())

    def _identity(self, method: str, known: Known | None = None, *, not_after_s: float = inf) -> Identity | None:
        if known is None:
            return None
        return Identity(
            issuer=f"known:{self.name}",
            subject=known.subject,
            name=known.name or known.subject,
            groups=known.groups,
            expires_at_s=min(self._scheduler.now_s() + self._lifetime_s_max, not_after_s),
            method=method,
        )


class _BookFile:
    """The list in a file, which is read again whenever it has changed. @raise ConfigError: it can't be believed."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._mark, self._book = self._read()
        self._noticed = self._mark

    def has_changed(self) -> bool:
        """Whether it is another since this was last asked; a file that is not there is another."""
        noticed, self._noticed = self._noticed, self._mark_now()
        return noticed != self._noticed

    def _mark_now(self) -> tuple[int, ...]:
        try:
            return _mark(self._path.stat())
        except OSError:
            return ()

    async def book(self) -> _Book:
        """The list as it is now. @raise OSError, ConfigError: nobody is known as long as there is none."""
        if _mark(self._path.stat()) != self._mark:
            self._mark, self._book = await in_thread("identities", self._read)
        return self._book

    def _read(self) -> tuple[tuple[int, ...], _Book]:
        name = self._path.name
        try:
            with open(self._path, "rb", opener=lambda path, flags: os.open(path, flags | os.O_NONBLOCK)) as file:
                status = os.fstat(file.fileno())
                data = file.read(FILE_BYTES_MAX + 1)
        except OSError as why:
            raise ConfigError(
                (f"the list {self._path} can't be read ({why.strerror}); wanted is a TOML file.",)
            ) from why
        if status.st_uid not in (0, os.geteuid()) or status.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
            raise ConfigError((f"{name}: others may change it; wanted is a file of the gateway's user or root alone.",))
        if len(data) > FILE_BYTES_MAX:
            raise ConfigError((f"{name}: it is longer than {FILE_BYTES_MAX} bytes.",))
        return _mark(status), _Book.made(name, parsed(_File, name, data).identity)


def _mark(status: os.stat_result) -> tuple[int, ...]:
    """What changes with a file."""
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns


def _names(certificate: x509.Certificate) -> set[str]:
    """Its alternative names, in the form of `Known.certificates`. A wildcard is nobody's name."""
    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except (x509.ExtensionNotFound, x509.DuplicateExtension, x509.UnsupportedGeneralNameType, ValueError):
        return set()
    kinds = (("dns", x509.DNSName), ("uri", x509.UniformResourceIdentifier), ("email", x509.RFC822Name))
    found: set[str] = set()
    for kind, general in kinds:
        for value in names.get_values_for_type(general):
            with suppress(ValueError):
                found.add(_certificate_name(f"{kind}:{value}"))
    return found
