"""What the gateway asks an identity provider of SAML 2.0: an AuthnRequest in a URL, and how it is known again.

Nothing is remembered of a request, so that nobody can fill a memory by asking for many: its ID itself proves that this
process made it, for whom and when. Knows no response.
"""

import hmac
import re
import secrets
from datetime import UTC, datetime

from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from saml2.pack import http_redirect_message
from saml2.saml import Issuer
from saml2.samlp import AuthnRequest, NameIDPolicy
from saml2.sigver import RSACrypto
from saml2.xmldsig import SIG_RSA_SHA256

from hoopproxy.addons.saml_document import PERSISTENT, POST, Invalid, Stale, shown

LIFETIME_S = 600.0
"""How long somebody may take to prove who they are."""

_ID = re.compile(r"_([0-9a-f]{8,12})-([0-9a-f]{32})-([0-9a-f]{32})")


class Requests:
    """The requests of this process."""

    def __init__(self) -> None:
        self._key = secrets.token_bytes(32)

    def new_id(self, state: str, at_s: float) -> str:
        """An ID (xs:NCName) that nobody else can make."""
        at, nonce = f"{int(at_s):08x}", secrets.token_hex(16)
        return f"_{at}-{nonce}-{self._seal(at, nonce, state)}"

    def check(self, request_id: str, state: str, now_s: float) -> None:
        """@raise Invalid: it is none of ours, or was made for another `state`. @raise Stale: it is too old."""
        parts = _ID.fullmatch(request_id)
        if parts is None or not hmac.compare_digest(parts[3], self._seal(parts[1], parts[2], state)):
            raise Invalid(f"the request {shown(request_id)} is none that this process made for this browser")
        if now_s >= int(parts[1], 16) + LIFETIME_S:
            raise Stale(f"the request is older than {LIFETIME_S:.0f} s")

    def _seal(self, at: str, nonce: str, state: str) -> str:
        return hmac.digest(self._key, f"{at}-{nonce}-{state}".encode("utf-8", "surrogatepass"), "sha256")[:16].hex()


def request_url(
    sign_in_url: str,
    request_id: str,
    state: str,
    *,
    at_s: float,
    entity_id: str,
    acs_url: str,
    force_authn: bool,
    wants_name_id: bool,
    key: RSAPrivateKey | None,
) -> str:
    """Where the browser goes to be asked who it is (SAML Core §3.4.1, HTTP-Redirect binding: SAML Bindings §3.4).

    Signed with RSA-SHA256 when there is a key.
    """
    request = AuthnRequest(
        id=request_id,
        version="2.0",
        issue_instant=datetime.fromtimestamp(at_s, UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        destination=sign_in_url,
        protocol_binding=POST,
        assertion_consumer_service_url=acs_url,
        force_authn="true" if force_authn else None,
        issuer=Issuer(text=entity_id),
        name_id_policy=NameIDPolicy(format=PERSISTENT, allow_create="true") if wants_name_id else None,
    )
    message = http_redirect_message(
        request, sign_in_url, state, sigalg=SIG_RSA_SHA256, sign=key is not None, backend=RSACrypto(key)
    )
    return str(dict(message["headers"])["Location"])
