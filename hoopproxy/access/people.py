"""Which accounts are one human being: no right that needs two people may be had by one who has two accounts.

Knows neither where accounts come from nor what anybody may do.
"""

from collections.abc import Iterable

from hoopproxy.model import Identity


class People:
    """Accounts by person. An account is an issuer and a subject, which never changes, unlike names and addresses."""

    def __init__(self, linked: Iterable[frozenset[tuple[str, str]]]) -> None:
        """`linked`: accounts of one person each. Sets that share an account are one person."""
        self._first: dict[tuple[str, str], tuple[str, str]] = {}
        for accounts in linked:
            joined = accounts | {each for each, first in self._first.items() if self._is_of(first, accounts)}
            self._first |= dict.fromkeys(joined, min(joined))

    def _is_of(self, first: tuple[str, str], accounts: frozenset[tuple[str, str]]) -> bool:
        return any(self._first.get(account) == first for account in accounts)

    @property
    def linked(self) -> frozenset[frozenset[tuple[str, str]]]:
        """The accounts of each person who has several."""
        firsts = set(self._first.values())
        return frozenset(frozenset(each for each, of in self._first.items() if of == first) for first in firsts)

    def person(self, identity: Identity) -> str:
        """One text for all accounts of a person, and no other's: an issuer, a space and a subject."""
        return self.person_of(identity.issuer, identity.subject)

    def person_of(self, issuer: str, subject: str) -> str:
        """The same, for an account."""
        return " ".join(self._first.get((issuer, subject), (issuer, subject)))
