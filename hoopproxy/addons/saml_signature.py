"""One enveloped XML signature, in the one form that counts here, and the very bytes that it covers.

The form is SAML Core §5.4 without its options; algorithms are those of RFC 9231 with SHA-256 or better. The
cryptography is xmlsec1's, by pysaml2. Knows no message: what is signed may say what it likes.
"""

import base64
import hashlib
import hmac
import logging
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from tempfile import NamedTemporaryFile

from lxml import etree
from saml2.sigver import CryptoBackendXmlSec1, XmlsecError

from hoopproxy.addons.saml_document import SIGNATURE, Element, Invalid, children, identifier, local, name, parse, text

PROGRAM = "xmlsec1"

EXCLUSIVE = "http://www.w3.org/2001/10/xml-exc-c14n#"
"""Exclusive XML Canonicalization 1.0, omitting comments."""
ENVELOPED = "http://www.w3.org/2000/09/xmldsig#enveloped-signature"

SIGNATURES = frozenset(
    f"http://www.w3.org/2001/04/xmldsig-more#{kind}-sha{bits}" for kind in ("rsa", "ecdsa") for bits in (256, 384, 512)
)
DIGESTS = {
    "http://www.w3.org/2001/04/xmlenc#sha256": "sha256",
    "http://www.w3.org/2001/04/xmldsig-more#sha384": "sha384",
    "http://www.w3.org/2001/04/xmlenc#sha512": "sha512",
}

_PREFIXES = f"{{{EXCLUSIVE}}}InclusiveNamespaces"

# It logs the words of xmlsec1 about strangers' documents; whoever calls `verified` says what is worth saying.
logging.getLogger("saml2").setLevel(logging.CRITICAL + 1)


def ds(*path: str) -> str:
    """The name of an element of XML Signature."""
    return name(SIGNATURE, *path)


class _Backend(CryptoBackendXmlSec1):  # type: ignore[misc] # pysaml2 is not annotated
    """pysaml2's, which asks the program for its version before and after each signature."""

    @cached_property
    def version(self) -> str:
        return str(super().version)


class Verifier:
    """What verifies signatures. Blocks for as long as `xmlsec1` runs, once for each certificate that is tried."""

    def __init__(self) -> None:
        """@raise FileNotFoundError: there is no xmlsec1."""
        program = shutil.which(PROGRAM)
        if program is None:
            raise FileNotFoundError(
                f"there is no program {PROGRAM}, which verifies the signatures of SAML; install it "
                "(Debian, Ubuntu and Fedora: the package xmlsec1)"
            )
        self._backend = _Backend(program)

    def verified(self, element: Element, certificates: Sequence[bytes]) -> Element:
        """What is signed by its own signature, which one of the certificates (PEM) verifies: read again from the
        bytes whose digest was signed. The certificates are keys and nothing else; nobody asks who issued them.

        @raise Invalid: it is not signed in this form, or by none of these keys.
        """
        # A document of its own: whatever else came along can't be mistaken for it, by no reader.
        alone = parse(etree.tostring(element, with_tail=False))
        form = _Form.of(alone)
        # A key that comes along is nobody's: only those count that we know.
        for brought in form.signature.findall(ds("KeyInfo")):
            form.signature.remove(brought)
        document = etree.tostring(alone)
        if not any(self._verifies(document, alone, each) for each in certificates):
            raise Invalid(f"the signature of {local(alone)} is not by a key of the identity provider")
        signed = _without(alone, form)
        if not hmac.compare_digest(hashlib.new(form.digest, signed).digest(), form.digest_value):
            raise Invalid(f"the digest of {local(alone)} is not the signed one")
        return parse(signed)

    def _verifies(self, document: bytes, signed: Element, certificate: bytes) -> bool:
        node = f"{etree.QName(signed).namespace}:{local(signed)}"
        with NamedTemporaryFile(suffix=".pem") as file:
            file.write(certificate)
            file.flush()
            try:
                return bool(self._backend.validate_signature(document, file.name, "pem", node, identifier(signed)))
            except XmlsecError:
                return False


@dataclass(frozen=True, slots=True)
class _Form:
    """What a signature says of itself: everything that has a choice, and is within what is allowed."""

    signature: Element
    prefixes: Sequence[str]
    digest: str
    digest_value: bytes

    @classmethod
    def of(cls, root: Element) -> "_Form":
        """The form of the signature right behind the root's first child, its Issuer. @raise Invalid"""
        signature = root[1] if len(root) > 1 and root[1].tag == ds("Signature") else None
        if signature is None:
            raise Invalid(f"{local(root)} is not signed")
        has_key = signature.find(ds("KeyInfo")) is not None
        names = (ds("SignedInfo"), ds("SignatureValue"), *([ds("KeyInfo")] if has_key else []))
        info, *_ = children(signature, *names, what="Signature")
        method, algorithm, reference = children(
            info, ds("CanonicalizationMethod"), ds("SignatureMethod"), ds("Reference"), what="SignedInfo"
        )
        transforms, digest, value = children(
            reference, ds("Transforms"), ds("DigestMethod"), ds("DigestValue"), what="Reference"
        )
        enveloped, exclusive = children(transforms, ds("Transform"), ds("Transform"), what="Transforms")
        _algorithm(method, (EXCLUSIVE,))
        _prefixes(method)
        _algorithm(algorithm, SIGNATURES)
        children(algorithm, what="SignatureMethod")
        _algorithm(enveloped, (ENVELOPED,))
        children(enveloped, what="Transform")
        _algorithm(exclusive, (EXCLUSIVE,))
        children(digest, what="DigestMethod")
        if reference.get("URI") != f"#{identifier(root)}":
            raise Invalid(f"the signature of {local(root)} refers to something else")
        try:
            digest_value = base64.b64decode(text(value))
        except ValueError as why:
            raise Invalid("DigestValue is no Base64") from why
        return cls(signature, _prefixes(exclusive), DIGESTS[_algorithm(digest, DIGESTS)], digest_value)


def _algorithm(element: Element, allowed: Sequence[str] | frozenset[str] | dict[str, str]) -> str:
    algorithm = str(element.get("Algorithm"))
    if algorithm not in allowed:
        raise Invalid(f"the algorithm of {local(element)} is {algorithm!r:.80}")
    return algorithm


def _prefixes(element: Element) -> Sequence[str]:
    """The namespaces that exclusive canonicalization is told to keep (its §3)."""
    if not len(element):
        return ()
    (listed,) = children(element, _PREFIXES, what=local(element))
    return tuple(str(listed.get("PrefixList", "")).split())


def _without(root: Element, form: _Form) -> bytes:
    """The canonical bytes of what encloses a signature, without it: what has the digest."""
    issuer = form.signature.getprevious()
    issuer.tail = (issuer.tail or "") + (form.signature.tail or "")
    root.remove(form.signature)
    try:
        canonical: bytes = etree.tostring(
            root, method="c14n", exclusive=True, with_comments=False, inclusive_ns_prefixes=form.prefixes or None
        )
    except etree.LxmlError as why:
        raise Invalid(f"{local(root)} has no canonical form") from why
    return canonical
