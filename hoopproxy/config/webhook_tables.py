"""The `[[webhook]]` tables of hoopproxy.toml: who is told of steps on requests for access, and as whom we sign.

Knows neither what is told nor how.
"""

from ipaddress import ip_address
from pathlib import Path
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field

from hoopproxy.access.delivery import KINDS, USUAL, secret_of
from hoopproxy.config.document import Document
from hoopproxy.config.sentences import Form, shown
from hoopproxy.config.tables import Name, Table
from hoopproxy.settings import WebhookSettings


def _url(text: str) -> str:
    parts = urlsplit(text)
    host, _ = parts.hostname or "", parts.port  # which is checked as it is read
    is_whole = text.isascii() and text.isprintable() and " " not in text and "@" not in parts.netloc and "#" not in text
    if not is_whole or not host or not (parts.scheme == "https" or (parts.scheme == "http" and _is_here(host))):
        raise ValueError(text)
    return text


def _is_here(host: str) -> bool:
    return ip_address(host).is_loopback


def _event(text: str) -> str:
    if text not in KINDS:
        raise ValueError(text)
    return text


type Url = Annotated[
    str,
    Field(max_length=2000),
    AfterValidator(
        Form('an address with https:// such as "https://chat.example.com/hooks/7" (http:// for 127.0.0.1 alone)', _url)
    ),
]
type Event = Annotated[
    str, AfterValidator(Form("a kind of step: " + ", ".join(f'"{kind}"' for kind in sorted(KINDS)), _event))
]


class WebhookTable(Table):
    """`[[webhook]]`."""

    name: Name
    url: Url
    secret_file: Path
    events: frozenset[Event] = Field(USUAL, min_length=1)
    ca_file: Path | None = None
    tries_max: int = Field(15, ge=1, le=100)
    timeout_s: float = Field(10.0, ge=0.1, le=60)


def webhook(main: Document, place: str, table: WebhookTable, key: bytes, ca_file: str) -> WebhookSettings:
    """The webhook whose `secret_file` holds `key`. What is wrong with that is said."""
    secret = key
    try:
        secret = secret_of(key)
    except ValueError as why:
        main.say(
            f"{place}.secret_file is {shown(str(table.secret_file))}, and {why}; wanted are random bytes, or whsec_ "
            "and Base64 of 24 or more."
        )
    return WebhookSettings(
        name=table.name,
        url=table.url,
        secret=secret,
        events=table.events,
        ca_file=ca_file or None,
        tries_max=table.tries_max,
        timeout_s=table.timeout_s,
    )
