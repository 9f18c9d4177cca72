"""Links to requests: exactly one text is a link, for exactly its time."""

from dataclasses import replace

import pytest

from hoopproxy.access.links import LINK_CHARACTERS_MAX, Linked, Links
from hoopproxy.access.request import AccessRequest, NotPossible, Phase

from .test_request_history import terms

LINKS = Links("https://gw.example.com:8444", b"k" * 32)
REQUEST = AccessRequest("0123abcd", terms("ada"), Phase.REQUESTED, 1, pending_until_s=1_000_060.9)
LINK = LINKS.link(REQUEST)


def test_it_is_to_its_request_and_its_terms_until_that_can_not_be_decided_any_more() -> None:
    assert LINKS.read(LINK, 1_000_059.9) == Linked("0123abcd", REQUEST.terms.digest)
    with pytest.raises(NotPossible, match="has expired"):
        LINKS.read(LINK, 1_000_060.0)


@pytest.mark.parametrize("index", range(len(LINK)))
def test_each_changed_character_is_refused(index: int) -> None:
    for other in "0aA%/\n é" + LINK[index].swapcase() + chr(ord(LINK[index]) ^ 1):
        if other != LINK[index]:
            with pytest.raises(NotPossible):
                LINKS.read(LINK[:index] + other + LINK[index + 1 :], 0.0)
    with pytest.raises(NotPossible):
        LINKS.read(LINK[:index] + LINK[index + 1 :], 0.0)


@pytest.mark.parametrize("link", ["", "x" * (LINK_CHARACTERS_MAX + 1), LINK + "=", LINK + "\n", "\ud800", LINK * 2])
def test_whatever_else_is_no_link(link: str) -> None:
    with pytest.raises(NotPossible, match="no link of this gateway's"):
        LINKS.read(link, 0.0)


def test_other_terms_another_portal_and_another_key_make_another_link() -> None:
    others = (
        LINKS.link(replace(REQUEST, terms=terms("bob"))),
        LINKS.link(replace(REQUEST, request_id="0123abce")),
        replace(LINKS, url="https://gw.example.com").link(REQUEST),
        replace(LINKS, key=b"l" * 32).link(REQUEST),
    )
    assert len({LINK, *others}) == 5
    with pytest.raises(NotPossible, match="a key that this gateway does not have"):
        LINKS.read(others[3], 0.0)


def test_the_key_is_not_shown() -> None:
    assert "kkk" not in repr(LINKS)
