"""HTTP exchanges as a machine tells them, and their lines as a reader with one key or both gets them."""

import json
from collections.abc import Sequence
from typing import Any

from hoopproxy.events import (
    Action,
    Answered,
    Asked,
    Closed,
    Completed,
    Message,
    Record,
    Rejected,
    Rows,
    Statement,
    Streamed,
)
from hoopproxy.evidence.streams import Keeping
from hoopproxy.evidence.transcript import Transcript, joined
from hoopproxy.model import Passage, Side, Tally
from hoopproxy.requests import HttpRequest, KubernetesRequest

type Told = Sequence[tuple[float, Record]]

SECRETS = ("hunter2", "c00kie", "t0ken", "s3t")
PRIVATE = ("/v1/customers/17", "full=1", "ada@corp.example", "curl", "swordfish", "Hello", "tls-key")

CUSTOMER = Statement(
    1,
    Action.CALL,
    "POST /v1/customers/17?full=1&name=",
    "POST /v1/customers/{id}",
    http=HttpRequest(
        "POST",
        "crm.example.com",
        "/v1/customers/17",
        "full=1&name=",
        "HTTP/1.1",
        "/v1/customers/{id}",
        (
            *(("User-Agent", "curl/8"), ("Authorization", "Bearer hunter2"), ("Cookie", "sid=c00kie")),
            *(("X-API-Key", "t0ken"), ("From", "ada@corp.example"), ("Content-Type", "application/json")),
        ),
    ),
)
SECRET = Statement(
    3,
    Action.CALL,
    "GET /secrets/tls-key",
    "get secrets",
    http=HttpRequest("GET", "k8s.example.com", "/api/v1/namespaces/shop/secrets/tls-key", "", "HTTP/2.0"),
    kubernetes=KubernetesRequest("get", "", "v1", "secrets", "", "shop", "tls-key"),
)
SOCKET = Statement(
    4,
    Action.CALL,
    "GET /chat",
    "GET /chat",
    http=HttpRequest("GET", "crm.example.com", "/chat", "", "HTTP/1.1"),
)

EXCHANGE: Told = (
    (100.0, Asked(CUSTOMER)),
    (100.25, Streamed(1, "request", b'{"password": "swordfish"}')),
    (
        101.0,
        Answered(
            1,
            200,
            "HTTP/1.1",
            (("Content-Type", "application/json"), ("Set-Cookie", "sid=s3t; Secure"), ("X-Odd", "a\x1b[2Jb\xe9")),
        ),
    ),
    (101.125, Streamed(1, "response", b'{"card": "****1111", "na')),
    (101.25, Streamed(1, "response", 'me": "Élise"}'.encode())),
    (101.25, Rows(1, b"", 2, 1)),
    (101.5, Completed(1, "200", 2)),
    (101.5, Closed(1)),
)
REFUSAL: Told = ((102.0, Rejected(SECRET, "Nobody reads secrets; ask your operator.")),)
CHAT: Told = (
    (103.0, Asked(SOCKET)),
    (103.5, Answered(4, 101, "HTTP/1.1", (("Upgrade", "websocket"),))),
    (104.0, Message(4, Side.CLIENT, True, b"Hello")),
    (104.5, Message(4, Side.SERVER, True, b"card ****1111")),
    (104.75, Message(4, Side.SERVER, False, b"\xff\x00")),
    (105.0, Closed(4)),
)


def lines_of(
    told: Told, *, both: bool = True, keeping: Keeping | None = None, passage: Passage | None = None
) -> list[dict[str, Any]]:
    """As `hoopproxy.evidence.recording.read` gives them; with the first and the last of a connection's if there is a
    `passage`."""
    transcript = Transcript(keeping or Keeping())
    parts = [transcript.opened(99.0, passage)] if passage is not None else []
    parts += [transcript.recorded(at_s, (record,)) for at_s, record in told]
    parts += [transcript.closed(110.0, Tally(), "left")] if passage is not None else []
    lines = joined(parts)
    sealed = {line["seq"]: line for line in map(json.loads, lines.sealed.splitlines())} if both else {}
    return [line | sealed.get(line["seq"], {}) for line in map(json.loads, lines.masked.splitlines())]
