"""The one form of a signature that counts: whatever else xmlsec1 would verify is refused, though it is valid."""

import re
import subprocess
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from hoopproxy.addons.saml_signature import Verifier

from .conftest import START_S, STATE, Place, form, request_id
from .provider import ENTITY, ENVELOPED, EXCLUSIVE, MORE, REFERENCE, SigningKey, transforms

RSA_SHA1 = "http://www.w3.org/2000/09/xmldsig#rsa-sha1"
SHA1 = "http://www.w3.org/2000/09/xmldsig#sha1"
SHA256 = "http://www.w3.org/2001/04/xmlenc#sha256"
SHA384 = f"{MORE}sha384"
SHA512 = "http://www.w3.org/2001/04/xmlenc#sha512"
INCLUSIVE = "http://www.w3.org/TR/2001/REC-xml-c14n-20010315"
WITH_COMMENTS = f"{EXCLUSIVE}WithComments"
KEPT = f'<ec:InclusiveNamespaces xmlns:ec="{EXCLUSIVE}" PrefixList="xs xsi"/>'
XPATH = (
    '<ds:Transform Algorithm="http://www.w3.org/TR/1999/REC-xpath-19991116"><ds:XPath>not(ancestor-or-self::*'
    '[local-name()="AttributeStatement"])</ds:XPath></ds:Transform>'
)


def reference(uri: str, *algorithms: str) -> str:
    fields = {"transforms": transforms(*(algorithms or (ENVELOPED, EXCLUSIVE))), "digest_method": SHA256}
    return REFERENCE.format(uri=uri, **fields)


@pytest.mark.parametrize(
    ("changes", "detail"),
    [
        ({"signature_method": RSA_SHA1}, f"the algorithm of SignatureMethod is '{RSA_SHA1}'"),
        ({"digest_method": SHA1}, f"the algorithm of DigestMethod is '{SHA1}'"),
        ({"c14n": INCLUSIVE}, "the algorithm of CanonicalizationMethod is"),
        ({"c14n": WITH_COMMENTS}, "the algorithm of CanonicalizationMethod is"),
        ({"transforms": transforms(ENVELOPED, INCLUSIVE)}, "the algorithm of Transform is"),
        ({"transforms": transforms(ENVELOPED, WITH_COMMENTS)}, "the algorithm of Transform is"),
        ({"transforms": transforms(ENVELOPED)}, "Transforms holds 'Transform'"),
        ({"transforms": transforms(ENVELOPED) + XPATH}, "the algorithm of Transform is"),
        ({"transforms": transforms(ENVELOPED, EXCLUSIVE) + XPATH}, "Transforms holds 'Transform, Transform, Transf"),
        ({"references": reference("#_assertion") + reference("#_assertion")}, "SignedInfo holds"),
        ({"references": reference("")}, "the signature of Assertion refers to something else"),
        ({"in_signature": "<ds:Object/>"}, "Signature holds 'SignedInfo, SignatureValue, Object'"),
    ],
)
def test_a_valid_signature_of_another_form_is_refused(place: Place, changes: dict[str, str], detail: str) -> None:
    addon = place.addon()
    assert detail in place.refused(addon, place.respond(addon, **changes)).detail


@pytest.mark.parametrize("digest", [SHA256, SHA384, SHA512])
@pytest.mark.parametrize("method", ["rsa-sha256", "rsa-sha384", "rsa-sha512"])
def test_every_algorithm_that_is_allowed_counts(place: Place, method: str, digest: str) -> None:
    addon = place.addon()
    changes = {"signature_method": MORE + method, "digest_method": digest}
    assert place.finish(addon, place.respond(addon, **changes)).subject == "ada"


@pytest.mark.parametrize("curve", [ec.SECP256R1(), ec.SECP384R1()])
def test_ecdsa_counts(place: Place, curve: Any) -> None:
    key = SigningKey(place.directory, "ec", ec.generate_private_key(curve))
    place.describe(key.certificate)
    addon = place.addon()
    brought = place.respond(addon, key=key, signature_method=f"{MORE}ecdsa-sha256")
    assert place.finish(addon, brought).subject == "ada"


def test_namespaces_that_canonicalization_is_told_to_keep_are_kept(place: Place) -> None:
    addon = place.addon()
    kept = transforms(ENVELOPED) + f'<ds:Transform Algorithm="{EXCLUSIVE}">{KEPT}</ds:Transform>'
    for signs in (("assertion",), ("assertion", "response")):
        brought = place.respond(addon, transforms=kept, signs=signs, assertion_id=f"_{len(signs)}")
        assert place.finish(addon, brought).groups == {"data-analysts", "staff"}


def test_an_assertion_without_a_signature_is_refused(place: Place) -> None:
    addon = place.addon()
    why = place.refused(addon, place.respond(addon, signs=()))
    assert "it is signed in other places than wanted" in why.detail


def test_the_signature_of_a_response_is_not_that_of_its_assertion(place: Place) -> None:
    addon = place.addon()
    why = place.refused(addon, place.respond(addon, signs=("response",)))
    assert "it is signed in other places than wanted" in why.detail


def test_a_signed_response_is_wanted_where_that_is_set(place: Place) -> None:
    addon = place.addon(signed_response=True)
    assert "Response is not signed" in place.refused(addon, place.respond(addon)).detail
    assert place.finish(addon, place.respond(addon, signs=("assertion", "response"))).subject == "ada"


def test_a_response_that_is_signed_wrongly_is_refused_though_nobody_asked_for_it(place: Place) -> None:
    addon = place.addon()
    asked = request_id(addon.begin(STATE))
    right = place.provider.respond(asked, START_S, signs=("assertion", "response"))
    wrong = right.replace(b'ID="_response" Version="2.0"', b'ID="_response" Version="2.0" Consent="urn:x"')
    assert wrong != right
    assert "the signature of Response is not by a key of" in place.refused(addon, form(wrong)).detail
    assert place.finish(addon, form(right)).subject == "ada"


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b">ada<", b">eve<"),
        (b">staff<", b">root<"),
        (b'Z" NotOnOrAfter="2027-01-15T08:05:00Z"', b'Z" NotOnOrAfter="2037-01-15T08:05:00Z"'),
        (b"<ds:DigestValue>", b"<ds:DigestValue>AAAA"),
        (b"<ds:SignatureValue>", b"<ds:SignatureValue>AAAA"),
        (b"xmldsig-more#rsa-sha256", b"xmldsig-more#rsa-sha512"),
        (b"xmlenc#sha256", b"xmlenc#sha512"),
    ],
)
def test_one_changed_byte_breaks_a_signature(place: Place, old: bytes, new: bytes) -> None:
    addon = place.addon()
    response = place.provider.respond(request_id(addon.begin(STATE)), START_S)
    assert old in response
    why = place.refused(addon, form(response.replace(old, new)))
    assert "the signature of Assertion is not by a key of the identity provider" in why.detail


def test_a_key_that_comes_along_is_nobodys(place: Place) -> None:
    other = SigningKey(place.directory, "other")
    addon = place.addon()
    data = f"<ds:X509Data><ds:X509Certificate>{other.certificate}</ds:X509Certificate></ds:X509Data>"
    for key_info in (
        "",
        "<ds:KeyInfo/>",
        f"<ds:KeyInfo>{data}</ds:KeyInfo>",
        "<ds:KeyInfo><ds:KeyValue/></ds:KeyInfo>",
    ):
        why = place.refused(addon, place.respond(addon, key=other, key_info=key_info))
        assert "the signature of Assertion is not by a key of the identity provider" in why.detail


@pytest.mark.parametrize(
    "key_info",
    [
        "<ds:X509Data><ds:X509Certificate>AAAA</ds:X509Certificate></ds:X509Data>",
        '<ds:RetrievalMethod URI="http://127.0.0.1:9/key"/>',
        "<ds:KeyName>another</ds:KeyName>",
    ],
)
def test_what_comes_along_as_a_key_is_not_even_shown_to_xmlsec1(
    place: Place, monkeypatch: pytest.MonkeyPatch, key_info: str
) -> None:
    seen: list[bytes] = []
    verifies = Verifier._verifies
    monkeypatch.setattr(Verifier, "_verifies", lambda self, *what: seen.append(what[0]) or verifies(self, *what))
    addon = place.addon()
    right = place.provider.respond(request_id(addon.begin(STATE)), START_S)
    brought = right.replace(
        b"</ds:SignatureValue>", f"</ds:SignatureValue><ds:KeyInfo>{key_info}</ds:KeyInfo>".encode()
    )
    assert brought != right
    assert place.finish(addon, form(brought)).subject == "ada"
    assert [b"KeyInfo" in each for each in seen] == [False]


@pytest.mark.parametrize("method", ["CanonicalizationMethod", "SignatureMethod", "DigestMethod"])
def test_no_algorithm_takes_a_parameter(place: Place, method: str) -> None:
    """An HMACOutputLength of 0, say: CVE-2009-0217."""
    addon = place.addon()
    right = place.provider.respond(request_id(addon.begin(STATE)), START_S).decode()
    parameter = "<ds:HMACOutputLength>0</ds:HMACOutputLength>"
    forged = re.sub(rf"<ds:{method} ([^>]*)/>", rf"<ds:{method} \1>{parameter}</ds:{method}>", right)
    assert forged != right
    assert f"{method} holds 'HMACOutputLength'" in place.refused(addon, form(forged.encode())).detail


def test_what_is_read_has_the_signed_digest_whatever_xmlsec1_thinks(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As if the two programs read one document differently."""
    monkeypatch.setattr(Verifier, "_verifies", lambda *_: True)
    addon = place.addon()
    right = place.provider.respond(request_id(addon.begin(STATE)), START_S)
    why = place.refused(addon, form(right.replace(b">ada<", b">eve<")))
    assert "the digest of Assertion is not the signed one" in why.detail
    assert place.finish(addon, form(right)).subject == "ada"


def test_a_password_that_everybody_knows_is_no_key(place: Place) -> None:
    """HMAC, with the public key for a secret: the confusion that JWTs are known for."""
    addon = place.addon()
    hmac = place.provider.respond(request_id(addon.begin(STATE)), START_S).replace(b"#rsa-sha256", b"#hmac-sha256")
    assert "the algorithm of SignatureMethod is" in place.refused(addon, form(hmac)).detail


def test_what_is_read_is_what_was_signed(place: Place) -> None:
    """The verified element is read again from the bytes that have the digest, however the document was written."""
    from lxml import etree

    from hoopproxy.addons.saml_document import parse

    response = place.provider.respond("_request", START_S)
    parsed = parse(response.replace(b"<saml:Subject>", b"<saml:Subject  >").replace(b">staff<", b">&#115;taff<"))
    certificate = place.provider.key.certificate_file.read_bytes()
    signed = Verifier().verified(parsed[-1], [certificate])
    assert signed.getparent() is None and b"Signature" not in etree.tostring(signed)
    assert signed.xpath("string(//*[local-name()='AttributeValue'][last()])") == "Ada"
    assert signed[0].text == ENTITY


def test_whoever_has_no_xmlsec1_hears_what_to_install(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(place.directory))
    with pytest.raises(FileNotFoundError, match=r"there is no program xmlsec1, .* install it .*the package xmlsec1"):
        place.addon()


def test_the_programs_words_about_strangers_documents_reach_no_log(
    place: Place, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    addon = place.addon()
    response = place.provider.respond(request_id(addon.begin(STATE)), START_S)
    place.refused(addon, form(response.replace(b">ada<", b">eve<")))
    assert not caplog.records and capfd.readouterr() == ("", "")


def test_a_weak_rsa_key_never_counts(place: Place) -> None:
    weak = SigningKey(place.directory, "weak", rsa.generate_private_key(65537, 1024))
    place.describe(weak.certificate)
    with pytest.raises(Exception, match="one of its keys has 1024 bits; wanted are 2048 or more"):
        place.addon()


def test_nobody_makes_xmlsec1_run_with_what_answers_nothing(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    ran: list[Any] = []
    addon = place.addon()
    answers_nothing = form(place.provider.respond("_0", START_S))
    monkeypatch.setattr(subprocess.Popen, "__init__", lambda *args, **kwargs: ran.append(args))
    place.refused(addon, answers_nothing)
    assert ran == []
