"""Refusals as a Kubernetes API server words them: `Status` objects, which kubectl shows as one line.

Knows no request (k8s.io/apimachinery, pkg/apis/meta/v1: Status).
"""

import re

import orjson

from hoopproxy.wire.http.messages import SERVER_NAME, Answer, Headers

REASONS = {
    400: "BadRequest",
    401: "Unauthorized",
    403: "Forbidden",
    404: "NotFound",
    405: "MethodNotAllowed",
    406: "NotAcceptable",
    413: "RequestEntityTooLarge",
    429: "TooManyRequests",
    503: "ServiceUnavailable",
    504: "Timeout",
}
"""What clients know these codes by; `Unknown`, "", for others."""


def failure(code: int, sentence: str, session_id: str = "") -> bytes:
    """A Status that says no, as JSON. Behind the sentence stands the session's id, if there is one."""
    status = {
        "kind": "Status",
        "apiVersion": "v1",
        "metadata": {},
        "status": "Failure",
        "message": _told(sentence, session_id),
        "reason": REASONS.get(code, ""),
        "code": code,
    }
    return orjson.dumps(status)


def _told(sentence: str, session_id: str) -> str:
    return f"{sentence} (session {session_id})" if session_id else sentence


_OF_A_RESOURCE = re.compile(r"(?:/clusters/[^/]*)?/(?:api/[^/]+|apis/[^/]+/[^/]+)/.+")


def refusal(code: int, sentence: str, session_id: str = "", *, path: str = "") -> Answer:
    """A whole response that says it to who asked for `path`: in a Status, but to who only asks what there is, in plain
    text. There client-go reads nothing else, and what kubectl would show of a Status is "unknown"."""
    is_plain = bool(path) and _OF_A_RESOURCE.fullmatch(path) is None
    body = _told(sentence, session_id).encode() if is_plain else failure(code, sentence, session_id)
    fields = (
        ("content-type", "text/plain; charset=utf-8" if is_plain else "application/json"),
        ("content-length", str(len(body))),
        ("cache-control", "no-store"),
        ("server", SERVER_NAME),
    )
    return Answer(code, Headers(fields), body)
