"""What the portal answers: each path, who may ask it how often, and how a no is said.

Knows no socket: `hoopproxy.portal.server` brings requests here and carries the replies.
"""

import re
import secrets
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import structlog

from hoopproxy.access.allowance import Allowance
from hoopproxy.access.journal import StoreUnavailable
from hoopproxy.access.office import Office
from hoopproxy.admit.crowd import origin_of
from hoopproxy.control.lines import ControlError
from hoopproxy.errors import AddonFailure, EvidenceUnavailable, LimitReached, Refused, SessionError
from hoopproxy.model import Arrival
from hoopproxy.portal.exchange import Asked, Reply, Wrong, json, page, redirect
from hoopproxy.portal.link_page import linked
from hoopproxy.portal.sign_in import COOKIE, SignIn
from hoopproxy.proofs import Secret
from hoopproxy.rooms import IScheduler
from hoopproxy.settings import PortalSettings

log = structlog.get_logger()

type Verb = Callable[[Arrival, Secret, Mapping[str, Any]], Awaitable[Mapping[str, Any]]]
"""What somebody with a token asks of the gateway, and its answer, which JSON can say.

@raise SessionError, ControlError"""

_SIGN_IN = re.compile(r"/sign-in/([A-Za-z0-9][A-Za-z0-9._-]{0,62})(/return)?")
_API = re.compile(r"/api/([a-z][a-z-]{0,62})")
_LINK = re.compile(r"/access/[^/]{1,64}")
_FOR_PROGRAMS = ("/api/", "/sign-in/token", "/sign-in/password", "/.well-known/")
_TOO_OFTEN = "You ask too often; wait a minute and try again."


class Desk:
    """Answers requests. `verbs` are what can be asked under `/api/`; `office` has the requests that links show."""

    def __init__(
        self,
        settings: PortalSettings,
        gateway: str,
        sign_in: SignIn,
        verbs: Mapping[str, Verb],
        scheduler: IScheduler,
        office: Office,
    ) -> None:
        self._settings, self._gateway = settings, gateway
        self._sign_in, self._verbs, self._scheduler, self._office = sign_in, verbs, scheduler, office
        self._requests, self._attempts = Allowance(), Allowance()

    async def answer(self, asked: Asked) -> Reply:
        """The reply, whatever happens: a page where people look, JSON where programs do."""
        try:
            self._count(self._requests, asked, self._settings.requests_per_minute)
            return await self._routed(asked)
        except Wrong as why:
            return _no(asked, why.status, why.sentence)
        except ControlError as why:
            return _no(asked, 409, str(why))
        except SessionError as why:
            log.info("portal-refused", path=asked.path, client=str(asked.client), code=why.code, detail=why.detail)
            return _no(asked, _status(why), why.sentence)
        except Exception:  # a bug: it goes to the log, and not to whoever asked
            log.exception("portal-crashed", path=asked.path)
            return _no(asked, 500, "The gateway failed to do this; its operator's log says why.")

    async def _routed(self, asked: Asked) -> Reply:
        match asked.method, asked.path:
            case "GET", "/":
                return page(
                    f"Gateway {self._gateway}",
                    "To sign in, run this in your terminal:",
                    f"hoopproxy login --gateway {self._settings.url}",
                )
            case "GET", "/.well-known/hoopproxy":
                known = {"gateway": self._gateway, "url": self._settings.url, "ways": self._sign_in.ways()}
                return json(known)
            case "POST", "/sign-in/token":
                told = asked.document()
                return json(await self._sign_in.redeem(asked.text(told, "code"), asked.text(told, "verifier")))
            case "POST", "/sign-in/password":
                return json(await self._by_password(asked))
        found = _SIGN_IN.fullmatch(asked.path)
        if found and asked.method == ("POST" if found[2] else "GET"):
            return await self._finished(asked, found[1]) if found[2] else self._begun(asked, found[1])
        if (found := _API.fullmatch(asked.path)) and found[1] in self._verbs:
            if asked.method != "POST":
                raise Wrong(405, "This is asked with POST.")
            return json(await self._verbs[found[1]](self._arrival(asked), asked.bearer(), asked.document()))
        if _LINK.fullmatch(asked.path):
            if asked.method != "GET":
                raise Wrong(405, "A link is to be read; who decides does so with hoopproxy access approve.")
            return await linked(asked, self._settings.url, self._office)
        raise Wrong(404, "There is nothing here.")

    def _begun(self, asked: Asked, way: str) -> Reply:
        location, cookie = self._sign_in.begin(way, asked.asked())
        return redirect(location, {"Set-Cookie": _cookie(cookie, int(self._sign_in.sign_in_s_max))})

    async def _finished(self, asked: Asked, way: str) -> Reply:
        self._count(self._attempts, asked, self._settings.sign_ins_per_minute)
        location = await self._sign_in.finish(way, asked.form(), asked.cookie(COOKIE))
        return redirect(location, {"Set-Cookie": _cookie("", 0)})

    async def _by_password(self, asked: Asked) -> Mapping[str, Any]:
        self._count(self._attempts, asked, self._settings.sign_ins_per_minute)
        told = asked.document()
        way, name, password = (asked.text(told, each) for each in ("with", "name", "password"))
        return await self._sign_in.by_password(self._arrival(asked), way, name, password)

    def _count(self, allowance: Allowance, asked: Asked, per_minute: int) -> None:
        if not allowance.take(origin_of(asked.client.address), per_minute, self._scheduler.monotonic_s()):
            raise Wrong(429, _TOO_OFTEN)

    def _arrival(self, asked: Asked) -> Arrival:
        return Arrival(secrets.token_hex(8), "portal", "https", asked.client, self._scheduler.now_s())


def _cookie(value: str, age_s_max: int) -> str:
    """SameSite=None: SAML's answer is a form that another site posts. It proves nothing but which browser this is."""
    return f"{COOKIE}={value}; Path=/; Secure; HttpOnly; SameSite=None; Max-Age={age_s_max}"


def _status(why: SessionError) -> int:
    match why:
        case Refused(reason="credentials"):
            return 401
        case LimitReached():
            return 429
        case AddonFailure() | EvidenceUnavailable() | StoreUnavailable():
            return 503
        case _:
            return 403


def _no(asked: Asked, status: int, sentence: str) -> Reply:
    if asked.path.startswith(_FOR_PROGRAMS):
        return json({"error": sentence}, status)
    return page("This did not work", sentence, status=status)
