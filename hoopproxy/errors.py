"""The ways in which a session may end early, split by who must act.

Knows nothing of protocols: a frontend turns an error into its protocol's own message. Anything raised that is not
a `SessionError` is a bug; the connection is then aborted silently and the traceback goes to the operator's log.
"""

from enum import Enum
from typing import ClassVar


class SessionError(Exception):
    """An expected early end.

    `sentence` is one full sentence for the client: what happened and what to do next, free of secrets and of other
    people's data. `detail` is for the operator's log alone. `code` is the word that evidence keeps.
    """

    code: ClassVar[str] = "session-error"

    def __init__(self, sentence: str, *, detail: str = "") -> None:
        super().__init__(sentence)
        self.sentence = sentence
        self.detail = detail


class Refused(SessionError):
    """Somebody decided no. `reason` names the step: `credentials`, `target`, `grant`, `residency`, `statement`."""

    code = "refused"

    def __init__(self, sentence: str, *, reason: str, detail: str = "") -> None:
        super().__init__(sentence, detail=detail)
        self.reason = reason


class Withdrawn(Refused):
    """The client took back what was waiting for a person's decision."""


class AddonFailure(SessionError):
    """An addon raised, hung or answered the wrong type: the operator must mend it; the client may try later."""

    code = "addon-failure"

    def __init__(self, addon: str, call: str, detail: str) -> None:
        super().__init__(
            f"The gateway ended this session because its addon '{addon}' failed; nothing was passed on. "
            "Try again later or tell the operator of the gateway.",
            detail=f"addon {addon!r}, {call}: {detail}",
        )
        self.addon = addon
        self.call = call


class ProtocolViolation(SessionError):
    """A peer sent what its protocol does not allow. `side` is `client` or `server`; the machine is dead afterwards."""

    code = "protocol-violation"

    def __init__(self, side: str, sentence: str, *, detail: str = "") -> None:
        super().__init__(sentence, detail=detail)
        self.side = side


class BrokenOff(SessionError):
    """A connection ended amid its peer's stream: by a reset, or without the close_notify of TLS."""

    code = "broken-off"


class UpstreamUnreachable(SessionError):
    """The target did not answer, or did not prove that it is itself."""

    code = "upstream-unreachable"


class UpstreamRefused(SessionError):
    """The target proved itself and then refused the gateway's login."""

    code = "upstream-refused"


class SqlFailed(UpstreamRefused):
    """The target refused a statement of the gateway's own: its SQLSTATE, and its words in `message`."""

    def __init__(self, sqlstate: str, message: str) -> None:
        super().__init__(
            "The target did not do what the gateway needs for this session; tell the operator of the gateway.",
            detail=f"SQLSTATE {sqlstate}: {message}",
        )
        self.sqlstate, self.message = sqlstate, message


class LimitReached(SessionError):
    """A limit of the configuration was reached. `limit` is its key, such as `limits.handshake_s_max`."""

    code = "limit-reached"

    def __init__(self, sentence: str, *, limit: str, detail: str = "") -> None:
        super().__init__(sentence, detail=detail)
        self.limit = limit


class MaskBroken(SessionError):
    """The target showed, or was about to show, a column as it is that it keeps masked: an alarm, as nothing may."""

    code = "mask-broken"


class EvidenceUnavailable(SessionError):
    """The log or the recording can't be written: nothing may go on that could not be proved later."""

    code = "evidence-unavailable"


class Cause(Enum):
    """Why the right behind a live session ended: the closed set that evidence knows."""

    NONE = ""
    KILLED = "killed"
    EXPIRED = "expired"
    STOPPING = "stopping"
    IDENTITY_GONE = "identity-gone"
    GROUP_LOST = "group-lost"
    GRANT_GONE = "grant-gone"
    ZONE_LOST = "zone-lost"
    POLICY_CHANGED = "policy-changed"
    UNCHECKED = "unchecked"


class Revoked(SessionError):
    """The right behind a live session ended: killed, expired, lost at a re-check, or the gateway is stopping."""

    code = "revoked"

    def __init__(self, sentence: str, *, cause: Cause = Cause.NONE, detail: str = "") -> None:
        super().__init__(sentence, detail=detail)
        self.cause = cause


class ConfigError(Exception):
    """The start stops. `problems` are full sentences, each with file, key, what was found and what is wanted."""

    def __init__(self, problems: tuple[str, ...]) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems
