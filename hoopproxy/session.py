"""One session's connection from arrival to evidence, top to bottom: the order of these lines is the security.

Nothing is reached before the permit is durable; no secret is shown before the passage is; nothing is relayed without
both. Knows every step's name and no step's inside: no socket, no clock, no protocol.
"""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import NoReturn

from hoopproxy.access.office import Office
from hoopproxy.admit.admission import Admission
from hoopproxy.admit.crowd import Crowd
from hoopproxy.admit.keyring import Keyring
from hoopproxy.admit.leases import STOPPING, Lease, Leases
from hoopproxy.admit.places import OutOfZone
from hoopproxy.admit.rechecking import Rechecks
from hoopproxy.admit.standing import Standing
from hoopproxy.asking import Asking
from hoopproxy.errors import Cause, LimitReached, Refused, Revoked, SessionError
from hoopproxy.evidence.entries import Confirmed, Crashed, Denied, Ended, Entry, MasksKept, Permitted
from hoopproxy.evidence.ledger import Ledger
from hoopproxy.interfaces import IRecorder
from hoopproxy.masks import Entrance
from hoopproxy.model import Credentials, Identity, Manifest, Passage, Permit, Proven
from hoopproxy.relay.approvals import Approvals
from hoopproxy.relay.counting import Counting
from hoopproxy.relay.footing import Footing
from hoopproxy.relay.gallery import Gallery
from hoopproxy.relay.judges import Case, Judges
from hoopproxy.relay.quota import Quotas
from hoopproxy.relay.relay import EXPIRED, Relay
from hoopproxy.relay.tape import Tape, start
from hoopproxy.relay.votes import Votes
from hoopproxy.rooms import IDesk, IDialer, IFrontend, IProvisioner, IReached, IScheduler, IWireFactory, IWithdrawing
from hoopproxy.settings import Limits


@dataclass(frozen=True, slots=True)
class Gateway:
    """All that a session needs, built once by `hoopproxy.service`. `tell` writes to the operator's log."""

    admission: Admission
    office: Office
    standing: Standing
    crowd: Crowd
    leases: Leases
    rechecks: Rechecks
    keyring: Keyring
    dialers: Mapping[str, IDialer]
    wires: Mapping[str, IWireFactory]
    judges: Judges
    gallery: Gallery
    approvals: Approvals
    votes: Votes
    quotas: Quotas
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
    proven: Proven | None = None
    try:
        until_s = gateway.scheduler.monotonic_s() + getattr(gateway.limits, frontend.handshake_limit)
        while proven is None:
            credentials = await _handshake(frontend, gateway, until_s)
            if credentials is None:
                return
            try:
                proven = await gateway.admission.identify(arrival, credentials)
            except Refused as why:
                if not frontend.again(why):
                    raise
        assert credentials is not None
        identity = proven.identity
        with gateway.crowd.signed_in(arrival.connection_id, identity):
            permit = await gateway.admission.authorize(session_id, arrival, identity, credentials, frontend.inform)
            session_id = permit.session_id  # it may have joined a live session
            with gateway.leases.entering(permit) as entry:
                await gateway.ledger.note(Permitted.of(permit))  # durable before anything is reached
                dialer = gateway.dialers[permit.target.protocol]
                reached = await dialer.reach(permit)  # a judged literal, a handshake, a proof; no secret, no user byte
                try:
                    passage = await gateway.admission.confirm(permit, reached.measurements)
                    treatment = gateway.wires[permit.target.protocol].treatment
                    await gateway.ledger.note(Confirmed.of(passage, treatment))  # durable before a secret is shown
                    await _pass(frontend, dialer, reached, passage, proven, entry.until_s, gateway)
                finally:
                    reached.abort()
    except SessionError as why:
        frontend.refuse(session_id, why)
        gateway.tell("denied", session=session_id, code=why.code, sentence=why.sentence, detail=why.detail)
        verdicts = why.verdicts if isinstance(why, OutOfZone) else ()
        await _last_note(gateway, Denied.of(session_id, arrival, identity, _target_name(credentials), why, verdicts))
    except gateway.scheduler.cancelled:
        stop = Revoked(STOPPING, cause=Cause.STOPPING)
        await _last_note(gateway, Denied.of(session_id, arrival, identity, _target_name(credentials), stop, ()))
        raise
    except Exception:
        await _last_note(gateway, Crashed.of(session_id, arrival))
        raise
    finally:
        frontend.close()


def _target_name(credentials: Credentials | None) -> str:
    return credentials.target_name if credentials else ""


async def _handshake(frontend: IFrontend, gateway: Gateway, until_s: float) -> Credentials | None:
    left_s = until_s - gateway.scheduler.monotonic_s()
    try:
        credentials: Credentials | None = await gateway.scheduler.within(left_s, frontend.credentials())
    except TimeoutError as why:
        limit_s = getattr(gateway.limits, frontend.handshake_limit)
        raise LimitReached(
            f"Your client did not finish its handshake within {limit_s:g} s; connect again.",
            limit=f"limits.{frontend.handshake_limit}",
        ) from why
    return credentials


async def _pass(
    frontend: IFrontend,
    dialer: IDialer,
    reached: IReached,
    passage: Passage,
    proven: Proven,
    until_s: float,
    gateway: Gateway,
) -> None:
    """Log in, welcome, relay. However it ends, the client is told first, both ends are let go, and evidence is left."""
    permit, counting, cause = passage.permit, Counting(), Cause.NONE
    with gateway.leases.hold(passage, proven, counting.tally) as lease:
        tape = await start(gateway.recorder, passage, gateway.ask, gateway.gallery)
        quota = gateway.quotas.enter(permit.grant)
        peer, rewriting, relay, reason = None, None, None, "crashed"
        try:
            protected = await gateway.judges.protects(permit)
            lease.protects(permit, protected)
            secret = await gateway.keyring.secret(passage)
            entering = gateway.judges.enter(passage, secret.username, partial(_desk, dialer, passage, gateway))
            entrance = await _while_it_may(entering, lease, until_s, gateway)
            if entrance is None:
                peer = await dialer.login(reached, passage, secret, protected)
            else:
                await gateway.ledger.note(MasksKept.of(passage, entrance))
                peer = await dialer.login(reached, passage, entrance.secret, protected, entrance.catalog)
            rewriting = gateway.judges.begin(passage, peer.catalog)
            wire = gateway.wires[permit.target.protocol].wire(passage, peer, protected, tape.rows_max)
            await frontend.welcome(passage, peer)
            case = Case(passage, peer.catalog, protected, frontend.inform, rewriting, quota, Footing(permit.parameters))
            relay = Relay(
                client=frontend,
                server=peer,
                wire=wire,
                judges=gateway.judges,
                case=case,
                tape=tape,
                counting=counting,
                limits=gateway.limits,
                scheduler=gateway.scheduler,
                until_s=until_s,
                quota=quota,
                is_led_through=lambda: gateway.leases.has_children(permit.session_id),
            )
            if IWithdrawing.providedBy(frontend):
                IWithdrawing(frontend).withdraw = case.withdrawal.withdraw
            reason = await relay.run(lease.ended, gateway.leases.stopping)
        except SessionError as why:
            reason = why.code
            cause = why.cause if isinstance(why, Revoked) else Cause.NONE
            if relay is None:
                frontend.refuse(permit.session_id, why)
            elif not relay.is_amid:
                frontend.refuse(permit.session_id, why, relay.wire.words(why.sentence))
            has_lost_its_right = isinstance(why, Revoked) and cause is not Cause.STOPPING
            for end in (frontend, peer):  # neither waits for the other, nor for what is still to be stopped or noted
                if end is not None:
                    (end.dismiss if has_lost_its_right else end.close)()
            gateway.tell("ended", session=permit.session_id, code=why.code, sentence=why.sentence, detail=why.detail)
            if peer is not None and relay is not None and not relay.is_at_rest:
                await peer.interrupt()
        except gateway.scheduler.cancelled:
            reason = "cut off"  # the gateway stops, and this one did not leave in the time that it had
        finally:
            frontend.close()
            if rewriting is not None:
                rewriting.end()
            if peer is not None:
                peer.close()
            if quota is not None:
                await gateway.quotas.leave(permit.grant)
            manifest = await _end_of(tape, counting, reason, permit, gateway)
            await _last_note(gateway, Ended.of(passage, counting.tally(), manifest, reason, cause))


async def _while_it_may(
    entering: Awaitable[Entrance | None], lease: Lease, until_s: float, gateway: Gateway
) -> Entrance | None:
    """What comes of `entering`, which takes as long as a database likes. @raise Revoked: it need not go on any more"""
    scheduler, left_s = gateway.scheduler, until_s - gateway.scheduler.monotonic_s()

    async def ended() -> NoReturn:
        raise await lease.ended.wait()

    async def stopping() -> NoReturn:
        raise Revoked(await gateway.leases.stopping.wait(), cause=Cause.STOPPING)

    async def expired() -> NoReturn:
        await scheduler.sleep(left_s)
        raise Revoked(EXPIRED, cause=Cause.EXPIRED)

    entrance: Entrance | None = await scheduler.first(entering, ended(), stopping(), expired())
    return entrance


async def _desk(dialer: IDialer, passage: Passage, gateway: Gateway) -> IDesk:
    """A connection with the rights of the target's provisioner, for whoever keeps the masks in it."""
    secret = await gateway.keyring.provisioner(passage)
    return await IProvisioner(dialer).desk(passage, secret)


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
