"""Room for connections in the process's table of file descriptors. Knows no listener."""

import resource

import structlog

log = structlog.get_logger()

PER_CONNECTION = 3
"""The client's socket, the target's, and the recording."""

SPARE = 1000
"""For the log, control connections, cancel requests and whatever addons open."""


def make_room(connections_max: int) -> None:
    """Let this process open what so many connections need, and tell the operator when it may not.

    Service managers start processes with a soft limit of 1024, for programs that still call select(2), and expect
    others to raise it themselves (systemd.exec(5), LimitNOFILE).
    """
    needed = connections_max * PER_CONNECTION + SPARE
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    allowed = needed if hard == resource.RLIM_INFINITY else min(needed, hard)
    if soft not in (resource.RLIM_INFINITY, allowed) and soft < allowed:
        resource.setrlimit(resource.RLIMIT_NOFILE, (allowed, hard))
    if allowed < needed:
        log.warning(
            "descriptors-too-few",
            sentence=f"limits.connections_max takes up to {needed} file descriptors, and this process may open {hard}; "
            "raise its hard limit (LimitNOFILE) or lower limits.connections_max.",
        )
