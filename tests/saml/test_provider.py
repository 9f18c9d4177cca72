"""The metadata file: who may write it, what must stand in it, and that it counts as it is now."""

from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from pydantic import ValidationError

from hoopproxy.addons.saml import Settings
from hoopproxy.addons.saml_document import Invalid
from hoopproxy.addons.saml_provider import METADATA_BYTES_MAX, described
from hoopproxy.errors import Refused

from .conftest import ACS, SERVICE, START_S, STATE, Place
from .provider import ENTITY, SIGN_IN, OwnProvider, SigningKey, instant, metadata

CLOSED = "The gateway can't sign anybody in at the moment; tell its operator, and start again in a minute."


@pytest.fixture
def certificate(provider: OwnProvider) -> str:
    return provider.key.certificate


def test_it_tells_where_people_sign_in_and_whose_keys_sign(certificate: str) -> None:
    found = described(metadata(certificate))
    assert (found.entity_id, found.sign_in_url) == (ENTITY, SIGN_IN)
    assert len(found.certificates) == 1 and not found.wants_signed_requests


def test_a_request_keeps_what_the_address_holds(place: Place) -> None:
    assert place.addon().begin(STATE).startswith(f"{SIGN_IN}&SAMLRequest=")


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"sign_in": "http://idp.example/sso"}, "for HTTP-Redirect; wanted is one with https:// "),
        ({"sign_in": "javascript:alert(1)"}, "for HTTP-Redirect; wanted is one with https:// "),
        ({"sign_in": "https://user@idp.example/"}, "for HTTP-Redirect; wanted is one with https:// "),
        ({"protocol": "urn:oasis:names:tc:SAML:1.1:protocol"}, "its provider does not speak SAML 2.0"),
        ({"entity": ""}, "one EntityDescriptor with an entityID"),
        ({"keys": ""}, "it has 0 certificates for signing"),
        ({"use": ' use="encryption"'}, "it has 0 certificates for signing"),
        ({"entity_attributes": ' validUntil="soon"'}, "validUntil is 'soon'"),
    ],
)
def test_what_can_not_be_used_says_why(certificate: str, changes: dict[str, str], why: str) -> None:
    with pytest.raises(Invalid, match=why):
        described(metadata(certificate, **changes))


@pytest.mark.parametrize("certificate", ["", "AAAA", "%%%", "é"])
def test_a_certificate_that_is_none(certificate: str) -> None:
    with pytest.raises(Invalid, match="one of its certificates can't be read"):
        described(metadata(certificate))


def test_a_key_of_a_kind_that_signs_nothing_here(tmp_path: Path) -> None:
    key = SigningKey.certificate_of(ed25519.Ed25519PrivateKey.generate())
    with pytest.raises(Invalid, match="for a key that is neither RSA nor ECDSA"):
        described(metadata(key))
    with pytest.raises(Invalid, match="one of its keys has 192 bits; wanted are 224 or more"):
        described(metadata(SigningKey.certificate_of(ec.generate_private_key(ec.SECP192R1()))))


def test_too_many_keys(certificate: str, tmp_path: Path) -> None:
    assert len(described(metadata(*[certificate] * 100)).certificates) == 1
    many = [SigningKey.certificate_of(ec.generate_private_key(ec.SECP256R1())) for _ in range(9)]
    with pytest.raises(Invalid, match="it has 9 certificates for signing; wanted are 1 to 8"):
        described(metadata(*many))


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"", "it is no XML"),
        (b" " * (METADATA_BYTES_MAX + 1), "it is longer than 1048576 bytes"),
        (b"<EntityDescriptor entityID='x'/>", "it is not what is wanted"),
        (b"<!DOCTYPE x [<!ENTITY e 'x'>]><x/>", "it holds a DTD"),
        (b"<!DOCTYPE x SYSTEM 'file:///etc/passwd'><x/>", "it holds a DTD"),
    ],
)
def test_what_is_no_metadata(data: bytes, why: str) -> None:
    with pytest.raises(Invalid, match=why):
        described(data)


def test_others_may_not_write_it(place: Place) -> None:
    place.metadata_file.chmod(0o664)
    with pytest.raises(Invalid, match="others may change it; wanted is a file of the gateway's user or root alone"):
        place.addon()


def test_a_missing_file_stops_the_start(place: Place) -> None:
    place.metadata_file.unlink()
    with pytest.raises(FileNotFoundError):
        place.addon()


def test_both_keys_count_during_a_rotation(place: Place) -> None:
    fresh = SigningKey(place.directory, "fresh")
    place.describe(place.provider.key.certificate, fresh.certificate)
    addon = place.addon()
    assert place.finish(addon, place.respond(addon, assertion_id="_1")).subject == "ada"
    assert place.finish(addon, place.respond(addon, assertion_id="_2", key=fresh)).subject == "ada"


def test_a_key_for_everything_signs_too(place: Place) -> None:
    place.describe(use="")
    addon = place.addon()
    assert place.finish(addon, place.respond(addon)).subject == "ada"


def test_the_file_counts_as_it_is_now(place: Place) -> None:
    addon = place.addon()
    before = place.respond(addon)
    place.describe(SigningKey(place.directory, "fresh").certificate, sign_in="https://new.example/sso")
    assert "is not by a key of" in place.refused(addon, before).detail
    assert addon.begin(STATE).startswith("https://new.example/sso?SAMLRequest=")
    place.describe()
    assert place.finish(addon, before).subject == "ada"


def test_as_long_as_it_is_wrong_nobody_signs_in(place: Place) -> None:
    addon = place.addon()
    brought = place.respond(addon)
    for damage in (lambda: place.metadata_file.write_text("<"), place.metadata_file.unlink):
        damage()
        assert place.refused(addon, brought).sentence == CLOSED
        with pytest.raises(Refused, match="can't sign anybody in"):
            addon.begin(STATE)
    place.describe()
    assert place.finish(addon, brought).subject == "ada"


@pytest.mark.parametrize("where", ["entity_attributes", "role_attributes"])
def test_it_counts_until_it_says_so(place: Place, where: str) -> None:
    place.describe(**{where: f' validUntil="{instant(START_S + 60)}"'})
    addon = place.addon()
    place.clock.advance(59)
    brought = place.respond(addon)
    place.clock.advance(1)
    why = place.refused(addon, brought)
    assert (why.sentence, "validUntil, which has passed" in why.detail) == (CLOSED, True)


def test_who_wants_signed_requests_gets_a_key_or_no_start(place: Place) -> None:
    place.describe(role_attributes=' WantAuthnRequestsSigned="true"')
    with pytest.raises(Invalid, match=r"asks for signed requests .*: set key_file"):
        place.addon()
    assert "&Signature=" in place.addon(key_file=place.provider.key.key_file).begin(STATE)


# The gateway's own key ------------------------------------------------------------------------------------------------


def test_a_key_that_others_may_read_is_not_used(place: Place) -> None:
    key = SigningKey(place.directory, "service")
    key.key_file.chmod(0o640)
    with pytest.raises(ValueError, match="others have the rights 040 on it; wanted are none"):
        place.addon(key_file=key.key_file)


@pytest.mark.parametrize("content", [b"", b"-----BEGIN PRIVATE KEY-----\n", b"ec"])
def test_a_key_that_is_none_is_not_shown(place: Place, content: bytes) -> None:
    key = SigningKey(place.directory, "ec", ec.generate_private_key(ec.SECP256R1()))
    if content != b"ec":
        key.key_file.write_bytes(content)
    with pytest.raises(ValueError, match="wanted is a PEM file with an RSA key of 2048 bits or more") as caught:
        place.addon(key_file=key.key_file)
    assert "BEGIN" not in str(caught.value)


@pytest.mark.parametrize("acs_url", ["http://gateway.example/finish", "/finish", "https://user@gateway.example/", ""])
def test_a_response_comes_back_by_tls(tmp_path: Path, acs_url: str) -> None:
    with pytest.raises(ValidationError, match="wanted is an address with https://"):
        Settings(entity_id=SERVICE, acs_url=acs_url, metadata_file=tmp_path)
    assert Settings(entity_id=SERVICE, acs_url=ACS, metadata_file=tmp_path).acs_url == ACS
