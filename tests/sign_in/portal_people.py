"""Two authenticators that believe what tests tell them: `sso` by a browser, `people` by a password."""

from collections.abc import Mapping

from zope.interface import implementer

from hoopproxy.errors import Refused
from hoopproxy.interfaces import IAuthenticator, IBrowserSignIn, ITakesPasswords
from hoopproxy.model import Arrival, Credentials, Identity


def identity(name: str, by: str) -> Identity:
    return Identity(f"https://{by}.test", f"id-of-{name}", name.title(), frozenset({"analysts"}), 4e9, "password")


@implementer(IAuthenticator, IBrowserSignIn)
class Sso:
    """Believes the form that comes back."""

    name = "sso"

    async def identify(self, arrival: Arrival, credentials: Credentials) -> Identity | None:
        return None

    def begin(self, state: str) -> str:
        return f"https://idp.test/?RelayState={state}"

    async def finish(self, form: Mapping[str, str]) -> Identity:
        if form.get("who") == "mallory":
            raise Refused("Mallory may not sign in here.", reason="credentials", detail="as always")
        return identity(form["who"], "sso")


@implementer(IAuthenticator, ITakesPasswords)
class People:
    """Everybody's password is `right`."""

    name = "people"

    async def identify(self, arrival: Arrival, credentials: Credentials) -> Identity | None:
        name, _, password = credentials.secret.reveal().partition(":")
        if name == "broken":
            raise RuntimeError("the directory is on fire, and its password is hunter2")
        if password != "right":
            raise Refused("Name or password is wrong.", reason="credentials", detail=name)
        return identity(name, "people")
