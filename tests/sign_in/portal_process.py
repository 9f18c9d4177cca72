"""A portal as a process of its own, before authenticators that tests know: `sso` by a browser, `people` by a password.

usage: python -m tests.sign_in.portal_process DIRECTORY PORT SETTINGS   (SETTINGS: JSON, joins those of the portal)
"""

import json
import sys
from collections.abc import Mapping
from ipaddress import ip_address
from pathlib import Path
from types import MappingProxyType
from typing import Any

from twisted.internet import reactor as _reactor  # noqa: TID251 # the process's own

from hoopproxy.access.policy import Policy
from hoopproxy.addons.signed_in import Settings, SignedIn
from hoopproxy.asking import Asking
from hoopproxy.errors import Refused
from hoopproxy.model import Arrival, Credentials
from hoopproxy.portal.desk import Desk
from hoopproxy.portal.server import PortalServer
from hoopproxy.portal.sign_in import SignIn
from hoopproxy.proofs import Secret
from hoopproxy.registry import Setting
from hoopproxy.scheduler import TwistedScheduler
from hoopproxy.settings import PortalSettings

from .portal_people import People, Sso

reactor: Any = _reactor


async def who(arrival: Arrival, token: Secret, told: Mapping[str, Any]) -> Mapping[str, Any]:
    """The only verb."""
    found = await signed_in.identify(arrival, Credentials("", "", "", token))
    if found is None:
        raise Refused("That is no token of this gateway.", reason="credentials")
    if told.get("crash"):
        raise RuntimeError("a bug, and the token is in it")
    return {"issuer": found.issuer, "subject": found.subject, "listener": arrival.listener, "told": dict(told)}


directory, port, more = Path(sys.argv[1]), int(sys.argv[2]), json.loads(sys.argv[3])
scheduler = TwistedScheduler(reactor)
setting = Setting("gw", "EU", str(directory), Policy("r", (), (), ()), MappingProxyType({}), scheduler)
signed_in = SignedIn.build("own", Settings(), setting)
settings = PortalSettings(
    addresses=(ip_address("127.0.0.1"),),
    port=port,
    certificate_file=str(directory / "portal.crt"),
    key_file=str(directory / "portal.key"),
    url=f"https://localhost:{port}",
    **more,
)
authenticators: Any = (Sso(), People(), signed_in)
sign_in = SignIn(settings.url, authenticators, scheduler, Asking(scheduler, 5), settings.sign_in_s_max)
ready = scheduler.signal()
nobodys_requests: Any = None  # no link is followed here
desk = Desk(settings, "gw", sign_in, {"who": who}, scheduler, nobodys_requests)
server = PortalServer(reactor, settings, desk.answer, ready)
server.privilegedStartService()
ready.set()
reactor.callWhenRunning(print, "ready", flush=True)
reactor.addSystemEventTrigger("before", "shutdown", server.stopService)
reactor.run()
