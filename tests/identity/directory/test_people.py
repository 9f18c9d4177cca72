"""People of a real directory: who comes in by name and password, and in which groups."""

import pytest

from hoopproxy.model import Identity

from ..conftest import START_S
from .conftest import Ask
from .slapd import PEOPLE, Slapd

ADA = f"uid=ada,{PEOPLE}"


@pytest.mark.parametrize("way", [0, 1], ids=["ldaps", "starttls"])
def test_who_gives_name_and_password_is_that_person(ask: Ask, slapd: Slapd, way: int) -> None:
    assert ask(servers=[slapd.urls[way]]).person() == Identity(
        issuer="ldap:people",
        subject=slapd.value(ADA, "entryUUID"),
        name="Ada Lovelace",
        groups=frozenset({"analysts"}),
        expires_at_s=START_S + 43200,
        method="password",
    )
