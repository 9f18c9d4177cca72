"""Signed links to a request: whoever follows one sees exactly the terms that it was made for. A link never votes.

Knows neither the page that a link shows nor who has been given one.
"""

import base64
import hashlib
import hmac
import re
from dataclasses import dataclass, field

from hoopproxy.access.request import AccessRequest, NotPossible

LINK_CHARACTERS_MAX = 1024

_LINK = re.compile(
    r"/access/(?P<id>[A-Za-z0-9-]{1,64})\?terms=(?P<terms>[0-9a-f]{64})&until=(?P<until>[0-9]{1,12})"
    r"&key=(?P<key>[0-9a-f]{16})&signature=[A-Za-z0-9_-]{43}"
)


@dataclass(frozen=True, slots=True)
class Linked:
    """What a link is to."""

    request_id: str
    terms_sha256: str


@dataclass(frozen=True, slots=True)
class Links:
    """Makes and reads the links of the portal at `url` (`https://HOST[:PORT]`), with its secret key."""

    url: str
    key: bytes = field(repr=False)

    @property
    def key_id(self) -> str:
        """Which key it is, for whoever has changed it."""
        return self._mac("key")[:8].hex()

    def link(self, request: AccessRequest) -> str:
        """The link to a request as it is now, for as long as it can be decided."""
        return self._made(request.request_id, request.terms.digest, str(int(request.pending_until_s)))

    def read(self, link: str, now_s: float) -> Linked:
        """What it is to, if nobody has changed a character of it.

        @raise NotPossible: somebody has, it is not ours, or its time is over.
        """
        found = _LINK.fullmatch(link.removeprefix(self.url)) if len(link) <= LINK_CHARACTERS_MAX else None
        if found and found["key"] != self.key_id:
            raise NotPossible("This link was signed with a key that this gateway does not have; ask for a new link.")
        # As a whole: there is one way to write a link, and any other is a change.
        if not found or not hmac.compare_digest(
            self._made(found["id"], found["terms"], found["until"]).encode(), link.encode("utf-8", "replace")
        ):
            raise NotPossible(
                "This is no link of this gateway's, or a character of it was changed or lost; copy it whole, or ask "
                "for a new one."
            )
        if now_s >= int(found["until"]):
            raise NotPossible("This link has expired with the time in which its request could be decided; ask anew.")
        return Linked(found["id"], found["terms"])

    def _made(self, request_id: str, terms_sha256: str, until_s: str) -> str:
        unsigned = f"{self.url}/access/{request_id}?terms={terms_sha256}&until={until_s}&key={self.key_id}"
        signature = base64.urlsafe_b64encode(self._mac(unsigned)).rstrip(b"=").decode()
        return f"{unsigned}&signature={signature}"

    def _mac(self, text: str) -> bytes:
        return hmac.digest(self.key, f"hoopproxy access link 1\n{text}".encode(), hashlib.sha256)
