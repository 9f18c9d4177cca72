"""`hoopproxy token`: a token of a small identity provider of one's own, for trying things out."""

import re
from pathlib import Path
from typing import Any

import click

from hoopproxy.cli.answers import Mistake, json_option, print_json
from hoopproxy.testing.issuer import Issuer
from hoopproxy.testing.three_files import ISSUER_URL

UNITS_S = {"s": 1, "m": 60, "h": 3600, "d": 86400}
LIFETIME_D_MAX = 365


class Lifetime(click.ParamType[float]):
    """A whole number with its unit, in seconds: 90s, 30m, 8h, 7d."""

    name = "lifetime"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """@raise click.BadParameter"""
        if isinstance(value, float):
            return value
        if (found := re.fullmatch(r"([1-9][0-9]{0,7})([smhd])", value)) is None:
            self.fail(f"{value!r} is no time; wanted is a number with s, m, h or d, such as 8h.", param, ctx)
        seconds = int(found[1]) * UNITS_S[found[2]]
        if seconds > LIFETIME_D_MAX * UNITS_S["d"]:
            self.fail(f"{value!r} is too long; wanted are up to {LIFETIME_D_MAX}d.", param, ctx)
        return float(seconds)


@click.command()
@click.argument("subject")
@click.option("--group", "groups", multiple=True, help="A group that the person is in; as often as you like.")
@click.option("--audience", default="hoopproxy", show_default=True, help="Whom the token is for.")
@click.option("--lifetime", type=Lifetime(), default="8h", show_default=True, help="How long it counts.")
@click.option(
    "--state",
    "directory",
    type=click.Path(file_okay=False, path_type=Path),
    required=True,
    help="The directory of the issuer's keys; made with new ones when there are none.",
)
@click.option("--issuer", "url", default=ISSUER_URL, show_default=True, help="What the issuer calls itself.")
@json_option
def token(
    subject: str, groups: tuple[str, ...], audience: str, lifetime: float, directory: Path, url: str, as_json: bool
) -> None:
    """Print a token for SUBJECT, signed by a development issuer.

    A gateway believes it when an addon `oidc` has the issuer's name and, as jwks_file, DIR/jwks.json. Whoever can read
    DIR can be anybody: this has no place in production.
    """
    try:
        issuer = Issuer(directory, url)
        text = issuer.issue(subject, groups, audience, lifetime)
    except OSError as why:
        raise Mistake(f"The issuer's keys can't be kept in {directory}: {why.strerror}.") from why
    except (ValueError, TypeError, KeyError) as why:  # whatever else a file may hold
        raise Mistake(f"{directory / 'keys.json'} holds no keys of an issuer; name another directory.") from why
    if as_json:
        print_json({"token": text, "issuer": url, "jwks_file": issuer.jwks_file.absolute(), "lifetime_s": lifetime})
    else:
        click.echo(text)
