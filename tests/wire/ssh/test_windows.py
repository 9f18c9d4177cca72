"""Windows: end to end where nothing is changed, and two books that agree where something is."""

import pytest

from hoopproxy.errors import ProtocolViolation
from hoopproxy.events import Constant, Null

from . import speech as say
from .rig import Rig, calls, plan

MIB = 1 << 20


def test_what_the_ends_grant_each_other_passes_as_it_is() -> None:
    rig = Rig().client(say.opens(0, window=100, packet=1024)).server(say.confirmed(0, 10, window=50, packet=20))
    rig.client(say.execs(10, "cat")).server(say.success(0))
    assert rig.news() == (
        [say.confirmed(0, 10, window=50, packet=20), say.success(0)],
        [say.opens(0, window=100, packet=1024), say.execs(10, "cat")],
    )
    rig.client(say.adjust(10, 7)).server(say.adjust(0, 8))
    assert rig.news() == ([say.adjust(0, 8)], [say.adjust(10, 7)])
    rig.server(say.data(0, b"x" * 60), say.stderr(0, b"x" * 47))
    rig.client(say.data(10, b"x" * 20), say.data(10, b"x" * 20), say.data(10, b"x" * 18))
    for late in (say.data(0, b"x"), say.stderr(0, b"x")):
        with pytest.raises(ProtocolViolation):
            _spent().server(late)
    with pytest.raises(ProtocolViolation):
        rig.client(say.data(10, b"x"))


def _spent() -> Rig:
    return Rig().running(window=107).server(say.data(0, b"x" * 107))


def test_no_packet_is_larger_than_the_other_side_takes() -> None:
    with pytest.raises(ProtocolViolation) as caught:
        Rig().running(packet=1024).server(say.data(0, bytes(1025)))
    assert caught.value.side == "server"
    with pytest.raises(ProtocolViolation) as caught:
        Rig().running().client(say.data(10, bytes((1 << 15) + 1)))
    assert caught.value.side == "client"


@pytest.mark.parametrize("masked", [False, True])
def test_no_window_is_opened_wider_than_a_number_holds(masked: bool) -> None:
    widest = (1 << 32) - 1
    rig = Rig(masked=masked).running(window=widest - 5).client(say.adjust(10, 5))
    with pytest.raises(ProtocolViolation) as caught:
        rig.client(say.adjust(10, 1))
    assert caught.value.side == "client"
    rig = Rig(masked=masked).running().server(say.adjust(0, widest - (1 << 21)))
    with pytest.raises(ProtocolViolation) as caught:
        rig.server(say.adjust(0, 1))
    assert caught.value.side == "server"


def test_the_gateways_words_are_made_up_for_out_of_the_clients_next_grants() -> None:
    rig = Rig().running(window=1000).client(say.request(10, "x11-req"))
    shown, _ = rig.news()
    words = len(shown[0]) - 13
    rig.client(say.adjust(10, words - 1))
    assert rig.news() == ([], [])
    rig.client(say.adjust(10, 11))
    assert rig.news() == ([], [say.adjust(10, 10)])
    rig.client(say.adjust(10, 9))
    assert rig.news() == ([], [say.adjust(10, 9)])


def test_words_that_find_no_room_wait_for_it_and_output_waits_behind_them() -> None:
    rig = Rig().running(window=10).client(say.request(10, "x11-req", True))
    ((_, sentence),) = rig.rejected()
    words = say.told(sentence)
    assert rig.news() == ([say.stderr(0, words[:10]), say.failure(0)], [])
    rig.server(say.data(0, b"0123456789"), say.eof(0), say.exit_status(0, 1), say.close(0))
    assert rig.news() == ([say.exit_status(0, 1)], [])
    rig.client(say.adjust(10, len(words) - 10))
    assert rig.news() == ([say.stderr(0, words[10:])], [])
    rig.client(say.adjust(10, 4), say.adjust(10, 100))
    assert rig.news()[0] == [say.data(0, b"0123"), say.data(0, b"456789"), say.eof(0), say.close(0)]
    assert rig.streamed() == b"0123456789" and rig.streamed("stderr") == b""


def test_words_are_dropped_where_nobody_reads() -> None:
    rig = Rig().running(window=0).client(*[say.request(10, "x11-req")] * 1000)
    assert len(rig.rejected()) == 1000
    rig.client(say.adjust(10, 1 << 20))
    assert len(rig.shown) < 10_000


def test_a_client_that_closes_while_output_waits_hears_the_close() -> None:
    rig = Rig().running(window=10).client(say.request(10, "x11-req")).server(say.eof(0), say.close(0))
    assert len(rig.news()[0]) == 1
    rig.client(say.close(10))
    assert rig.news() == ([say.eof(0), say.close(0)], [say.close(10)])
    assert rig.client(say.opens(0)).news() == ([], [say.opens(0)])


def test_a_server_is_credited_what_masks_take_away() -> None:
    rig = Rig(masked=True, plan=plan(Null())).running(window=100)
    rig.server(say.data(0, b"x" * 49 + b"\n"))
    assert rig.news() == ([say.data(0, b"\n")], [])  # it still has enough
    rig.server(say.data(0, b"x" * 49 + b"\n"))
    assert rig.news() == ([say.data(0, b"\n")], [say.adjust(10, 98)])
    rig.client(say.adjust(10, 2))
    assert rig.news() == ([], [say.adjust(10, 2)])


def test_what_masks_add_waits_for_the_client_and_is_taken_off_its_grants() -> None:
    rig = Rig(masked=True, plan=plan(Constant(b"X" * 30))).running(window=20)
    rig.server(say.data(0, b"0123456789\n"), say.data(0, b"ab\n"))
    assert rig.news() == ([say.data(0, b"X" * 20)], [])
    rig.client(say.adjust(10, 42))
    assert rig.news() == ([say.data(0, b"X" * 10 + b"\n"), say.data(0, b"X" * 30 + b"\n")], [])
    rig.client(say.adjust(10, 20))
    assert rig.news() == ([], [say.adjust(10, 14)])  # with the 6 that the server still has: the client's 20
    rig.server(say.data(0, b"x" * 19 + b"\n"))
    with pytest.raises(ProtocolViolation):
        rig.server(say.data(0, b"x"))


def test_masked_output_keeps_to_the_clients_packets() -> None:
    rig = Rig(masked=True, plan=calls(lambda line: line * 3)).running(packet=1024)
    rig.server(say.data(0, b"x" * 1000 + b"\n"))
    assert [len(payload) - 9 for payload in rig.news()[0]] == [1024, 1024, 953]
    rig = Rig(masked=True, plan=calls(lambda line: line * 3)).running(packet=1 << 20)
    rig.server(say.data(0, b"x" * 30_000 + b"\n"))
    assert [len(payload) - 9 for payload in rig.news()[0]] == [32768, 32768, 24465]


def test_where_output_is_masked_a_server_sends_ahead_no_more_than_a_mebibyte() -> None:
    rig = Rig(masked=True).client(say.opens(0, window=1 << 30))
    assert rig.news()[1] == [say.opens(0, window=MIB)]
    rig.server(say.confirmed(0, 10)).client(say.execs(10, "cat"), say.adjust(10, 5))
    assert rig.news()[1] == [say.execs(10, "cat")]
    rig.server(*[say.data(0, bytes(1 << 15))] * 16)
    assert rig.news()[1] == [say.adjust(10, MIB // 2)]
    for _ in range(5):
        rig.server(*[say.data(0, bytes(1 << 15))] * 16)
        assert rig.news()[1] == [say.adjust(10, MIB // 2)]


def test_a_held_line_is_in_the_books() -> None:
    rig = Rig(masked=True, plan=calls(bytes.upper)).running(window=100_000)
    rig.server(*[say.data(0, b"x" * 10_000)] * 6)
    assert rig.news() == ([], [])
    rig.client(say.adjust(10, 3))
    assert rig.news() == ([], [say.adjust(10, 3)])
    rig.release()
    assert rig.news()[1] == [] and rig.streamed() == b"X" * 60_000
    rig.client(say.adjust(10, 60_000))
    assert rig.news()[1] == [say.adjust(10, 60_000)]
