"""Texts, masked line by line."""

import gzip

import pytest

from hoopproxy.settings import Limits

from .plainly import MASKED_PAN, PAN, Scene, Withheld, cards, cuts

TEXT = f"<p>{PAN}</p>\r\n\n  Zoë {PAN} \nlast {PAN}".encode()


@pytest.mark.parametrize("size", [*range(1, 40), 1000])
def test_numbers_are_masked_however_they_are_cut(size: int) -> None:
    scene = Scene(maskers=[cards()])
    assert scene.masked(cuts(TEXT, size), "text/html") == TEXT.replace(PAN.encode(), MASKED_PAN.encode())
    assert (scene.values, scene.changed) == (3, 3)
    assert scene.masked([b"again\n"], "text/plain") == b"again\n"
    assert len(scene.asked) == 1


def test_a_line_is_shown_with_its_end() -> None:
    scene = Scene(maskers=[cards()])
    body = scene.body(("Content-Type", "text/plain"))
    assert body is not None
    shown = body.feed(b"one\ntwo")
    assert shown.ask is not None
    assert body.resume(scene.plan(shown.ask)).data == b"one\n"
    assert body.feed(b"!\n").data == b"two!\n"
    assert body.end().data == b""


@pytest.mark.parametrize("text", ["\ufeffx", "x"])
@pytest.mark.parametrize("coding", ["utf-16-le", "utf-16-be", "utf-32-le", "utf-32-be"])
def test_wide_text_is_withheld(text: str, coding: str) -> None:
    with pytest.raises(Withheld, match="UTF-16"):
        Scene(maskers=[cards()]).masked(cuts(f"{text} {PAN}".encode(coding), 1), "text/plain")


def test_texts_have_no_length_but_may_not_explode() -> None:
    scene = Scene(maskers=[cards()], limits=Limits(document_bytes_max=1 << 16))
    for number in range(5):
        line = b"%d" % number * 50_000 + b"\n"
        assert scene.masked(cuts(line, 1000), "text/plain") == line
    bomb = gzip.compress(b"x" * (1 << 20))
    with pytest.raises(Withheld, match="grows to more than 65536 bytes at once"):
        scene.masked([bomb], "text/plain", fields=[("Content-Encoding", "gzip")])
    calm = gzip.compress(TEXT)
    shown = scene.masked(cuts(calm, 5), "text/plain", fields=[("Content-Encoding", "gzip")])
    assert shown == TEXT.replace(PAN.encode(), MASKED_PAN.encode())


def test_a_line_that_is_very_long_is_cut_where_no_number_is() -> None:
    line = (b"x" * 300 + f" card {PAN}, ".encode()) * 5000
    scene = Scene(maskers=[cards()])
    shown = scene.masked([gzip.compress(line)], "text/plain", fields=[("Content-Encoding", "gzip")])
    assert shown == line.replace(PAN.encode(), MASKED_PAN.encode())
