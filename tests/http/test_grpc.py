"""gRPC through the reverse proxy: calls, errors with trailers, streams both ways, many at once."""

import hashlib
import queue
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import grpc
import pytest

from .conftest import HttpStand
from .grpc_server import SERVICE
from .ways import Way


@pytest.fixture(params=["direct", "reverse"])
def way(request: pytest.FixtureRequest, stand: HttpStand) -> Way:
    found: Way = getattr(stand, request.param)("talk")
    return found


@contextmanager
def channel(way: Way) -> Iterator[grpc.Channel]:
    names = [("grpc.ssl_target_name_override", way.host), ("grpc.default_authority", way.netloc)]
    options = [*names, ("grpc.enable_http_proxy", 0), ("grpc.max_receive_message_length", -1)]
    credentials = grpc.ssl_channel_credentials(way.ca_file.read_bytes())
    host, port = way.address
    with grpc.secure_channel(f"{host}:{port}", credentials, options) as found:
        yield found


def who(way: Way) -> list[tuple[str, str]]:
    return [("authorization", f"Bearer {way.token}")]


def test_a_call_is_answered(way: Way) -> None:
    with channel(way) as found:
        echo = found.unary_unary(f"/{SERVICE}/Echo")
        for message in (b"", b"hello", bytes(3_000_000)):
            answer, call = echo.with_call(message, metadata=who(way), timeout=60)
            assert answer == message
            assert ("x-begins", "yes") in call.initial_metadata()
            assert ("x-length", str(len(message))) in call.trailing_metadata()


def test_an_error_comes_with_its_words_and_trailers(way: Way) -> None:
    with channel(way) as found, pytest.raises(grpc.RpcError) as raised:
        found.unary_unary(f"/{SERVICE}/Fail")(b"\0\xff", metadata=who(way), timeout=60)
    why: Any = raised.value
    assert (why.code(), why.details()) == (grpc.StatusCode.FAILED_PRECONDITION, "Not today: é.")
    assert ("x-why-bin", b"\0\xff") in why.trailing_metadata()


def test_a_method_that_is_not_there_is_not(way: Way) -> None:
    with channel(way) as found, pytest.raises(grpc.RpcError) as raised:
        found.unary_unary(f"/{SERVICE}/None")(b"", metadata=who(way), timeout=60)
    why: Any = raised.value
    assert why.code() is grpc.StatusCode.UNIMPLEMENTED


def test_both_talk_in_turns(way: Way) -> None:
    said = queue.SimpleQueue[bytes | None]()
    with channel(way) as found:
        answers = found.stream_stream(f"/{SERVICE}/Chat")(iter(said.get, None), metadata=who(way), timeout=60)
        for number in range(50):
            said.put(b"%d" % number)
            assert next(answers) == b"you said %d" % number
        said.put(None)
        assert list(answers) == []


def test_a_long_stream_comes_whole(way: Way) -> None:
    digest = hashlib.sha256()
    with channel(way) as found:
        for message in found.unary_stream(f"/{SERVICE}/Count")(b"300", metadata=who(way), timeout=60):
            digest.update(message)
    assert digest.hexdigest() == hashlib.sha256(b"".join(b"%d " % n * 1000 for n in range(300))).hexdigest()


def test_200_calls_at_once_are_answered(way: Way) -> None:
    with channel(way) as found:
        echo = found.unary_unary(f"/{SERVICE}/Echo")
        calls = [echo.future(b"%d" % number * 100, metadata=who(way), timeout=60) for number in range(200)]
        assert [call.result() for call in calls] == [b"%d" % number * 100 for number in range(200)]


def test_somebody_without_a_token_is_told_so(stand: HttpStand) -> None:
    with channel(stand.reverse("talk")) as found, pytest.raises(grpc.RpcError) as raised:
        found.unary_unary(f"/{SERVICE}/Echo")(b"", timeout=60)
    why: Any = raised.value
    assert why.code() is grpc.StatusCode.UNAUTHENTICATED
