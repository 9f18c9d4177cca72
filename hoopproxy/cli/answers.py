"""How every verb answers: on a terminal, as JSON, and by exit code. Knows no verb.

Codes: 0 done or yes; 1 failed or no; 2 wrong usage or configuration; 3 no gateway answers.
"""

import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import IO, Any

import click
import orjson
from rich.console import Console
from rich.table import Table
from rich.text import Text


class Negative(click.ClickException):
    """It was not done, or the answer is no."""

    exit_code = 1

    def show(self, file: IO[Any] | None = None) -> None:
        """The sentences as they are, one a line."""
        click.echo(self.message, file=file or sys.stderr)


class Mistake(Negative):
    """What was asked makes no sense: usage or configuration must be mended."""

    exit_code = 2


class Unreachable(Negative):
    """No gateway answers."""

    exit_code = 3


json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON, for programs.")

config_option = click.option(
    "--config",
    "config_file",
    type=click.Path(path_type=Path),
    default="conf/hoopproxy.toml",
    envvar="HOOPPROXY_CONFIG",
    show_default=True,
    show_envvar=True,
    help="The gateway's configuration.",
)


def console() -> Console:
    """Where people read: coloured and as wide as their terminal, plain and as wide as it takes elsewhere."""
    is_terminal = sys.stdout.isatty()
    return Console(highlight=False, soft_wrap=not is_terminal, width=None if is_terminal else 10_000)


def print_json(value: object) -> None:
    """One line. What JSON has no word for goes as its text."""
    click.echo(orjson.dumps(value, default=str))


def print_table(titles: Sequence[str], rows: Iterable[Sequence[object]], nothing: str) -> None:
    """A table, or the sentence `nothing` when there are no rows."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    for title in titles:
        table.add_column(title, overflow="fold")
    for row in rows:
        # Text and no markup: what people typed must not colour an operator's terminal.
        table.add_row(*(Text(printable(str(cell))) for cell in row))
    console().print(table if table.row_count else nothing)


def print_fields(item: Mapping[str, object]) -> None:
    """One thing, a line for each of its fields."""
    table = Table(box=None, pad_edge=False, show_header=False)
    table.add_column(style="bold")
    table.add_column(overflow="fold")
    for name, value in item.items():
        table.add_row(name, Text(printable(str(value))))
    console().print(table)


def printable(text: str) -> str:
    """`text` without characters that move a terminal's cursor or start its commands; line ends and tabs stay."""
    return "".join(one if one.isprintable() or one in "\n\t" else f"\\x{ord(one):02x}" for one in text)
