"""`hoopproxy logout`: tokens are forgotten, and the provider is told."""

import click

from hoopproxy.cli.answers import Negative
from hoopproxy.cli.login import gateway_option, issuer_option
from hoopproxy.cli.oauth import OAuth
from hoopproxy.cli.purse import opened
from hoopproxy.cli.sign_in import provider_of


@click.command()
@gateway_option
@issuer_option
def logout(gateway: str | None, issuer: str | None) -> None:
    """Forget what `hoopproxy login` keeps, and have the provider revoke it (RFC 7009).

    Of one gateway or issuer, or of the latest sign-in. A token that was printed already counts until it expires.
    """
    with opened(anew=True) as purse:
        name = issuer or gateway or str(purse.kept.get("latest", ""))
        kept = purse.find(name)
        if kept is None:
            raise Negative("You are not signed in; there is nothing to forget.")
        purse.drop(name)
    provider = provider_of(kept)
    if provider is not None and kept["refresh"]:
        try:
            OAuth(provider).revoke(kept["refresh"])
        except click.ClickException as why:
            raise Negative(f"Your tokens are forgotten here, but were not revoked: {why.message}") from why
    click.echo("You are signed out.", err=True)
