"""`python -m hoopproxy.testing.simulation`: many seeds, or one again, line by line."""

import click

from hoopproxy.testing.simulation.run import Found, simulate


@click.command()
@click.option("--seeds", default=1000, show_default=True, help="How many, from --first on.")
@click.option("--first", default=0, show_default=True, help="The first of them.")
@click.option("--seed", type=int, help="This one alone, with its whole trace.")
def main(seeds: int, first: int, seed: int | None) -> None:
    """Play seeds, and end with 1 when something was wrong in one."""
    if seed is not None:
        _play(range(seed, seed + 1), trace=True)
    else:
        _play(range(first, first + seeds), trace=False)


def _play(seeds: range, *, trace: bool) -> None:
    found, connections, events = 0, 0, 0
    for seed in seeds:
        try:
            story = simulate(seed, everything=click.echo if trace else None)
        except Found as why:
            found += 1
            click.echo(f"{why}\n")
        else:
            connections, events = connections + story.connections, events + story.events
            if trace:
                click.echo(f"\ndigest {story.digest}")
    click.echo(f"{len(seeds)} seeds, {connections} connections, {events} events: {found or 'none'} wrong")
    raise SystemExit(found > 0)


main()
