"""`hoopproxy login`: a token for psql and the like, kept and refreshed. How one is got is in `sign_in`."""

from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import click

from hoopproxy.addons.jwks import is_safe
from hoopproxy.cli.answers import Mistake, Negative, json_option, print_json, printable
from hoopproxy.cli.oauth import Denied, OAuth, Provider, now_s
from hoopproxy.cli.purse import opened
from hoopproxy.cli.sign_in import Kept, at_gateway, at_provider, kept_of, provider_of

FRESH_S = 60.0
"""A token that counts for less is refreshed before it is printed: whoever uses it has to connect first."""


class Address(click.ParamType[str]):
    """`https://…`, without a slash at its end where `is_host`."""

    name = "url"

    def __init__(self, *, is_host: bool) -> None:
        self._is_host = is_host

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """@raise click.BadParameter"""
        url = str(value).rstrip("/") if self._is_host else str(value)
        if not is_safe(url) or "?" in url or "#" in url:
            self.fail(f"{value!r} is no address; wanted is one with https://.", param, ctx)
        return url


gateway_option = click.option(
    "--gateway", type=Address(is_host=True), envvar="HOOPPROXY_GATEWAY", help="The address of the gateway's portal."
)
issuer_option = click.option("--issuer", type=Address(is_host=False), help="The OpenID Connect provider.")
ca_option = click.option(
    "--ca",
    "ca_file",
    type=click.Path(exists=True, dir_okay=False, resolve_path=True, path_type=Path),
    help="Authorities (PEM) to trust besides those that this machine trusts.",
)


def _provider_options(command: Callable[..., Any]) -> Callable[..., Any]:
    for option in (
        click.option("--id-token", is_flag=True, help="Show the gateway the ID token instead of the access token."),
        click.option("--scope", default="openid offline_access", show_default=True, help="What to ask for."),
        click.option("--audience", default="", help="Whom the token is for, where the provider wants that."),
        click.option("--resource", default="", help="The same, by RFC 8707."),
        click.option("--client-id", help="What the provider calls this command: a public client."),
    ):
        command = option(command)
    return command


@click.command()
@gateway_option
@click.option("--with", "way", default="", help="The way of signing in, where the gateway knows several.")
@issuer_option
@_provider_options
@click.option("--device", is_flag=True, help="By a code that you type on another device (RFC 8628).")
@click.option("--no-browser", is_flag=True, help="Only print where to go.")
@ca_option
@click.option("--print", "is_print", is_flag=True, help="Print the token that is kept; a fresh one if need be.")
@json_option
def login(
    gateway: str | None,
    way: str,
    issuer: str | None,
    client_id: str | None,
    resource: str,
    audience: str,
    scope: str,
    id_token: bool,
    device: bool,
    no_browser: bool,
    ca_file: Path | None,
    is_print: bool,
    as_json: bool,
) -> None:
    """Sign in at a gateway or an identity provider, and keep the token for psql and the like.

    \b
      hoopproxy login --gateway https://gw.example.com
      PGPASSWORD="$(hoopproxy login --print)" psql "host=gw.example.com dbname=ledger user=readonly"

    Tokens are kept encrypted. `hoopproxy logout` forgets and revokes them.
    """
    if is_print:
        kept = valid(issuer or gateway or "")
        if as_json:
            print_json({"token": kept["token"], "until_s": kept["until_s"]})
        else:
            click.echo(kept["token"])
        return
    if gateway is not None and issuer is None:
        kept = at_gateway(gateway, way, ca_file, is_device=device, is_opened=not no_browser)
    elif issuer is not None and client_id is not None:
        shows = "id_token" if id_token else "access_token"
        provider = Provider(issuer, client_id, scope, resource, audience, shows, ca_file)
        kept = at_provider(provider, is_device=device, is_opened=not no_browser)
    else:
        raise Mistake("Wanted is --gateway, or --issuer and --client-id.")
    name = issuer or gateway or ""
    with opened(anew=True) as purse:
        purse.put(name, {**kept, "ca_file": str(ca_file) if ca_file else None})
    if as_json:
        print_json({"signed_in": name, "until_s": kept["until_s"]})
    else:
        who = f" as {printable(kept['name'])}" if kept.get("name") else ""
        until = datetime.fromtimestamp(kept["until_s"]).strftime("%H:%M")
        renewed = ", and are given fresh tokens after that" if kept["refresh"] else ""
        click.echo(f"You are signed in{who} until {until}{renewed}.", err=True)


def valid(name: str = "") -> Kept:
    """What is kept of the sign-in at that gateway or issuer, or of the latest, with a token that counts.

    @raise Negative: sign in again.
    """
    with opened() as purse:
        found = purse.find(name)
        if found is None:
            raise Negative("You are not signed in; run `hoopproxy login`.")
        kept = dict(found)
        if kept["until_s"] - FRESH_S > now_s():
            return kept
        provider = provider_of(kept)
        if provider is not None and kept["refresh"]:
            kept |= _fresh(provider, kept["refresh"])
            purse.put(name or str(purse.kept["latest"]), kept)
        if kept["until_s"] <= now_s():
            raise Negative("Your sign-in has expired; run `hoopproxy login` again.")
        return kept


def _fresh(provider: Provider, refresh: str) -> Kept:
    try:
        return kept_of(provider, OAuth(provider).by_refresh(refresh))
    except Denied as why:
        raise Negative(f"Your sign-in has ended; run `hoopproxy login` again. ({why.message})") from why
