"""What a target that is the attacker may try: to be answered without end, and to tell what masks hide by the side."""

import struct
from contextlib import suppress

import pytest

from hoopproxy.errors import ProtocolViolation
from hoopproxy.events import Rejected
from hoopproxy.model import Side
from hoopproxy.settings import Limits

from . import speech as say
from .rig import Rig, calls

CANARY = b"4111111111111111"
WORD = CANARY.decode()
PENDING_MAX = 50


@pytest.mark.parametrize(
    ("unanswered", "refused"),
    [
        (say.global_request("keepalive@openssh.com", True), say.global_request("hostkeys-00@openssh.com", True)),
        (say.request(0, "keepalive@openssh.com", True), say.request(0, "invented@example.com", True)),
    ],
    ids=["of the connection", "of a channel"],
)
def test_what_the_gateway_refuses_is_not_kept_without_end_behind_a_client_that_does_not_answer(
    unanswered: bytes, refused: bytes
) -> None:
    rig = Rig(limits=Limits(pending_statements_max=PENDING_MAX)).running()
    rig.server(unanswered, *[refused] * (PENDING_MAX - 1))
    assert rig.news()[1] == []
    with pytest.raises(ProtocolViolation, match="does not belong here") as caught:
        rig.server(refused)
    assert caught.value.side == "server"


def test_what_it_asks_of_a_client_that_answers_is_refused_as_often_as_it_likes() -> None:
    rig = Rig(limits=Limits(pending_statements_max=PENDING_MAX)).running()
    for _ in range(3 * PENDING_MAX):
        rig.server(
            say.global_request("keepalive@openssh.com", True), say.global_request("hostkeys-00@openssh.com", True)
        )
        rig.client(say.REQUEST_FAILURE)
    assert rig.wire._channels.owed[Side.SERVER].count == 0


ASIDE = {
    "a refusal to open": (say.opens(1), say.unopened(1, 2, WORD)),
    "the words of a signal": (b"", say.exit_signal(0, "TERM", WORD)),
    "a request": (b"", say.request(0, "x" + WORD, True, CANARY)),
    "a request of the connection": (b"", say.global_request("x" + WORD, True, CANARY)),
    "an answer with more in it": (say.global_request("keepalive@openssh.com", True), say.REQUEST_SUCCESS + CANARY),
    "a channel of its own": (b"", say.opens(7, "x" + WORD, rest=CANARY)),
    "a third stream": (b"", say.stderr(0, CANARY, 2)),
    "data behind their end": (b"", say.framed(say.eof(0), say.data(0, CANARY))[4:]),
    "a close with more in it": (b"", say.close(0) + CANARY),
    "an exit status with more in it": (b"", say.exit_status(0, 1) + CANARY),
    "a message that nobody knows": (b"", b"\xc0" + CANARY),
    "a grant with more in it": (b"", say.adjust(0, 1) + CANARY),
}


@pytest.mark.parametrize("way", ASIDE)
def test_masks_are_not_evaded_by_the_side(way: str) -> None:
    asked, said = ASIDE[way]
    rig = Rig(masked=True, plan=calls(lambda line: line.replace(CANARY, b"<card>"))).running()
    with suppress(ProtocolViolation):
        if asked:
            rig.client(asked)
        rig.server(said)
        rig.release()
    assert CANARY not in rig.shown
    # What it wanted of the client is said to reviewers by the name that it has for it.
    assert not [record for record in rig.records if WORD in repr(record) and not isinstance(record, Rejected)]


@pytest.mark.parametrize("end", [b"\n", b"\r", b"\r\n"], ids=repr)
@pytest.mark.parametrize("window", [1, 2, 7, 16, 17, 40])
def test_no_window_and_no_cut_shows_half_of_it(window: int, end: bytes) -> None:
    """The client takes little and grants little, so that the server is stopped amid the number again and again."""
    text = b"a," + CANARY + end + CANARY + b"," + CANARY
    for cut in range(1, len(text)):
        rig = Rig(masked=True, plan=calls(lambda line: line.replace(CANARY, b"<card>"))).running(window=window)
        granted, rest = window, text
        shown = b""
        for _ in range(4 * len(text)):
            size = min(cut, granted, len(rest))
            if size:
                rig.server(say.data(0, rest[:size]))
                granted, rest = granted - size, rest[size:]
            else:
                rig.release()
                rig.client(say.adjust(10, window))
            to_client, to_server = rig.news()
            shown += b"".join(each[9:] for each in to_client if each[0] == 94)
            granted += sum(struct.unpack("!I", each[5:9])[0] for each in to_server if each[0] == 93)
            if not rest and not size:
                break
        rig.server(say.eof(0))
        for _ in range(len(text)):
            rig.client(say.adjust(10, window))
        shown += b"".join(each[9:] for each in rig.news()[0] if each[0] == 94)
        assert shown == text.replace(CANARY, b"<card>")
