"""A headless Chromium logs in to a small application, whose page fetches, streams and talks over a WebSocket."""

import re
import shutil
from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, sync_playwright

from hoopproxy.testing.http_stand import CLEAR
from hoopproxy.testing.http_target import CARD, PASSWORD, USER

from .conftest import HttpStand
from .ways import Way


@pytest.fixture(params=["direct", "reverse", "forward"])
def way(request: pytest.FixtureRequest, stand: HttpStand) -> Way:
    """To a service without a token of its own, since a browser shows credentials only when it is asked for some."""
    how = {"listener": CLEAR} if request.param == "forward" else {}
    found: Way = getattr(stand, request.param)("open", **how)
    return found


@pytest.fixture
def browser(way: Way) -> Iterator[Browser]:
    """It looks up no names, and takes the certificates for good: they are curl's to judge."""
    chromium = shutil.which("chromium")
    assert chromium, "the tests need Chromium: apt-get install chromium"
    arguments = ["--no-sandbox", f"--host-resolver-rules=MAP {way.host} {way.address[0]}"]
    how: dict[str, Any] = {}
    if way.proxy:
        arguments[1:] = ["--proxy-bypass-list=<-loopback>"]
        how["proxy"] = {"server": way.proxy, "username": way.user, "password": way.token, "bypass": "<-loopback>"}
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=chromium, args=arguments, **how)
        yield started
        started.close()


def test_the_application_works_in_a_browser(browser: Browser, way: Way) -> None:
    how: dict[str, Any] = (
        {} if way.proxy or way.name == "direct" else {"http_credentials": {"username": way.user, "password": way.token}}
    )
    with browser.new_context(ignore_https_errors=True, **how) as context:
        page = context.new_page()
        page.goto(f"{way.base}/app")
        assert page.title() == "login"
        page.fill("[name=user]", USER)
        page.fill("[name=password]", PASSWORD)
        page.click("button")
        page.wait_for_url("**/app")
        page.wait_for_function("document.title !== 'working'")
        assert page.title() == "done"
        assert page.inner_text("#socket") == f'{{"card":"{CARD}"}}'
        assert len(re.findall(CARD, page.inner_text("#events"))) == 3
        assert page.inner_text("#list").startswith(f"1 Ada Lovelace {CARD}; 2 Bob")
        (cookie,) = context.cookies()
        assert (cookie["name"], cookie["domain"]) == ("session", way.host)
