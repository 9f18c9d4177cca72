"""People who sign in at a real identity provider, in a browser, and what is made of what it brings back."""

import base64
import zlib
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from hoopproxy.addons.saml import SamlAuthenticator
from hoopproxy.addons.saml_document import parse
from hoopproxy.model import Identity

from .conftest import STATE, Place
from .provider import SigningKey
from .simplesamlphp import ACS, SimpleSamlPhp, sign_in

GATEWAY = "https://gateway.example"

type Trusting = Callable[..., SamlAuthenticator]


@pytest.fixture
def trusting(real: Place, simplesamlphp: SimpleSamlPhp) -> Trusting:
    """An addon that trusts SimpleSAMLphp, as the service of that name there."""

    def make(service: str = "saml", **settings: Any) -> SamlAuthenticator:
        return real.addon(entity_id=f"{GATEWAY}/{service}", **settings)

    return make


def changed(form: dict[str, str], old: bytes, new: bytes) -> dict[str, str]:
    response = base64.b64decode(form["SAMLResponse"])
    assert old in response
    return form | {"SAMLResponse": base64.b64encode(response.replace(old, new)).decode()}


def test_who_signs_in_is_known_with_name_and_groups(
    real: Place, trusting: Trusting, simplesamlphp: SimpleSamlPhp
) -> None:
    addon = trusting()
    brought = sign_in(addon.begin(STATE))
    assert brought["RelayState"] == STATE
    identity = real.finish(addon, brought)
    assert identity == Identity(
        issuer=f"{simplesamlphp.url}/idp",
        subject="alice",
        name="Alice",
        groups=frozenset({"dba-eu", "engineers"}),
        expires_at_s=identity.expires_at_s,
        method="staff",
    )
    # SimpleSAMLphp ends sessions after 8 hours.
    assert 28_000 < identity.expires_at_s - real.clock.seconds() < 29_000


def test_each_is_whom_the_provider_knows(real: Place, trusting: Trusting) -> None:
    addon = trusting()
    bob, alice = (sign_in(addon.begin(STATE), user) for user in ("bob", "alice"))
    assert real.finish(addon, alice).subject == "alice"
    assert real.finish(addon, bob).groups == {"support-us"}


def test_a_changed_response_is_refused(real: Place, trusting: Trusting) -> None:
    addon = trusting()
    brought = sign_in(addon.begin(STATE))
    for old, new in ((b">engineers<", b">root<"), (b">alice</saml:NameID>", b">admin</saml:NameID>")):
        detail = real.refused(addon, changed(brought, old, new)).detail
        assert "the signature of Assertion is not by a key of the identity provider" in detail


def test_a_response_is_for_one_request_and_counts_once(real: Place, trusting: Trusting) -> None:
    addon = trusting()
    brought = sign_in(addon.begin(STATE))
    assert "is none that this process made" in real.refused(trusting(), brought).detail
    real.finish(addon, brought)
    assert "it was used before" in real.refused(addon, brought).detail


def test_what_the_provider_starts_itself_is_refused(
    real: Place, trusting: Trusting, simplesamlphp: SimpleSamlPhp
) -> None:
    """IdP-initiated: nobody here asked for it (login CSRF)."""
    brought = sign_in(f"{simplesamlphp.url}/saml2/idp/SSOService.php?spentityid={GATEWAY}/saml&RelayState={STATE}")
    assert "nobody asked for it: it has no InResponseTo" in real.refused(trusting(), brought).detail


def test_a_response_is_too_old_after_five_minutes(real: Place, trusting: Trusting) -> None:
    addon = trusting()
    brought = sign_in(addon.begin(STATE))
    real.clock.advance(340)
    why = real.refused(addon, brought)
    assert why.sentence == "Your sign-in took too long, or was used already; start it again."
    assert "SubjectConfirmationData counted until" in why.detail


def test_a_response_that_is_signed_as_well_counts_where_that_is_wanted(real: Place, trusting: Trusting) -> None:
    addon = trusting("both-signed", signed_response=True)
    assert real.finish(addon, sign_in(addon.begin(STATE))).subject == "alice"
    addon = trusting(signed_response=True)
    assert "Response is not signed" in real.refused(addon, sign_in(addon.begin(STATE))).detail


@pytest.mark.parametrize("service", ["response-signed", "nothing-signed"])
def test_an_assertion_that_is_not_signed_itself_is_refused(real: Place, trusting: Trusting, service: str) -> None:
    addon = trusting(service)
    assert "it is signed in other places than wanted" in real.refused(addon, sign_in(addon.begin(STATE))).detail


def test_an_encrypted_assertion_is_refused_with_what_to_do(real: Place, trusting: Trusting) -> None:
    addon = trusting("encrypted")
    assert "the assertion is encrypted" in real.refused(addon, sign_in(addon.begin(STATE))).detail


def test_a_signature_by_sha1_is_refused(real: Place, trusting: Trusting) -> None:
    addon = trusting("sha1")
    assert "the algorithm of SignatureMethod is" in real.refused(addon, sign_in(addon.begin(STATE))).detail


def test_another_providers_key_is_refused(real: Place, trusting: Trusting, simplesamlphp: SimpleSamlPhp) -> None:
    other = SigningKey(real.directory, "other")
    ours = simplesamlphp.key.certificate
    real.metadata_file.write_bytes(_with_certificate(simplesamlphp.metadata, other.certificate))
    addon = trusting()
    brought = sign_in(addon.begin(STATE))
    assert "is not by a key of the identity provider" in real.refused(addon, brought).detail
    real.metadata_file.write_bytes(_with_certificate(simplesamlphp.metadata, ours))
    assert real.finish(addon, brought).subject == "alice"


def test_requests_are_signed_where_there_is_a_key(
    real: Place, trusting: Trusting, simplesamlphp: SimpleSamlPhp
) -> None:
    addon = trusting("asks-signed", key_file=simplesamlphp.service_key.key_file)
    assert real.finish(addon, sign_in(addon.begin(STATE))).subject == "alice"
    with pytest.raises(AssertionError, match="no signature found on message"):
        sign_in(trusting("asks-signed").begin(STATE))
    with pytest.raises(AssertionError, match="Unable to validate signature on query string"):
        sign_in(trusting("asks-signed", key_file=simplesamlphp.key.key_file).begin(STATE))


def test_a_request_says_what_is_asked_for(trusting: Trusting, simplesamlphp: SimpleSamlPhp) -> None:
    address, _, query = trusting(force_authn=True).begin(STATE).partition("?")
    asked = parse_qs(query)
    assert (address, asked["RelayState"]) == (f"{simplesamlphp.url}/saml2/idp/SSOService.php", [STATE])
    request = parse(zlib.decompress(base64.b64decode(asked["SAMLRequest"][0]), wbits=-15).removeprefix(b"<?xml"))
    assert request.get("ForceAuthn") == "true"
    assert request.get("AssertionConsumerServiceURL") == ACS
    assert request.get("Destination") == address
    assert urlsplit(request.get("ProtocolBinding")).path.endswith("bindings:HTTP-POST")
    assert [each.text for each in request if each.tag.endswith("Issuer")] == [f"{GATEWAY}/saml"]


def _with_certificate(metadata: bytes, certificate: str) -> bytes:
    before, _, rest = metadata.partition(b"<ds:X509Certificate>")
    _, _, after = rest.partition(b"</ds:X509Certificate>")
    return before + b"<ds:X509Certificate>" + certificate.encode() + b"</ds:X509Certificate>" + after
