"""A guard that breaks: installed as an operator would install a package, for one gateway alone."""

import os
from pathlib import Path

SOURCE = '''
from collections import Counter

from pydantic import BaseModel
from zope.interface import implementer, provider

from hoopproxy.interfaces import IAddonFactory, IStatementGuard
from hoopproxy.model import Allow


class Settings(BaseModel, extra="forbid"):
    call: int


@provider(IAddonFactory)
@implementer(IStatementGuard)
class Breaks:
    """At its n-th call of a session."""

    summary = "Breaks at its n-th call of a session."
    settings = Settings

    @classmethod
    def build(cls, name, settings, setting):
        return cls(name, settings.call)

    def __init__(self, name, call):
        self.name, self.call, self.calls = name, call, Counter()

    async def examine(self, passage, statement):
        if passage.permit.target.name == "sink":
            self.calls[passage.session_id] += 1
            if self.calls[passage.session_id] == self.call:
                raise RuntimeError("this guard is out of order")
        return Allow()
'''
ADDON = """
[addon.breaks]
use = "breaks"
call = 3
"""
"""It names the guard `breaks`."""


def install(directory: Path) -> None:
    """Make the package there."""
    information = directory / "acme_guards-1.0.dist-info"
    information.mkdir(parents=True)
    (directory / "acme_guards.py").write_text(SOURCE)
    (information / "METADATA").write_text("Metadata-Version: 2.1\nName: acme-guards\nVersion: 1.0\n")
    (information / "entry_points.txt").write_text("[hoopproxy.addons]\nbreaks = acme_guards:Breaks\n")


def path(directory: Path) -> str:
    """A PYTHONPATH on which it is found."""
    return os.pathsep.join(filter(None, (os.environ.get("PYTHONPATH"), str(directory))))
