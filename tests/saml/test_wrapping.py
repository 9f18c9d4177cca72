"""XML signature wrapping: what SimpleSAMLphp has signed for alice, moved about, beside what nobody has signed for root.

The eight variants are those of "On Breaking SAML: Be Whoever You Want to Be" (Somorovsky et al., USENIX Security 2012),
in the numbers of SAML Raider. In each the real signature verifies, over what it was made for.
"""

import base64
import copy
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from lxml import etree

from hoopproxy.addons.saml import SamlAuthenticator
from hoopproxy.addons.saml_document import Invalid, parse
from hoopproxy.addons.saml_response import Response, Said, Wanted, said
from hoopproxy.addons.saml_signature import Verifier

from .conftest import STATE, Place, form, request_id
from .simplesamlphp import ACS, SimpleSamlPhp, sign_in

SAML = "{urn:oasis:names:tc:SAML:2.0:assertion}"
SAMLP = "{urn:oasis:names:tc:SAML:2.0:protocol}"
DS = "{http://www.w3.org/2000/09/xmldsig#}"
SERVICE = "https://gateway.example/both-signed"

type Element = Any


@pytest.fixture
def addon(real: Place) -> SamlAuthenticator:
    return real.addon(entity_id=SERVICE)


@pytest.fixture
def response(addon: SamlAuthenticator) -> Element:
    """A response whose two signatures, its own and its assertion's, are SimpleSAMLphp's."""
    root = parse(base64.b64decode(sign_in(addon.begin(STATE))["SAMLResponse"]))
    assert root.find(f"{DS}Signature") is not None and root.find(f"{SAML}Assertion/{DS}Signature") is not None
    return root


type Refused = Callable[[Element], str]


@pytest.fixture
def refused(real: Place, addon: SamlAuthenticator) -> Refused:
    """What the operator reads of a forged response."""

    def detail(forged: Element) -> str:
        data = etree.tostring(forged)
        assert b">root<" in data and b">alice<" in data
        return real.refused(addon, form(data)).detail

    return detail


def evil(element: Element, identifier: str = "_evil") -> Element:
    """A copy without signatures that says that it is root's."""
    forged = copy.deepcopy(element)
    for signature in list(forged.iter(f"{DS}Signature")):
        signature.getparent().remove(signature)
    forged.set("ID", identifier)
    for each in forged.iter(f"{SAML}NameID"):
        each.text = "root"
    return forged


def unsigned(element: Element) -> Element:
    """A copy of what its own signature covers."""
    whole = copy.deepcopy(element)
    whole.remove(whole.find(f"{DS}Signature"))
    return whole


def own_signature(element: Element) -> Element:
    return copy.deepcopy(element.find(f"{DS}Signature"))


def parts(response: Element) -> tuple[Element, Element]:
    """A response without its own signature, and its signed assertion, taken out of it."""
    root = unsigned(response)
    assertion = root.find(f"{SAML}Assertion")
    root.remove(assertion)
    return root, assertion


IN_OTHER_PLACES = "it is signed in other places than wanted"
TWO = "there is more than one Response or Assertion in it"
CONSISTS = "the response consists of"


def test_the_response_itself_is_good(real: Place, addon: SamlAuthenticator, response: Element) -> None:
    assert real.finish(addon, form(etree.tostring(response))).subject == "alice"


def test_xsw_1_the_signed_response_within_its_signature(response: Element, refused: Refused) -> None:
    forged, signature = evil(response), own_signature(response)
    signature.append(unsigned(response))
    forged.insert(1, signature)
    assert TWO in refused(forged)


def test_xsw_2_the_signed_response_before_its_signature(response: Element, refused: Refused) -> None:
    forged = evil(response)
    forged.insert(1, unsigned(response))
    forged.insert(2, own_signature(response))
    assert CONSISTS in refused(forged)


def test_xsw_3_another_assertion_before_the_signed_one(response: Element, refused: Refused) -> None:
    forged, assertion = parts(response)
    forged.append(evil(assertion))
    forged.append(assertion)
    assert CONSISTS in refused(forged)


def test_xsw_4_the_signed_assertion_within_another(response: Element, refused: Refused) -> None:
    forged, assertion = parts(response)
    outer = evil(assertion)
    outer.append(assertion)
    forged.append(outer)
    assert TWO in refused(forged)


def test_xsw_5_another_assertion_with_the_signature_and_the_signed_one_behind(
    response: Element, refused: Refused
) -> None:
    forged, assertion = parts(response)
    first = evil(assertion)
    first.insert(1, own_signature(assertion))
    forged.append(first)
    forged.append(unsigned(assertion))
    assert CONSISTS in refused(forged)


def test_xsw_6_the_signed_assertion_within_its_signature_within_another(response: Element, refused: Refused) -> None:
    forged, assertion = parts(response)
    outer, signature = evil(assertion), own_signature(assertion)
    signature.append(unsigned(assertion))
    outer.insert(1, signature)
    forged.append(outer)
    assert TWO in refused(forged)


def test_xsw_7_another_assertion_in_an_extension(response: Element, refused: Refused) -> None:
    forged, assertion = parts(response)
    extensions = etree.SubElement(forged, f"{SAMLP}Extensions")
    extensions.append(evil(assertion))
    forged.insert(1, extensions)
    forged.append(assertion)
    assert CONSISTS in refused(forged)


def test_xsw_8_the_signed_assertion_in_an_object_of_its_signature(response: Element, refused: Refused) -> None:
    forged, assertion = parts(response)
    outer, signature = evil(assertion), own_signature(assertion)
    etree.SubElement(signature, f"{DS}Object").append(unsigned(assertion))
    outer.insert(1, signature)
    forged.append(outer)
    assert TWO in refused(forged)


# Beyond the eight -----------------------------------------------------------------------------------------------------


def test_the_same_id_twice(response: Element, refused: Refused) -> None:
    forged, assertion = parts(response)
    outer = evil(assertion, assertion.get("ID"))
    etree.SubElement(outer, f"{SAML}Advice").append(assertion)
    forged.append(outer)
    assert TWO in refused(forged)


@pytest.mark.parametrize("key", ["ID", "Id", "id", "{http://www.w3.org/XML/1998/namespace}id"])
def test_the_same_id_under_any_name(real: Place, addon: SamlAuthenticator, response: Element, key: str) -> None:
    root, assertion = parts(response)
    root.append(assertion)
    root.find(f"{SAMLP}Status").set(key, assertion.get("ID"))
    detail = real.refused(addon, form(etree.tostring(root))).detail
    assert "two of its elements have the same ID" in detail


def test_an_assertion_in_another_namespace_is_one_too(response: Element, refused: Refused) -> None:
    forged, assertion = parts(response)
    hidden = evil(assertion)
    hidden.tag = "{urn:x}Assertion"
    forged.find(f"{SAMLP}Status").append(hidden)
    forged.append(assertion)
    assert TWO in refused(forged)


def test_a_signature_moved_up_to_the_response(real: Place, addon: SamlAuthenticator, response: Element) -> None:
    root, assertion = parts(response)
    root.insert(1, own_signature(assertion))
    root.append(assertion)
    assert (
        "the signature of Response refers to something else" in real.refused(addon, form(etree.tostring(root))).detail
    )


def test_a_signature_in_another_place_of_its_element(real: Place, addon: SamlAuthenticator, response: Element) -> None:
    root, assertion = parts(response)
    assertion.append(assertion.find(f"{DS}Signature"))
    root.append(assertion)
    assert "Assertion is not signed" in real.refused(addon, form(etree.tostring(root))).detail


def test_a_second_signature(real: Place, addon: SamlAuthenticator, response: Element) -> None:
    root, assertion = parts(response)
    assertion.insert(1, own_signature(assertion))
    root.append(assertion)
    assert IN_OTHER_PLACES in real.refused(addon, form(etree.tostring(root))).detail


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(data=st.data())
def test_whatever_is_moved_or_copied_it_says_what_was_signed_or_nothing(
    data: st.DataObject, simplesamlphp: SimpleSamlPhp, signed: tuple[Element, Wanted, Said]
) -> None:
    """Any element, put anywhere, once more or instead, with or without root's name in it."""
    original, wanted, expected = signed
    root = copy.deepcopy(original)
    for _ in range(data.draw(st.integers(1, 3))):
        everything = list(root.iter())
        moved = data.draw(st.sampled_from(everything))
        there = data.draw(st.sampled_from(everything))
        put = copy.deepcopy(moved)
        if data.draw(st.booleans()):
            for each in put.iter(f"{SAML}NameID", f"{SAML}AttributeValue"):
                each.text = "root"
        if data.draw(st.booleans()) and moved is not root:
            moved.getparent().remove(moved)
        there.insert(data.draw(st.integers(0, len(there))), put)
    check_it_says_what_was_signed_or_nothing(etree.tostring(root), simplesamlphp, wanted, expected)


PIECES = (
    b"<",
    b">",
    b"&",
    b"&lt;",
    b'"',
    b"\0",
    b"\xff",
    b"<!--x-->",
    b"root",
    b"#",
    b" xmlns:saml='urn:x'",
    b"]]>",
    b"\r\n",
)


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(
    changes=st.lists(st.tuples(st.floats(0, 1), st.integers(0, 40), st.sampled_from(PIECES)), min_size=1, max_size=3)
)
def test_whatever_is_written_over_it_says_what_was_signed_or_nothing(
    changes: list[tuple[float, int, bytes]], simplesamlphp: SimpleSamlPhp, signed: tuple[Element, Wanted, Said]
) -> None:
    original, wanted, expected = signed
    data = etree.tostring(original)
    for where, length, piece in changes:
        start = int(where * len(data))
        data = data[:start] + piece + data[start + length :]
    check_it_says_what_was_signed_or_nothing(data, simplesamlphp, wanted, expected)


def check_it_says_what_was_signed_or_nothing(
    data: bytes, simplesamlphp: SimpleSamlPhp, wanted: Wanted, expected: Said
) -> None:
    try:
        opened = Response.opened(form(data)["SAMLResponse"], 1 << 20)
        found = said(Verifier().verified(opened.assertion, [simplesamlphp.key.certificate_file.read_bytes()]), wanted)
    except Invalid:
        return
    assert found == expected


@pytest.fixture
def signed(addon: SamlAuthenticator, real: Place, simplesamlphp: SimpleSamlPhp) -> tuple[Element, Wanted, Said]:
    """A real response, what is wanted of it, and what it says."""
    url = addon.begin(STATE)
    root = parse(base64.b64decode(sign_in(url)["SAMLResponse"]))
    wanted = Wanted(f"{simplesamlphp.url}/idp", SERVICE, ACS, request_id(url), real.clock.seconds(), 30, 3600)
    certificate = simplesamlphp.key.certificate_file.read_bytes()
    return root, wanted, said(Verifier().verified(root.find(f"{SAML}Assertion"), [certificate]), wanted)
