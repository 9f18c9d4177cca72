"""As much of psql as the demonstration needs, for machines without it: `python -m hoopproxy.demo.psql DSN -c SQL …`.

Prints results, errors and notices about as psql does. Knows nothing of the gateway.
"""

import sys

import click
import psycopg


def main(words: list[str]) -> int:
    """Run each statement; the exit code: 2 when no connection came about or it was lost, 1 when a statement failed."""
    dsn, failed = words[0], False
    try:
        with psycopg.connect(dsn, autocommit=True) as connection:
            for statement in words[2::2]:
                try:
                    _show(connection.execute(statement))
                except psycopg.Error as why:
                    click.echo(f"{why.diag.severity or 'ERROR'}:  {str(why).splitlines()[0]}", err=True)
                    failed = True
                    if connection.closed:
                        return 2
    except psycopg.OperationalError as why:
        click.echo(f"psql: error: {why}", err=True)
        return 2
    return int(failed)


def _show(cursor: psycopg.Cursor) -> None:
    if cursor.description is None:
        click.echo(cursor.statusmessage)
        return
    titles = [column.name for column in cursor.description]
    rows = [["" if cell is None else str(cell) for cell in row] for row in cursor]
    widths = [max(map(len, column)) for column in zip(titles, *rows, strict=True)]
    click.echo("|".join(f" {title:^{width}} " for title, width in zip(titles, widths, strict=True)))
    click.echo("+".join("-" * (width + 2) for width in widths))
    for row in rows:
        click.echo("|".join(f" {cell:{width}} " for cell, width in zip(row, widths, strict=True)))
    click.echo(f"({len(rows)} row{'s' * (len(rows) != 1)})\n")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
