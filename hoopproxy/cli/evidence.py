"""`hoopproxy evidence`: keys for recordings, the log's head, an auditor's bundle, and whether one is sound."""

import re
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from hoopproxy.cli.answers import (
    Mistake,
    Negative,
    config_option,
    console,
    json_option,
    print_json,
    printable,
)
from hoopproxy.cli.configured import configuration, log_directory, recordings_directory
from hoopproxy.cli.sessions import asked, control_options
from hoopproxy.disk import bundles
from hoopproxy.disk.keys import make_keys
from hoopproxy.evidence.bundle import Report
from hoopproxy.evidence.chain import ChainBroken


class HeadText(click.ParamType[tuple[int, str]]):
    """A head as `evidence export` and `evidence head` print it: SIZE:SHA256."""

    name = "SIZE:SHA256"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[int, str]:
        """@raise click.BadParameter"""
        if (found := re.fullmatch(r"([0-9]{1,18}):([0-9a-f]{64})", value)) is None:
            self.fail(f"{value!r} is no head; wanted is SIZE:SHA256 as `evidence head` prints it.", param, ctx)
        return int(found[1]), found[2]


@click.group()
def evidence() -> None:
    """Evidence: keys, the log's head, export, verify."""


@evidence.command()
@click.argument("directory", metavar="DIR", type=click.Path(file_okay=False, path_type=Path))
@json_option
def keygen(directory: Path, as_json: bool) -> None:
    """Make the two key pairs of recordings in DIR.

    The gateway gets zone.pub and sealed.pub. zone.key belongs to the reviewers of the zone, sealed.key to somebody
    else; neither stays on a machine of the gateway.
    """
    try:
        made = make_keys(directory)
    except FileExistsError as why:
        raise Negative(f"{why.filename} exists already; a key is never replaced.") from why
    except OSError as why:
        raise Negative(f"{why.filename or directory}: {why.strerror}.") from why
    if as_json:
        print_json([str(path) for path in made])
    else:
        click.echo("\n".join(map(str, made)))


@evidence.command()
@control_options
@json_option
def head(config_file: Path, socket: Path | None, as_json: bool) -> None:
    """Print the log's head, SIZE:SHA256, as the running gateway has it.

    Keep it outside, with an auditor or on paper: `evidence verify --head` then proves that nothing up to it was
    changed or cut off. Without a gateway, `evidence export` prints it too.
    """
    answer = asked(config_file, socket, "head")
    print_json(answer) if as_json else click.echo(f"{answer['size']}:{answer['sha256']}")


@evidence.command()
@config_option
@click.option("--all", "everything", is_flag=True, help="The whole log and all recordings.")
@click.option("--output", type=click.Path(path_type=Path), required=True, help="The new zip file.")
@json_option
def export(config_file: Path, everything: bool, output: Path, as_json: bool) -> None:
    """Write the log and the recordings, as they are stored, into one zip, and print the log's head.

    The gateway may be running. No key is needed: recordings stay sealed.
    """
    if not everything:
        raise Mistake("Say what to export: --all.")
    config = configuration(config_file)
    try:
        found = bundles.export(log_directory(config), recordings_directory(config), output)
    except FileExistsError as why:
        raise Negative(f"{output} exists already; evidence never replaces a file.") from why
    except ChainBroken as why:
        raise Negative(str(why)) from why
    except OSError as why:
        raise Negative(f"{why.filename or output}: {why.strerror}.") from why
    if as_json:
        print_json({"output": output.absolute(), "size": found.size, "sha256": found.sha256})
    else:
        click.echo(f"{found.size}:{found.sha256}")


@evidence.command()
@click.argument("bundle", metavar="FILE", type=click.Path(path_type=Path))
@click.option("--head", "kept", type=HeadText(), help="The head that was kept outside.")
@json_option
def verify(bundle: Path, kept: tuple[int, str] | None, as_json: bool) -> None:
    """Verify an exported bundle, without a gateway and without a key; exits 1 and names what is wrong.

    Without --head nobody can tell whether the log was cut off at its end.
    """
    try:
        report = bundles.verify(bundle, kept)
    except OSError as why:
        raise Mistake(f"{bundle}: {why.strerror}.") from why
    if as_json:
        told = asdict(report) | {"head": f"{report.head.size}:{report.head.sha256}", "sound": report.is_sound}
        print_json(told)
    else:
        _show(report)
    if not report.is_sound:
        raise SystemExit(Negative.exit_code)


def _show(report: Report) -> None:
    out = console()
    for problem in report.problems:
        out.print("[bold red]wrong[/]", printable(problem).replace("[", r"\["))
    for note in report.notes:
        out.print("[yellow]note[/] ", printable(note).replace("[", r"\["))
    verdict = "[bold green]sound[/]" if report.is_sound else "[bold red]not sound[/]"
    out.print(
        f"{verdict} {report.head.size} entries: {report.permitted} permitted, {report.denied} denied, "
        f"{report.ended} ended; {report.recordings} recordings, {report.unfinished} of them unfinished"
    )
    out.print(f"head  {report.head.size}:{report.head.sha256}")
