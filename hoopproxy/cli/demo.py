"""`hoopproxy demo`: the whole house on this machine, shown step by step."""

from pathlib import Path

import click

from hoopproxy.cli.answers import Mistake, Negative

PORT_BASE = 6432


@click.command()
@click.option("--once", is_flag=True, help="End after the tour; exit 1 if a stop did not show what it must.")
@click.option("--json", "as_json", is_flag=True, help="No tour: print one line of JSON when ready, and stay up.")
@click.option(
    "--state",
    "directory",
    type=click.Path(file_okay=False, path_type=Path),
    help="Keep everything in this new or empty directory. Default: a temporary one, removed at the end.",
)
@click.option(
    "--port-base",
    type=click.IntRange(0, 65531),
    default=PORT_BASE,
    show_default=True,
    help="The gateway's port for PostgreSQL; the next four: SSH, raw TCP, HTTP, Kubernetes. 0 takes any free ones.",
)
def demo(once: bool, as_json: bool, directory: Path | None, port_base: int) -> None:
    """Start a gateway, a real PostgreSQL, sshd and an identity provider on this machine, and show what they do.

    Two people ask the same question; each sees what the policy lets them see, from where they sit. Then a refused
    place, a forged token, a statement that would get around a mask, a session that is ended, its recording; the same
    over SSH, HTTP and Kubernetes, a protocol that nobody can parse, and the evidence, verified. Afterwards everything
    stays up until Ctrl-C.
    """
    if once and as_json:
        raise Mistake("--once ends after the tour, and --json gives none: take one of them.")
    try:
        from hoopproxy.demo.run import DemoFailed, run
    except ModuleNotFoundError as why:
        raise Negative(f"The demonstration needs {why.name}; install it: pip install 'hoopproxy[demo]'.") from why
    try:
        run(once=once, as_json=as_json, directory=directory, port=port_base)
    except DemoFailed as why:
        raise Negative(str(why)) from why
