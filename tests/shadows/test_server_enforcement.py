"""The addon: what it wants at the start, whom it concerns, and what it does not let through."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import pytest
from twisted.internet.task import Clock
from zope.interface.verify import verifyObject

from hoopproxy.access.policy import MaskRule, Policy
from hoopproxy.addons.server_enforcement import ServerEnforcement, Settings
from hoopproxy.errors import Refused, Revoked, UpstreamUnreachable
from hoopproxy.events import Action, Forward, Statement
from hoopproxy.evidence.keys import KeyUnfit
from hoopproxy.interfaces import IEnforcement, IRewriting, ISetting
from hoopproxy.masks import NO_CATALOG, Catalog, Nullify, Shadow
from hoopproxy.model import Passage
from hoopproxy.scheduler import TwistedScheduler

from .test_keeper import TARGET, over, passage, person

POLICY = Policy("r1", (), (), (MaskRule("ledger", frozenset({"ledger"}), "public.customers.email", Nullify(), ()),))
KEY = bytes(range(32))


class Setting:
    """As much of the gateway as an addon may know."""

    gateway, zone, state_dir = "gw", "EU", "/nowhere"
    policy, targets, scheduler = POLICY, {"ledger": TARGET}, TwistedScheduler(Clock())


def addon(**settings: Any) -> ServerEnforcement:
    made = ServerEnforcement("e", Settings(login_key=Path("k"), **settings), KEY, POLICY, TwistedScheduler(Clock()))
    made.end_session = lambda session_id, sentence: True
    return made


def at(**permit: Any) -> Passage:
    usual = passage(person("ada"))
    return replace(usual, permit=replace(usual.permit, **permit))


async def no_desk() -> Any:
    raise UpstreamUnreachable("Target 'ledger' could not be reached.")


def build(key: Callable[[], Path], **settings: Any) -> ServerEnforcement:
    return ServerEnforcement.build("e", Settings(login_key=key(), **settings), cast(ISetting, Setting()))


def test_it_is_an_enforcement_built_from_a_key_that_nobody_else_reads(tmp_path: Path) -> None:
    def key(data: bytes = KEY, mode: int = 0o600) -> Path:
        path = tmp_path / "login.key"
        path.write_bytes(data)
        path.chmod(mode)
        return path

    assert verifyObject(IEnforcement, build(key))
    with pytest.raises(KeyUnfit, match="31 bytes"):
        build(lambda: key(KEY[1:]))
    with pytest.raises(KeyUnfit, match="040"):
        build(lambda: key(mode=0o640))
    with pytest.raises(OSError, match="nothing"):
        build(lambda: tmp_path / "nothing")
    rule = {"column": "a.b.c", "targets": ["elsewhere"], "roles": ["r"], "client_zones": ["EU"]}
    with pytest.raises(ValueError, match="the target 'elsewhere'"):
        build(key, lookup=[rule])


@pytest.mark.parametrize("lacking", ["column", "roles", "client_zones"])
def test_a_look_up_says_what_and_who_and_from_where(lacking: str) -> None:
    rule = {"column": "a.b.c", "roles": ["r"], "client_zones": ["EU"]}
    del rule[lacking]
    with pytest.raises(ValueError, match=lacking):
        addon(lookup=[rule])


@pytest.mark.parametrize(
    "permit",
    [
        {"database": "other"},
        {"target": replace(TARGET, masks=None)},
        {"target": replace(TARGET, name="unmasked"), "database": ""},
        {"grant": replace(passage(person("ada")).permit.grant, reveals=frozenset({"public.customers.email"}))},
    ],
)
def test_who_sees_everything_or_is_masked_on_the_way_enters_as_the_account(permit: dict[str, Any]) -> None:
    assert over(addon().enter(at(**permit), "reader", no_desk)) is None


def test_a_masked_session_needs_a_desk_and_the_name_of_its_database() -> None:
    made = addon()
    with pytest.raises(UpstreamUnreachable):
        over(made.enter(at(), "reader", no_desk))
    with pytest.raises(Refused, match="connect to ledger/DATABASE"):
        over(made.enter(at(database=""), "reader", no_desk))


def test_a_login_that_nobody_expects_does_not_begin() -> None:
    shadow = Shadow("hp_3f9ac01b77de", (), {}, {}, {}, {}, {}, {}, {})
    with pytest.raises(Revoked, match="too long"):
        addon().begin(at(), replace(NO_CATALOG, shadow=shadow))


@pytest.mark.parametrize("catalog", [NO_CATALOG, Catalog({}, {}, frozenset({16}), frozenset())])
def test_without_twins_statements_are_judged_as_on_the_way(catalog: Catalog) -> None:
    rewriting = addon().begin(at(), catalog)
    assert verifyObject(IRewriting, rewriting)
    statement = Statement(1, Action.QUERY, "SELECT hoopproxy.lookup('a.b.c', 'd')")
    assert over(rewriting.rewrite(statement)) == Forward(statement.text)
