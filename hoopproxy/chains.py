"""Why a certificate's chain does not lead to an authority, in words for operators.

Knows no connection, and not whose certificate it is.
"""

from typing import Any

ERRORS = {
    9: "is not valid yet",
    10: "has expired",
    18: "is signed by itself and is not among the authorities",
    19: "is a root that is not among the authorities",
    20: "is signed by nobody among the authorities",
    21: "is signed by nobody among the authorities",
    24: "is no authority and signs all the same",
    26: "is not meant for this end of a connection",
}
"""OpenSSL's X509_V_ERR_… (x509_vfy.h) that operators meet; pyOpenSSL has no words for them."""


def broken(certificate: Any, code: int, depth: int) -> str:
    """What OpenSSL's verification has against this certificate (pyOpenSSL's), `depth` steps up in its chain."""
    subject = certificate.to_cryptography().subject.rfc4514_string()
    reason = ERRORS.get(code, f"is refused with OpenSSL's verification error {code}")
    return f"its certificate {subject!r} (number {depth} of its chain) {reason}"
