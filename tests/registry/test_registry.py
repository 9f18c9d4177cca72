"""Addons and protocols by entry point: sound ones work, and each thing that can be wrong stops the start."""

import hashlib
from dataclasses import fields, replace
from pathlib import Path
from typing import Any, cast

import pytest
from zope.interface import Attribute, Interface, implementer

from hoopproxy.config.model import AddonSettings, RoleNames
from hoopproxy.registry import ROLES, faults, protocols

from .conftest import Probe

WHERE = "hoopproxy.toml: addon.all: probe-addons 1.2: probe_module:Whole"


def test_sound_addons_are_built_into_their_roles(probe: Probe) -> None:
    probe.settings(issuer="corp")
    addons = probe.build()
    whole = cast(Any, addons.router)
    assert addons.authenticators == (whole,)
    assert addons.recorder is cast(Any, addons.evidence) is whole
    assert [guard.name for guard in addons.guards] == ["guard"]
    assert (whole.name, whole.kept.issuer) == ("all", "corp")
    assert (whole.setting.gateway, whole.setting.zone) == ("gw", "EU")
    assert whole.setting.targets is probe.config.targets
    digest = hashlib.sha256((probe.directory / "probe_module.py").read_bytes()).hexdigest()
    assert addons.provenance == (("all", "probe-addons==1.2", digest), ("guard", "probe-addons==1.2", digest))
    assert addons.modules == {"probe_module": "all or guard"}


def test_paths_in_settings_start_at_the_file(probe: Probe) -> None:
    probe.settings(file="a/b", files=["c", "/d"])
    kept = cast(Any, probe.build().router).kept
    base = probe.config.path.parent
    assert kept.file == base / "a/b"
    assert kept.files == (base / "c", Path("/d"))


def test_each_role_has_its_interface() -> None:
    assert list(ROLES) == [field.name for field in fields(RoleNames)]


def test_an_unknown_addon_names_those_that_exist(probe: Probe) -> None:
    probe.config = replace(probe.config, addons={"all": AddonSettings("all", "whoel", {})})
    (problem,) = probe.problems()
    assert problem == (
        'hoopproxy.toml: addon.all.use is "whoel", which no installed package offers in hoopproxy.addons; '
        "did you mean whole?"
    )
    probe.config = replace(probe.config, addons={"all": AddonSettings("all", "zzzzzz", {})})
    (problem,) = probe.problems()
    assert "; there are " in problem
    assert "oidc" in problem


def test_two_packages_that_offer_one_name_are_named(probe: Probe) -> None:
    probe.install("second-package")
    problems = probe.problems()
    assert problems[0] == (
        'hoopproxy.toml: addon.all.use is "whole", which probe-addons 1.2 and second-package 1.2 both offer; '
        "uninstall one of them."
    )


def test_a_misspelt_setting_is_named(probe: Probe) -> None:
    probe.settings(issuerr="corp")
    assert probe.problems() == ("hoopproxy.toml: addon.all.issuerr is not a setting; did you mean addon.all.issuer?",)


@pytest.mark.parametrize(
    ("old", "new", "sentence"),
    [
        (
            "from pathlib",
            "import nowhere_to_be_found\nfrom pathlib",
            "hoopproxy.toml: addon.all.use: probe-addons 1.2 does not load probe_module:Whole: ModuleNotFoundError: "
            "No module named 'nowhere_to_be_found'.",
        ),
        (
            "class Whole:",
            "class Hole:",
            "hoopproxy.toml: addon.all.use: probe-addons 1.2 does not load probe_module:Whole: AttributeError: "
            "module 'probe_module' has no attribute 'Whole'.",
        ),
        ('    summary = "Everything but a guard."\n', "", f"{WHERE} lacks summary."),
        (
            "def build(cls, name, settings, setting):\n        return cls(name, settings, setting)",
            "def build(cls): ...",
            None,
        ),
        (
            "@provider(IAddonFactory)\n@implementer(IAuth",
            "@implementer(IAuth",
            f"{WHERE} does not declare IAddonFactory.",
        ),
        (
            "    settings = Settings\n",
            "    settings = dict\n",
            f"{WHERE} has settings that are no pydantic model.",
        ),
        (
            'extra="forbid", ',
            "",
            f'{WHERE} has settings without extra="forbid": a misspelt key would go unnoticed.',
        ),
        (
            "return cls(name, settings, setting)",
            "raise FileNotFoundError('no such key file')",
            "hoopproxy.toml: addon.all: probe-addons 1.2 can't build it: FileNotFoundError: no such key file.",
        ),
        (
            "return cls(name, settings, setting)",
            "return cls('other', settings, setting)",
            f'{WHERE} built an addon named "other", wanted is "all".',
        ),
        ("    size = None\n", "", f"{WHERE} stands in roles.evidence and lacks size."),
        (
            "    async def route(self, identity, target_name): ...\n",
            "",
            f"{WHERE} stands in roles.router and lacks route.",
        ),
        (
            "async def route(self, identity, target_name)",
            "async def route(self, identity)",
            f"{WHERE} stands in roles.router and has route with another signature (implementation doesn't allow enough "
            "arguments).",
        ),
        (
            "async def route",
            "def route",
            f"{WHERE} stands in roles.router and has route as a plain function, wanted is a coroutine function "
            "(async def).",
        ),
        (
            "@implementer(IAuthenticator, IRouter,",
            "@implementer(IAuthenticator,",
            f"{WHERE} stands in roles.router and does not declare IRouter.",
        ),
        ("return cls(name, settings, setting)", "return None", None),
    ],
)
def test_one_thing_wrong_is_one_sentence(probe: Probe, old: str, new: str, sentence: str | None) -> None:
    probe.change(old, new)
    problems = probe.problems()
    assert all("probe-addons 1.2" in problem for problem in problems)
    if sentence:
        assert sentence in problems


@pytest.mark.parametrize(
    "method", ["identify", "route", "grants", "secret", "protects", "plan", "enter", "open", "append", "examine"]
)
def test_every_method_of_every_role_must_be_a_coroutine_function(probe: Probe, method: str) -> None:
    probe.change(f"async def {method}(", f"def {method}(")
    said = "\n".join(probe.problems())
    assert f"has {method} as a plain function, wanted is a coroutine function (async def)" in said


def test_an_addon_in_a_role_that_it_does_not_fill_is_refused(probe: Probe) -> None:
    probe.config = replace(probe.config, roles=replace(probe.config.roles, guards=("guard", "all")))
    (problem,) = probe.problems()
    assert problem.startswith(f"{WHERE} stands in roles.guards and does not declare IStatementGuard, has examine with")


def test_all_that_is_wrong_is_told_at_once(probe: Probe) -> None:
    probe.settings(issuerr="x", fiel="y")
    probe.change("async def examine(self, passage, statement)", "def examine(self, passage, statement)")
    assert len(probe.problems()) == 3


# Protocols ----------------------------------------------------------------------------------------------------------


def test_sound_protocols_are_found(probe: Probe) -> None:
    probe.install()
    found = protocols(probe.config)
    assert {
        kind.__name__ for kind in cast(Any, (found.listeners["probe"], found.dialers["probe"], found.wires["probe"]))
    } == {
        "Listener",
        "Dialer",
        "Wires",
    }


def test_an_unknown_protocol_names_its_user(probe: Probe) -> None:
    probe.entry_points = probe.entry_points.replace("[hoopproxy.dialers]\nprobe", "[hoopproxy.dialers]\nprob")
    (problem,) = probe.protocol_problems()
    assert problem == (
        'hoopproxy.toml: protocol of the target ledger is "probe", which no installed package offers in '
        "hoopproxy.dialers; did you mean prob?"
    )


@pytest.mark.parametrize(
    ("old", "new", "sentence"),
    [
        (
            "    def frontend",
            "    async def frontend",
            "has frontend as a coroutine function (async def), wanted is a plain function.",
        ),
        ("async def reach", "def reach", "has reach as a plain function, wanted is a coroutine function (async def)."),
        ("reach(self, permit)", "reach(self)", "has reach with another signature"),
        ("@implementer(IWireFactory)\n", "", "probe_module:Wires does not declare IWireFactory."),
        ("def wire(", "def wires(", "probe_module:Wires lacks wire."),
    ],
)
def test_a_broken_protocol_is_one_sentence(probe: Probe, old: str, new: str, sentence: str) -> None:
    probe.change(old, new)
    (problem,) = probe.protocol_problems()
    assert "probe-addons 1.2: probe_module:" in problem
    assert sentence in problem


# The check itself ---------------------------------------------------------------------------------------------------


class ISample(Interface):
    name: str = Attribute("A name, of course.")

    async def slow(what: int) -> None:
        """Waits."""

    def quick() -> None:
        """Does not."""


class IDerived(ISample):
    async def more() -> None:
        """Waits, too."""


def test_inherited_methods_are_compared_as_well() -> None:
    @implementer(IDerived)
    class Wrong:
        name = "x"

        def slow(self, what: int) -> None: ...

        async def quick(self) -> None: ...

        def more(self) -> None: ...

    assert faults(IDerived, Wrong()).count("wanted is") == 3


def test_what_is_sound_has_no_faults() -> None:
    @implementer(IDerived)
    class Right:
        name = "x"

        async def slow(self, what: int) -> None: ...

        def quick(self) -> None: ...

        async def more(self) -> None: ...

    assert faults(IDerived, Right()) == ""
    assert faults(IDerived, Right, of_class=True) == ""
