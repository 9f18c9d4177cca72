"""What the operator of the gateway may do about access without being anybody: see, take away, appoint, let in again.

The kernel vouches for the operator, the log notes each step. He approves nothing: that takes people. Knows no socket;
`hoopproxy.control` carries requests here.
"""

from collections.abc import Awaitable, Mapping
from ipaddress import ip_address
from typing import Any

from hoopproxy.access.request import AccessRequest, NotPossible
from hoopproxy.access.steps import AccountStep, Appointed, Disabled, Dismissed, Enabled, LetIn, account_key, account_of
from hoopproxy.commands import OPERATOR
from hoopproxy.control.lines import ControlError
from hoopproxy.control.server import Command
from hoopproxy.counter import Answer, Counter, shown
from hoopproxy.interfaces import IMintsTokens
from hoopproxy.model import Arrival, Endpoint, Identity
from hoopproxy.proofs import Secret
from hoopproxy.session import Gateway

ACCOUNT_CHARACTERS_MAX = 900
"""With what the key of an account's history adds, it fits into a column of the store."""

LET_IN_S_MAX = 8 * 3600

HERE = ip_address("127.0.0.1")


class Operator:
    """The commands of one gateway; those of people go on to its counter, with their token."""

    def __init__(self, gateway: Gateway, counter: Counter) -> None:
        self._gateway, self._verbs = gateway, counter.by_name()

    def by_name(self) -> Mapping[str, Command]:
        """Each command under the name by which it is asked for."""
        return {
            "access": self.access,
            "access-list": self.listed,
            "access-show": self.show,
            "access-revoke": self.revoke,
            "account": self.account,
            "accounts": self.accounts,
            "let-in": self.let_in,
            "access-suspend": self.suspend,
            "access-resume": self.resume,
        }

    async def access(self, arguments: Mapping[str, Any]) -> Answer:
        """What a person asks, by token. They sit at the gateway."""
        verb, told = self._verbs.get(str(arguments.get("verb", ""))), arguments.get("arguments", {})
        if verb is None or not isinstance(told, dict):
            raise ControlError(f"There is no such verb; there are {', '.join(sorted(self._verbs))}.")
        now_s = self._gateway.scheduler.now_s()
        arrival = Arrival(self._gateway.new_session_id(), "control", "control", Endpoint(HERE, 0), now_s)
        return await verb(arrival, Secret(str(arguments.get("token", ""))), told)

    async def listed(self, arguments: Mapping[str, Any]) -> Answer:
        """All requests."""
        found = await self._gateway.office.listed(None, only_open=arguments.get("all") is not True)
        return {"requests": [shown(each, self._gateway.office.link(each)) for each in found]}

    async def show(self, arguments: Mapping[str, Any]) -> Answer:
        """One request."""
        return await self._shown(self._gateway.office.find(_id(arguments), None))

    async def revoke(self, arguments: Mapping[str, Any]) -> Answer:
        """Take access away; its sessions end."""
        return await self._shown(self._gateway.office.revoke(OPERATOR, _id(arguments), _why(arguments)))

    async def suspend(self, arguments: Mapping[str, Any]) -> Answer:
        """Take access away for the time being; its sessions end."""
        return await self._shown(self._gateway.office.suspend(OPERATOR, _id(arguments), _why(arguments)))

    async def resume(self, arguments: Mapping[str, Any]) -> Answer:
        """Give it back, as far as there is time left."""
        return await self._shown(self._gateway.office.resume(OPERATOR, _id(arguments)))

    async def _shown(self, work: Awaitable[AccessRequest]) -> Answer:
        try:
            request = await work
        except NotPossible as why:
            raise ControlError(str(why)) from why
        return {"request": shown(request, self._gateway.office.link(request))}

    async def account(self, arguments: Mapping[str, Any]) -> Answer:
        """Disable or enable an account, appoint or dismiss an administrator."""
        issuer, subject = _account_named(arguments)
        steps: Mapping[str, AccountStep] = {
            "disable": Disabled(OPERATOR, str(arguments.get("reason", ""))[:500]),
            "enable": Enabled(OPERATOR),
            "appoint": Appointed(OPERATOR),
            "dismiss": Dismissed(OPERATOR),
        }
        if (step := steps.get(str(arguments.get("step", "")))) is None:
            raise ControlError(f"There is no such step; there are {', '.join(steps)}.")
        account = await self._gateway.office.account_step(account_key(issuer, subject), step)
        return _account(account)

    async def let_in(self, arguments: Mapping[str, Any]) -> Answer:
        """A token for somebody for whom no identity provider can speak now. The log knows before it is made."""
        issuer, subject = _account_named(arguments)
        reason = str(arguments.get("reason", "")).strip()[:500]
        groups, duration_s = arguments.get("groups", []), arguments.get("duration_s", 0)
        if not (isinstance(groups, list) and all(isinstance(each, str) for each in groups) and reason):
            raise ControlError("Wanted are a reason, and groups as a list of texts.")
        if not (isinstance(duration_s, int | float) and 60 <= duration_s <= LET_IN_S_MAX):
            raise ControlError(f"Somebody can be let in for one minute to {LET_IN_S_MAX // 3600} hours.")
        mints = [each for each in self._gateway.admission.authenticators if IMintsTokens.providedBy(each)]
        if not mints:
            raise ControlError('No authenticator of this gateway knows its own tokens; add one with use = "signed-in".')
        until_s = self._gateway.scheduler.now_s() + duration_s
        step = LetIn(OPERATOR, reason, frozenset(groups), until_s)
        await self._gateway.office.account_step(account_key(issuer, subject), step)
        identity = Identity(issuer, subject, subject, frozenset(groups), until_s, "operator")
        return {"token": await IMintsTokens(mints[0]).mint(identity, mints[0].name), "until_s": until_s}

    async def accounts(self, arguments: Mapping[str, Any]) -> Answer:
        """All accounts of which something is said."""
        await self._gateway.office.catch_up()
        return {"accounts": [_account(each) for each in self._gateway.office.register.accounts.values()]}


def _id(arguments: Mapping[str, Any]) -> str:
    return str(arguments.get("id", ""))


def _why(arguments: Mapping[str, Any]) -> str:
    return str(arguments.get("reason", ""))


def _account_named(arguments: Mapping[str, Any]) -> tuple[str, str]:
    issuer, subject = str(arguments.get("issuer", "")), str(arguments.get("subject", ""))
    if not issuer or " " in issuer or not subject or len(issuer) + len(subject) > ACCOUNT_CHARACTERS_MAX:
        raise ControlError("An account is an issuer, which holds no space, and a subject.")
    return issuer, subject


def _account(account: Any) -> Answer:
    issuer, subject = account_of(account.key)
    return {
        "issuer": issuer,
        "subject": subject,
        "is_disabled": account.is_disabled,
        "is_administrator": account.is_administrator,
        "why": account.why,
    }
