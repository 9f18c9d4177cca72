"""An SSH server that answers what it is sent, as any would: what it says waits until somebody lets it arrive."""

import struct

from fuzz.ssh_says import CANARY, SERVER_OFFSET
from tests.wire.ssh import speech as say

OUTPUT = b"one\n" + CANARY + b"\ntwo " + CANARY + b" and\r\n" + CANARY


class Server:
    """Its number of a channel is the client's and `SERVER_OFFSET`; `window` is what it lets the client send."""

    def __init__(self, window: int, piece_bytes: int) -> None:
        self.waiting: list[bytes] = []
        self._window, self._piece_bytes = window, piece_bytes
        self._room: dict[int, int] = {}
        self._closed: set[int] = set()

    def hears(self, data: bytes) -> None:
        """Payloads, framed."""
        for payload in say.unframed(data):
            self._hears(payload)

    def _hears(self, payload: bytes) -> None:
        kind = payload[0]
        if kind == 80:
            name_ends = 5 + int.from_bytes(payload[1:5])
            if payload[name_ends]:
                self.waiting.append(say.REQUEST_FAILURE)
            return
        if kind == 90:
            number, window = struct.unpack("!II", payload[12:20])
            self._room[number] = window
            self._closed.discard(number)
            self.waiting.append(say.confirmed(number, (number + SERVER_OFFSET) % 2**32, self._window))
            return
        if kind < 93:
            return
        number = (int.from_bytes(payload[1:5]) - SERVER_OFFSET) % 2**32
        if kind == 93:
            self._room[number] = self._room.get(number, 0) + int.from_bytes(payload[5:9])
        elif kind == 97 and number not in self._closed:
            self._closed.add(number)
            self.waiting.append(say.close(number))
        elif kind == 98 and number not in self._closed:
            self._asked(number, payload)

    def _asked(self, number: int, payload: bytes) -> None:
        name_ends = 9 + int.from_bytes(payload[5:9])
        runs = payload[9:name_ends] in (b"exec", b"shell", b"subsystem")
        if payload[name_ends]:
            self.waiting.append(say.success(number))
        if runs:
            for at in range(0, len(OUTPUT), self._piece_bytes):
                piece = OUTPUT[at : at + self._piece_bytes]
                if len(piece) > self._room.get(number, 0):
                    return
                self._room[number] -= len(piece)
                self.waiting.append(say.data(number, piece) if at % 2 else say.stderr(number, piece))
            self.waiting += [say.exit_status(number, 0), say.eof(number)]
