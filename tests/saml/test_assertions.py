"""What an assertion must say: each of these is validly signed by the trusted provider, and refused for one reason."""

from typing import Any

import pytest

from hoopproxy.addons.saml import USED_MAX
from hoopproxy.addons.saml_request import LIFETIME_S
from hoopproxy.model import Arrival, Credentials, Identity
from hoopproxy.proofs import Secret

from .conftest import ACS, SERVICE, START_S, STATE, Place, form, request_id
from .provider import CONFIRMATION, ENTITY, attribute, instant

STALE = "Your sign-in took too long, or was used already; start it again."


def at(offset_s: float) -> str:
    return instant(START_S + offset_s)


def name_id(value: str = "ada", format: str = "persistent", more: str = "") -> str:
    return f'<saml:NameID Format="urn:oasis:names:tc:SAML:2.0:nameid-format:{format}"{more}>{value}</saml:NameID>'


def audience(*entities: str) -> str:
    audiences = "".join(f"<saml:Audience>{each}</saml:Audience>" for each in entities)
    return f"<saml:AudienceRestriction>{audiences}</saml:AudienceRestriction>"


def test_a_signed_assertion_is_a_person(place: Place) -> None:
    addon = place.addon()
    assert place.finish(addon, place.respond(addon)) == Identity(
        issuer=ENTITY,
        subject="ada",
        name="Ada",
        groups=frozenset({"data-analysts", "staff"}),
        expires_at_s=START_S + 3600,
        method="staff",
    )


def test_nobody_shows_an_assertion_in_another_protocol(place: Place) -> None:
    addon = place.addon()
    arrival: Any = Arrival
    assert place.spin(addon.identify(arrival, Credentials("", "", "", Secret("<samlp:Response/>")))) is None


@pytest.mark.parametrize(
    ("changes", "detail"),
    [
        ({"audience": audience("https://other.example")}, "it is for 'https://other.example'; wanted is"),
        ({"audience": ""}, "it is for nobody in particular"),
        ({"audience": audience(SERVICE) + audience("https://other.example")}, "it is for 'https://other.example'"),
        ({"audience": audience(SERVICE + "/")}, "it is for"),
        ({"recipient": "https://other.example/acs"}, "Recipient is 'https://other.example/acs'"),
        ({"recipient": ACS + "?"}, "Recipient is"),
        ({"destination": "https://other.example/acs"}, "Destination is 'https://other.example/acs'"),
        ({"issuer": "https://other.example"}, "Issuer is 'https://other.example'"),
        ({"issuer_format": ' Format="urn:x"'}, "the format of Issuer is 'urn:x'"),
        ({"response_issuer": "<saml:Issuer>https://other.example</saml:Issuer>"}, "Issuer is"),
        ({"confirmed_answers": 'InResponseTo="_other"'}, "InResponseTo is '_other'"),
        ({"confirmed_answers": ""}, "InResponseTo is 'None'"),
        ({"answers": ""}, "nobody asked for it"),
        ({"confirmed_until": ""}, "SubjectConfirmationData has no NotOnOrAfter"),
        ({"method": "urn:oasis:names:tc:SAML:2.0:cm:sender-vouches"}, "the method of SubjectConfirmation is"),
        ({"confirmation": ""}, "Subject holds 0 times SubjectConfirmation"),
        ({"conditions": "<saml:Condition/>"}, "a condition is unknown"),
        ({"version": "1.1"}, "Version is '1.1'"),
        ({"authn_at": "yesterday"}, "AuthnInstant is 'yesterday'"),
        ({"authn_at": "2026-11-26T12:00:00"}, "wanted is a moment in UTC"),
        ({"name_id": name_id(format="transient")}, "the format of NameID is '"),
        ({"name_id": name_id(format="emailAddress")}, "the format of NameID is '"),
        ({"name_id": ""}, "the format of NameID is 'none'"),
        ({"name_id": name_id("")}, "the subject is empty"),
        ({"name_id": name_id("a" * 256)}, "the subject is empty, too long"),
        ({"name_id": name_id("ada\u202e")}, "the subject is empty, too long or unprintable"),
        ({"name_id": name_id(" ada")}, "the subject is empty"),
        ({"name_id": name_id("<b>ada</b>")}, "NameID holds elements"),
        ({"name_id": name_id(more=' NameQualifier="https://other.example"')}, "the NameID is another provider's"),
        ({"name_id": name_id(more=' SPNameQualifier="https://other.example"')}, "the NameID is another provider's"),
        ({"name_id": name_id() + name_id("bob")}, "Subject holds 2 times NameID"),
        ({"name_id": "<saml:EncryptedID/>"}, "the NameID is encrypted"),
        ({"attributes": attribute("groups", *map(str, range(1001)))}, "groups has more than 1000 values"),
    ],
)
def test_what_is_signed_but_not_for_us_is_refused(place: Place, changes: dict[str, str], detail: str) -> None:
    addon = place.addon()
    why = place.refused(addon, place.respond(addon, **changes))
    assert detail in why.detail
    assert why.sentence.startswith("Your sign-in is not valid here; start it again")


@pytest.mark.parametrize(
    ("changes", "detail"),
    [
        ({"confirmed_until": f'NotOnOrAfter="{at(-30)}"'}, "SubjectConfirmationData counted until"),
        ({"confirmed_until": f'NotOnOrAfter="{at(300)}" NotBefore="{at(31)}"'}, "SubjectConfirmationData counts from"),
        ({"not_after": at(-30)}, "Conditions counted until"),
        ({"not_before": at(31)}, "Conditions counts from"),
        ({"authn_at": at(31)}, "AuthnInstant is missing or in the future"),
        ({"authn_at": at(-43231)}, "who it is was last proved at"),
        ({"session": f' SessionNotOnOrAfter="{at(0)}"'}, "the session at the provider ended at"),
        ({"issued_at": at(31)}, "the IssueInstant of Response is missing or in the future"),
    ],
)
def test_what_is_signed_but_not_for_now_is_refused(place: Place, changes: dict[str, str], detail: str) -> None:
    addon = place.addon()
    why = place.refused(addon, place.respond(addon, **changes))
    assert detail in why.detail
    assert why.sentence == STALE


@pytest.mark.parametrize(
    "changes",
    [
        {"confirmed_until": f'NotOnOrAfter="{at(-29)}"'},
        {"not_after": at(-29)},
        {"not_before": at(30)},
        {"authn_at": at(30)},
        {"authn_at": at(-43230)},
        {"issued_at": at(30)},
        {"session": f' SessionNotOnOrAfter="{at(1)}"'},
        {"response_issuer": ""},
        {"audience": audience("https://other.example", SERVICE)},
        {"name_id": name_id(more=f' NameQualifier="{ENTITY}" SPNameQualifier="{SERVICE}"')},
        {"conditions": "<saml:OneTimeUse/>"},
    ],
)
def test_what_is_just_good_enough_counts(place: Place, changes: dict[str, str]) -> None:
    addon = place.addon()
    assert place.finish(addon, place.respond(addon, **changes)).subject == "ada"


# Requests -------------------------------------------------------------------------------------------------------------


def test_a_response_to_nobodys_request_is_refused(place: Place) -> None:
    addon = place.addon()
    for unknown in ("_0", f"_{int(START_S):08x}-{'0' * 32}-{'0' * 32}", request_id(place.addon().begin(STATE))):
        why = place.refused(addon, form(place.provider.respond(unknown, START_S)))
        assert "is none that this process made for this browser" in why.detail


def test_a_response_for_another_browser_is_refused(place: Place) -> None:
    addon = place.addon()
    for state in ("t" * 43, "", "\ud800"):
        why = place.refused(addon, place.respond(addon) | {"RelayState": state})
        assert "is none that this process made for this browser" in why.detail


def test_a_request_is_answered_within_ten_minutes(place: Place) -> None:
    addon = place.addon()
    early, late = request_id(addon.begin(STATE)), request_id(addon.begin(STATE))
    place.clock.advance(LIFETIME_S - 1)
    assert place.finish(addon, form(place.provider.respond(early, place.clock.seconds()))).subject == "ada"
    place.clock.advance(1)
    why = place.refused(addon, form(place.provider.respond(late, place.clock.seconds())))
    assert (why.sentence, "the request is older than 600 s" in why.detail) == (STALE, True)


def test_a_response_counts_once(place: Place) -> None:
    addon = place.addon()
    brought = place.respond(addon)
    place.finish(addon, brought)
    why = place.refused(addon, brought)
    assert (why.sentence, "it was used before" in why.detail) == (STALE, True)


def test_an_assertion_counts_once_whatever_it_answers(place: Place) -> None:
    addon = place.addon()
    place.finish(addon, place.respond(addon))
    assert "it was used before" in place.refused(addon, place.respond(addon)).detail
    assert place.finish(addon, place.respond(addon, assertion_id="_another")).subject == "ada"


def test_a_request_counts_once_whatever_answers_it(place: Place) -> None:
    addon = place.addon()
    asked = request_id(addon.begin(STATE))
    place.finish(addon, form(place.provider.respond(asked, START_S)))
    again = form(place.provider.respond(asked, START_S, assertion_id="_another"))
    assert "it was used before" in place.refused(addon, again).detail


def test_what_was_refused_has_used_nothing_up(place: Place) -> None:
    addon = place.addon()
    asked = request_id(addon.begin(STATE))
    right = place.provider.respond(asked, START_S)
    place.refused(addon, form(right.replace(b"data-analysts", b"data-stewards")))
    assert place.finish(addon, form(right)).subject == "ada"


def test_where_no_more_can_be_remembered_nobody_gets_in(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    assert USED_MAX >= 10_000
    monkeypatch.setattr("hoopproxy.addons.saml.USED_MAX", 3)
    addon = place.addon()
    place.finish(addon, place.respond(addon, assertion_id="_a1"))
    why = place.refused(addon, place.respond(addon, assertion_id="_a2"))
    assert why.sentence == "Too many people are signing in at the moment; start again in a minute."
    place.clock.advance(LIFETIME_S)
    assert place.finish(addon, place.respond(addon, assertion_id="_a2")).subject == "ada"


def test_asking_needs_no_memory(place: Place) -> None:
    addon = place.addon()
    asked = request_id(addon.begin(STATE))
    assert len({request_id(addon.begin(STATE)) for _ in range(2000)} | {asked}) == 2001
    assert place.finish(addon, form(place.provider.respond(asked, START_S))).subject == "ada"


# Who it is ------------------------------------------------------------------------------------------------------------


def test_a_subject_may_be_an_attribute(place: Place) -> None:
    addon = place.addon(subject_attribute="employeeNumber")
    transient = name_id("_x1", format="transient")
    attributes = attribute("employeeNumber", "4711")
    identity = place.finish(addon, place.respond(addon, name_id=transient, attributes=attributes))
    assert (identity.subject, identity.name, identity.groups) == ("4711", "4711", frozenset())
    for attributes in ("", attribute("employeeNumber"), attribute("employeeNumber", "4711", "4712")):
        given = attributes or attribute("mail", "ada@example.com")
        why = place.refused(addon, place.respond(addon, assertion_id="_2", name_id=transient, attributes=given))
        assert "employeeNumber has " in why.detail and "wanted is 1" in why.detail


def test_groups_and_names_come_from_the_attributes_that_are_set(place: Place) -> None:
    addon = place.addon(groups_attribute="memberOf", name_attribute="cn")
    attributes = attribute("memberOf", "a", "") + attribute("memberOf", "b") + attribute("cn", "\u202eAda L.")
    identity = place.finish(addon, place.respond(addon, attributes=attributes + attribute("groups", "root")))
    assert (identity.name, identity.groups) == ("Ada L.", frozenset({"a", "b"}))


def test_an_attribute_that_is_no_text_has_no_value(place: Place) -> None:
    addon = place.addon()
    attributes = attribute("groups", "<saml:NameID>root</saml:NameID>", "staff")
    assert place.finish(addon, place.respond(addon, attributes=attributes)).groups == {"staff"}


def test_nobody_is_known_for_longer_than_is_set_or_than_the_provider_says(place: Place) -> None:
    addon = place.addon(lifetime_s_max=600)
    assert place.finish(addon, place.respond(addon)).expires_at_s == START_S + 600
    addon = place.addon()
    assert place.finish(addon, place.respond(addon, session="")).expires_at_s == START_S + 43200


def test_who_was_not_signed_in_is_told_so(place: Place) -> None:
    addon = place.addon()
    status = (
        '<samlp:StatusCode Value="urn:oasis:names:tc:SAML:2.0:status:Responder">'
        '<samlp:StatusCode Value="urn:oasis:names:tc:SAML:2.0:status:AuthnFailed"/></samlp:StatusCode>'
    )
    why = place.refused(addon, place.respond(addon, status=status, assertion="", signs=()))
    assert why.sentence == "Your identity provider did not sign you in; start again, or ask its administrators."
    assert why.detail == "staff: its status is 'Responder AuthnFailed'"


def test_an_assertion_needs_a_confirmation_of_its_own(place: Place) -> None:
    addon = place.addon()
    asked = request_id(addon.begin(STATE))
    fields = {
        "method": "urn:oasis:names:tc:SAML:2.0:cm:bearer",
        "confirmed_until": f'NotOnOrAfter="{at(300)}"',
        "confirmed_answers": f'InResponseTo="{asked}"',
    }
    both = "".join(CONFIRMATION.format(recipient=each, **fields) for each in (ACS, "https://other.example"))
    why = place.refused(addon, form(place.provider.respond(asked, START_S, confirmation=both)))
    assert "Subject holds 2 times SubjectConfirmation" in why.detail
