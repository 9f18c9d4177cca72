"""Routes by the targets of targets.toml. Knows no person: who may go there is a grant's matter."""

from pydantic import BaseModel, ConfigDict
from zope.interface import implementer, provider

from hoopproxy.interfaces import IAddonFactory, IRouter, ISetting
from hoopproxy.model import Identity, Target


class Settings(BaseModel):
    """`use = "targets-file"` takes no keys: the file is `gateway.targets`."""

    model_config = ConfigDict(extra="forbid", frozen=True)


@provider(IAddonFactory)
@implementer(IRouter)
class TargetsFile:
    """A target by its name in targets.toml."""

    summary = "Routes to the targets of targets.toml."
    settings = Settings

    @classmethod
    def build(cls, name: str, settings: Settings, setting: ISetting) -> "TargetsFile":
        """Make it."""
        return cls(name, setting)

    def __init__(self, name: str, setting: ISetting) -> None:
        self.name = name
        self._targets = setting.targets

    async def route(self, identity: Identity, target_name: str) -> Target | None:
        """The target, whoever asks; None when the file has none of that name."""
        return self._targets.get(target_name)
