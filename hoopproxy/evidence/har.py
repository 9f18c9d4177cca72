"""HTTP exchanges of a recording as HAR, derived from its lines: what browsers' tools and many viewers open.

Pure, and the same entries for the same lines, always. Format: HAR 1.2 (softwareishard.com/blog/har-12-spec), and what
Chromium adds for WebSocket; fields of our own begin with "_". Knows neither files nor keys: what could not be opened,
or was not kept, is not in the lines, and a comment says so.
"""

from base64 import b64decode, b64encode
from codecs import getincrementaldecoder
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime
from http import HTTPStatus
from string import punctuation
from typing import Any
from urllib.parse import parse_qsl, quote

from hoopproxy.model import Side

type Line = Mapping[str, Any]
type Item = dict[str, Any]

UNKNOWN_TYPE = "x-unknown"
"""What browsers write where nobody said what a body is."""

REFUSED = 403
"""The status of a request that never went to its target (RFC 9110 §15.5.4)."""

_UTF8 = getincrementaldecoder("utf-8")


def document(entries: Iterable[Item], version: str) -> Item:
    """The whole file: entries in the order in which they began. `version` is that of the program that writes it."""
    ordered = sorted(entries, key=lambda entry: str(entry["startedDateTime"]))
    return {"log": {"version": "1.2", "creator": {"name": "hoopproxy", "version": version}, "entries": ordered}}


def entries(lines: Iterable[Line], session_id: str, connection_id: str) -> Iterator[Item]:
    """An entry for each request of one connection, refused ones, too."""
    opened: Line = {}
    exchanges: dict[int, _Exchange] = {}
    for line in lines:
        match line["event"]:
            case "opened":
                opened = line
            case "asked" | "rejected" if "http" in line:
                exchanges[line["statement"]] = _Exchange(line)
            case "closed" | "cut":
                for each in exchanges.values():
                    each.breaks_off(line)
            case _ if (exchange := exchanges.get(line.get("statement", 0))) is not None:
                exchange.goes_on(line)
    for each in exchanges.values():
        yield each.entry(opened) | {"connection": connection_id, "_session": session_id}


class _Body:
    """What the lines tell of one direction's body."""

    def __init__(self) -> None:
        self._pieces: list[bytes] = []
        self._sum: Line | None = None
        self._is_sealed = False

    def goes_on(self, line: Line) -> None:
        if line["event"] == "stream-ended":
            self._sum = line
        elif "raw" in line:
            self._pieces.append(b64decode(line["raw"]))
        else:
            self._is_sealed = True

    @property
    def size(self) -> int:
        """In bytes; -1 when nobody knows."""
        if self._sum is not None:
            return int(self._sum["bytes"])
        return -1 if self._is_sealed else sum(map(len, self._pieces))

    def text(self) -> Item:
        """What was kept of it, as the format writes it; nothing where nothing was."""
        kept = b"".join(self._pieces)
        is_cut = self._sum is None or bool(self._sum["dropped"])
        told = _text(kept, is_cut=is_cut) if kept else {}
        if self._sum is not None and "sha256" in self._sum:
            told["_sha256"] = self._sum["sha256"]
        if self._sum is not None and self._sum["dropped"]:
            told["comment"] = _lost(self._sum, "it")
        return told

    @property
    def has_text(self) -> bool:
        return bool(self._pieces)


class _Exchange:
    """One request and what became of it, in the making."""

    def __init__(self, asked: Line) -> None:
        self._asked = asked
        self._began_ms = self._sent_ms = self._ended_ms = int(asked["at_ms"])
        self._answered_ms: int | None = None
        self._answered: Line | None = None
        self._bodies = {"request": _Body(), "response": _Body()}
        self._messages: list[Item] = []
        self._more: Item = {}
        self._comments: list[str] = []
        self._is_over = asked["event"] == "rejected"
        self._has_film = False
        if self._is_over:
            self._comments.append(asked["sentence"] or "The gateway refused this request.")

    def goes_on(self, line: Line) -> None:
        """Its next line."""
        self._ended_ms = max(self._ended_ms, int(line["at_ms"]))  # a clock that was set back stands still
        match line:
            case {"event": "answered"}:
                self._answered, self._answered_ms = line, self._ended_ms
            case {"event": "streamed" | "stream-ended", "stream": "request" | "response" as stream}:
                self._bodies[stream].goes_on(line)
                if line["event"] == "streamed" and stream == "request" and self._answered is None:
                    self._sent_ms = self._ended_ms
            case {"event": "streamed"}:
                self._has_film = True
            case {"event": "stream-ended", "dropped": dropped} if dropped:
                self._comments.append(_lost(line, line["stream"]))
            case {"event": "message"}:
                self._messages.append(_message(line))
            case {"event": "rows"}:
                self._more["_values"] = self._more.get("_values", 0) + line["row_count"]
                self._more["_values_masked"] = self._more.get("_values_masked", 0) + line["cells_masked"]
            case {"event": "completed", "tag": tag}:
                self._more["_completed"], self._is_over = tag, True
            case {"event": "faulted"}:
                self._more["_error"], self._is_over = f"{line['code']} {line['text']}".strip(), True

    def breaks_off(self, line: Line) -> None:
        """The recording ends, in peace or not."""
        if not self._is_over:
            self._ended_ms = max(self._ended_ms, int(line.get("at_ms", 0)))
            self._comments.append(line.get("sentence") or "The connection ended before this exchange did.")

    def entry(self, opened: Line) -> Item:
        """All of it."""
        sent_ms = min(self._sent_ms, self._ended_ms)
        answered_ms = self._ended_ms if self._answered_ms is None else self._answered_ms
        told: Item = {
            "startedDateTime": _at(self._began_ms),
            "time": self._ended_ms - self._began_ms,
            "request": self._request(opened),
            "response": self._response(),
            "cache": {},
            "timings": {
                "send": sent_ms - self._began_ms,
                "wait": answered_ms - sent_ms,
                "receive": self._ended_ms - answered_ms,
            },
            "serverIPAddress": str(opened.get("peer", "")).rpartition(":")[0].strip("[]"),
            "_statement": self._asked["statement"],
            **self._more,
        }
        if "kubernetes" in self._asked:
            told["_kubernetes"] = self._asked["kubernetes"]
        if self._messages:
            told |= {"_resourceType": "websocket", "_webSocketMessages": self._messages}
        if self._has_film:
            self._comments.append(f"What ran is a film: sessions cast, --statement {self._asked['statement']}.")
        return told | _commented(self._comments)

    def _request(self, opened: Line) -> Item:
        http, body = self._asked["http"], self._bodies["request"]
        client = opened.get("http", {})
        is_opened = "headers" in http
        target = f"{http['path']}?{http['query']}".removesuffix("?") if is_opened else _path(self._asked["outline"])
        told: Item = {
            "method": http["method"],
            "url": f"{client.get('scheme', 'https')}://{http['authority']}{client.get('prefix', '')}{_quoted(target)}",
            "httpVersion": http["version"],
            "cookies": [],
            "headers": [_field(each) for each in http.get("headers", ())],
            "queryString": [
                {"name": name, "value": value}
                for name, value in parse_qsl(http.get("query", ""), keep_blank_values=True)
            ],
            "headersSize": -1,
            "bodySize": body.size,
        }
        if body.has_text:
            told["postData"] = {"mimeType": _media_type(http.get("headers", ())), "params": [], **_posted(body.text())}
        if not is_opened:
            told["comment"] = "Address, header fields and body are sealed, or are not kept."
        return told

    def _response(self) -> Item:
        answered, body = self._answered, self._bodies["response"]
        if answered is None:
            answered = {"status": REFUSED if self._asked["event"] == "rejected" else 0, "headers": []}
        headers = answered["headers"]
        content = {"size": body.size, "mimeType": _media_type(headers), **body.text()}
        if body.has_text and (coding := _first(headers, "content-encoding")):
            content["comment"] = " ".join(
                (f"As it was sent, in the coding {coding}.", content.get("comment", ""))
            ).strip()
        return {
            "status": answered["status"],
            "statusText": _phrase(answered["status"]),
            "httpVersion": answered.get("version", self._asked["http"]["version"]),
            "cookies": [],
            "headers": [_field(each) for each in headers],
            "content": content,
            "redirectURL": _first(headers, "location"),
            "headersSize": -1,
            "bodySize": body.size,
        }


def _message(line: Line) -> Item:
    """A WebSocket message as Chromium's developer tools write it (chrome://devtools, HAREntry `_webSocketMessages`)."""
    kind = "send" if line["side"] == Side.CLIENT.value else "receive"
    told: Item = {"type": kind, "time": line["at_ms"] / 1000, "opcode": 1 if line["is_text"] else 2}
    if "raw" not in line:
        return told | {"data": "", "_bytes": line["bytes"], "comment": "It is sealed."}
    kept = b64decode(line["raw"])
    told["data"] = kept.decode("utf-8", "replace") if line["is_text"] else b64encode(kept).decode()
    if len(kept) < line["bytes"]:
        told |= {"_bytes": line["bytes"], "comment": f"{line['bytes'] - len(kept)} bytes of it were not kept."}
    return told


def _text(data: bytes, *, is_cut: bool) -> Item:
    try:
        return {"text": _UTF8().decode(data, final=not is_cut)}
    except UnicodeDecodeError:
        return {"text": b64encode(data).decode(), "encoding": "base64"}


def _posted(text: Item) -> Item:
    """HAR has no word for the encoding of what was posted."""
    return {"_encoding" if name == "encoding" else name: value for name, value in text.items()}


def _field(told: Mapping[str, Any]) -> Item:
    if "value" in told:
        return {"name": told["name"], "value": told["value"]}
    return {"name": told["name"], "value": "", "comment": f"A credential of {told['bytes']} bytes; it is not kept."}


def _first(headers: Iterable[Mapping[str, Any]], name: str) -> str:
    return next((str(each.get("value", "")) for each in headers if each["name"].lower() == name), "")


def _media_type(headers: Iterable[Mapping[str, Any]]) -> str:
    return _first(headers, "content-type") or UNKNOWN_TYPE


def _path(outline: str) -> str:
    """`/v1/customers/{id}` of `GET /v1/customers/{id}`."""
    return "/" + outline.partition(" ")[2].lstrip("/")


def _quoted(target: str) -> str:
    """Nothing but what may stand in an address; what is written in it with "%" stays so."""
    return quote(target, safe=punctuation, encoding="latin-1", errors="replace")


def _phrase(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return ""


def _lost(line: Line, what: str) -> str:
    digest = f"; the SHA-256 of all is {line['sha256']}" if "sha256" in line else ""
    return f"Of {line['bytes']} bytes of {what} {line['dropped']} were not kept{digest}."


def _at(at_ms: int) -> str:
    """ISO 8601, with the zone that the format demands."""
    return datetime.fromtimestamp(at_ms / 1000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _commented(comments: list[str]) -> Item:
    return {"comment": " ".join(comments)} if comments else {}
