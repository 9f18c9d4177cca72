"""Credentials out of a request's head: a token, as it is or as the password of an account (RFC 6750, RFC 7617).

Believes nothing of it. Knows no target.
"""

import binascii
import re
from base64 import b64decode
from typing import NamedTuple

from hoopproxy.errors import Refused
from hoopproxy.proofs import Secret
from hoopproxy.wire.http.messages import Headers

NAMELESS = frozenset(("", "token"))
"""Users of Basic that stand for no account: clients that want one before they send a password get along."""

_TOKEN = re.compile(r"[A-Za-z0-9._~+/-]+=*")
"""RFC 6750 §2.1, b64token."""


class Shown(NamedTuple):
    """What a client shows: the account that it asks for ("" for none), and its token."""

    account: str
    secret: Secret


NOTHING = Shown("", Secret(""))


def shown(headers: Headers, name: str) -> Shown:
    """What the field of that name holds; `NOTHING` without one. @raise Refused: more than one, or no token."""
    values = tuple(headers.all(name))
    if not values:
        return NOTHING
    if len(values) > 1:
        raise _unfit("Your client shows two credentials; let it show one.", f"{len(values)} fields {name}")
    scheme, _, rest = values[0].strip(" \t").partition(" ")
    match scheme.lower():
        case "bearer":
            return Shown("", _token(rest.strip(" \t")))
        case "basic":
            return _of_basic(rest.strip(" \t"))
    raise _unfit(
        "Your client shows its credentials in a way that this gateway does not know; wanted is your token, as Bearer "
        "or as a Basic password.",
        f"{name} with the scheme {scheme[:40]!r}",
    )


def _of_basic(text: str) -> Shown:
    try:
        user, colon, password = b64decode(text, validate=True).decode().partition(":")
    except (binascii.Error, ValueError) as why:
        raise _unfit("Your user name and password did not arrive whole; check your client.", f"Basic: {why}") from why
    if not colon or not (user + password).isprintable():
        raise _unfit("Your user name or password holds what none does; check them.", "Basic: colon or control")
    account = "" if user in NAMELESS else user
    return Shown(account, Secret(password)) if password else NOTHING


def _token(text: str) -> Secret:
    if not _TOKEN.fullmatch(text):
        raise _unfit("Your token did not arrive whole; check your client.", "Bearer: no b64token")
    return Secret(text)


def _unfit(sentence: str, detail: str) -> Refused:
    return Refused(sentence, reason="credentials", detail=detail)
