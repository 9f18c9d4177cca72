"""Measures the row kernel, compiled and interpreted, against a plain copy; README.md tells how to read the numbers."""

import random
import statistics
import struct
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from hoopproxy.events import Constant, Keep, KeepEnds, Operation
from hoopproxy.settings import Limits
from hoopproxy.wire import kernel

ROUNDS = 7
ROW_BYTES_MAX = 1 << 20
CHUNK_BYTES = Limits().chunk_bytes_max
RESULT_BYTES = 3_300_000
BATCH_CPU_S = 0.15
"""How long one measurement takes at least, so that the clock's step and a single interruption do not show."""

NONE_MASKED: list[Operation] = [Keep()] * 8
TWO_MASKED: list[Operation] = [Keep(), Constant(b"****"), KeepEnds(0, 4), *[Keep()] * 5]


def row(number: int, dice: random.Random) -> bytes:
    """A DataRow as text: id, email, card, social security number, name, an integer and two timestamps."""
    card = "".join(dice.choices("0123456789", k=16))
    cells = (
        str(number),
        f"customer.{number:07}@example.com",
        card,
        f"{card[:3]}-{card[3:5]}-{card[5:9]}",
        f"Ada Lovelace {card[9:12]}",
        str(dice.randrange(10**6)),
        f"2026-01-{1 + number % 28:02} 12:34:56.789012",
        f"2026-02-{1 + number % 28:02} 01:23:45.678901",
    )
    body = struct.pack("!h", len(cells)) + b"".join(struct.pack("!i", len(cell)) + cell.encode() for cell in cells)
    return b"D" + struct.pack("!i", len(body) + 4) + body


def result() -> tuple[list[bytearray], int]:
    """Whole rows in chunks as a socket's reads would bring them, and how many rows there are."""
    dice = random.Random(7)
    chunks, rows = [bytearray()], 0
    while sum(map(len, chunks)) < RESULT_BYTES:
        if len(chunks[-1]) >= CHUNK_BYTES:
            chunks.append(bytearray())
        chunks[-1] += row(rows, dice)
        rows += 1
    return chunks, rows


@dataclass
class Contender:
    name: str
    work: Callable[[bytearray], object]
    repeats: int = 1
    cpu_s: list[float] = field(default_factory=list)
    """CPU seconds that one pass over the result took, a number for each round."""

    def run(self, chunks: list[bytearray]) -> float:
        """CPU seconds of all repeats."""
        begin = time.process_time()
        for _ in range(self.repeats):
            for chunk in chunks:
                self.work(chunk)
        return time.process_time() - begin

    def calibrate(self, chunks: list[bytearray]) -> None:
        while self.run(chunks) < BATCH_CPU_S:
            self.repeats *= 2

    @property
    def median_s(self) -> float:
        return statistics.median(self.cpu_s)


def cutting(cutter: kernel.Cutter) -> Callable[[bytearray], object]:
    def work(chunk: bytearray) -> object:
        return cutter.cut(chunk, 0)

    return work


def main() -> None:
    chunks, rows = result()
    size = sum(map(len, chunks))
    reference = kernel.interpreted().Cutter
    copy = Contender("copy, bytes(chunk)", bytes)
    contenders = [copy]
    for label, plan in (("no column masked", NONE_MASKED), ("2 of 8 masked", TWO_MASKED)):
        if kernel.COMPILED:
            contenders.append(Contender(f"compiled, {label}", cutting(kernel.Cutter(plan, ROW_BYTES_MAX))))
        contenders.append(Contender(f"interpreted, {label}", cutting(reference(plan, ROW_BYTES_MAX))))
    for contender in contenders:
        contender.calibrate(chunks)
    for _ in range(ROUNDS):
        for contender in contenders:
            contender.cpu_s.append(contender.run(chunks) / contender.repeats)

    print(
        f"{size / 1e6:.1f} MB in {rows} rows of {size / rows:.0f} bytes, chunks of {CHUNK_BYTES // 1024} KiB;", end=" "
    )
    print(f"medians of {ROUNDS} interleaved rounds, Python {sys.version.split()[0]}")
    print(f"{'':32}{'MB/CPU s':>10}{'ns/row':>10}{'CPU ÷ copy':>12}{'spread':>9}")
    for each in contenders:
        spread = (max(each.cpu_s) - min(each.cpu_s)) / each.median_s
        print(f"{each.name:32}{size / 1e6 / each.median_s:10.0f}{each.median_s / rows * 1e9:10.0f}", end="")
        print(f"{each.median_s / copy.median_s:12.1f}{spread:9.0%}")
    if not kernel.COMPILED:
        print("The row kernel is not compiled here: install gcc and run `make build`.")
        return
    cost = {each.name: each.median_s for each in contenders}
    for label in ("no column masked", "2 of 8 masked"):
        print(f"interpreted ÷ compiled, {label}: {cost[f'interpreted, {label}'] / cost[f'compiled, {label}']:.0f}")
    print(f"2 of 8 masked ÷ none, compiled: {cost['compiled, 2 of 8 masked'] / cost['compiled, no column masked']:.1f}")


if __name__ == "__main__":
    main()
