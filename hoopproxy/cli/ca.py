"""`hoopproxy ca`: the gateway's own certificate authority: made once, and its certificate for those who trust it."""

from pathlib import Path
from typing import Any

import click
from cryptography import x509
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding

from hoopproxy.cli.answers import Mistake, Negative, config_option, json_option, print_json
from hoopproxy.cli.ca_client import client, new_file
from hoopproxy.cli.configured import configuration
from hoopproxy.disk.authority import make_authority
from hoopproxy.residency.addresses import parse_host


class Domain(click.ParamType[str]):
    """A domain name, in lower case."""

    name = "domain"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """@raise click.BadParameter"""
        try:
            host = parse_host(str(value))
        except ValueError as why:
            self.fail(str(why), param, ctx)
        if not isinstance(host, str):
            self.fail(f"{value!r} is an address; wanted is a domain such as example.com.", param, ctx)
        return host


@click.group()
def ca() -> None:
    """The gateway's certificate authorities: create, export, and client, the one for clients."""


@ca.command()
@click.option("--certificate", type=new_file, required=True, help="The new certificate; clients trust it.")
@click.option("--key", type=new_file, required=True, help="Its new key, encrypted.")
@click.option("--passphrase", type=new_file, required=True, help="The new passphrase of the key.")
@click.option("--name", default="hoopproxy gateway", show_default=True, help="What people see it called.")
@click.option(
    "--permit", "permitted", type=Domain(), multiple=True, help="A domain; it then vouches for hosts in these alone."
)
@click.option("--days", type=click.IntRange(1, 7300), default=1825, show_default=True, help="How long it is valid.")
@json_option
def create(
    certificate: Path, key: Path, passphrase: Path, name: str, permitted: tuple[str, ...], days: int, as_json: bool
) -> None:
    """Make a certificate authority for this gateway.

    Its files are authority, authority_key and authority_passphrase_file of a [[listen]]. Clients that trust the
    certificate believe whoever has key and passphrase: keep these two from everybody, and name with --permit the
    domains that it is for.
    """
    try:
        made = make_authority(certificate, key, passphrase, name, days, permitted)
    except FileExistsError as why:
        raise Negative(f"{why.filename} exists already; an authority is never replaced.") from why
    except OSError as why:
        raise Negative(f"{why.filename}: {why.strerror}.") from why
    except ValueError as why:  # what a certificate can't hold
        raise Mistake(f"There can be no such authority: {why}.") from why
    if as_json:
        print_json({"certificate": certificate, "key": key, "passphrase": passphrase, "sha256": _fingerprint(made)})
    else:
        click.echo(f"{certificate}\n{key}\n{passphrase}")


@ca.command()
@config_option
@json_option
def export(config_file: Path, as_json: bool) -> None:
    """Print the certificates that clients of the gateway's listeners are to trust, in PEM."""
    found: dict[x509.Certificate, list[str]] = {}
    config = configuration(config_file)
    for listener in config.listeners:
        if listener.authority_file:
            found.setdefault(_root(listener.name, Path(listener.authority_file)), []).append(listener.name)
    if not found:
        raise Negative(f"{config.path.name}: no [[listen]] has an authority.")
    if as_json:
        print_json(
            [{"listeners": names, "sha256": _fingerprint(each), "pem": _pem(each)} for each, names in found.items()]
        )
    else:
        click.echo("".join(map(_pem, found)), nl=False)


ca.add_command(client)


def _root(listener: str, file: Path) -> x509.Certificate:
    """The last of the file, which is the one that clients trust."""
    try:
        return x509.load_pem_x509_certificates(file.read_bytes())[-1]
    except (OSError, ValueError) as why:
        raise Mistake(f"listen.{listener}.authority: {file} can't be used ({why}); wanted is a certificate.") from why


def _fingerprint(certificate: x509.Certificate) -> str:
    return certificate.fingerprint(SHA256()).hex()


def _pem(certificate: x509.Certificate) -> str:
    return certificate.public_bytes(Encoding.PEM).decode()
