"""What `[portal]` may say, and what stops the start."""

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest
from twisted.internet.task import Clock

from hoopproxy.asking import Asking
from hoopproxy.config.tables import PortalTable
from hoopproxy.described import described, lines
from hoopproxy.errors import ConfigError
from hoopproxy.portal.server import PortalServer
from hoopproxy.portal.sign_in import SignIn
from hoopproxy.scheduler import TwistedScheduler
from hoopproxy.testing.certificates import Authority

from ..config.conftest import Copy, copy
from ..identity.conftest import Place, keys, place
from .portal_people import People, Sso

__all__ = ["copy", "keys", "place"]


def test_the_example_has_every_key_with_its_default(copy: Copy) -> None:
    settings = copy.load().portal
    assert settings is not None
    for name, field in PortalTable.model_fields.items():
        if isinstance(field.default, int | float):
            assert getattr(settings, name) == field.default, name
            assert f"\n{name} = " in copy.main.read_text()


def test_without_the_table_there_is_no_portal(copy: Copy) -> None:
    text = copy.main.read_text()
    copy.change("hoopproxy.toml", text[text.index("[portal]") : text.index("# Who is asked what, and in")], "")
    loaded = copy.load()
    assert loaded.portal is None
    addons: Any = SimpleNamespace(provenance=())
    assert described(loaded, addons)["portal"] is None


def test_a_check_tells_of_it(copy: Copy) -> None:
    addons: Any = SimpleNamespace(provenance=())
    assert "portal https://gw.example.com:8444 on 127.0.0.1:8444, [::1]:8444" in lines(copy.load(), addons)


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ('url = "https://gw.example.com:8444"', f'url = "{url}"', "portal.url is")
        for url in (
            "http://gw.example.com",
            "https://gw.example.com/",
            "https://gw.example.com/hoopproxy",
            "https://u@gw.example.com",
            "https://GW.example.com",
            "https://gw.example.com?a",
        )
    ]
    + [
        ("sign_in_s_max = 600.0", "sign_in_s_max = 1", "portal.sign_in_s_max is 1"),
        ("sign_in_s_max = 600.0", "speed = 1", "portal.speed is not a setting"),
        ("port = 8444", 'port = "x"', "portal.port is"),
        (
            'key = "secrets/web.key"\n# What people type',
            'key = "secrets/none.key"\n# What people type',
            "portal.key is",
        ),
    ],
)
def test_a_mistake_in_it_is_one_sentence(copy: Copy, old: str, new: str, said: str) -> None:
    copy.change("hoopproxy.toml", old, new)
    (problem,) = copy.problems()
    assert problem.startswith("hoopproxy.toml: ") and said in problem


def test_a_key_that_everybody_may_read_is_none(copy: Copy) -> None:
    (copy.directory / "secrets/web.key").chmod(0o644)
    assert any("portal.key is" in problem and "everybody may read" in problem for problem in copy.problems())


@pytest.mark.parametrize("fault", ["certificate", "key", "other key"])
def test_what_is_no_certificate_stops_the_start(copy: Copy, authority: Authority, fault: str) -> None:
    settings = copy.load().portal
    assert settings is not None
    ours, other = (authority.issue(f"portal-{name}-{fault.replace(' ', '-')}", dns=("localhost",)) for name in "ab")
    settings = replace(
        settings,
        certificate_file=settings.certificate_file if fault == "certificate" else str(ours.certificate_file),
        key_file={"certificate": str(ours.key_file), "key": settings.key_file}.get(fault, str(other.key_file)),
    )
    nobody: Any = None
    with pytest.raises(ConfigError, match=r"portal\.certificate .* and portal\.key .* can't be used"):
        PortalServer(Clock(), settings, nobody, nobody)


def test_people_can_not_sign_in_where_nobody_mints(place: Place) -> None:

    scheduler = TwistedScheduler(Clock())
    for authenticator in (People(), Sso()):
        with pytest.raises(ConfigError, match=r'use = "signed-in" among roles\.authenticators'):
            SignIn("https://gw.example.com", [authenticator], scheduler, Asking(scheduler, 5), 600)
    oidc: Any = place.authenticator(sign_in={"client_id": "cli", "resource": "https://gw.example.com"})
    (way,) = SignIn("https://gw.example.com", [oidc], scheduler, Asking(scheduler, 5), 600).ways()
    assert way == {
        **{"name": "corp", "kind": "provider", "issuer": "https://id.example", "client_id": "cli", "audience": ""},
        **{"scope": "openid offline_access", "resource": "https://gw.example.com", "shows": "access_token"},
    }
