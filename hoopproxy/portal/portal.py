"""The portal of one gateway, put together. Decides nothing and listens on nothing itself."""

from collections.abc import Mapping
from typing import Any

from hoopproxy.portal.desk import Desk, Verb
from hoopproxy.portal.server import PortalServer
from hoopproxy.portal.sign_in import SignIn
from hoopproxy.rooms import ISignal
from hoopproxy.session import Gateway
from hoopproxy.settings import PortalSettings


def portal(
    reactor: Any, settings: PortalSettings, name: str, gateway: Gateway, verbs: Mapping[str, Verb], ready: ISignal
) -> PortalServer:
    """The portal of the gateway `name`; it answers once `ready` is set. `verbs` are what can be asked under `/api/`.

    @raise ConfigError
    """
    authenticators, scheduler = gateway.admission.authenticators, gateway.scheduler
    sign_in = SignIn(settings.url, authenticators, scheduler, gateway.ask, settings.sign_in_s_max)
    desk = Desk(settings, name, sign_in, verbs, scheduler, gateway.office)
    return PortalServer(reactor, settings, desk.answer, ready)
