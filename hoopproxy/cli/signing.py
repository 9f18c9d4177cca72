"""`hoopproxy policy keygen` and `sign`: a key for whoever stands for a policy, and their signature under one.

Works on files alone, on whichever machine the key is. Knows no gateway.
"""

import os
from pathlib import Path

import click
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    KeySerializationEncryption,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)

from hoopproxy.access.bundle import Bundle, BundleRefused, Revision, sha256_of, text_of
from hoopproxy.cli.answers import Mistake, Negative, json_option, print_json
from hoopproxy.cli.new_files import write_new
from hoopproxy.disk.policies import read


@click.command()
@click.argument("name", metavar="FILE", type=click.Path(path_type=Path))
@click.option("--no-passphrase", is_flag=True, help="Do not encrypt the private key: it is protected otherwise.")
@json_option
def keygen(name: Path, no_passphrase: bool, as_json: bool) -> None:
    """Make a signer's key: FILE.key, which stays with the signer, and FILE.pub for [policy] of hoopproxy.toml."""
    encryption: KeySerializationEncryption = NoEncryption()
    if not no_passphrase:
        passphrase = click.prompt("Passphrase", hide_input=True, confirmation_prompt=True, err=True)
        encryption = BestAvailableEncryption(passphrase.encode())
    key = Ed25519PrivateKey.generate()
    private, public = name.with_name(f"{name.name}.key"), name.with_name(f"{name.name}.pub")
    write_new(private, [key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, encryption)])
    write_new(public, [key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)])
    print_json([str(private), str(public)]) if as_json else click.echo(f"{private}\n{public}")


@click.command()
@click.argument("policy", metavar="POLICY", type=click.Path(path_type=Path))
@click.option("--key", "key_file", type=click.Path(path_type=Path), required=True, help="The signer's private key.")
@click.option("--as", "name", required=True, help="The signer's name in [policy] of hoopproxy.toml.")
@click.option(
    "--bundle",
    "bundle_file",
    type=click.Path(path_type=Path),
    help="The bundle to write; one of this text gets one more signature, one of an older revision is followed. "
    "[default: POLICY with .bundle in place of .toml]",
)
@click.option(
    "--previous",
    type=click.Path(path_type=Path),
    help="The policy that it follows, a text or a bundle, where --bundle does not hold it.",
)
@json_option
def sign(
    policy: Path, key_file: Path, name: str, bundle_file: Path | None, previous: Path | None, as_json: bool
) -> None:
    """Sign POLICY, the text of a policy with its `revision` at the top, into a bundle (DSSE, Ed25519).

    What is signed is the text to the byte, its revision, and which text it follows. Look at it first: `policy plan`.
    """
    bundle_file = bundle_file or policy.with_suffix(".bundle")
    try:
        text = read(policy).decode()
        bundle = _begun(text, bundle_file, previous).signed(name, _key(key_file))
    except (BundleRefused, UnicodeDecodeError) as why:
        raise Mistake(f"{policy}: {why}") from why
    except OSError as why:
        raise Mistake(f"{why.filename}: {why.strerror}.") from why
    _write(bundle_file, bundle.written())
    revision = bundle.revision
    if as_json:
        signers = sorted(bundle.signatures)
        print_json({"bundle": bundle_file, "revision": revision.number, "sha256": revision.sha256, "signers": signers})
    else:
        click.echo(
            f"{bundle_file}: revision {revision.number}, sha256 {revision.sha256[:16]}…, signed by "
            f"{', '.join(sorted(bundle.signatures))}"
        )


def _begun(text: str, bundle_file: Path, previous: Path | None) -> Bundle:
    """The bundle to sign: the one that others have signed, or a new one that follows it. @raise BundleRefused"""
    if previous is not None:
        return Bundle(Revision.of(text, sha256_of(text_of(read(previous)))), {})
    if not bundle_file.exists():
        return Bundle(Revision.of(text, ""), {})
    found = Bundle.read(read(bundle_file))
    if found.revision.text == text:
        return found
    revision = Revision.of(text, found.revision.sha256)
    if revision.number <= found.revision.number:
        raise BundleRefused(
            f"{bundle_file} holds another text with revision {found.revision.number}; give this one a higher number."
        )
    return Bundle(revision, {})


def _key(path: Path) -> Ed25519PrivateKey:
    """@raise Mistake: it is no such key, or its passphrase is another. @raise OSError"""
    pem = read(path)
    try:
        try:
            key = load_pem_private_key(pem, None)
        except TypeError:
            key = load_pem_private_key(pem, click.prompt("Passphrase", hide_input=True, err=True).encode())
    except ValueError as why:
        raise Mistake(f"{path} holds no private key in PEM, or its passphrase is another.") from why
    if not isinstance(key, Ed25519PrivateKey):
        raise Mistake(f"{path} holds a key of another kind; wanted is Ed25519 (hoopproxy policy keygen).")
    return key


def _write(path: Path, data: bytes) -> None:
    """In place of what was there, or not at all. @raise Negative"""
    beside = path.with_name(f"{path.name}.next")
    try:
        beside.write_bytes(data)
        os.replace(beside, path)
    except OSError as why:
        raise Negative(f"{path}: {why.strerror}.") from why
