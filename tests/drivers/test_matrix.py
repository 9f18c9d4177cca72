"""Every driver against every PostgreSQL, direct and through the gateway: equal line by line."""

import json
import re
from typing import Any

import pytest

from hoopproxy.testing.installations import installed
from tests.people import SECRETS

from .conftest import Performed, drivers
from .programs import DRIVERS
from .script import MASKED, SCRIPT

CASES = [
    pytest.param(version, name, id=f"pg{version}-{name}")
    for version in sorted(installed())
    for name in drivers(version)
]
everywhere = pytest.mark.parametrize(("version", "name"), CASES)

pytestmark = pytest.mark.timeout(1200)
"""The first test of a version waits for all its programs."""


def test_there_are_the_generations_that_do_not_depend_on_the_system() -> None:
    """17 is PyPI's and 18 npm's; the system has one of its own, in Debian 12 that is 15."""
    assert {17, 18} <= installed().keys()


NOT_THERE = re.compile(r"prepared statement \W*\w+\W* does not exist")


def compared(line: dict[str, Any]) -> Any:
    """That a statement is not there, the gateway finds by itself, and then knows no line of the server's source."""
    text = json.dumps(line)
    missing = NOT_THERE.search(text)
    return (missing[0], "26000" in text) if missing else line


@everywhere
def test_a_driver_cannot_tell_the_gateway_from_the_server(performed: Performed, version: int, name: str) -> None:
    did = performed(version, name)
    for step in did.driver.able(SCRIPT):
        for (op, direct), (_, through) in zip(did.direct.of(step), did.through.of(step), strict=True):
            assert compared(through) == compared(direct), (step.name, op)


@everywhere
def test_a_driver_gets_masks_and_nothing_of_what_they_hide(performed: Performed, version: int, name: str) -> None:
    did = performed(version, name)
    for step in did.driver.able(MASKED):
        for op, line in did.masked.of(step):
            said = json.dumps(line, ensure_ascii=False)
            assert all(each in said for each in op.get("shows", ())), (step.name, op, line)
            if name in DRIVERS:
                assert op.get("fails", "") in said, (step.name, op, line)
    assert [secret for secret in SECRETS if secret in did.masked.printed] == []


@everywhere
def test_the_script_does_what_it_says(performed: Performed, version: int, name: str) -> None:
    """Errors are those that the script means; only some variants heal them by themselves."""
    did = performed(version, name)
    for step in did.driver.able(SCRIPT) if name in DRIVERS else ():
        for op, line in did.direct.of(step):
            assert op.get("fails", "") in json.dumps(line), (step.name, op)
