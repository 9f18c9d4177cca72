"""What an operator may have made for others: tokens for services, and certificates for people.

Each is in the log before anybody has it, and so is a revocation, which ends live sessions before it is answered. Knows
no socket and no key; addons make what is asked for.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from cryptography.hazmat.primitives.serialization import Encoding
from zope.interface.interface import InterfaceClass

from hoopproxy.control.lines import ControlError
from hoopproxy.control.server import Command
from hoopproxy.evidence.decisions import AdminAction
from hoopproxy.interfaces import IIssuesCertificates, IIssuesTokens
from hoopproxy.proofs import ServiceToken
from hoopproxy.session import Gateway

type Answer = dict[str, Any]

OPERATOR = "local-operator"
"""Who speaks through the control socket: the gateway's own user, or root; the kernel vouches for no more."""


class Issuing:
    """The commands of one gateway that make and revoke what its authenticators know."""

    def __init__(self, gateway: Gateway, authenticators: Sequence[Any]) -> None:
        self._gateway, self._authenticators = gateway, authenticators

    def by_name(self) -> Mapping[str, Command]:
        """Each command under the name by which it is asked for."""
        return {
            "service-tokens": self.tokens,
            "service-token-create": self.create,
            "service-token-revoke": self.revoke,
            "certificate-issue": self.issue,
        }

    async def tokens(self, arguments: Mapping[str, Any]) -> Answer:
        """All service tokens, without what is secret of them."""
        addon = self._addon(IIssuesTokens, "service-tokens", arguments)
        return {"tokens": [_shown(each) for each in await addon.tokens()]}

    async def create(self, arguments: Mapping[str, Any]) -> Answer:
        """A new one. This answer is the only place where it ever stands."""
        addon = self._addon(IIssuesTokens, "service-tokens", arguments)
        subject, note = str(arguments.get("subject", "")), str(arguments.get("note", ""))
        text, token = addon.make(subject, _texts(arguments, "groups"), _lifetime_s(arguments), OPERATOR, note)
        await self._note("service-token-create", addon, token.token_id, token.subject)
        await addon.keep(token)
        return _shown(token) | {"token": text}

    async def revoke(self, arguments: Mapping[str, Any]) -> Answer:
        """Whoever is in by it is out when this is answered; `ended` counts sessions."""
        addon = self._addon(IIssuesTokens, "service-tokens", arguments)
        token_id = str(arguments.get("id", ""))
        token = next((each for each in await addon.tokens() if each.token_id == token_id), None)
        if token is None or token.revoked_s:
            return {"revoked": False, "ended": 0}
        await self._note("service-token-revoke", addon, token_id, token.subject)
        await addon.revoke(token_id)
        counts = await self._gateway.rechecks.recheck_all(f"service token {token_id} was revoked", addon.name)
        return {"revoked": True, "ended": counts.ended}

    async def issue(self, arguments: Mapping[str, Any]) -> Answer:
        """A certificate for the key of a signing request."""
        addon = self._addon(IIssuesCertificates, "certificates with an authority_key", arguments)
        request, san = str(arguments.get("request", "")).encode(), str(arguments.get("san", ""))
        groups = tuple(sorted(_texts(arguments, "groups")))
        certificate = await addon.issue(request, san, groups, _lifetime_s(arguments))
        serial = f"{certificate.serial_number:x}"
        await self._note("certificate-issue", addon, serial, san)
        until_s = certificate.not_valid_after_utc.timestamp()
        return {
            "serial": serial,
            "not_after_s": until_s,
            "pem": certificate.public_bytes(Encoding.PEM).decode(),
        }

    async def _note(self, action: str, addon: Any, about: str, subject: str) -> None:
        await self._gateway.ledger.note(AdminAction(action, OPERATOR, "", about, (addon.name, subject)))

    def _addon(self, kind: InterfaceClass, use: str, arguments: Mapping[str, Any]) -> Any:
        """The one that does it, or of several the one that is named."""
        name = str(arguments.get("addon", ""))
        provides: Callable[[Any], bool] = kind.providedBy
        found = [each for each in self._authenticators if provides(each) and (not name or each.name == name)]
        if not found:
            raise ControlError(f"This gateway has no authenticator {name or f'of the kind {use}'} that does this.")
        if len(found) > 1:
            raise ControlError(f"Several could: {', '.join(each.name for each in found)}; name one with --addon.")
        return found[0]


def _texts(arguments: Mapping[str, Any], name: str) -> frozenset[str]:
    found = arguments.get(name, ())
    if not isinstance(found, list | tuple) or not all(isinstance(each, str) for each in found):
        raise ControlError(f"{name} is no list of texts.")
    return frozenset(found)


def _lifetime_s(arguments: Mapping[str, Any]) -> float:
    found = arguments.get("lifetime_s")
    if not isinstance(found, int | float):
        raise ControlError("lifetime_s is no number.")
    return float(found)


def _shown(token: ServiceToken) -> Answer:
    """All but its digest, which nobody needs."""
    return {
        "id": token.token_id,
        "subject": token.subject,
        "groups": sorted(token.groups),
        "created_s": token.created_s,
        "expires_s": token.expires_s,
        "revoked_s": token.revoked_s or None,
        "used_s": token.used_s or None,
        "made_by": token.made_by,
        "note": token.note,
    }
