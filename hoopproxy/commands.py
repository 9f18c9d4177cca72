"""What an operator may ask of the running gateway: who is in, end this one, where does the log stand.

Answers plain mappings that JSON can say. Knows no socket; `hoopproxy.control` carries requests here.
"""

from collections.abc import Callable, Mapping
from typing import Any

from hoopproxy.admit.leases import Held, Lease
from hoopproxy.control.following import Listener, Stream
from hoopproxy.control.lines import ControlError
from hoopproxy.control.server import Command
from hoopproxy.errors import Cause, Revoked
from hoopproxy.evidence.decisions import AdminAction
from hoopproxy.relay.gallery import NotLive
from hoopproxy.relay.showing import outlined
from hoopproxy.session import Gateway

type Answer = dict[str, Any]

OPERATOR = "local-operator"
"""Who speaks through the control socket: the gateway's own user, or root; the kernel vouches for no more."""


class Commands:
    """The commands of one gateway."""

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway

    def by_name(self) -> Mapping[str, Command]:
        """Each command under the name by which it is asked for."""
        return {
            "sessions": self.sessions,
            "session": self.session,
            "kill": self.kill,
            "head": self.head,
            "approvals": self.approvals,
            "decide": self.decide,
            "recheck": self.recheck,
        }

    def streams(self) -> Mapping[str, Stream]:
        """Each command that tells events until they end."""
        return {"watch": self.watch}

    def sessions(self, arguments: Mapping[str, Any]) -> Answer:
        """All live sessions."""
        return {"sessions": [_summary(lease) for lease in self._gateway.leases.live() if lease.held]}

    def session(self, arguments: Mapping[str, Any]) -> Answer:
        """One live session with its connections; `session` is None when there is none of that id."""
        for lease in self._gateway.leases.live():
            if lease.session_id == arguments.get("id") and lease.held:
                return {"session": _summary(lease) | {"held": [_connection(held) for held in lease.held.values()]}}
        return {"session": None}

    async def kill(self, arguments: Mapping[str, Any]) -> Answer:
        """End a session. The log knows of it before it happens."""
        session_id, reason = str(arguments.get("id", "")), str(arguments.get("reason", "")).strip()
        if not any(lease.session_id == session_id for lease in self._gateway.leases.live()):
            return {"ended": False}
        await self._gateway.ledger.note(AdminAction("kill", OPERATOR, session_id))
        because = f": {reason.rstrip('.')}." if reason else "."
        why = Revoked(f"An operator ended your session{because}", cause=Cause.KILLED)
        return {"ended": self._gateway.leases.end(session_id, why)}

    async def recheck(self, arguments: Mapping[str, Any]) -> Answer:
        """Judge everybody again, now."""
        counts = await self._gateway.rechecks.recheck_all("an operator asked for it")
        return {"checked": counts.checked, "ended": counts.ended, "unchecked": counts.unchecked}

    def approvals(self, arguments: Mapping[str, Any]) -> Answer:
        """All statements that wait for a decision, without their literals."""
        return {"approvals": [outlined(each) for each in self._gateway.approvals.waiting()]}

    async def decide(self, arguments: Mapping[str, Any]) -> Answer:
        """Approve or deny a statement that waits for the operator. The log knows of it before it happens."""
        approval_id, reason = str(arguments.get("id", "")), str(arguments.get("reason", "")).strip()
        is_approved = arguments.get("is_approved") is True
        for each in self._gateway.approvals.waiting():
            if each.approval_id == approval_id:
                if each.rule is not None:
                    raise ControlError(
                        f"People decide about statement {approval_id}, each by a token of their own (--token-file): "
                        f"somebody with the role {' or '.join(sorted(each.rule.roles))}."
                    )
                action = "approve" if is_approved else "deny"
                await self._gateway.ledger.note(AdminAction(action, OPERATOR, each.passage.session_id))
                return {"decided": self._gateway.approvals.decide(approval_id, is_approved, reason)}
        return {"decided": False}

    async def watch(self, arguments: Mapping[str, Any], listener: Listener) -> Callable[[], None]:
        """Show what a live session does from now on, masked. The log knows of it before the first of it is shown."""
        session_id = str(arguments.get("id", ""))
        if self.session(arguments)["session"] is None:
            raise ControlError(f"No session {session_id} is alive.")
        await self._gateway.ledger.note(AdminAction("watch", OPERATOR, session_id))
        try:
            return self._gateway.gallery.watch(session_id, listener)
        except NotLive as why:
            raise ControlError(f"Session {session_id} has just ended.") from why

    def head(self, arguments: Mapping[str, Any]) -> Answer:
        """The log's size and digest: kept outside, they show a truncation."""
        head = self._gateway.ledger.head
        return {"size": head.size, "sha256": head.sha256}


def _summary(lease: Lease) -> Answer:
    held = list(lease.held.values())
    permit = held[0].passage.permit
    tallies = [each.tally() for each in held]
    return {
        "session_id": lease.session_id,
        "identity": permit.identity.name,
        "issuer": permit.identity.issuer,
        "target": permit.target.name,
        "account": permit.account,
        "client": str(permit.arrival.client.address),
        "client_zones": sorted(permit.client_zones),
        "since_s": min(each.since_s for each in held),
        "connections": len(held),
        "statements": sum(tally.statements for tally in tallies),
        "rows": sum(tally.rows for tally in tallies),
        "cells_masked": sum(tally.cells_masked for tally in tallies),
    }


def _connection(held: Held) -> Answer:
    permit, tally = held.passage.permit, held.tally()
    return {
        "connection_id": permit.arrival.connection_id,
        "client": str(permit.arrival.client),
        "peer": str(held.passage.peer),
        "database": permit.database,
        "grant": permit.grant.grant_id,
        "since_s": held.since_s,
        "not_after_s": permit.not_after_s,
        "statements": tally.statements,
        "rows": tally.rows,
        "bytes_to_client": tally.bytes_to_client,
        "bytes_to_server": tally.bytes_to_server,
    }
