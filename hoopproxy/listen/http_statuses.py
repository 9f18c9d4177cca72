"""Which status an early end has over HTTP (RFC 9110 §15). Knows no connection and no body."""

from hoopproxy.errors import (
    BrokenOff,
    EvidenceUnavailable,
    LimitReached,
    ProtocolViolation,
    Refused,
    Revoked,
    SessionError,
    UpstreamRefused,
    UpstreamUnreachable,
)


class Misdirected(Refused):
    """What the client asks for does not belong on this connection."""


_STATUSES: tuple[tuple[type[SessionError], int], ...] = (
    (Misdirected, 421),
    (Refused, 403),
    (UpstreamUnreachable, 502),
    (UpstreamRefused, 502),
    (BrokenOff, 502),
    (Revoked, 503),
    (EvidenceUnavailable, 503),
)
_LIMITS = {"limits.handshake_s_max": 408}
_SIDES = {"client": 400, "server": 502}


def status_of(why: SessionError, *, is_forward: bool) -> int:
    """`is_forward`: credentials are a proxy's, not an origin's."""
    if isinstance(why, Refused) and why.reason == "credentials":
        return 407 if is_forward else 401
    if isinstance(why, LimitReached):
        return _LIMITS.get(why.limit, 429)
    if isinstance(why, ProtocolViolation):
        return _SIDES[why.side]
    return next((status for kind, status in _STATUSES if isinstance(why, kind)), 500)
