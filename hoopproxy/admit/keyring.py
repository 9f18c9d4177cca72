"""Which secret the gateway shows a target: asks the credential sources in order, for one login, and keeps nothing.

Knows neither where secrets are stored nor how they are shown.
"""

from collections.abc import Sequence
from functools import partial

from hoopproxy.asking import Asking, maybe
from hoopproxy.errors import UpstreamRefused
from hoopproxy.interfaces import ICredentialSource
from hoopproxy.model import Passage
from hoopproxy.proofs import Secret, TargetSecret


class Keyring:
    """The credential sources, behind a passage."""

    def __init__(self, sources: Sequence[ICredentialSource], ask: Asking) -> None:
        self._sources = sources
        self._ask = ask

    async def secret(self, passage: Passage) -> TargetSecret:
        """The secret of the passage's account; an empty one for an account to which nothing is shown.

        @raise UpstreamRefused: no source holds it.
        """
        permit = passage.permit
        credential = permit.target.accounts[permit.account]
        if not credential:
            return TargetSecret(permit.account, Secret(""))
        return await self._held(passage, credential, f"account '{permit.account}'")

    async def provisioner(self, passage: Passage) -> TargetSecret:
        """The secret with which masks are made in the passage's target. @raise UpstreamRefused: no source holds it."""
        masks = passage.permit.target.masks
        assert masks is not None, "asked only where the target keeps masks itself"
        return await self._held(passage, masks.provisioner, "the provisioner of masks")

    async def _held(self, passage: Passage, credential: str, whose: str) -> TargetSecret:
        for source in self._sources:
            found = await self._ask(source, "secret", partial(source.secret, passage, credential), maybe(TargetSecret))
            if found is not None:
                return found
        raise UpstreamRefused(
            f"The gateway holds no credential for {whose} of target '{passage.permit.target.name}'; "
            "tell the operator of the gateway.",
            detail=f"no credential source holds {credential!r}",
        )
