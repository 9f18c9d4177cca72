"""One session's connection from arrival to evidence, top to bottom: the order of these lines is the security.

Nothing is reached before the permit is durable; no secret is shown before the passage is; nothing is relayed without
both. Knows every step's name and no step's inside: no socket, no clock, no protocol.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from hoopproxy.admit.admission import Admission
from hoopproxy.admit.crowd import Crowd
from hoopproxy.admit.keyring import Keyring
from hoopproxy.admit.leases import Leases
from hoopproxy.admit.places import OutOfZone
from hoopproxy.asking import Asking
from hoopproxy.errors import LimitReached, Revoked, SessionError
from hoopproxy.evidence.entries import Confirmed, Crashed, Denied, Ended, Entry, Permitted
from hoopproxy.evidence.ledger import Ledger
from hoopproxy.interfaces import IDialer, IFrontend, IReached, IRecorder, IScheduler, IWireFactory
from hoopproxy.model import Credentials, Identity, Manifest, Passage, Permit
from hoopproxy.relay.counting import Counting
from hoopproxy.relay.judges import Case, Judges
from hoopproxy.relay.relay import Relay
from hoopproxy.relay.tape import Tape, start
from hoopproxy.settings import Limits


@dataclass(frozen=True, slots=True)
class Gateway:
    """All that a session needs, built once by `hoopproxy.service`. `tell` writes to the operator's log."""

    admission: Admission
    crowd: Crowd
    leases: Leases
    keyring: Keyring
    dialers: Mapping[str, IDialer]
    wires: Mapping[str, IWireFactory]
    judges: Judges
    recorder: IRecorder
    ledger: Ledger
    limits: Limits
    scheduler: IScheduler
    ask: Asking
    new_session_id: Callable[[], str]
    tell: Callable[..., None]


async def run(frontend: IFrontend, gateway: Gateway) -> None:
    """Serve one client connection."""
    arrival = frontend.arrival
    session_id = gateway.new_session_id()
    credentials: Credentials | None = None
    identity: Identity | None = None
    try:
        credentials = await _handshake(frontend, gateway)
        if credentials is None:
            return
        identity = await gateway.admission.identify(arrival, credentials)
        with gateway.crowd.signed_in(arrival.connection_id, identity):
            permit = await gateway.admission.authorize(session_id, arrival, identity, credentials, frontend.inform)
            session_id = permit.session_id  # it may have joined a live session
            await gateway.ledger.note(Permitted.of(permit))  # durable before anything is reached
            dialer = gateway.dialers[permit.target.protocol]
            reached = await dialer.reach(permit)  # a judged literal, a handshake, a proof; no secret, no user byte
            try:
                passage = await gateway.admission.confirm(permit, reached.measurements)
                await gateway.ledger.note(Confirmed.of(passage))  # durable before a secret is shown
                await _pass(frontend, dialer, reached, passage, gateway)
            finally:
                reached.abort()
    except SessionError as why:
        frontend.refuse(session_id, why)
        gateway.tell("denied", session=session_id, code=why.code, sentence=why.sentence, detail=why.detail)
        verdicts = why.verdicts if isinstance(why, OutOfZone) else ()
        await _last_note(gateway, Denied.of(session_id, arrival, identity, _target_name(credentials), why, verdicts))
    except gateway.scheduler.cancelled:
        stop = Revoked("The gateway is stopping; connect again in a moment.")
        await _last_note(gateway, Denied.of(session_id, arrival, identity, _target_name(credentials), stop, ()))
        raise
    except Exception:
        await _last_note(gateway, Crashed.of(session_id, arrival))
        raise
    finally:
        frontend.close()


def _target_name(credentials: Credentials | None) -> str:
    return credentials.target_name if credentials else ""


async def _handshake(frontend: IFrontend, gateway: Gateway) -> Credentials | None:
    limit_s = gateway.limits.handshake_s_max
    try:
        credentials: Credentials | None = await gateway.scheduler.within(limit_s, frontend.credentials())
    except TimeoutError as why:
        raise LimitReached(
            f"Your client did not finish its handshake within {limit_s:g} s; connect again.",
            limit="limits.handshake_s_max",
        ) from why
    return credentials


async def _pass(frontend: IFrontend, dialer: IDialer, reached: IReached, passage: Passage, gateway: Gateway) -> None:
    """Log in, welcome, relay. However it ends, the client is told first, then evidence is left."""
    permit, counting = passage.permit, Counting()
    with gateway.leases.hold(passage, counting.tally) as lease:
        tape = await start(gateway.recorder, passage, gateway.ask)
        peer, relay, reason = None, None, "crashed"
        try:
            protected = await gateway.judges.protects(permit)
            secret = await gateway.keyring.secret(passage)
            peer = await dialer.login(reached, passage, secret, protected)
            wire = gateway.wires[permit.target.protocol].wire(passage, peer, protected, tape.rows_max)
            await frontend.welcome(passage, peer)
            case = Case(passage, peer.catalog, protected, frontend.inform)
            relay = Relay(frontend, peer, wire, gateway.judges, case, tape, counting, gateway.limits, gateway.scheduler)
            reason = await relay.run(lease.ended)
        except SessionError as why:
            reason = why.code
            if relay is None or not relay.is_amid:
                frontend.refuse(permit.session_id, why)
            frontend.close()
            gateway.tell("ended", session=permit.session_id, code=why.code, sentence=why.sentence, detail=why.detail)
            if peer is not None:
                await peer.interrupt()
        except gateway.scheduler.cancelled:
            reason = "cut off"  # the gateway stops, and this one did not leave in the time that it had
        finally:
            frontend.close()
            if peer is not None:
                peer.close()
            manifest = await _end_of(tape, counting, reason, permit, gateway)
            await _last_note(gateway, Ended.of(passage, counting.tally(), manifest, reason))


async def _end_of(tape: Tape, counting: Counting, reason: str, permit: Permit, gateway: Gateway) -> Manifest | None:
    """What binds the recording to the log. None: its end can't be written, and the log says so."""
    try:
        return await tape.close(counting.tally(), reason)
    except SessionError as why:
        gateway.tell("recording-unfinished", session=permit.session_id, sentence=why.sentence, detail=why.detail)
        return None


async def _last_note(gateway: Gateway, entry: Entry) -> None:
    """Note how it ended. Nothing depends on it any more: an end that is missing from the log is itself visible."""
    try:
        await gateway.ledger.note(entry)
    except SessionError as why:
        gateway.tell("end-unwritten", sentence=why.sentence, detail=why.detail)
