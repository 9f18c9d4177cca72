"""Runs of messages of one kind: compiled, interpreted and read one by one they are the same."""

from random import Random

from hoopproxy.model import Side
from hoopproxy.wire import kernel
from hoopproxy.wire.postgres.framing import Splitter, message

INTERPRETED = kernel.interpreted()


def test_a_run_of_one_kind_is_what_both_say_it_is() -> None:
    chance = Random(3)
    for _ in range(2000):
        data = b"".join(message(chance.choice((b"d", b"d", b"d", b"D")), bytes(chance.randrange(9))) for _ in range(6))
        data += chance.choice((b"", b"d", b"d\0\0\0\3", b"d\xff\xff\xff\xff", b"d\x7f\xff\xff\xff"))
        data = data[: chance.randrange(len(data) + 1)]
        size, count = kernel.run_of(ord("d"), bytearray(data))
        assert (size, count) == INTERPRETED.run_of(ord("d"), bytearray(data)), data
        splitter = Splitter(Side.SERVER)
        splitter.append(data[:size])
        assert [splitter.next(1 << 20, "").kind for _ in range(count)] == [b"d"] * count and not splitter.buffer, data
