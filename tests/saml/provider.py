"""An identity provider of one's own that says, and signs, whatever a test wants: with xmlsec1, so that it is valid."""

import base64
import subprocess
from datetime import UTC, datetime
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

ENTITY = "https://idp.example/saml"
SIGN_IN = "https://idp.example/saml/sso?tenant=7"

MORE = "http://www.w3.org/2001/04/xmldsig-more#"
EXCLUSIVE = "http://www.w3.org/2001/10/xml-exc-c14n#"
ENVELOPED = "http://www.w3.org/2000/09/xmldsig#enveloped-signature"

SIGNATURE = """<ds:Signature xmlns:ds="http://www.w3.org/2000/09/xmldsig#"><ds:SignedInfo>\
<ds:CanonicalizationMethod Algorithm="{c14n}"/><ds:SignatureMethod Algorithm="{signature_method}"/>{references}\
</ds:SignedInfo><ds:SignatureValue/>{key_info}{in_signature}</ds:Signature>
"""

REFERENCE = """<ds:Reference URI="{uri}"><ds:Transforms>{transforms}</ds:Transforms>\
<ds:DigestMethod Algorithm="{digest_method}"/><ds:DigestValue/></ds:Reference>"""

ASSERTION = """<saml:Assertion xmlns:xs="http://www.w3.org/2001/XMLSchema" ID="{assertion_id}" Version="{version}" \
IssueInstant="{issued_at}"><saml:Issuer{issuer_format}>{issuer}</saml:Issuer>{assertion_signature}\
<saml:Subject>{name_id}{confirmation}</saml:Subject>\
<saml:Conditions NotBefore="{not_before}" NotOnOrAfter="{not_after}">{audience}{conditions}</saml:Conditions>\
<saml:AuthnStatement AuthnInstant="{authn_at}"{session}/>\
<saml:AttributeStatement>{attributes}</saml:AttributeStatement></saml:Assertion>"""

RESPONSE = """<samlp:Response xmlns:samlp="urn:oasis:names:tc:SAML:2.0:protocol" \
xmlns:saml="urn:oasis:names:tc:SAML:2.0:assertion" xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" \
ID="{response_id}" Version="2.0" IssueInstant="{issued_at}" Destination="{destination}"{answers}>\
{response_issuer}{response_signature}{extensions}<samlp:Status>{status}</samlp:Status>{assertion}</samlp:Response>"""

CONFIRMATION = """<saml:SubjectConfirmation Method="{method}"><saml:SubjectConfirmationData Recipient="{recipient}" \
{confirmed_until} {confirmed_answers}/></saml:SubjectConfirmation>"""

METADATA = """<?xml version="1.0"?>
<md:EntityDescriptor xmlns:md="urn:oasis:names:tc:SAML:2.0:metadata" xmlns:ds="http://www.w3.org/2000/09/xmldsig#" \
entityID="{entity}"{entity_attributes}>
  <!-- as an administrator may have noted -->
  <md:IDPSSODescriptor protocolSupportEnumeration="{protocol}"{role_attributes}>
    {keys}
    <md:SingleSignOnService Binding="urn:oasis:names:tc:SAML:2.0:bindings:HTTP-POST" Location="https://idp.example/post"/>
    <md:SingleSignOnService Binding="urn:oasis:names:tc:SAML:2.0:bindings:HTTP-Redirect" Location="{sign_in}"/>
  </md:IDPSSODescriptor>
</md:EntityDescriptor>
"""

KEY = """<md:KeyDescriptor{use}><ds:KeyInfo><ds:X509Data><ds:X509Certificate>{certificate}</ds:X509Certificate>\
</ds:X509Data></ds:KeyInfo></md:KeyDescriptor>"""

type Key = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey


class SigningKey:
    """A key in a file, and its certificate, which expired long ago: it is a key and nothing else."""

    def __init__(self, directory: Path, name: str, key: Key | None = None) -> None:
        key = key or rsa.generate_private_key(65537, 2048)
        self.key_file, self.certificate_file = directory / f"{name}.key", directory / f"{name}.crt"
        self.key_file.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
        self.key_file.chmod(0o600)
        self.certificate = self.certificate_of(key)
        self.certificate_file.write_text(f"-----BEGIN CERTIFICATE-----\n{self.certificate}-----END CERTIFICATE-----\n")

    @staticmethod
    def certificate_of(key: Key) -> str:
        """In Base64, as it stands in metadata."""
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "a signer")])
        certificate = (
            x509.CertificateBuilder(subject, subject, key.public_key(), x509.random_serial_number())
            .not_valid_before(datetime(2020, 1, 1, tzinfo=UTC))
            .not_valid_after(datetime(2020, 1, 2, tzinfo=UTC))
            .sign(key, None if isinstance(key, ed25519.Ed25519PrivateKey) else SHA256())
        )
        return base64.encodebytes(certificate.public_bytes(Encoding.DER)).decode()


def metadata(*certificates: str, use: str = ' use="signing"', **changes: str) -> bytes:
    """What describes the provider."""
    fields = {
        "entity": ENTITY,
        "entity_attributes": "",
        "protocol": "urn:oasis:names:tc:SAML:2.0:protocol",
        "role_attributes": "",
        "sign_in": SIGN_IN,
        "keys": "".join(KEY.format(use=use, certificate=each) for each in certificates),
    }
    return METADATA.format(**{**fields, **changes}).encode()


def instant(at_s: float) -> str:
    return datetime.fromtimestamp(at_s, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def template(identifier: str, **changes: str) -> str:
    """A signature to be filled in, over the element with this ID."""
    fields = {
        "c14n": EXCLUSIVE,
        "signature_method": f"{MORE}rsa-sha256",
        "uri": f"#{identifier}",
        "transforms": transforms(ENVELOPED, EXCLUSIVE),
        "digest_method": "http://www.w3.org/2001/04/xmlenc#sha256",
        "key_info": "",
        "in_signature": "",
        **changes,
    }
    return SIGNATURE.format(**{"references": REFERENCE.format(**fields), **fields})


def transforms(*algorithms: str) -> str:
    return "".join(f'<ds:Transform Algorithm="{each}"/>' for each in algorithms)


def attribute(name: str, *values: str) -> str:
    shown = "".join(f'<saml:AttributeValue xsi:type="xs:string">{value}</saml:AttributeValue>' for value in values)
    return f'<saml:Attribute Name="{name}">{shown}</saml:Attribute>'


class OwnProvider:
    """Answers requests of one service; `changes` of `respond` are parts of its texts above."""

    def __init__(self, directory: Path, audience: str, recipient: str) -> None:
        self.directory, self.audience, self.recipient = directory, audience, recipient
        self.key = SigningKey(directory, "idp")

    def respond(
        self,
        request_id: str,
        at_s: float,
        *,
        signs: tuple[str, ...] = ("assertion",),
        key: SigningKey | None = None,
        **changes: str,
    ) -> bytes:
        """A response to a request, signed in all the places of `signs`, in that order."""
        now, soon = instant(at_s), instant(at_s + 300)
        confirmation = {
            "method": "urn:oasis:names:tc:SAML:2.0:cm:bearer",
            "recipient": self.recipient,
            "confirmed_until": f'NotOnOrAfter="{soon}"',
            "confirmed_answers": f'InResponseTo="{request_id}"',
        }
        fields = {
            "response_id": "_response",
            "assertion_id": "_assertion",
            "version": "2.0",
            "issued_at": now,
            "destination": self.recipient,
            "answers": f' InResponseTo="{request_id}"',
            "issuer": ENTITY,
            "issuer_format": "",
            "response_issuer": f"<saml:Issuer>{ENTITY}</saml:Issuer>",
            "extensions": "",
            "status": '<samlp:StatusCode Value="urn:oasis:names:tc:SAML:2.0:status:Success"/>',
            "name_id": '<saml:NameID Format="urn:oasis:names:tc:SAML:2.0:nameid-format:persistent">ada</saml:NameID>',
            "confirmation": CONFIRMATION.format(**{**confirmation, **changes}),
            "not_before": now,
            "not_after": soon,
            "audience": f"<saml:AudienceRestriction><saml:Audience>{self.audience}</saml:Audience>"
            "</saml:AudienceRestriction>",
            "conditions": "",
            "authn_at": now,
            "session": f' SessionNotOnOrAfter="{instant(at_s + 3600)}"',
            "attributes": attribute("displayName", "Ada") + attribute("groups", "data-analysts", "staff"),
            "assertion_signature": "@assertion@" if "assertion" in signs else "",
            "response_signature": "@response@" if "response" in signs else "",
            **changes,
        }
        fields = {"assertion": ASSERTION.format(**fields), **fields}
        document = RESPONSE.format(**fields)
        for what in signs:
            document = document.replace(f"@{what}@", template(fields[f"{what}_id"], **changes))
            document = self.sign(document, what, fields[f"{what}_id"], key)
        return document.encode()

    def sign(self, document: str, what: str, identifier: str, key: SigningKey | None = None) -> str:
        """With the template for a signature filled in that stands in such an element."""
        namespace = {"assertion": "assertion:Assertion", "response": "protocol:Response"}[what]
        file = self.directory / "unsigned.xml"
        file.write_text(document)
        command = ["xmlsec1", "--sign", "--privkey-pem", f"{(key or self.key).key_file}", "--node-id", identifier]
        command += ["--id-attr:ID", f"urn:oasis:names:tc:SAML:2.0:{namespace}"]
        done = subprocess.run([*command, str(file)], capture_output=True, text=True, check=True)
        return done.stdout.removeprefix('<?xml version="1.0"?>\n').rstrip("\n")
