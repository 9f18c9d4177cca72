"""`hoopproxy check`: would a gateway start with this configuration, and as what? Opens nothing."""

from datetime import UTC, datetime
from pathlib import Path

import click
from twisted.internet.task import Clock

from hoopproxy.cli.answers import Mistake, config_option, console, json_option, print_json
from hoopproxy.cli.configured import configuration
from hoopproxy.described import described, lines
from hoopproxy.errors import ConfigError
from hoopproxy.registry import build, spoken
from hoopproxy.scheduler import TwistedScheduler


@click.command()
@config_option
@json_option
def check(config_file: Path, as_json: bool) -> None:
    """Check the configuration and every addon; open nothing.

    Prints what would run: listeners, whom each role asks and in which order, targets, and the addons with their
    digests. Exits 2 and names every mistake when there is one.
    """
    config = configuration(config_file)
    try:
        clock = _stopped_clock()
        addons = build(config, TwistedScheduler(clock))
        spoken(config, clock, TwistedScheduler(clock))
    except ConfigError as why:
        raise Mistake(str(why)) from why
    if as_json:
        print_json(described(config, addons))
    else:
        for line in lines(config, addons):
            console().print(line, highlight=False, markup=False)


def _stopped_clock() -> Clock:
    """It shows the time by which addons judge their data's age, and nobody turns it: nothing here may wait."""
    clock = Clock()
    clock.advance(datetime.now(UTC).timestamp())
    return clock
