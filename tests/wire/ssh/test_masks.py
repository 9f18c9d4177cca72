"""Masks in output: whole lines, however they are cut, held for no longer than a pause."""

from functools import partial
from itertools import pairwise

import pytest
from hoopproxy_plugins.mask_pan import mask_pans
from hypothesis import given, settings
from hypothesis import strategies as st

from hoopproxy.errors import AddonFailure
from hoopproxy.events import (
    Constant,
    Faulted,
    Field,
    Format,
    Keep,
    KeepEnds,
    Null,
    Operation,
    Plan,
    Shape,
    Streamed,
)
from hoopproxy.model import Side
from hoopproxy.wire.lines import HOLD_S, LINE_BYTES_MAX, TERMINAL_HOLD_S
from hoopproxy.wire.ssh.holding import PASSED_OVER_MAX

from . import speech as say
from .rig import Rig, calls, keep, plan

CARD = b"4111 1111 1111 1111"
HIDDEN = b"**** **** **** 1111"


def masking(operation: Operation | None = None) -> Rig:
    return Rig(masked=True, plan=plan(operation) if operation else calls(mask_pans)).running()


def output(rig: Rig, code: int = 0) -> bytes:
    shown = [payload for payload in say.unframed(bytes(rig.shown)) if payload[0] == 94 + code]
    return b"".join(payload[9 + 4 * code :] for payload in shown)


def test_each_stream_is_asked_about_once() -> None:
    rig = masking().server(say.data(0, b"a\n"), say.data(0, b"b\n"), say.stderr(0, b"c\n"), say.stderr(0, b"d\n"))
    rig.running(1, 11).server(say.data(1, b"e\n"))
    shapes = [Shape((Field(name, "", 0, 0, 25, -1, Format.TEXT),)) for name in ("stdout", "stderr")]
    assert [ask for ask in rig.asks if isinstance(ask, Shape)] == shapes


def test_without_masks_by_content_nobody_is_asked() -> None:
    rig = Rig().running().server(say.data(0, CARD))
    assert not any(isinstance(ask, Shape) for ask in rig.asks) and output(rig) == CARD


@pytest.mark.parametrize(
    ("operation", "shown"),
    [
        (Keep(), b"secret\r\n\r\nword\rtail\n"),
        (Null(), b"\r\n\r\n\r\n"),
        (Constant(b"***"), b"***\r\n\r\n***\r***\n"),
        (KeepEnds(1, 1), b"s****t\r\n\r\nw**d\rt**l\n"),
    ],
    ids=["keep", "null", "constant", "ends"],
)
def test_an_operation_does_to_a_line_what_it_does_to_a_cell(operation: Operation, shown: bytes) -> None:
    rig = masking(operation).server(say.data(0, b"secret\r\n\r\nword\rtail\n"))
    assert output(rig) == rig.streamed() == shown


def test_a_call_gets_each_line_without_its_end() -> None:
    seen: list[bytes] = []
    rig = Rig(masked=True, plan=calls(lambda line: seen.append(line) or line[::-1])).running()  # type: ignore[func-returns-value] # it returns None, which is the point
    rig.server(say.data(0, b"one\ntwo\r\n\nthr"), say.data(0, b"ee\n"))
    assert seen == [b"one", b"two", b"three"] and output(rig) == b"eno\nowt\r\n\neerht\n"


def test_a_call_that_returns_nothing_empties_the_line() -> None:
    rig = Rig(masked=True, plan=calls(lambda line: None)).running().server(say.data(0, b"one\ntwo\n"))
    assert output(rig) == b"\n\n"


def test_a_call_that_raises_ends_the_session_without_a_word_of_the_line() -> None:
    def broken(line: bytes) -> bytes:
        raise ValueError(line)

    rig = Rig(masked=True, plan=calls(broken)).running()
    with pytest.raises(AddonFailure) as caught:
        rig.server(say.data(0, CARD + b"\n"))
    assert caught.value.addon == "tester" and "4111" not in caught.value.detail
    rig = Rig(masked=True, plan=calls(broken)).running().server(say.data(0, CARD))
    with pytest.raises(AddonFailure):
        rig.release()


@given(st.lists(st.integers(0, 60), max_size=6), st.booleans())
@settings(deadline=None)
def test_a_number_is_masked_wherever_it_is_cut(cuts: list[int], on_stderr: bool) -> None:
    text = b"paid with " + CARD + b", thanks\nand 5500-0000-0000-0004.\n"
    rig = masking()
    at = [0, *sorted(min(cut, len(text)) for cut in cuts), len(text)]
    for begin, end in pairwise(at):
        piece = text[begin:end]
        rig.server(say.stderr(0, piece) if on_stderr else say.data(0, piece))
    assert output(rig, int(on_stderr)) == mask_pans(text)


def test_the_streams_of_a_command_and_of_two_commands_do_not_mix() -> None:
    rig = masking().running(1, 11)
    rig.server(say.data(0, CARD[:9]), say.stderr(0, CARD[:9]), say.data(1, CARD[:9]))
    rig.server(say.stderr(0, CARD[9:] + b"\n"), say.data(1, CARD[9:] + b"\n"), say.data(0, CARD[9:] + b"\n"))
    assert rig.news()[0] == [say.stderr(0, HIDDEN + b"\n"), say.data(1, HIDDEN + b"\n"), say.data(0, HIDDEN + b"\n")]


def test_an_unfinished_line_is_held_until_the_server_pauses() -> None:
    rig = masking().server(say.data(0, b"first\nPassword: "))
    assert output(rig) == b"first\n" and rig.steps[-1].hold_s == HOLD_S
    rig.release()
    assert output(rig) == rig.streamed() == b"first\nPassword: " and rig.steps[-1].hold_s == 0
    assert rig.release().steps[-1].to_client == b""


def test_on_a_terminal_the_pause_is_short() -> None:
    rig = Rig(masked=True, plan=calls(mask_pans)).client(say.opens(0)).server(say.confirmed(0, 10))
    rig.client(say.pty(10), say.request(10, "shell", True)).server(say.success(0), say.success(0), say.data(0, b"$ "))
    assert rig.steps[-1].hold_s == TERMINAL_HOLD_S
    rig.client(say.resized(10, 1, 2))
    assert rig.steps[-1].hold_s == 0  # that the client pauses does not matter
    rig.client(say.close(10)).server(say.global_request("hostkeys-00@openssh.com"))
    assert rig.steps[-1].hold_s == 0


def test_a_narrow_window_does_not_cut_a_number() -> None:
    rig = Rig(masked=True, plan=calls(mask_pans)).running(window=8)
    rig.server(say.data(0, CARD[:8]))
    assert rig.steps[-1].to_server == say.framed(say.adjust(10, LINE_BYTES_MAX - 8))
    rig.server(say.data(0, CARD[8:] + b"\n" + CARD))
    assert output(rig) == HIDDEN[:8]
    for at in range(8, 40):
        rig.client(say.adjust(10, 1)).server(say.data(0, b""))
        assert output(rig) == (HIDDEN + b"\n" + HIDDEN)[: min(at + 1, 20)]


def test_a_server_that_may_not_send_has_not_paused() -> None:
    rig = Rig(masked=True, plan=calls(lambda line: line.replace(CARD, HIDDEN) + b"!" * 80_000)).running(window=8)
    server = rig.server(say.data(0, b"x")).wire._channels.by_client[0].output
    while server.granted > 5000:
        rig.server(say.data(0, b"x" * 4000 + b"\n"))
    rig.server(say.data(0, b"x" * (server.granted - 9) + CARD[:9]))
    assert server.granted == 0 and rig.steps[-1].hold_s == HOLD_S
    shown = len(rig.release().shown)
    assert rig.steps[-1].hold_s == HOLD_S
    rig.client(say.adjust(10, 1 << 30))
    assert len(rig.shown) > shown and rig.steps[-1].to_server
    rig.server(say.data(0, CARD[9:] + b"\n"))
    assert HIDDEN in output(rig) and CARD[:9] not in output(rig)


def test_what_is_kept_as_it_is_is_not_held() -> None:
    rig = masking(Keep()).server(say.data(0, b"Password: "))
    assert output(rig) == b"Password: " and rig.steps[-1].hold_s == 0


def test_a_prompt_does_not_wait_for_a_transfer_beside_it() -> None:
    rig = masking().running(1, 11).server(say.data(0, b"$ "))
    bulk = say.data(1, b"x\n")
    rig.server(*[bulk] * (PASSED_OVER_MAX - 1))
    assert say.data(0, b"$ ") not in rig.news()[0]
    rig.server(bulk)
    assert say.data(0, b"$ ") in rig.news()[0]


@pytest.mark.parametrize("end", [say.eof(0), say.close(0), b""], ids=["eof", "close", "left"])
def test_an_unfinished_line_is_shown_before_the_end(end: bytes) -> None:
    rig = masking().server(say.data(0, CARD), say.stderr(0, CARD))
    rig.feed(Side.SERVER, say.framed(end) if end else b"")
    shown, _ = rig.news()
    assert shown == [say.data(0, HIDDEN), say.stderr(0, HIDDEN), *([end] if end else [])]


def test_what_is_held_is_never_shown_to_a_client_that_closed() -> None:
    rig = masking().server(say.data(0, CARD)).client(say.close(10)).release()
    rig.server(say.data(0, CARD + b"\n"), say.close(0))
    assert rig.news()[0] == [say.close(0)] and rig.streamed() == b""


@pytest.mark.parametrize("tail", [b"|", b"x", b""], ids=["sign", "letter", "nothing"])
def test_a_line_without_end_is_cut_where_no_number_is(tail: bytes) -> None:
    rig, filler = masking(), (b"ab" if tail == b"|" else b"0")
    packets = [filler * (16_000 // len(filler))] * 4
    rig.server(*[say.data(0, each) for each in packets])
    assert output(rig) == b""
    rig.server(say.data(0, b"0" * 1000 + tail + CARD), say.data(0, b" " * 600))
    before = b"".join(packets) + b"0" * 1000 + tail
    whole = before + CARD + b" " * 600
    assert output(rig) == (before if tail else whole[:LINE_BYTES_MAX])
    rig.release()
    assert output(rig) == (before + HIDDEN + b" " * 600 if tail else whole)


def test_a_line_without_end_is_cut_between_words_rather_than_in_one() -> None:
    rig = masking().server(*[say.data(0, b"a" * 16_000)] * 4, say.data(0, b"|" + b"b" * 2000))
    assert output(rig) == b"a" * 64_000 + b"|"


def test_a_plan_that_refuses_ends_the_channel_and_no_other() -> None:
    rig = Rig(masked=True, plan=plan(Null(), "The gateway can't mask this.")).running(0, 10).running(1, 11)
    rig.server(say.data(0, CARD + b"\n"), say.data(0, CARD), say.eof(0), say.close(0))
    told = [say.stderr(0, say.told("The gateway can't mask this.")), say.exit_status(0, 1), say.close(0)]
    assert rig.news() == (told, [say.close(10)])
    assert rig.records[-1] == Faulted(2, "refused", "The gateway can't mask this.")
    rig.client(say.data(10, b"late"), say.resized(10, 1, 2), say.adjust(10, 9), say.eof(10), say.close(10))
    assert rig.news() == ([], [])
    rig.client(say.opens(0, window=1 << 20), say.data(11, b"alive"))
    assert rig.news() == ([], [say.opens(0, window=1 << 20), say.data(11, b"alive")])
    assert not any(isinstance(record, Streamed) and CARD in record.raw for record in rig.records)


def _always(answer: Plan, shape: Shape) -> Plan:
    return answer


def test_a_plan_for_another_shape_is_refused() -> None:
    other = Shape((Field("stderr", "", 0, 0, 25, -1, Format.TEXT),))
    for wrong in (keep(other), Plan(Shape((Field("stdout", "", 0, 0, 25, -1, Format.TEXT),)), ())):
        rig = Rig(masked=True, plan=partial(_always, wrong)).running()
        with pytest.raises(AssertionError):
            rig.server(say.data(0, b"x"))
        assert output(rig) == b""


def test_where_output_is_masked_the_targets_own_words_are_not_shown() -> None:
    rig = masking().server(say.exit_signal(0, "KILL", CARD.decode()))
    assert rig.news()[0] == [say.exit_signal(0, "KILL")] and rig.completed() == [(2, "signal KILL")]
    rig.client(say.opens(1)).server(say.unopened(1, 2, CARD.decode()))
    assert rig.news()[0] == [say.unopened(1, 2, "The target did not open the channel.")]
    assert CARD not in rig.shown
