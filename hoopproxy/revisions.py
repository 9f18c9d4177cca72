"""The policy in force of a running gateway: which revision it is, what another would change, and its change.

A revision counts when enough people have signed it, when no higher one was ever applied, and when the whole
configuration holds with it. It is in the log before it takes effect, and on disk before that: a restart comes up with
it. Knows no socket; `hoopproxy.control` carries requests here.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from twisted.internet.defer import DeferredLock
from twisted.internet.task import Clock

from hoopproxy.access.bundle import Bundle, BundleRefused, Signing, follow, text_of
from hoopproxy.access.changes import ends
from hoopproxy.access.in_force import InForce
from hoopproxy.access.policy import Policy
from hoopproxy.admit.leases import Lease
from hoopproxy.config.load import load
from hoopproxy.config.model import Config
from hoopproxy.config.signing import DIRECTORY
from hoopproxy.control.lines import ControlError
from hoopproxy.control.server import Command
from hoopproxy.disk.policies import Kept, read
from hoopproxy.errors import Cause, ConfigError, EvidenceUnavailable, Revoked
from hoopproxy.evidence.decisions import PolicyApplied
from hoopproxy.hands import in_thread
from hoopproxy.registry import build
from hoopproxy.scheduler import TwistedScheduler
from hoopproxy.session import Gateway

type Answer = dict[str, Any]


class Revisions:
    """The revisions of one gateway, whose configuration at its start was `config`."""

    def __init__(self, config: Config, policy: InForce, gateway: Gateway) -> None:
        self._config, self._policy, self._gateway = config, policy, gateway
        self._bundle = config.bundle
        self._kept = Kept(config.gateway.state_dir / DIRECTORY)
        self._one_at_once = DeferredLock()

    def by_name(self) -> Mapping[str, Command]:
        """Each command under the name by which it is asked for."""
        return {"policy": self.show, "policy-plan": self.plan, "policy-apply": self.apply}

    async def begin(self) -> None:
        """Before anybody is served: what was not applied yet, like the first bundle of all, is now.

        @raise EvidenceUnavailable: it can't be put on record or kept.
        """
        bundle, signing = self._config.bundle, self._config.signing
        if bundle is not None and signing is not None and bundle.revision.number > self._kept.highest():
            await self._one_at_once.acquire()
            try:
                await self._keep(bundle, signing)
            except OSError as why:
                raise EvidenceUnavailable("The policy can't be kept in state_dir.", detail=str(why)) from why
            finally:
                self._one_at_once.release()

    def show(self, arguments: Mapping[str, Any]) -> Answer:
        """The policy in force: its number (0: it has none), its SHA-256, and who has signed it."""
        signers = sorted(self._bundle.signatures) if self._bundle else []
        return {"revision": self._policy.policy.number, "sha256": self._policy.policy.revision, "signers": signers}

    async def plan(self, arguments: Mapping[str, Any]) -> Answer:
        """Which live sessions would end if what a file holds took the place of the policy in force."""
        try:
            text = text_of(await _read(arguments))
        except BundleRefused as why:
            raise ControlError(str(why)) from why
        config = await self._validated(text)
        return {"ends": [_ending(lease, why) for lease, why in self._ending(config.policy)]}

    async def apply(self, arguments: Mapping[str, Any]) -> Answer:
        """Put the bundle in a file in force. @raise ControlError: it does not count, in one sentence or several."""
        signing = self._config.signing
        if signing is None:
            raise ControlError(
                "This gateway takes no signed policies: there is no [policy] in its hoopproxy.toml; change policy.toml "
                "and start it anew."
            )
        await self._one_at_once.acquire()
        try:
            return await self._applied(await _read(arguments), signing)
        except BundleRefused as why:
            raise ControlError(str(why)) from why
        except OSError as why:
            raise ControlError(f"The policy can't be kept, so the old one stays: {why.strerror}.") from why
        finally:
            self._one_at_once.release()

    async def _applied(self, data: bytes, signing: Signing) -> Answer:
        bundle = Bundle.read(data)
        bundle.verify(signing)
        follow(bundle, self._kept.highest(), self._policy.policy.revision)
        config = await self._validated(bundle.revision.text)
        await self._keep(bundle, signing)
        ending = self._ending(config.policy)
        self._bundle = bundle
        self._policy.change(config.policy)
        for lease, why in ending:
            sentence = f"Your session has ended because the gateway's policy was changed: {why}; connect again."
            self._gateway.leases.end(lease.session_id, Revoked(sentence, cause=Cause.POLICY_CHANGED))
        # What else may follow from it, as for grants that are not the policy's own, a look at everybody shows.
        counts = await self._gateway.rechecks.recheck_all(f"policy revision {bundle.revision.number}")
        return self.show({}) | {"ended": len(ending) + counts.ended, "live": len(self._gateway.leases.live())}

    async def _keep(self, bundle: Bundle, signing: Signing) -> None:
        """Staged, noted, taken: what fails, fails before it has an effect, and what has one is on record.

        @raise EvidenceUnavailable, OSError
        """
        revision = bundle.revision
        await in_thread("policy", self._kept.stage, bundle.written())
        await self._gateway.ledger.note(
            PolicyApplied(
                revision.number, revision.sha256, tuple(signing.key_id(name) for name in bundle.verify(signing))
            )
        )
        await in_thread("policy", self._kept.take, revision.number)

    async def _validated(self, text: str) -> Config:
        """The configuration with that policy. @raise ControlError: with all that is wrong."""
        try:
            now_s = self._gateway.scheduler.now_s()
            config = await in_thread("policy", whole, self._config.path, text.encode(), now_s)
        except ConfigError as why:
            raise ControlError(str(why)) from why
        if (config.targets, config.roles, config.addons) != (
            self._config.targets,
            self._config.roles,
            self._config.addons,
        ):
            raise ControlError(
                "hoopproxy.toml or targets.toml has changed since this gateway started, so nobody can tell whether the "
                "policy fits; start it anew first."
            )
        return config

    def _ending(self, policy: Policy) -> list[tuple[Lease, str]]:
        """The live sessions that would end, and why."""
        now_s = self._gateway.scheduler.now_s()
        found = []
        for lease in self._gateway.leases.live():
            permits = [held.passage.permit for held in lease.held.values()]
            reasons = (ends(permit, self._policy.policy, policy, now_s) for permit in permits)
            if why := next(filter(None, reasons), ""):
                found.append((lease, why))
        return found


async def _read(arguments: Mapping[str, Any]) -> bytes:
    """The file that a request names: whoever may make one may read all that the gateway may. @raise ControlError"""
    path = Path(str(arguments.get("file", "")))
    try:
        return await in_thread("policy", read, path)
    except OSError as why:
        raise ControlError(f"The gateway can't read {path}: {why.strerror}.") from why


def whole(path: Path, policy: bytes, now_s: float) -> Config:
    """The configuration with that policy, and every addon built with it as for a start. Opens nothing but files.

    @raise ConfigError: all that is wrong.
    """
    clock = Clock()
    clock.advance(now_s)  # and then nobody turns it: nothing that is built here may wait
    config = load(path, policy)
    build(config, TwistedScheduler(clock))
    return config


def _ending(lease: Lease, why: str) -> Answer:
    permit = next(iter(lease.held.values())).passage.permit
    return {
        "session_id": lease.session_id,
        "identity": permit.identity.name,
        "target": permit.target.name,
        "account": permit.account,
        "why": why,
    }
