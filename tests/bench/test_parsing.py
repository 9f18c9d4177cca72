"""What the suite reads from others, and what it makes of it."""

from pathlib import Path

import pytest

from bench.lines import Family, Leg, Line
from bench.meter import Course, Sample, watched
from bench.pgbench import PgbenchFailed, parse
from bench.report import keep, put_into, read
from bench.rounds import Measurement, Results
from bench.tables import tables
from bench.workloads import Figures, Kind

DIRECT = Line("direct", Family.DIRECT, Leg.TLS, Leg.NONE)
PGBOUNCER = Line("pgbouncer", Family.PGBOUNCER, Leg.TLS, Leg.TLS)
GATEWAY = Line("hoopproxy, none masked", Family.HOOPPROXY, Leg.TLS, Leg.TLS)


def test_the_log_of_pgbench_tells_when_transactions_ran_and_how_long_each_took() -> None:
    ran = parse("1 1 3000 0 1700000002 500000\n0 1 1000 0 1700000001 000000\n0 2 2000 0 1700000003 000000\n")
    assert ran.took_us == (1000, 2000, 3000)
    assert ran.begin_s == pytest.approx(1700000000.999)
    assert ran.wall_s == pytest.approx(2.001)


@pytest.mark.parametrize("log", ["", "pgbench: error", "0 1 failed 0 1700000001 0"])
def test_another_log_is_refused(log: str) -> None:
    with pytest.raises(PgbenchFailed):
        parse(log)


def test_a_course_is_cut_at_moments_between_its_samples() -> None:
    course = Course([Sample(10.0, 1.0), Sample(12.0, 2.0), Sample(14.0, 6.0)])
    assert course.cpu_s == 5.0 and course.wall_s == 4.0
    assert [course.cpu_s_until(at_s) for at_s in (9.0, 10.0, 11.0, 12.0, 13.0, 14.0, 99.0)] == [
        *(0.0, 0.0, 0.5, 1.0, 3.0, 5.0, 5.0)
    ]


def test_the_course_of_a_process_grows_with_its_work() -> None:
    import os

    with watched(os.getpid()) as course:
        sum(range(10**6))
    assert course.cpu_s > 0
    with watched(None) as nobody:
        sum(range(10**6))
    assert nobody.cpu_s == 0 < nobody.wall_s


def results() -> Results:
    """Two rounds; in the second the machine is twice as slow, which no ratio may show."""
    cost_s = {DIRECT: None, PGBOUNCER: 2.0, GATEWAY: 3.0}
    return Results(
        {"order": "seed 1"},
        [
            Measurement(
                number, "bulk", Kind.BULK, line, Figures(1e9, slow * 10.0, None if cpu_s is None else slow * cpu_s)
            )
            for number, slow in ((1, 1), (2, 2))
            for line, cpu_s in cost_s.items()
        ],
    )


def test_ratios_are_those_within_a_round() -> None:
    (table,) = tables(results())
    direct, pgbouncer, gateway = ([cell for cell in row[3:]] for row in table.sections[0])
    assert direct == ["-", "-", "75.0", "1.00 (1.00–1.00)"]
    assert pgbouncer == ["3.00", "1.00 (1.00–1.00)", "75.0", "1.00 (1.00–1.00)"]
    assert gateway == ["4.50", "1.50 (1.50–1.50)", "75.0", "1.00 (1.00–1.00)"]


def test_results_come_back_from_their_file(tmp_path: Path) -> None:
    assert read(keep(results(), tmp_path)) == results()


def test_tables_take_the_place_of_older_ones_in_a_page(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("before\n<!-- bench -->\nold\n<!-- /bench -->\nafter\n")
    put_into(page, results())
    written = page.read_text()
    assert written.startswith("before\n<!-- bench -->\n- order: seed 1\n")
    assert written.endswith("\n<!-- /bench -->\nafter\n") and "old" not in written
    assert "| hoopproxy, none masked | TLS + TLS | - | 4.50 | 1.50 (1.50–1.50) | 75.0 | 1.00 (1.00–1.00) |\n" in written
    put_into(page, results())
    assert page.read_text() == written
    page.write_text("nothing to replace")
    with pytest.raises(ValueError, match="has no lines"):
        put_into(page, results())
