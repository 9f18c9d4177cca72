"""Locks that others hold: how a catalog is read without standing in anybody's way, and who stands in ours.

Knows neither what is read nor what is done with it.
"""

from collections.abc import Awaitable, Callable

from hoopproxy.errors import SqlFailed, UpstreamRefused
from hoopproxy.rooms import Rows

LOCK_MS_MAX, LOCK_TRIES_MAX, LOCK_PAUSE_S = 200, 20, 0.5
"""How long the catalog's reading waits for a lock: less than PostgreSQL's deadlock_timeout, after which somebody else's
statement could be ended; how often it is tried then, and when again."""

LOCKED = frozenset({"55P03", "40P01"})
"""lock_not_available, deadlock_detected (appendix "Error Codes")."""

INSTALLING = 7598263407139516001
"""The advisory lock of those who install. The number was drawn by lot."""

LOCK = f"SELECT pg_catalog.pg_advisory_xact_lock({INSTALLING})"
"""One install at a time in a database."""

_HOLDERS_MAX = 5

# All that can be known of it afterwards: strong locks on what a plan reads, any lock on what it makes anew or drops.
_HOLDERS = f"""
SET LOCAL lock_timeout = {LOCK_MS_MAX};
SELECT DISTINCT l.pid, coalesce(a.usename, '?'), coalesce(a.application_name, ''),
    coalesce(n.nspname || '.' || c.relname, '')
FROM pg_catalog.pg_locks l
LEFT JOIN pg_catalog.pg_stat_activity a ON a.pid = l.pid
LEFT JOIN pg_catalog.pg_class c ON l.locktype = 'relation' AND c.oid = l.relation
LEFT JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE l.granted AND l.pid <> pg_catalog.pg_backend_pid()
AND l.database IN (0, (SELECT oid FROM pg_catalog.pg_database WHERE datname = pg_catalog.current_database()))
AND CASE l.locktype
    WHEN 'advisory' THEN l.objsubid = 1 AND (l.classid::int8 << 32) + l.objid::int8 = {INSTALLING}
    WHEN 'relation' THEN l.mode = 'AccessExclusiveLock' OR n.nspname ~ '^hp_'
        OR n.nspname = 'pg_catalog' AND l.mode IN ('ShareLock', 'ShareRowExclusiveLock', 'ExclusiveLock') END
ORDER BY 4, 1 LIMIT {_HOLDERS_MAX}"""

type Ask = Callable[[str], Awaitable[tuple[Rows, ...]]]


class Blocked(UpstreamRefused):
    """Somebody held a lock for longer than we wait."""


async def unhurried(ask: Ask, text: str, pause: Callable[[], Awaitable[object]]) -> tuple[Rows, ...]:
    """The answer to a question that takes locks on many relations. @raise Blocked, SessionError

    Who waits for one of them while it holds others can stand in the way of a statement of the database's owner,
    which PostgreSQL might then end as a deadlock: so the question gives up first, and is asked again after a `pause`.
    """
    for left in reversed(range(LOCK_TRIES_MAX)):
        try:
            _, *answer = await ask(f"SET LOCAL lock_timeout = {LOCK_MS_MAX};{text}")
        except SqlFailed as why:
            if why.sqlstate not in LOCKED:
                raise
            if not left:
                raise await blocked(ask, why) from why
            await pause()
        else:
            return tuple(answer)
    raise AssertionError("the last try answers or raises")


async def blocked(ask: Ask, why: SqlFailed) -> Blocked:
    """That a lock was in the way, and who holds it now, to the best of what can be known. @raise SessionError"""
    try:
        *_, rows = await ask(_HOLDERS)
    except SqlFailed:  # it is the catalog itself that somebody holds
        rows = ()
    held = [
        f"process {pid} of the role {user}{f' ({application})' if application else ''} holds a lock on "
        f"{relation or 'the installing of masks'}"
        for pid, user, application, relation in rows
    ]
    return Blocked(
        "Somebody else works in this database and holds locks that are in the way; try again when that is done.",
        detail=f"{'; '.join(held) or 'who it was is not known'} ({why.message})",
    )
