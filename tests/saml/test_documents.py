"""What arrives is a stranger's: sizes, encodings, entities, comments; refused before anybody looks at a signature."""

import base64
from collections.abc import Callable

import pytest

from .conftest import START_S, STATE, Place, form, request_id

LAUGHS = "".join(f'<!ENTITY l{n} "{f"&l{n - 1};" * 10}">' for n in range(1, 10))
BOMB = f'<!DOCTYPE r [<!ENTITY l0 "lol">{LAUGHS}]>'
XXE = '<!DOCTYPE r [<!ENTITY x SYSTEM "{}">]>'
FORBIDDEN = "it holds a DTD, a comment, a CDATA section or a processing instruction"

type Changed = Callable[[str], str]


@pytest.fixture
def said(place: Place) -> Changed:
    """What the operator reads when the browser brings a right response, changed by that function."""
    addon = place.addon()
    right = place.provider.respond(request_id(addon.begin(STATE)), START_S).decode()

    def refused(change: Callable[[str], str | bytes]) -> str:
        changed = change(right)
        assert changed != right
        data = changed if isinstance(changed, bytes) else changed.encode()
        why = place.refused(addon, form(data))
        assert why.sentence.startswith("Your sign-in is not valid here")
        assert len(why.detail) < 300
        return why.detail

    return refused  # type: ignore[return-value] # it takes a function, and answers a text


@pytest.mark.parametrize(
    "name", ["ada<!---->.evil", "<!-- x -->ada", "ada<?x?>.evil", "ada<![CDATA[.evil]]>", "<![CDATA[ada]]>"]
)
def test_a_name_can_not_be_cut_by_what_is_no_text(place: Place, name: str) -> None:
    """CVE-2017-11427 and its kin: signed without the comment, read up to the comment."""
    addon = place.addon()
    asked = request_id(addon.begin(STATE))
    right = place.provider.respond(asked, START_S).decode()
    assert FORBIDDEN in place.refused(addon, form(right.replace(">ada<", f">{name}<").encode())).detail


def test_a_validly_signed_comment_is_refused(place: Place) -> None:
    addon = place.addon()
    commented = (
        '<saml:NameID Format="urn:oasis:names:tc:SAML:2.0:nameid-format:persistent">ada<!-- -->.evil</saml:NameID>'
    )
    assert FORBIDDEN in place.refused(addon, place.respond(addon, name_id=commented)).detail


@pytest.mark.parametrize(
    "dtd", [BOMB, XXE.format("file:///etc/passwd"), XXE.format("http://127.0.0.1:9/x"), "<!DOCTYPE r>"]
)
@pytest.mark.parametrize("entity", ["&l9;", "&x;", "ada"])
def test_entities_do_not_exist(said: Callable[..., str], dtd: str, entity: str) -> None:
    assert FORBIDDEN in said(lambda right: dtd + right.replace(">ada<", f">{entity}<"))


def test_entities_do_not_exist_in_attributes_either(said: Callable[..., str]) -> None:
    assert FORBIDDEN in said(lambda right: BOMB + right.replace('ID="_assertion"', 'ID="&l9;"'))
    assert "it is no XML" in said(lambda right: right.replace('ID="_assertion"', 'ID="&l9;"'))


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-32", "utf-7", "cp037"])
def test_another_encoding_hides_nothing(said: Callable[..., str], encoding: str) -> None:
    detail = said(lambda right: (f'<?xml version="1.0" encoding="{encoding}"?>' + BOMB + right).encode(encoding))
    assert "it is no UTF-8" in detail or "it is no XML" in detail or FORBIDDEN in detail


@pytest.mark.parametrize("declared", ["utf-8", "utf-7", "iso-8859-1", "cp037"])
def test_what_a_document_says_of_its_encoding_is_not_heard(place: Place, declared: str) -> None:
    addon = place.addon()
    right = place.provider.respond(request_id(addon.begin(STATE)), START_S)
    brought = form(f'<?xml version="1.0" encoding="{declared}"?>'.encode() + right)
    assert place.finish(addon, brought).subject == "ada"


@pytest.mark.parametrize("size", [131_073, 10 << 20])
def test_a_long_response_is_not_looked_at(said: Callable[..., str], size: int) -> None:
    assert "it is longer than 131072 bytes" in said(lambda right: right + " " * (size + 3 - len(right)))


def test_the_longest_response_is(place: Place) -> None:
    addon = place.addon()
    right = place.provider.respond(request_id(addon.begin(STATE)), START_S)
    assert place.finish(addon, form(right + b" " * (131_072 - len(right)))).subject == "ada"


def test_depth_has_an_end(said: Callable[..., str]) -> None:
    deep = "<x>" * 300 + "</x>" * 300
    assert "it is no XML" in said(lambda right: right.replace("<samlp:Status>", f"{deep}<samlp:Status>"))


@pytest.mark.parametrize(
    "field",
    ["", "%", "PHNhbWxwOlJlc3BvbnNl", "PHg+*", " PHgvPg==", "PHgvPg", "PHgvPg==PHgvPg==", "PHg\u00e9", "\ud800", "\0"],
)
def test_base64_is_strict(place: Place, field: str) -> None:
    addon = place.addon()
    why = place.refused(addon, {"SAMLResponse": field, "RelayState": STATE})
    assert "it is no Base64" in why.detail or "it is no XML" in why.detail


def test_lines_of_base64_may_be_broken(place: Place) -> None:
    """SAML Bindings §3.5.4 has Base64 as in MIME."""
    addon = place.addon()
    brought = place.respond(addon)
    lines = base64.encodebytes(base64.b64decode(brought["SAMLResponse"])).decode().replace("\n", "\r\n")
    assert place.finish(addon, brought | {"SAMLResponse": lines}).subject == "ada"


def test_a_form_without_its_fields_is_refused(place: Place) -> None:
    assert "it is no XML" in place.refused(place.addon(), {}).detail


@pytest.mark.parametrize("data", [b"\xff", b"<x/>", b"<Response/>", b"{}", b"<?xml version='1.0'?>", b"\0" * 9])
def test_what_is_no_response_is_refused(place: Place, data: bytes) -> None:
    assert place.refused(place.addon(), form(data)).sentence.startswith("Your sign-in is not valid here")


def test_an_encrypted_assertion_says_what_to_do(said: Callable[..., str]) -> None:
    encrypted = said(
        lambda right: right[: right.index("<saml:Assertion")] + "<saml:EncryptedAssertion/></samlp:Response>"
    )
    assert "the assertion is encrypted, which is unsupported; the identity provider must not do that" in encrypted
