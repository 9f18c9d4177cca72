"""From all numbers to tables: medians, ratios to another proxy within a round, and their spread. Knows no terminal."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from statistics import median

from bench.lines import BASES, Family, Leg, Line
from bench.rounds import IDLE, Measurement, Results
from bench.workloads import Figures, Kind

type Rounds = Mapping[int, Figures]
type Number = Callable[[Figures], float | None]

GB, MB = 1e9, 1e6
NOTHING = "-"


@dataclass(frozen=True, slots=True)
class Table:
    """A title, the names of its columns, and a section of rows for each leg of clients. The first `labels` columns are
    words, the rest numbers."""

    title: str
    header: tuple[str, ...]
    sections: tuple[tuple[tuple[str, ...], ...], ...]
    labels: int = 3


@dataclass(frozen=True, slots=True)
class Column:
    """`cell` makes one of a line's rounds, those of whom all are held against, and those of the direct way, on the same
    client leg."""

    name: str
    cell: Callable[[Rounds, Rounds, Rounds], str]


def _cpu_us_columns(base: str) -> tuple[Column, ...]:
    return (
        Column("CPU µs", lambda own, _, __: _median(own, _cpu_us)),
        Column(f"÷ {base}", lambda own, others, _: _ratio(_each(own, _cpu_us), _each(others, _cpu_us))),
    )


_P99 = Column("p99 µs", lambda own, _, __: _median(own, lambda figures: figures.p99_us))
_P50 = Column("p50 µs", lambda own, _, __: _median(own, lambda figures: figures.p50_us))


def columns(kind: Kind, base: str) -> tuple[Column, ...]:
    """What is shown of such a workload, held against `base`."""
    match kind:
        case Kind.BULK:
            return (
                Column("CPU s/GB", lambda own, _, __: _median(own, _cpu_s_per_gb)),
                Column(
                    f"÷ {base}", lambda own, other, _: _ratio(_each(own, _cpu_s_per_gb), _each(other, _cpu_s_per_gb))
                ),
                Column("MB/s", lambda own, _, __: _median(own, _mb_s)),
                Column("÷ direct", lambda own, _, direct: _ratio(_each(own, _mb_s), _each(direct, _mb_s))),
            )
        case Kind.LATENCY:
            return (
                _P50,
                Column("added", lambda own, _, direct: _shown(_added(own, direct).values())),
                Column(
                    f"added ÷ {base}'s", lambda own, other, direct: _ratio(_added(own, direct), _added(other, direct))
                ),
                _P99,
                *_cpu_us_columns(base),
            )
        case Kind.REQUESTS:
            return (
                Column("requests/CPU s", lambda own, _, __: _median(own, _per_cpu_s)),
                *_cpu_us_columns(base),
                Column("requests/s", lambda own, _, __: _median(own, _tps)),
                Column("÷ direct", lambda own, _, direct: _ratio(_each(own, _tps), _each(direct, _tps))),
                _P50,
                _P99,
            )
        case Kind.TRANSACTIONS:
            return (
                *_cpu_us_columns(base),
                Column("tx/s", lambda own, _, __: _median(own, _tps)),
                Column("÷ direct", lambda own, _, direct: _ratio(_each(own, _tps), _each(direct, _tps))),
                _P50,
                _P99,
                Column("CPU ms/connect", lambda own, _, __: _median(own, lambda figures: figures.connect_cpu_ms)),
            )


def tables(results: Results) -> Iterator[Table]:
    """One for each workload, in the order in which they were measured, then memory."""
    by_workload: dict[str, list[Measurement]] = defaultdict(list)
    for one in results.measurements:
        by_workload[one.workload].append(one)
    for workload, measurements in by_workload.items():
        base = _base(measurements)
        shown = columns(measurements[0].kind, base.value)
        header = ("contender", "client + server leg", "record, durability", *(column.name for column in shown))
        yield Table(workload, header, tuple(_section(shown, base, group) for group in _by_leg(measurements)))
    if results.memories:
        yield _memory(results)


def _base(measurements: Iterable[Measurement]) -> Family:
    """What all are held against."""
    families = {one.line.family for one in measurements}
    return next((family for family in BASES if family in families), BASES[0])


def _section(shown: Sequence[Column], base: Family, group: Iterable[Measurement]) -> tuple[tuple[str, ...], ...]:
    by_line: dict[Line, dict[int, Figures]] = defaultdict(dict)
    for one in group:
        by_line[one.line][one.round] = one.figures
    others = next((rounds for line, rounds in by_line.items() if line.family is base), {})
    direct = next((rounds for line, rounds in by_line.items() if line.family is Family.DIRECT), {})
    return tuple(
        (line.contender, line.legs, str(line.mode), *(column.cell(rounds, others, direct) for column in shown))
        for line, rounds in sorted(by_line.items(), key=lambda item: _rank(item[0]))
    )


def _memory(results: Results) -> Table:
    header = ("contender", "client + server leg", "record, durability", "KiB each", "base MiB", "peak MiB of all else")
    peaks = {name: (mib,) for name, mib in results.peaks_mib.items()}
    rows = {
        leg: tuple(
            (
                one.line.contender,
                one.line.legs,
                str(one.line.mode),
                f"{one.each_kib:.1f}",
                f"{one.base_kib / 1024:.1f}",
                _shown(peaks.get(one.line.family.value, ())),
            )
            for one in sorted(results.memories, key=lambda one: _rank(one.line))
            if one.line.client_leg is leg
        )
        for leg in Leg
    }
    title = f"{results.memories[0].connections} {IDLE}"
    return Table(title, header, tuple(section for section in rows.values() if section))


def _by_leg(measurements: Sequence[Measurement]) -> Iterator[list[Measurement]]:
    for leg in Leg:
        group = [one for one in measurements if one.line.client_leg is leg]
        if group:
            yield group


def _rank(line: Line) -> int:
    """As in the declaration; masked before not masked, as `Line`s are made."""
    return 2 * list(Family).index(line.family) + ("none" in line.contender)


def _each(rounds: Rounds, number: Number) -> dict[int, float]:
    return {at: value for at, figures in rounds.items() if (value := number(figures)) is not None}


def _added(rounds: Rounds, direct: Rounds) -> dict[int, float]:
    """Latency on top of the direct way's, in the same round."""
    base = _each(direct, _p50)
    return {at: value - base[at] for at, value in _each(rounds, _p50).items() if at in base}


def _ratio(own: Mapping[int, float], other: Mapping[int, float]) -> str:
    """The median of the rounds' ratios, and the smallest and the largest."""
    ratios = [own[at] / other[at] for at in own if other.get(at, 0) > 0]
    if not ratios:
        return NOTHING
    spread = f" ({min(ratios):.2f}–{max(ratios):.2f})" if len(ratios) > 1 else ""
    return f"{median(ratios):.2f}{spread}"


def _median(rounds: Rounds, number: Number) -> str:
    return _shown(_each(rounds, number).values())


def _shown(values: Iterable[float]) -> str:
    """The median in three digits."""
    found = list(values)
    if not found:
        return NOTHING
    middle = median(found)
    return f"{middle:.0f}" if abs(middle) >= 100 else f"{middle:.1f}" if abs(middle) >= 10 else f"{middle:.2f}"


def _cpu_s_per_gb(figures: Figures) -> float | None:
    return None if figures.cpu_s is None else figures.cpu_s / figures.amount * GB


def _cpu_us(figures: Figures) -> float | None:
    return None if figures.cpu_s is None else figures.cpu_s / figures.amount * 1e6


def _per_cpu_s(figures: Figures) -> float | None:
    return None if not figures.cpu_s else figures.amount / figures.cpu_s


def _mb_s(figures: Figures) -> float:
    return figures.amount / MB / figures.wall_s


def _tps(figures: Figures) -> float:
    return figures.amount / figures.wall_s


def _p50(figures: Figures) -> float | None:
    return figures.p50_us
