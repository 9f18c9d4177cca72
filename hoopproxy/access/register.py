"""What the journal has come to: every request that is open, and what is said of accounts. Entries in, values out.

Pure; two registers that took the same entries are equal, whatever they had taken before or twice. Knows no store.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace

from hoopproxy.access.journal import Row
from hoopproxy.access.request import AccessRequest, begun
from hoopproxy.access.steps import (
    ACCOUNT,
    Appointed,
    Disabled,
    Dismissed,
    Enabled,
    Entry,
    LetIn,
)


@dataclass(frozen=True, slots=True)
class Account:
    """What was decided about an account, besides what its identity provider says. `why` is why it is disabled."""

    key: str
    count: int = 0
    is_disabled: bool = False
    is_administrator: bool = False
    why: str = ""

    def after(self, step: object) -> "Account":
        """The account once this step is kept. @raise ValueError: it is none of an account."""
        then = replace(self, count=self.count + 1)
        match step:
            case Disabled(_, why):
                return replace(then, is_disabled=True, why=why)
            case Enabled():
                return replace(then, is_disabled=False, why="")
            case Appointed():
                return replace(then, is_administrator=True)
            case Dismissed():
                return replace(then, is_administrator=False)
            case LetIn():
                return then
        raise ValueError(f"{type(step).__name__} is no step of an account")

    @property
    def row(self) -> Row:
        """The account in a line."""
        words = (self.is_disabled and "disabled", self.is_administrator and "administrator")
        state = ", ".join(word for word in words if word)
        return Row(self.key, self.count, state or "nothing", bool(state), self.key.removeprefix(ACCOUNT), "", 0.0)


def row_of(request: AccessRequest) -> Row:
    """A request in a line."""
    terms = request.terms
    is_open = not request.phase.is_terminal
    return Row(
        request.request_id,
        request.count,
        request.phase.value,
        is_open,
        terms.requester,
        terms.target_name,
        request.not_after_s,
    )


class Register:
    """All that is open."""

    def __init__(self) -> None:
        self.requests: dict[str, AccessRequest] = {}
        self.accounts: dict[str, Account] = {}

    def take(self, entries: Iterable[Entry]) -> tuple[AccessRequest | Account, ...]:
        """Take what was kept, in that order; what it has changed, as it then is. What is known is passed over.

        @raise ValueError: the journal was changed by something else than this project.
        """
        changed: dict[str, AccessRequest | Account] = {}
        for entry in entries:
            then = self._account(entry) if entry.key.startswith(ACCOUNT) else self._request(entry)
            if then is not None:
                changed[entry.key] = then
        return tuple(changed.values())

    def account(self, key: str) -> Account:
        """What is said of an account."""
        return self.accounts.get(key) or Account(key)

    def _request(self, entry: Entry) -> AccessRequest | None:
        request = self.requests.get(entry.key)
        if request is None:
            if entry.number:
                return None  # it was over before we looked
            request = begun(entry)
        elif entry.number < request.count:
            return None
        elif entry.number > request.count:
            raise ValueError(f"the journal lacks step {request.count} of {entry.key}")
        else:
            assert not isinstance(entry.step, Disabled | Enabled | Appointed | Dismissed | LetIn)
            request = request.after(entry.step)
        if request.phase.is_terminal:
            self.requests.pop(entry.key, None)
        else:
            self.requests[entry.key] = request
        return request

    def _account(self, entry: Entry) -> Account | None:
        account = self.account(entry.key)
        if entry.number < account.count:
            return None
        # A history that was closed when we began is known from its first step on that is read.
        account = replace(account, count=entry.number).after(entry.step)
        if account.row.is_open:
            self.accounts[entry.key] = account
        else:
            self.accounts.pop(entry.key, None)
        return account
