"""What must hold of every simulation, judged when all is over: no canary, one end each, nothing left behind.

Each check yields full sentences. What has to be judged at the moment itself is the witness's.
"""

import gc
import re
from collections import Counter
from collections.abc import Iterator
from types import CoroutineType
from typing import Any

import orjson

from hoopproxy.disk.bundles import export, verify
from hoopproxy.disk.segments import Segments
from hoopproxy.errors import LimitReached, Revoked, SessionError
from hoopproxy.evidence.chain import ChainBroken
from hoopproxy.evidence.recording import RecordingBroken
from hoopproxy.testing.simulation import expected, recordings
from hoopproxy.testing.simulation.addons import PEOPLE, RESERVE_BYTES, SECRET, SEGMENT_BYTES
from hoopproxy.testing.simulation.client import Client
from hoopproxy.testing.simulation.database import CANARIES
from hoopproxy.testing.simulation.network import FULL_BYTES
from hoopproxy.testing.simulation.weather import Cause
from hoopproxy.testing.simulation.witness import Seen
from hoopproxy.testing.simulation.world import LIMITS, World

PARTING_S_MAX = LIMITS.dial_s_max + 4 * LIMITS.decision_s_max
"""From the end of a right to the end of its connection: a cancel request, the recording's end, a last entry."""

NOBODY_ESCAPES = frozenset({Cause.ADDONS})
"""Causes that may strike anybody."""

MENDED_S = 5.0
"""So long after a full disk has room again, sessions are let in as before."""

SENTENCE = re.compile(r"[A-Z'\"][^\n]*\.")
OWN_FAULT = ("limits.idle_s_max", "limits.connections_per_identity_max", "addon.recorder.recording_bytes_max")
"""Limits that a client may reach by itself."""

TOO_EARLY = "before the target had confirmed it"
"""The one thing that a gateway can't know in time (`wire.postgres.statements.be_sure`); it ends the session."""


def all_of(world: World, *, changes_answers: bool) -> Iterator[str]:
    """Every check on a simulation that is over, its log closed.

    `changes_answers`: an addon was put in that clients notice, so nobody knows what exactly they should have seen.
    """
    yield from world.witness.objections
    yield from ends(world)
    yield from words(world)
    yield from memory(world)
    yield from admission(world)
    yield from canaries(world)
    yield from evidence(world)
    if not changes_answers:
        yield from undisturbed(world)


def ends(world: World) -> Iterator[str]:
    """Each connection is over and has one end in the log, and nothing of it is left."""
    entries = [orjson.loads(leaf) for leaf in world.disk.leaves]
    counts = Counter((entry["kind"], entry.get("connection_id")) for entry in entries)
    is_writable = not (world.disk.has_failed or world.weather.p_addon["evidence"])
    came_to_stay = {id(seen) for _, seen in world.clients}
    for seen in world.witness.connections.values():
        name = seen.arrival.connection_id
        starts, confirmed = counts["permitted", name], counts["confirmed", name]
        over = counts["ended", name] + counts["denied", name]
        if seen.over_s is None:
            yield f"{name}: it hangs."
        if seen.crash is not None:
            yield f"{name}: it crashed with {type(seen.crash).__name__}: {seen.crash}"
        if starts > 1 or confirmed > 1 or over > 1 or confirmed > starts:
            yield f"{name}: the log has {starts} starts, {confirmed} confirmations and {over} ends of it."
        if is_writable and id(seen) in came_to_stay and over != 1:
            yield f"{name}: the log has {over} ends of it, and nothing kept it from being written."
        if seen.over_s and seen.revoked_s and seen.over_s > seen.revoked_s + PARTING_S_MAX:
            yield f"{name}: it was still there {seen.over_s - seen.revoked_s:.0f} s after its right had ended."
        if counts["crashed", name]:
            yield f"{name}: the log says that it crashed."
    if len(world.gateway.crowd):
        yield "Somebody is still counted among those who are here."
    if timers := world.clock.getDelayedCalls():
        yield f"A timer is left: {timers[0]}."


def coroutines() -> Iterator[str]:
    """Coroutines that nobody will ever go on with."""
    for each in gc.get_objects():
        if isinstance(each, CoroutineType) and each.cr_frame is not None:
            yield f"A coroutine is left: {each.__qualname__}."


def words(world: World) -> Iterator[str]:
    """Whoever was refused and stayed to hear it was told one sentence; whoever did not get in was refused."""
    for client, seen in world.clients:
        name = seen.arrival.connection_id
        if client.has_left or seen.was_cut_off or seen.crash is not None:
            continue
        told = client.gateway_s_words
        if seen.refusals:
            wanted = seen.refusals[0].sentence
            if [fields["M"] for fields in told] != [wanted]:
                yield f"{name}: it was refused with {wanted!r} and told {[fields['M'] for fields in told]}."
            elif not SENTENCE.fullmatch(wanted):
                yield f"{name}: {wanted!r} is no full sentence."
        elif told:
            yield f"{name}: it was told {told[0]['M']!r}, which nobody said."
        elif not client.is_in:
            yield f"{name}: it did not get in, and was not told why."


def memory(world: World) -> Iterator[str]:
    """Nobody's bytes pile up: a direction may hold a chunk unread, one being read, one being written, and messages that
    are not whole."""
    limits = world.limits
    bytes_max = FULL_BYTES + 4 * limits.chunk_bytes_max + 2 * max(limits.row_bytes_max, limits.statement_bytes_max)
    for line in world.witness.lines:
        if line.waiting_bytes_max > bytes_max:
            yield f"{line.name}: {line.waiting_bytes_max} bytes waited for a slow reader."
    for seen in world.witness.connections.values():
        if seen.held_bytes_max > bytes_max:
            yield f"{seen.arrival.connection_id}: {seen.held_bytes_max} bytes were held."


def canaries(world: World) -> Iterator[str]:
    """No protected value, and no secret of the gateway's, at a client, in the log, or in what the operator reads."""
    for client, seen in world.clients:
        if found := leaked(client.saw, may_see=_may_see(client)):
            yield f"{seen.arrival.connection_id} ({client.person}): it was shown {found!r}."
    for number, leaf in enumerate(world.disk.leaves):
        if found := leaked(leaf):
            yield f"Entry {number} of the log holds {found!r}."
    for event, told in world.told:
        if found := leaked(repr(told).encode()):
            yield f"The operator was told {found!r} ({event})."


def admission(world: World) -> Iterator[str]:
    """No target is dialled for somebody who may not go there, or that lies outside."""
    for client, seen in world.clients:
        if seen.session_id and not (_may_come(client) and client.target in ("masked", "plain")):
            yield f"{seen.arrival.connection_id}: target {client.target!r} was dialled for {client.person}."


def evidence(world: World) -> Iterator[str]:
    """The log verifies, and so does each recording; what they promise holds."""
    state, bundle = world.disk.directory, world.directory / "bundle.zip"
    try:
        head = export(state / "log", state / "recordings", bundle)
    except ChainBroken as why:
        yield f"The log is broken: {why}"
        return
    if head.size < len(world.disk.leaves):
        yield f"The log has {head.size} entries; {len(world.disk.leaves)} were durable."
    for problem in verify(bundle, head).problems:
        yield f"The bundle: {problem}"
    whole = {entry["connection_id"] for entry in _entries(world, "ended") if entry["recording"] is not None}
    for client, seen in world.clients:
        path = state / "recordings" / seen.recording
        if not path.exists():
            if seen.shown.data or seen.asked.data:
                yield f"{seen.arrival.connection_id}: bytes passed, and there is no recording."
            continue
        try:
            told = recordings.lines(path)
        except RecordingBroken as why:
            yield f"{seen.recording} can't be read: {why}"
            continue
        yield from recordings.objections(
            seen, told, world.recorder, world.limits.row_bytes_max, seen.arrival.connection_id in whole
        )
        if not (world.disk.has_failed or world.weather.p_addon["recorder"] or world.weather.p_addon["evidence"]):
            yield from recordings.in_time(seen, told, world.recorder, world.disk.durable_since[seen.recording])
        if any(leaked(recordings.masked(line), may_see=_may_see(client)) for _, line in told):
            yield f"{seen.recording}: its masked half holds a protected value."


def photograph(world: World) -> Iterator[str]:
    """What a power cut in this moment would leave: it verifies, and holds all that was ever called durable."""
    image, bundle = (world.directory / f"image-{world.trace.count}{ending}" for ending in ("", ".zip"))
    world.disk.photograph(image)
    try:
        head = export(image / "log", image / "recordings", bundle)
        segments = Segments(image / "log", SEGMENT_BYTES, RESERVE_BYTES)
        segments.open()  # the gateway's next start
        segments.close()
    except ChainBroken as why:
        yield f"After a power cut the log is broken: {why}"
        return
    if head.size < len(world.disk.leaves) or segments.head != head:
        yield f"After a power cut the log has {head.size} entries; {len(world.disk.leaves)} were durable."
    for problem in verify(bundle, head).problems:
        yield f"After a power cut: {problem}"


def undisturbed(world: World) -> Iterator[str]:
    """Whom nothing befalls gets in if they may, and sees what a gateway without fault would show, whatever others
    suffer."""
    for client, seen in world.clients:
        name, (_, group) = seen.arrival.connection_id, PEOPLE[client.person]
        if not _is_undisturbed(world, client, seen):
            continue
        may = _may_come(client)
        if may and not client.is_in and seen.refusals and _is_own_fault(seen.refusals[0]):
            continue
        if may != client.is_in and client.target in ("masked", "plain"):
            yield f"{name}: {client.person} {'did not get in' if may else 'got in'}."
        if client.is_in:
            yield from _as_expected(client, seen, group)


def _is_undisturbed(world: World, client: Client, seen: Seen) -> bool:
    """Whether nothing that went wrong should concern it."""
    weather = world.weather
    if client.is_struck or seen.is_struck or not weather.causes.isdisjoint(NOBODY_ESCAPES):
        return False
    if Cause.RIGHTS in weather.causes:
        was_ended = any(isinstance(why, Revoked) for why in seen.refusals)
        return weather.causes == {Cause.RIGHTS} and weather.stops_at_s is None and not was_ended
    if Cause.DISK in weather.causes and weather.disk is not None:
        mended_s = world.start_s + weather.disk.until_s + MENDED_S
        return weather.causes == {Cause.DISK} and weather.disk.kind == "full" and seen.arrival.at_s > mended_s
    return True


def _as_expected(client: Client, seen: Seen, group: str) -> Iterator[str]:
    ended_early = any(map(_is_own_fault, seen.refusals))
    if seen.refusals and not ended_early and not seen.revoked_s:
        yield f"{seen.arrival.connection_id}: it was ended, and nothing had befallen it: {seen.refusals[0].sentence}"
    if client.has_cancelled:
        return  # whether a statement was over before it was cancelled is a matter of luck
    perfect = expected.Perfect(group, client.target == "masked" and group != "owners")
    wanted = expected.messages(expected.answers(bytes(client.said), perfect))
    shown = expected.messages(bytes(seen.shown.data))
    if shown != wanted[: len(shown)] or (client.is_content and not ended_early and len(shown) < len(wanted)):
        at = next((at for at, pair in enumerate(zip(shown, wanted, strict=False)) if pair[0] != pair[1]), len(shown))
        yield (
            f"{seen.arrival.connection_id} ({client.person}): message {at} of {len(shown)} is {shown[at : at + 1]}, "
            f"wanted is {wanted[at : at + 1]} of {len(wanted)}."
        )


def _may_come(client: Client) -> bool:
    """Whether the policy lets the person in, to targets that lie where they should."""
    return PEOPLE[client.person][1] in ("analysts", "auditors", "owners") and client.person != "uma"


def _may_see(client: Client) -> bool:
    """Whether protected values may be shown to it: by the policy's word, whatever became of its session."""
    return client.target == "plain" or PEOPLE[client.person][1] == "owners"


def _is_own_fault(why: SessionError) -> bool:
    return TOO_EARLY in why.sentence or (isinstance(why, LimitReached) and why.limit in OWN_FAULT)


def _entries(world: World, kind: str) -> list[dict[str, Any]]:
    return [entry for leaf in world.disk.leaves if (entry := orjson.loads(leaf))["kind"] == kind]


def leaked(data: bytes | bytearray, *, may_see: bool = False) -> bytes:
    """What these bytes hold that they must not, or b"". `may_see`: protected values are allowed."""
    return next((found for found in (SECRET.encode(), *(() if may_see else CANARIES)) if found in data), b"")
