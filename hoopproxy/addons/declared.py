"""Where a place is by what its owner declared in the configuration. Proves nothing physical; knows no address."""

from pydantic import BaseModel, ConfigDict
from zope.interface import implementer, provider

from hoopproxy.interfaces import IAddonFactory, IResidencyCheck, ISetting
from hoopproxy.model import Assurance, Finding, Place, Support

METHOD = "declared"


class Settings(BaseModel):
    """`use = "declared"` takes no keys: the countries are those of the gateway, its storage and its targets."""

    model_config = ConfigDict(extra="forbid", frozen=True)


@provider(IAddonFactory)
@implementer(IResidencyCheck)
class DeclaredCountry:
    """The country that the configuration gives a place; a client has none."""

    summary = "Places the gateway, its storage and its targets where the configuration says."
    settings = Settings

    @classmethod
    def build(cls, name: str, settings: Settings, setting: ISetting) -> "DeclaredCountry":
        """Make it."""
        return cls(name)

    def __init__(self, name: str) -> None:
        self.name = name

    async def examine(self, place: Place) -> Finding:
        """The declared country, or UNAVAILABLE."""
        if place.declared_country is None:
            return Finding(METHOD, Support.UNAVAILABLE, None, Assurance.NONE, "configuration")
        return Finding(METHOD, Support.COUNTRY, place.declared_country, Assurance.DECLARED, "configuration")
