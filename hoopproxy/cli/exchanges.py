"""HTTP exchanges in words for people: what was asked of whom, what came of it, and whose bodies are texts.

Knows the lines of recordings; what it says is not yet fit for a terminal (`answers.printable`).
"""

from base64 import b64decode
from collections.abc import Iterable, Mapping
from http import HTTPStatus
from typing import Any

type Line = Mapping[str, Any]

BODIES = ("request", "response")
"""The streams that are bodies."""

_TEXTS = ("text/", "json", "xml", "yaml", "javascript", "x-www-form-urlencoded")

MESSAGE_CHARS_MAX = 4096
"""Of a longer WebSocket message the rest is left out here; the HAR has all that was kept."""


def asked_for(line: Line) -> str:
    """Of an `asked` line: `to crm.example.com, HTTP/1.1`, or what it means to a cluster."""
    http = line["http"]
    told = f"to {http['authority']}, {http['version']}"
    if (kubernetes := line.get("kubernetes")) is None:
        return told
    return f"{told}: {_meaning(kubernetes)}"


def answer(line: Line) -> tuple[str, str]:
    """Of an `answered` line: the status, and what comes with it."""
    try:
        phrase = HTTPStatus(line["status"]).phrase
    except ValueError:
        phrase = ""
    return str(line["status"]), " ".join(filter(None, (phrase, _value(line["headers"], "content-type"))))


def is_text(headers: Iterable[Mapping[str, Any]]) -> bool:
    """Whether a body under these header fields can be read as it is."""
    kept = tuple(headers)
    media_type = _value(kept, "content-type").lower()
    is_plain = _value(kept, "content-encoding").lower() in ("", "identity")
    return is_plain and any(each in media_type for each in _TEXTS)


def message(line: Line) -> str:
    """Of a `message` line: who sent it, and its text."""
    head = f"#{line['statement']} {line['side']} sent {line['bytes']} bytes"
    if "raw" not in line:
        return f"{head} (sealed)"
    if not line["is_text"]:
        return f"{head} (binary)"
    return f"{head}: {b64decode(line['raw']).decode(errors='replace')[:MESSAGE_CHARS_MAX]}"


def _meaning(kubernetes: Mapping[str, Any]) -> str:
    """`get secrets/tls in shop`, `create pods/web/exec in shop`; `get a path` for what is no resource."""
    if not kubernetes["resource"]:
        return f"{kubernetes['verb']} a path"
    group = f".{kubernetes['group']}" if kubernetes["group"] else ""
    what = "/".join(filter(None, (kubernetes["resource"] + group, kubernetes.get("name"), kubernetes["subresource"])))
    where = f" in {kubernetes['namespace']}" if kubernetes["namespace"] else ""
    return f"{kubernetes['verb']} {what}{where}"


def _value(headers: Iterable[Mapping[str, Any]], name: str) -> str:
    return next((str(each.get("value", "")) for each in headers if each["name"].lower() == name), "")
