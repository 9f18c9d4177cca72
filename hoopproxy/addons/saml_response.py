"""A response of the Web Browser SSO Profile (SAML Profiles §4.1.4): its one form, and what it must say to be for us.

Knows documents, but no key and no clock: what is signed was verified before it is judged, and time is given.
"""

import base64
from collections.abc import Mapping
from dataclasses import dataclass
from math import inf

from hoopproxy.addons.saml_document import (
    ASSERTION,
    PROTOCOL,
    SIGNATURE,
    Element,
    Invalid,
    Stale,
    at_s,
    identifiers,
    local,
    name,
    one,
    parse,
    shown,
    text,
)

SUCCESS = "urn:oasis:names:tc:SAML:2.0:status:Success"
BEARER = "urn:oasis:names:tc:SAML:2.0:cm:bearer"
ENTITY = "urn:oasis:names:tc:SAML:2.0:nameid-format:entity"

_KNOWN_CONDITIONS = {name(ASSERTION, each) for each in ("AudienceRestriction", "OneTimeUse", "ProxyRestriction")}


class Denied(Invalid):
    """The identity provider itself says no."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a response must say. `issuer` and `audience` are entity IDs; `request_id` is the request that it answers."""

    issuer: str
    audience: str
    recipient: str
    request_id: str
    now_s: float
    skew_s: float
    authn_age_s_max: float


@dataclass(frozen=True, slots=True)
class NameId:
    """A name that the provider gives to somebody, and in whose eyes."""

    value: str
    format: str
    provider: str | None
    audience: str | None


@dataclass(frozen=True, slots=True)
class Said:
    """What a verified assertion says. It counts before `until_s`, and its session ends at `session_until_s`."""

    request_id: str
    assertion_id: str
    until_s: float
    session_until_s: float
    name_id: NameId | None
    attributes: Mapping[str, tuple[str, ...]]


@dataclass(frozen=True, slots=True)
class Response:
    """A response of the one form: nothing in it is believed yet."""

    root: Element
    assertion: Element

    @classmethod
    def opened(cls, encoded: str, bytes_max: int) -> "Response":
        """The response in a form's field (SAML Bindings §3.5.4). @raise Denied, Invalid"""
        if len(encoded) > bytes_max * 4 // 3 + 4:
            raise Invalid(f"it is longer than {bytes_max} bytes")
        try:
            data = base64.b64decode(encoded.replace("\r\n", ""), validate=True)
        except ValueError as why:
            raise Invalid("it is no Base64") from why
        root = parse(data)
        if root.tag != name(PROTOCOL, "Response"):
            raise Invalid(f"it is {shown(local(root))}; wanted is a Response")
        _check_status(root)
        return cls(root, _only_assertion(root))

    @property
    def is_signed(self) -> bool:
        """Whether it has a signature besides that of its assertion."""
        return self.root.find(name(SIGNATURE, "Signature")) is not None

    @property
    def request_id(self) -> str:
        """The request that it claims to answer. @raise Invalid: none."""
        request_id = self.root.get("InResponseTo")
        if not request_id:
            raise Invalid("nobody asked for it: it has no InResponseTo")
        return str(request_id)


def check_envelope(root: Element, wanted: Wanted) -> None:
    """Whether a response, signed or not, says that it is for us. @raise Invalid"""
    _check_version(root, wanted)
    issuer = root.find(name(ASSERTION, "Issuer"))
    if issuer is not None:
        _check_issuer(issuer, wanted)
    _check("Destination", root.get("Destination"), wanted.recipient)
    _check("InResponseTo", root.get("InResponseTo"), wanted.request_id)


def said(assertion: Element, wanted: Wanted) -> Said:
    """What an assertion says, which is all that a signature covers. @raise Invalid: it is not for us, here and now."""
    _check_version(assertion, wanted)
    _check_issuer(one(assertion, name(ASSERTION, "Issuer")), wanted)
    subject = one(assertion, name(ASSERTION, "Subject"))
    if assertion.find(f".//{name(ASSERTION, 'EncryptedID')}") is not None:
        raise Invalid("the NameID is encrypted; turn that off for this gateway at the identity provider")
    until_s = _confirmed_until_s(one(subject, name(ASSERTION, "SubjectConfirmation")), wanted)
    _check_conditions(one(assertion, name(ASSERTION, "Conditions")), wanted)
    return Said(
        request_id=wanted.request_id,
        assertion_id=str(assertion.get("ID")),
        until_s=until_s,
        session_until_s=_session_until_s(one(assertion, name(ASSERTION, "AuthnStatement")), wanted),
        name_id=_name_id(subject),
        attributes=_attributes(assertion),
    )


# The form -------------------------------------------------------------------------------------------------------------


def _check_status(root: Element) -> None:
    """@raise Denied: with the provider's own words, none of which is signed for sure."""
    codes = [str(each.get("Value")) for each in one(root, name(PROTOCOL, "Status")).iter(name(PROTOCOL, "StatusCode"))]
    if codes != [SUCCESS]:
        raise Denied(f"its status is {shown(' '.join(code.rpartition(':')[2] for code in codes))}")


def _only_assertion(root: Element) -> Element:
    """The one assertion of a response that consists of nothing but known parts, each in its place. @raise Invalid"""
    everything = [local(each) for each in root.iter()]
    if "EncryptedAssertion" in everything:
        raise Invalid(
            "the assertion is encrypted, which is unsupported; the identity provider must not do that for this gateway"
        )
    parts = (
        name(ASSERTION, "Issuer"),
        name(SIGNATURE, "Signature"),
        name(PROTOCOL, "Status"),
        name(ASSERTION, "Assertion"),
    )
    found = [each.tag for each in root]
    if found != [part for part in parts if part in found] or found[-1] != parts[-1]:
        raise Invalid(f"the response consists of {shown(', '.join(map(local, root)))}")
    if everything.count("Assertion") != 1 or everything.count("Response") != 1:
        raise Invalid("there is more than one Response or Assertion in it")
    assertion = root[-1]
    signatures = [each.getparent() for each in root.iter() if local(each) == "Signature"]
    if signatures not in ([assertion], [root, assertion]):
        raise Invalid("it is signed in other places than wanted: its assertion once, and itself once or never")
    named = identifiers(root)
    if len(named) != len(set(named)):
        raise Invalid("two of its elements have the same ID")
    return assertion


# The contents ---------------------------------------------------------------------------------------------------------


def _check(what: str, found: str | None, wanted: str) -> None:
    if found != wanted:
        raise Invalid(f"{what} is {shown(str(found))}; wanted is {wanted!r}")


def _check_version(element: Element, wanted: Wanted) -> None:
    _check("Version", element.get("Version"), "2.0")
    issued_s = at_s(element, "IssueInstant")
    if issued_s is None or issued_s > wanted.now_s + wanted.skew_s:
        raise Stale(f"the IssueInstant of {local(element)} is missing or in the future")


def _check_issuer(issuer: Element, wanted: Wanted) -> None:
    _check("Issuer", text(issuer).strip(), wanted.issuer)
    _check("the format of Issuer", issuer.get("Format", ENTITY), ENTITY)


def _confirmed_until_s(confirmation: Element, wanted: Wanted) -> float:
    """SAML Profiles §4.1.4.2: who bears it must come to us, in time, and because we asked."""
    _check("the method of SubjectConfirmation", confirmation.get("Method"), BEARER)
    data = one(confirmation, name(ASSERTION, "SubjectConfirmationData"))
    _check("Recipient", data.get("Recipient"), wanted.recipient)
    _check("InResponseTo", data.get("InResponseTo"), wanted.request_id)
    until_s = _check_time(data, wanted)
    if until_s == inf:
        raise Invalid("SubjectConfirmationData has no NotOnOrAfter")
    return until_s


def _check_conditions(conditions: Element, wanted: Wanted) -> None:
    """SAML Core §2.5.1: each of them holds; one that is unknown does not."""
    _check_time(conditions, wanted)
    if unknown := {each.tag for each in conditions} - _KNOWN_CONDITIONS:
        raise Invalid(f"a condition is unknown: {shown(', '.join(sorted(unknown)))}")
    restrictions = conditions.findall(name(ASSERTION, "AudienceRestriction"))
    for restriction in restrictions:
        audiences = [text(each).strip() for each in restriction.iter(name(ASSERTION, "Audience"))]
        if wanted.audience not in audiences:
            raise Invalid(f"it is for {shown(', '.join(audiences))}; wanted is {wanted.audience!r}")
    if not restrictions:
        raise Invalid(f"it is for nobody in particular; wanted is the audience {wanted.audience!r}")


def _check_time(element: Element, wanted: Wanted) -> float:
    """NotBefore and NotOnOrAfter, with the allowance for clocks; until when it counts, without end for inf."""
    begin_s, end_s = at_s(element, "NotBefore"), at_s(element, "NotOnOrAfter")
    if begin_s is not None and wanted.now_s < begin_s - wanted.skew_s:
        raise Stale(f"{local(element)} counts from {element.get('NotBefore')} on")
    until_s = inf if end_s is None else end_s + wanted.skew_s
    if wanted.now_s >= until_s:
        raise Stale(f"{local(element)} counted until {element.get('NotOnOrAfter')}")
    return until_s


def _session_until_s(statement: Element, wanted: Wanted) -> float:
    """When the session at the provider ends: inf where it does not say so."""
    proved_s, until_s = at_s(statement, "AuthnInstant"), at_s(statement, "SessionNotOnOrAfter")
    if proved_s is None or proved_s > wanted.now_s + wanted.skew_s:
        raise Stale("AuthnInstant is missing or in the future")
    if proved_s < wanted.now_s - wanted.skew_s - wanted.authn_age_s_max:
        raise Stale(f"who it is was last proved at {statement.get('AuthnInstant')}, which is too long ago")
    if until_s is not None and until_s <= wanted.now_s:
        raise Stale(f"the session at the provider ended at {statement.get('SessionNotOnOrAfter')}")
    return inf if until_s is None else until_s


def _name_id(subject: Element) -> NameId | None:
    if subject.find(name(ASSERTION, "NameID")) is None:
        return None
    named = one(subject, name(ASSERTION, "NameID"))
    return NameId(text(named), str(named.get("Format")), named.get("NameQualifier"), named.get("SPNameQualifier"))


def _attributes(assertion: Element) -> Mapping[str, tuple[str, ...]]:
    """All values that are texts, by the attribute's name, in their order."""
    found: dict[str, tuple[str, ...]] = {}
    for attribute in assertion.findall(name(ASSERTION, "AttributeStatement", "Attribute")):
        values = tuple(text(each) for each in attribute.findall(name(ASSERTION, "AttributeValue")) if not len(each))
        found[str(attribute.get("Name"))] = found.get(str(attribute.get("Name")), ()) + values
    return found
