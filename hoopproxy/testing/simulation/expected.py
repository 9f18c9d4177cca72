"""What a client behind a gateway without fault would have seen: the model server that masks and refuses by itself.

An independent second writing of what the policy's masks and the rules of `wire` mode mean for the model database. Knows
neither relay nor machine.
"""

import hashlib
import hmac
from dataclasses import dataclass

from hoopproxy.model import Side
from hoopproxy.testing.simulation.addons import DENIED_KIND, HASH_KEY
from hoopproxy.testing.simulation.database import CARD, EMAIL
from hoopproxy.testing.simulation.server import Server
from hoopproxy.wire.postgres.framing import Splitter
from hoopproxy.wire.postgres.messages import INSUFFICIENT_PRIVILEGE, read_fields

COMPUTED = (
    "SELECT upper(card) FROM customers",
    "SELECT id, card FROM everybody",
    "COPY customers (id, card) TO STDOUT",
)
"""What shows a protected column otherwise than as itself."""

REFUSED = b"<refused>"


@dataclass(frozen=True, slots=True)
class Perfect:
    """The gateway for somebody with this role; `is_guarded` where the target's columns are masked for them."""

    role: str
    is_guarded: bool

    def seen(self, path: str, cell: str) -> str | None:
        """The masks of `addons.policy`, written down again."""
        if not self.is_guarded:
            return cell
        match path, self.role:
            case (path, "analysts") if path == CARD:
                return "*" * (len(cell) - 4) + cell[-4:]
            case (path, "auditors") if path == CARD:
                return None
            case (path, "analysts") if path == EMAIL:
                return "***"
            case (path, "auditors") if path == EMAIL:
                return hmac.digest(HASH_KEY, cell.encode(), hashlib.sha256).hex()
            case _:
                return "0"

    def refuses(self, text: str) -> str:
        """Whether one statement of the text may not be sent."""
        for each in text.split("; "):
            if each.startswith((DENIED_KIND, "SELEC ")) or (self.is_guarded and each in COMPUTED):
                return "No."
        return ""


def answers(said: bytes, perfect: Perfect) -> bytes:
    """All that the client would have been sent."""
    server = Server(perfect)
    shown = server.feed(said)
    while server.sleeps_s:
        shown += server.wake()
    return shown


def messages(data: bytes) -> list[bytes]:
    """The whole messages of a stream, each refusal as `REFUSED`, since its sentence is the gateway's own matter."""
    splitter, found = Splitter(Side.SERVER), list[bytes]()
    splitter.append(data)
    while (received := splitter.next(1 << 30, "")) is not None:
        refused = received.kind == b"E" and read_fields(received.body).get("C") == INSUFFICIENT_PRIVILEGE
        found.append(REFUSED if refused else received.raw)
    return found
