"""People who sign in by browser through an identity provider of SAML 2.0 (SAML Profiles §4.1, Web Browser SSO).

The gateway asks first; what nobody asked for is refused. Knows what an assertion must say to be a person here. Keeps no
session: who has signed in gets a token of the gateway's own (`signed-in`).
"""

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Annotated, NoReturn

from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from pydantic import AfterValidator, BaseModel, ConfigDict, Field
from zope.interface import implementer, provider

from hoopproxy.addons.jwks import is_safe
from hoopproxy.addons.saml_document import PERSISTENT, Invalid, Stale, shown
from hoopproxy.addons.saml_provider import MetadataFile, Provider
from hoopproxy.addons.saml_request import LIFETIME_S, Requests, request_url
from hoopproxy.addons.saml_response import Denied, Response, Said, Wanted, check_envelope, said
from hoopproxy.addons.saml_signature import Verifier
from hoopproxy.disk.private import Unfit, read_private
from hoopproxy.errors import Refused
from hoopproxy.hands import Overloaded, in_thread
from hoopproxy.interfaces import IAddonFactory, IAuthenticator, IBrowserSignIn, ISetting
from hoopproxy.model import Arrival, Credentials, Identity

SUBJECT_CHARACTERS_MAX = 255
GROUPS_MAX = 1000
NAME_CHARACTERS_MAX = 100

USED_MAX = 20_000
"""IDs that are remembered until they would not count any more, two for each sign-in."""

KEY_BYTES_MAX = 65536
KEY_BITS_MIN = 2048


def _safe(url: str) -> str:
    if not is_safe(url):
        raise ValueError("wanted is an address with https:// (or http:// and a loopback literal)")
    return url


class Settings(BaseModel):
    """The keys of `[addon.NAME]` with `use = "saml"`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    entity_id: str = Field(min_length=1, max_length=1024)
    acs_url: Annotated[str, AfterValidator(_safe)]
    metadata_file: Path
    key_file: Path | None = None
    subject_attribute: str | None = Field(None, min_length=1)
    groups_attribute: str = Field("groups", min_length=1)
    name_attribute: str = Field("displayName", min_length=1)
    signed_response: bool = False
    force_authn: bool = False
    authn_age_s_max: Annotated[float, Field(ge=60, le=2592000)] = 43200.0
    lifetime_s_max: Annotated[float, Field(ge=60, le=604800)] = 43200.0
    skew_s_max: Annotated[int, Field(ge=0, le=60)] = 30
    response_bytes_max: Annotated[int, Field(ge=4096, le=1048576)] = 131072


@provider(IAddonFactory)
@implementer(IAuthenticator, IBrowserSignIn)
class SamlAuthenticator:
    """An identity from a signed assertion of one identity provider."""

    summary = "Signs people in by browser through a SAML 2.0 identity provider; verifies its assertions with xmlsec1."
    settings = Settings

    @classmethod
    def build(cls, name: str, settings: Settings, setting: ISetting) -> "SamlAuthenticator":
        """Make it. @raise Invalid, OSError, ValueError: metadata, key or xmlsec1 can't be used; the text says why."""
        return cls(name, settings, setting)

    def __init__(self, name: str, settings: Settings, setting: ISetting) -> None:
        self.name = name
        self._settings = settings
        self._scheduler = setting.scheduler
        self._metadata = MetadataFile(settings.metadata_file)
        self._key = _private_key(settings.key_file) if settings.key_file else None
        self._verifier = Verifier()
        self._requests = Requests()
        self._used = _Used()
        if self._metadata.provider(self._scheduler.now_s()).wants_signed_requests and self._key is None:
            raise Invalid(f"{settings.metadata_file} asks for signed requests (WantAuthnRequestsSigned): set key_file")

    async def identify(self, arrival: Arrival, credentials: Credentials) -> Identity | None:
        """None: nobody shows a SAML assertion in another protocol."""
        return None

    def begin(self, state: str) -> str:
        """Where the browser is sent to, which has `LIFETIME_S` to come back. @raise Refused: no provider is known."""
        now_s, settings = self._scheduler.now_s(), self._settings
        return request_url(
            self._provider(now_s).sign_in_url,
            self._requests.new_id(state, now_s),
            state,
            at_s=now_s,
            entity_id=settings.entity_id,
            acs_url=settings.acs_url,
            force_authn=settings.force_authn,
            wants_name_id=settings.subject_attribute is None,
            key=self._key,
        )

    async def finish(self, form: Mapping[str, str]) -> Identity:
        """Who the provider's response in `SAMLResponse` says it is; `RelayState` is the `state` of `begin`."""
        now_s = self._scheduler.now_s()
        known = self._provider(now_s)
        try:
            found = await in_thread("saml", self._read, form, known, now_s)
            identity = self._identity(found, known, now_s)
            self._used.add((found.request_id, found.assertion_id), max(found.until_s, now_s + LIFETIME_S), now_s)
            return identity
        except Stale as why:
            self._refuse("Your sign-in took too long, or was used already; start it again.", why)
        except Denied as why:
            self._refuse("Your identity provider did not sign you in; start again, or ask its administrators.", why)
        except Invalid as why:
            self._refuse(
                "Your sign-in is not valid here; start it again, and tell the operator of the gateway if that does not "
                "help.",
                why,
            )
        except Overloaded as why:
            self._refuse("Too many people are signing in at the moment; start again in a minute.", why)

    def _provider(self, now_s: float) -> Provider:
        try:
            return self._metadata.provider(now_s)
        except (OSError, Invalid) as why:
            self._refuse(
                "The gateway can't sign anybody in at the moment; tell its operator, and start again in a minute.", why
            )

    def _refuse(self, sentence: str, why: Exception) -> NoReturn:
        raise Refused(sentence, reason="credentials", detail=f"{self.name}: {why}") from why

    def _read(self, form: Mapping[str, str], known: Provider, now_s: float) -> Said:
        """What a response says that answers a request of ours. Blocks. @raise Invalid

        Whatever costs nothing comes first: a response that answers nothing makes nobody run xmlsec1.
        """
        settings = self._settings
        response = Response.opened(form.get("SAMLResponse", ""), settings.response_bytes_max)
        self._requests.check(response.request_id, form.get("RelayState", ""), now_s)
        wanted = Wanted(
            issuer=known.entity_id,
            audience=settings.entity_id,
            recipient=settings.acs_url,
            request_id=response.request_id,
            now_s=now_s,
            skew_s=settings.skew_s_max,
            authn_age_s_max=settings.authn_age_s_max,
        )
        check_envelope(response.root, wanted)
        if settings.signed_response or response.is_signed:
            check_envelope(self._verifier.verified(response.root, known.certificates), wanted)
        return said(self._verifier.verified(response.assertion, known.certificates), wanted)

    def _identity(self, found: Said, known: Provider, now_s: float) -> Identity:
        """The person. @raise Invalid: the assertion does not say who it is in a way that lasts."""
        subject = self._subject(found, known)
        groups = found.attributes.get(self._settings.groups_attribute, ())
        if len(groups) > GROUPS_MAX:
            raise Invalid(f"{self._settings.groups_attribute} has more than {GROUPS_MAX} values")
        names = found.attributes.get(self._settings.name_attribute, ())
        return Identity(
            issuer=known.entity_id,
            subject=subject,
            name=next(filter(None, map(_readable, names)), subject[:NAME_CHARACTERS_MAX]),
            groups=frozenset(filter(None, groups)),
            expires_at_s=min(found.session_until_s, now_s + self._settings.lifetime_s_max),
            method=self.name,
        )

    def _subject(self, found: Said, known: Provider) -> str:
        """What stays with a person and is never given to another: an attribute of that kind, or a persistent NameID."""
        if attribute := self._settings.subject_attribute:
            values = found.attributes.get(attribute, ())
            if len(values) != 1:
                raise Invalid(f"{attribute} has {len(values)} values; wanted is 1")
            (subject,) = values
        elif found.name_id is None or found.name_id.format != PERSISTENT:
            raise Invalid(
                f"the format of NameID is {shown(found.name_id.format if found.name_id else 'none')}; wanted is a "
                "persistent one, or a subject_attribute"
            )
        else:
            named = found.name_id
            if named.provider not in (None, known.entity_id) or named.audience not in (None, self._settings.entity_id):
                raise Invalid("the NameID is another provider's, or meant for somebody else")
            subject = named.value
        if not subject.isprintable() or subject != subject.strip() or not 0 < len(subject) <= SUBJECT_CHARACTERS_MAX:
            raise Invalid("the subject is empty, too long or unprintable")
        return subject


class _Used:
    """The IDs of requests and assertions that have counted, each until it would not count any more."""

    def __init__(self) -> None:
        self._until_s: dict[str, float] = {}

    def add(self, ids: Collection[str], until_s: float, now_s: float) -> None:
        """@raise Stale: one has counted. @raise Overloaded: there is no room to remember them, so that they can't."""
        self._until_s = {each: until for each, until in self._until_s.items() if until > now_s}
        if not self._until_s.keys().isdisjoint(ids):
            raise Stale("it was used before")
        if len(self._until_s) + len(ids) > USED_MAX:
            raise Overloaded(f"{USED_MAX} IDs are remembered already")
        self._until_s |= dict.fromkeys(ids, until_s)


def _readable(name: str) -> str:
    """A name for people's eyes: no control characters that could rewrite a terminal."""
    return "".join(filter(str.isprintable, name))[:NAME_CHARACTERS_MAX].strip()


def _private_key(path: Path) -> RSAPrivateKey:
    """@raise OSError, ValueError: it can't be used; the text says why and holds nothing of the file."""
    try:
        key = load_pem_private_key(read_private(path, KEY_BYTES_MAX), None)
    except Unfit as why:
        raise ValueError(f"{path}: {why}") from why
    except (ValueError, TypeError):
        key = None
    if not isinstance(key, RSAPrivateKey) or key.key_size < KEY_BITS_MIN:
        raise ValueError(f"{path}: wanted is a PEM file with an RSA key of {KEY_BITS_MIN} bits or more, unencrypted")
    return key
