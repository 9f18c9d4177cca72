"""The gateway's own answers over HTTP: one full sentence in JSON, with the session's id.

Knows no request.
"""

import orjson

from hoopproxy.wire.http.messages import SERVER_NAME, Answer, Headers

CHALLENGES = ('Bearer realm="hoopproxy"', 'Basic realm="hoopproxy", charset="UTF-8"')
"""How a client may show its token: as it is, or as the password of whatever user (RFC 6750 §3, RFC 7617 §2)."""


def refusal(status: int, sentence: str, session_id: str = "", *fields: tuple[str, str]) -> Answer:
    """A whole response that says no; with a challenge where its status demands one."""
    body = orjson.dumps({"error": sentence, "session": session_id} if session_id else {"error": sentence})
    challenge = {401: "www-authenticate", 407: "proxy-authenticate"}.get(status, "")
    headers = (
        ("content-type", "application/json"),
        ("content-length", str(len(body))),
        ("cache-control", "no-store"),
        ("server", SERVER_NAME),
        *((challenge, each) for each in CHALLENGES if challenge),
        *fields,
    )
    return Answer(status, Headers(headers), body)
