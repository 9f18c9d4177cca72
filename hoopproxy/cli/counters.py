"""Where `hoopproxy access` and `hoopproxy approvals` ask: at a gateway's portal, or at its control socket.

The portal is reached from anywhere, the socket on the gateway's machine. Knows no verb.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import wraps
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import click

from hoopproxy.cli.answers import Mistake, Negative, config_option, json_option, printable
from hoopproxy.cli.login import ca_option, gateway_option, valid
from hoopproxy.cli.sessions import asked
from hoopproxy.cli.web import post_json

TOKEN_BYTES_MAX = 65536

OPERATORS = frozenset({"list", "show", "revoke", "suspend", "resume"})
"""Verbs that the gateway's operator may use without being anybody."""


def counter_options(command: Callable[..., None]) -> Callable[..., None]:
    """`--gateway` with `--ca`, or `--config` and `--socket`; `--token-file` for both."""
    options = (
        gateway_option,
        ca_option,
        click.option(
            "--token-file",
            type=click.Path(path_type=Path),
            help="The file with your token. Default, at a portal: what `hoopproxy login --gateway` keeps.",
        ),
        click.option(
            "--socket", type=click.Path(path_type=Path), help="The gateway's control socket, where no portal is named."
        ),
    )
    for option in reversed(options):
        command = option(command)
    return config_option(command)


@dataclass(frozen=True, slots=True)
class Counter:
    """One gateway, and who asks there."""

    config_file: Path
    socket: Path | None
    gateway: str | None
    token_file: Path | None
    ca_file: Path | None

    def asked(self, verb: str, **arguments: Any) -> dict[str, Any]:
        """What the gateway answers. @raise Negative, Unreachable, Mistake"""
        if self.gateway is None:
            if self.token_file is None and verb in OPERATORS:
                return asked(self.config_file, self.socket, f"access-{verb}", **arguments)
            return asked(self.config_file, self.socket, "access", verb=verb, token=self._token(), arguments=arguments)
        return self._at_portal(self.gateway, verb, arguments)

    def of_link(self, link: str) -> "Counter":
        """Where a link is decided: where it leads, when nothing else is said.

        Whoever has made it up gets nothing: to where it leads goes only the token of a sign-in at that very place.
        """
        if self.gateway or self.socket or self.token_file:
            return self
        return replace(self, gateway=f"https://{urlsplit(link).netloc}")

    def _at_portal(self, gateway: str, verb: str, arguments: dict[str, Any]) -> dict[str, Any]:
        if self.token_file:
            token, ca_file = self._token(), self.ca_file
        else:
            kept = valid(gateway)
            token, ca_file = kept["token"], self.ca_file or (Path(kept["ca_file"]) if kept.get("ca_file") else None)
        answer = post_json(f"{gateway}/api/{verb}", arguments, ca_file, token)
        if answer.status != 200:
            said = answer.document.get("error")
            raise Negative(
                printable(said)
                if isinstance(said, str)
                else f"{gateway} answers with {answer.status}: it is no portal."
            )
        return dict(answer.document)

    def _token(self) -> str:
        if self.token_file is None:
            raise Mistake(
                "Say who you are: --token-file names the file that holds your token; or --gateway names a portal at "
                "which you have signed in."
            )
        try:
            with self.token_file.open("rb") as file:
                return file.read(TOKEN_BYTES_MAX).decode("ascii").strip()
        except (OSError, ValueError) as why:
            raise Mistake(f"{self.token_file} can't be read as a token.") from why


def at_the_counter(command: Callable[..., None]) -> Callable[..., None]:
    """Gives the command a `counter`, and `as_json`."""

    @wraps(command)
    def asked(**options: Any) -> None:
        with_counter = {
            name: options.pop(name) for name in ("config_file", "socket", "gateway", "token_file", "ca_file")
        }
        command(counter=Counter(**with_counter), **options)

    return counter_options(json_option(asked))
