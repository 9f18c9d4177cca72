"""`make bench`: measures hoopproxy against the direct way and others' proxies. README.md tells how to read it."""

import re
import resource
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from secrets import randbelow

import click
from rich.console import Console

from bench import mask_costs, report, rewriter, rows, web_workloads, wire_workloads
from bench.about import about
from bench.lines import Line, lines, ssh_lines, tcp_lines, web_lines
from bench.rounds import IDLE, Plan, Results, fill_pools, hold_idle, perform
from bench.stage import Stage
from bench.web import Web
from bench.wires import Wires
from bench.workloads import QUICK, WHOLE, Workload, workloads
from hoopproxy.testing.installations import choose

KERNEL = "row kernel"
RESULTS = Path(__file__).parent / "results"


@click.command()
@click.option("--rounds", default=5, show_default=True, help="How often everything is measured.")
@click.option("--only", default="", help="A regular expression: lines 'workload, contender, legs' that match.")
@click.option("--quick", is_flag=True, help="One round over little data, to try things out.")
@click.option("--seed", type=int, help="Of the order; default: a new one, which is printed.")
@click.option("--minutes", default=15.0, show_default=True, help="No round begins that would end later.")
@click.option(
    "--into", type=click.Path(path_type=Path, file_okay=False), default=RESULTS, help="Where to keep results."
)
@click.option("--markdown", type=click.Path(path_type=Path, dir_okay=False), help="Also put the tables into this page.")
@click.option("--show", type=click.Path(path_type=Path, exists=True), help="Measure nothing, show this file's results.")
def main(
    rounds: int,
    only: str,
    quick: bool,
    seed: int | None,
    minutes: float,
    into: Path,
    markdown: Path | None,
    show: Path | None,
) -> None:
    """Measure, print tables, and keep all numbers."""
    console = Console(width=max(150, Console().width), highlight=False)
    if show is not None:
        results = report.read(show)
    else:
        results = _measure(console, 1 if quick else rounds, only, quick, seed, minutes)
        path = report.keep(results, into)
        console.print(f"All numbers: {path}")
    report.show(results, console)
    if markdown is not None:
        report.put_into(markdown, results)
    for failure in results.failures:
        console.print(f"[red]FAILED[/] {failure}")
    sys.exit(bool(results.failures))


def _measure(console: Console, rounds: int, only: str, quick: bool, seed: int | None, minutes: float) -> Results:
    pattern = re.compile(only)
    if pattern.search(KERNEL):
        rows.main()
    if pattern.search(rewriter.TITLE):
        rewriter.main()
    if pattern.search(mask_costs.TITLE):
        mask_costs.main(mask_costs.QUICK if quick else mask_costs.WHOLE)
    version, _ = choose(None, tls=True)

    def wants(workload: str, line: Line) -> bool:
        return pattern.search(f"{workload}, {line}") is not None

    def wanted(lines: Iterable[Line], chosen: Iterable[Workload]) -> list[Line]:
        return [line for line in lines if any(each.takes(line) and wants(each.name, line) for each in chosen)]

    plan = Plan(rounds, randbelow(10**6) if seed is None else seed, minutes, wants)
    with tempfile.TemporaryDirectory(prefix="hoopproxy-bench-") as directory, _progress(console) as say:
        results = Results(about(Path(directory), version))
        scale, wire_scale = (QUICK, wire_workloads.QUICK) if quick else (WHOLE, wire_workloads.WHOLE)
        done = []
        chosen, all_lines = workloads(scale), lines(version)
        idle = [line for line in all_lines if wants(IDLE, line)]
        if some := list(dict.fromkeys([*wanted(all_lines, chosen), *idle])):
            with Stage(Path(directory, "sql"), some, scale.people) as stage:
                hold_idle(stage, plan, scale.connections, say, results)
                fill_pools(stage)
                done.append(perform(stage, chosen, plan, say, results))
        chosen = wire_workloads.wire_workloads(wire_scale)
        if some := wanted((*ssh_lines(), *tcp_lines()), chosen):
            with Wires(Path(directory, "wires"), some, wire_scale.ssh_bytes) as wires:
                done.append(perform(wires, chosen, plan, say, results))
        web_scale = web_workloads.QUICK if quick else web_workloads.WHOLE
        chosen = web_workloads.web_workloads(web_scale)
        if some := wanted(web_lines(), chosen):
            Path(directory, "web").mkdir()
            with Web(Path(directory, "web"), some, web_scale.file_bytes) as web:
                done.append(perform(web, chosen, plan, say, results))
        results.about["order"] = f"seed {plan.seed}, {min(done, default=0)} of {rounds} rounds"
    return results


@contextmanager
def _progress(console: Console) -> Iterator[Callable[[str], None]]:
    """Shows what is going on: in one line of a terminal, or line by line in a log."""
    began_s = time.monotonic()
    if console.is_terminal:
        with console.status("starting everybody") as status:
            yield status.update
    else:
        yield lambda what: click.echo(f"{time.monotonic() - began_s:6.1f} s  {what}", err=True)


if __name__ == "__main__":
    files_max = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (files_max, files_max))  # a thousand connections, at both ends
    for end in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(end, lambda *_: sys.exit(1))  # as Ctrl-C: everybody who was started is ended
    main()
