"""`hoopproxy kube-config`: what kubectl needs to reach a cluster through a gateway. Knows no gateway and asks none."""

import os
import re
import shlex
from base64 import b64encode
from io import StringIO
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import Any
from urllib.parse import urlsplit

import click
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from hoopproxy.cli.answers import Mistake

EXEC_VERSION = "client.authentication.k8s.io/v1"
"""How kubectl asks a program for a token (kubernetes.io, "client-go credential plugins")."""


class Gateway(click.ParamType[str]):
    """`https://HOST` or `https://HOST:PORT`."""

    name = "url"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """@raise click.BadParameter"""
        url = urlsplit(value)
        try:
            is_whole = url.scheme == "https" and bool(url.hostname) and url.port != 0 and "@" not in url.netloc
        except ValueError:
            is_whole = False
        if not is_whole or url.path not in ("", "/") or url.query or url.fragment:
            self.fail(f"{value!r} is no gateway; wanted is https://HOST:PORT.", param, ctx)
        return f"https://{url.netloc}"


@click.command()
@click.option("--gateway", type=Gateway(), required=True, help="Where the gateway listens for Kubernetes.")
@click.option(
    "--ca",
    "ca_file",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="The CA that the gateway's certificate comes from; without it, those that this machine trusts.",
)
@click.option("--cluster", required=True, help="The name of the cluster's target, and of the context.")
@click.option(
    "--token-file",
    type=click.Path(dir_okay=False, path_type=Path),
    help="A file with your token, which kubectl reads again and again.",
)
@click.option("--exec", "program", help="A command that prints an ExecCredential, such as your provider's.")
@click.option("--merge", is_flag=True, help="Write it into your own kubeconfig instead, and keep what else is there.")
def kube_config(
    gateway: str, ca_file: Path | None, cluster: str, token_file: Path | None, program: str | None, merge: bool
) -> None:
    """Print a kubeconfig with which kubectl reaches a cluster through the gateway.

    The gateway wants your token from its identity provider, in a file or from a program. With --merge it goes into the
    first file of $KUBECONFIG, or else into ~/.kube/config; the current context stays, if there is one.
    """
    if token_file is not None and program is not None:
        raise Mistake("Your token comes from --token-file or from --exec, not from both.")
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", cluster):
        raise Mistake(f"{cluster!r} is no name of a target.")
    entries = {
        "clusters": {"name": cluster, "cluster": _cluster(f"{gateway}/clusters/{cluster}", ca_file)},
        "users": {"name": f"{cluster}-hoopproxy", "user": _user(token_file, program)},
        "contexts": {"name": cluster, "context": {"cluster": cluster, "user": f"{cluster}-hoopproxy"}},
    }
    if merge:
        path = _own_file()
        _replace(path, _text(_merged(_read(path), entries, cluster)))
        click.echo(f"{path} has the context {cluster}; try: kubectl --context {cluster} get pods")
    else:
        click.echo(_text(_merged({}, entries, cluster)), nl=False)


def _cluster(server: str, ca_file: Path | None) -> dict[str, str]:
    if ca_file is None:
        return {"server": server}
    certificates = ca_file.read_bytes()
    if b"-----BEGIN CERTIFICATE-----" not in certificates:
        raise Mistake(f"{ca_file} holds no certificate in PEM.")
    return {"server": server, "certificate-authority-data": b64encode(certificates).decode()}


def _user(token_file: Path | None, program: str | None) -> dict[str, Any]:
    if token_file is not None:
        return {"tokenFile": str(token_file.absolute())}
    if program is None:
        return {}
    try:
        command, *arguments = shlex.split(program)
    except ValueError as why:
        raise Mistake(f"--exec names no command: {why}.") from why
    told = {"apiVersion": EXEC_VERSION, "command": command, "interactiveMode": "IfAvailable"}
    return {"exec": told | ({"args": arguments} if arguments else {})}


def _own_file() -> Path:
    first = next(filter(None, os.environ.get("KUBECONFIG", "").split(os.pathsep)), "")
    return Path(first) if first else Path.home() / ".kube" / "config"


def _read(path: Path) -> Any:
    """@raise Mistake: it is no kubeconfig, and stays as it is."""
    try:
        found = YAML().load(path.read_text())
    except FileNotFoundError:
        return {}
    except (OSError, UnicodeDecodeError, YAMLError) as why:
        raise Mistake(f"{path} can't be read as a kubeconfig: {why}") from why
    if found is None:
        return {}
    if not isinstance(found, dict) or found.get("kind", "Config") != "Config":
        raise Mistake(f"{path} is no kubeconfig.")
    return found


def _merged(config: Any, entries: dict[str, dict[str, Any]], cluster: str) -> Any:
    """`config`, with each entry in the place of the one of its name."""
    config.setdefault("apiVersion", "v1")
    config.setdefault("kind", "Config")
    for kind, entry in entries.items():
        listed = config.get(kind) or []
        if not isinstance(listed, list) or not all(isinstance(each, dict) for each in listed):
            raise Mistake(f"The {kind} of your kubeconfig are no list of entries.")
        places = [index for index, each in enumerate(listed) if each.get("name") == entry["name"]]
        if places:
            listed[places[0]] = entry
        else:
            listed.append(entry)
        config[kind] = listed
    if not config.get("current-context"):
        config["current-context"] = cluster
    return config


def _text(config: Any) -> str:
    yaml, text = YAML(), StringIO()
    yaml.width = 1 << 20  # a certificate stays on its line
    yaml.dump(config, text)
    return text.getvalue()


def _replace(path: Path, text: str) -> None:
    """All of it or nothing; for its owner alone, since others' tokens may stand in it."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    path = path.resolve()
    with NamedTemporaryFile("w", dir=path.parent, prefix=".kubeconfig-", delete=False) as file:
        try:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
            Path(file.name).replace(path)
        except BaseException:
            Path(file.name).unlink(missing_ok=True)
            raise
