"""`hoopproxy ca client`: the authority for clients: made once, certificates for hours, and what is revoked of them."""

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click
from cryptography import x509
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding

from hoopproxy.cli.answers import Mistake, Negative, json_option, print_json
from hoopproxy.cli.sessions import asked, control_options, moment
from hoopproxy.disk.authority import make_authority
from hoopproxy.disk.client_authority import ClientAuthority, NotSigned
from hoopproxy.errors import ConfigError

new_file = click.Path(dir_okay=False, path_type=Path)
old_file = click.Path(exists=True, dir_okay=False, path_type=Path)

_KINDS: dict[str, Callable[[str], x509.GeneralName]] = {
    "email": x509.RFC822Name,
    "uri": x509.UniformResourceIdentifier,
    "dns": x509.DNSName,
}


class Name(click.ParamType[x509.GeneralName]):
    """A name in a certificate, by its kind."""

    name = "name"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> x509.GeneralName:
        """@raise click.BadParameter"""
        kind, _, text = str(value).partition(":")
        if kind not in _KINDS or not text:
            self.fail(f"{value!r} is no name; wanted is email:…, uri:… or dns:….", param, ctx)
        try:
            return _KINDS[kind](text)
        except ValueError as why:
            self.fail(f"{value!r} can stand in no certificate ({why}).", param, ctx)


def authority_options(*, required: bool) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """The three files of the authority."""

    def options(command: Callable[..., None]) -> Callable[..., None]:
        for name, words in (
            ("passphrase", "The passphrase of the key."),
            ("key", "Its key, encrypted."),
            ("certificate", "The authority's certificate."),
        ):
            command = click.option(f"--{name}", type=old_file, required=required, help=words)(command)
        return command

    return options


@click.group()
def client() -> None:
    """The authority for clients: create, issue, revoke."""


@client.command()
@click.option("--certificate", type=new_file, required=True, help="The new certificate: client_ca of a [[listen]].")
@click.option("--key", type=new_file, required=True, help="Its new key, encrypted.")
@click.option("--passphrase", type=new_file, required=True, help="The new passphrase of the key.")
@click.option("--name", default="hoopproxy clients", show_default=True, help="What people see it called.")
@click.option(
    "--permit",
    "permitted",
    type=Name(),
    multiple=True,
    help="email:DOMAIN, uri:HOST or dns:DOMAIN; names of that kind can then be of these alone.",
)
@click.option("--days", type=click.IntRange(1, 7300), default=1825, show_default=True, help="How long it is valid.")
@json_option
def create(
    certificate: Path,
    key: Path,
    passphrase: Path,
    name: str,
    permitted: tuple[x509.GeneralName, ...],
    days: int,
    as_json: bool,
) -> None:
    """Make an authority for clients' certificates.

    Whoever has key and passphrase can be anybody whom a rule knows: keep these two from everybody.
    """
    constraints = x509.NameConstraints(list(permitted), None) if permitted else None
    try:
        made = make_authority(certificate, key, passphrase, name, days, constraints=constraints)
    except FileExistsError as why:
        raise Negative(f"{why.filename} exists already; an authority is never replaced.") from why
    except OSError as why:
        raise Negative(f"{why.filename}: {why.strerror}.") from why
    except ValueError as why:  # what a certificate can't hold
        raise Mistake(f"There can be no such authority: {why}.") from why
    if as_json:
        fingerprint = made.fingerprint(SHA256()).hex()
        print_json({"certificate": certificate, "key": key, "passphrase": passphrase, "sha256": fingerprint})
    else:
        click.echo(f"{certificate}\n{key}\n{passphrase}")


@client.command()
@click.argument("request", type=old_file)
@click.option("--san", required=True, help="Whom it is for: email:…, uri:… or dns:….")
@click.option("--group", "groups", multiple=True, help="A group, as an organizational unit (groups_from of a rule).")
@click.option("--hours", type=click.FloatRange(0, 24, min_open=True), default=8, show_default=True, help="Its life.")
@control_options
@click.option("--addon", default="", help="Which one, where a gateway has several that issue.")
@authority_options(required=False)
@json_option
def issue(
    request: Path,
    san: str,
    groups: tuple[str, ...],
    hours: float,
    config_file: Path,
    socket: Path | None,
    addon: str,
    certificate: Path | None,
    key: Path | None,
    passphrase: Path | None,
    as_json: bool,
) -> None:
    """Print a certificate for the key of a signing REQUEST (PEM), valid for hours.

    Make sure who asks: the certificate is whoever --san says. The running gateway issues it, and its log says so; with
    --certificate, --key and --passphrase it is issued here, where no gateway runs.

    A person makes a request, and keeps the key, with: openssl req -new -newkey ec -pkeyopt
    ec_paramgen_curve:P-256 -nodes -subj / -keyout ada.key -out ada.csr
    """
    if certificate and key and passphrase:
        made = _issued((certificate, key, passphrase), request, san, groups, hours)
    elif certificate or key or passphrase:
        raise Mistake("Wanted are --certificate, --key and --passphrase, or none of them.")
    else:
        text = request.read_text("ascii", "replace")
        made = asked(
            config_file,
            socket,
            "certificate-issue",
            request=text,
            san=san,
            groups=groups,
            lifetime_s=hours * 3600,
            addon=addon,
        )
    if as_json:
        print_json(made)
        return
    click.echo(f"Certificate {made['serial']} for {san} counts until {moment(made['not_after_s'])}.", err=True)
    click.echo(made["pem"], nl=False)


@client.command()
@click.argument("serials", metavar="[SERIAL]...", nargs=-1)
@authority_options(required=True)
@click.option("--list", "crl", type=new_file, required=True, help="The list (CRL): revoked of the addon's table.")
@click.option("--days", type=click.IntRange(1, 366), default=30, show_default=True, help="How long the list is valid.")
@json_option
def revoke(
    serials: tuple[str, ...], certificate: Path, key: Path, passphrase: Path, crl: Path, days: int, as_json: bool
) -> None:
    """Add certificates, by their serial numbers, to the list of those that are revoked; without any, only renew it.

    Gateways read it at once, and whoever is in by such a certificate is out. They let nobody in by a list that has
    ended: renew it in time.
    """
    try:
        numbers = [int(each, 16) for each in serials]
    except ValueError as why:
        raise Mistake(f"{' '.join(serials)}: wanted are serial numbers in hexadecimal.") from why
    try:
        count = ClientAuthority(certificate, key, passphrase).revoke(crl, numbers, days, datetime.now(UTC).timestamp())
    except ConfigError as why:
        raise Mistake(str(why)) from why
    except OSError as why:
        raise Negative(f"{why.filename}: {why.strerror}.") from why
    if as_json:
        print_json({"list": crl, "revoked": count})
    else:
        click.echo(f"{crl} lists {count} certificates.")


def _issued(
    files: tuple[Path, Path, Path],
    request: Path,
    san: str,
    groups: tuple[str, ...],
    hours: float,
) -> dict[str, Any]:
    """What the gateway would answer. @raise Mistake"""
    name = Name().convert(san, None, None)
    try:
        made = ClientAuthority(*files).sign(
            request.read_bytes(), name, groups, hours * 3600, datetime.now(UTC).timestamp()
        )
    except (ConfigError, NotSigned) as why:
        raise Mistake(str(why)) from why
    until_s = made.not_valid_after_utc.timestamp()
    pem = made.public_bytes(Encoding.PEM).decode()
    return {"serial": f"{made.serial_number:x}", "not_after_s": until_s, "pem": pem}
