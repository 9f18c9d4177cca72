"""A strict reader of HAR 1.2 (softwareishard.com/blog/har-12-spec): all that must be there, and none unknown."""

import re
from base64 import b64decode
from collections.abc import Callable, Mapping
from typing import Any

type Check = Callable[[Any], None]

AT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")


def read(har: Any) -> list[dict[str, Any]]:
    """Its entries. @raise AssertionError: it is none."""
    _object(har, {"log": _log}, {})
    entries: list[dict[str, Any]] = har["log"]["entries"]
    assert [entry["startedDateTime"] for entry in entries] == sorted(entry["startedDateTime"] for entry in entries)
    return entries


def body(entry: Mapping[str, Any]) -> bytes:
    """The response's body, as much of it as there is."""
    content = entry["response"]["content"]
    text = content.get("text", "")
    return b64decode(text, validate=True) if content.get("encoding") == "base64" else text.encode()


def _object(value: Any, must: Mapping[str, Check], may: Mapping[str, Check]) -> None:
    assert isinstance(value, dict)
    assert must.keys() <= value.keys(), must.keys() - value.keys()
    for name, each in value.items():
        if not name.startswith("_"):
            check = {**must, **may, "comment": _text}.get(name)
            assert check is not None, f"{name} is no field of HAR"
            check(each)


def _text(value: Any) -> None:
    assert isinstance(value, str)


def _whole(value: Any) -> None:
    assert isinstance(value, int) and value >= -1


def _duration(value: Any) -> None:
    assert isinstance(value, int | float) and value >= 0


def _list(check: Check) -> Check:
    def checked(value: Any) -> None:
        assert isinstance(value, list)
        for each in value:
            check(each)

    return checked


def _of(must: Mapping[str, Check], may: Mapping[str, Check] = {}) -> Check:  # nobody changes it
    return lambda value: _object(value, must, may)


def _at(value: Any) -> None:
    assert AT.fullmatch(value)


def _url(value: Any) -> None:
    assert re.fullmatch(r"https?://[^/ ]+/.*", value), value


def _post_data(value: Any) -> None:
    _object(value, {"mimeType": _text}, {"params": _list(_text), "text": _text})
    assert not (value.get("params") and value.get("text")), "both exclude each other"


def _content(value: Any) -> None:
    _object(value, {"size": _whole, "mimeType": _text}, {"compression": _whole, "text": _text, "encoding": _text})
    if "encoding" in value:
        assert value["encoding"] == "base64"
        b64decode(value["text"], validate=True)


def _entry(value: Any) -> None:
    _object(
        value,
        {
            "startedDateTime": _at,
            "time": _duration,
            "request": _of(
                {
                    **{"method": _text, "url": _url, "httpVersion": _text, "cookies": _list(_of(_PAIR))},
                    **{"headers": _list(_of(_PAIR)), "queryString": _list(_of(_PAIR))},
                    **{"headersSize": _whole, "bodySize": _whole},
                },
                {"postData": _post_data},
            ),
            "response": _of(
                {
                    **{"status": _whole, "statusText": _text, "httpVersion": _text, "cookies": _list(_of(_PAIR))},
                    **{"headers": _list(_of(_PAIR)), "content": _content, "redirectURL": _text},
                    **{"headersSize": _whole, "bodySize": _whole},
                }
            ),
            "cache": _of({}, {"beforeRequest": _of({}), "afterRequest": _of({})}),
            "timings": _of({"send": _duration, "wait": _duration, "receive": _duration}),
        },
        {"serverIPAddress": _text, "connection": _text},
    )
    timings = value["timings"]
    assert value["time"] == timings["send"] + timings["wait"] + timings["receive"]
    if value.get("_resourceType") == "websocket":
        _list(_message)(value["_webSocketMessages"])


def _message(value: Any) -> None:
    _object(value, {"type": _text, "time": _duration, "opcode": _whole, "data": _text}, {})
    assert value["type"] in ("send", "receive")
    assert value["opcode"] in (1, 2)
    if value["opcode"] == 2:
        b64decode(value["data"], validate=True)


_PAIR: Mapping[str, Check] = {"name": _text, "value": _text}

_log = _of(
    {"version": _text, "creator": _of({"name": _text, "version": _text}), "entries": _list(_entry)},
    {"browser": _of({"name": _text, "version": _text}), "pages": _list(_of({}))},
)
