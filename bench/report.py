"""Keeps results in a file, and shows their tables on a terminal or in a Markdown page. Knows no measuring."""

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import orjson
from pydantic import TypeAdapter
from rich.console import Console
from rich.table import Table as RichTable

from bench.rounds import Results
from bench.tables import Table, tables

BEGIN, END = "<!-- bench -->\n", "<!-- /bench -->\n"
"""What `put_into` writes stands between these lines."""


def keep(results: Results, directory: Path) -> Path:
    """Write all numbers into a new file of `directory`; its path."""
    directory.mkdir(exist_ok=True)
    path = directory / f"{datetime.now(UTC):%Y-%m-%dT%H%M%SZ}.json"
    path.write_bytes(orjson.dumps(results, option=orjson.OPT_INDENT_2))
    return path


def read(path: Path) -> Results:
    """What `keep` wrote. @raise ValueError: something else is in it."""
    return TypeAdapter(Results).validate_json(path.read_bytes())


def show(results: Results, console: Console) -> None:
    """All tables, on a terminal."""
    for name, value in results.about.items():
        console.print(f"[bold]{name}[/]: {value}")
    for table in tables(results):
        shown = RichTable(title=table.title, title_justify="left", title_style="bold")
        for at, name in enumerate(table.header):
            shown.add_column(name, justify="left" if at < table.labels else "right", no_wrap=True)
        for section in table.sections:
            for row in section:
                shown.add_row(*row)
            shown.add_section()
        console.print(shown)


def put_into(page: Path, results: Results) -> None:
    """In place of what stands between the two marks. @raise ValueError: the page has no such marks."""
    before, begin, rest = page.read_text().partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"{page} has no lines {BEGIN.strip()} and {END.strip()}")
    page.write_text(before + begin + "\n".join(_markdown(results)) + "\n" + end + after)


def _markdown(results: Results) -> Iterator[str]:
    for name, value in results.about.items():
        yield f"- {name}: {value}"
    for table in tables(results):
        yield from ("", f"### {table.title}", "", _line(table.header), _line(_rule(table)))
        yield from (_line(row) for section in table.sections for row in section)


def _rule(table: Table) -> tuple[str, ...]:
    return tuple("---" if at < table.labels else "---:" for at in range(len(table.header)))


def _line(cells: tuple[str, ...]) -> str:
    return f"| {' | '.join(cells)} |"
