"""A gRPC service without generated code: messages are bytes. Knows no gateway."""

import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Self

# It would have its threads survive a fork; those who are forked here only become other programs.
os.environ["GRPC_ENABLE_FORK_SUPPORT"] = "0"

import grpc  # it reads its environment when it is loaded

SERVICE = "acme.Talk"


class GrpcServer:
    """A running one, on a free port of 127.0.0.1, for those who come with the `token`; a context manager.

    `Echo` answers with what it got, `Fail` with an error and trailers, `Chat` with each message as it comes, `Count`
    with as many messages as it is told.
    """

    host = "127.0.0.1"

    def __init__(self, certificate: tuple[Path, Path], token: str) -> None:
        self._token = token
        self._server = grpc.server(ThreadPoolExecutor(8))
        handlers = {
            "Echo": grpc.unary_unary_rpc_method_handler(self._echo),
            "Fail": grpc.unary_unary_rpc_method_handler(self._fail),
            "Chat": grpc.stream_stream_rpc_method_handler(self._chat),
            "Count": grpc.unary_stream_rpc_method_handler(self._count),
        }
        self._server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(SERVICE, handlers),))
        leaf, key = (file.read_bytes() for file in certificate)
        self.port = self._server.add_secure_port(f"{self.host}:0", grpc.ssl_server_credentials([(key, leaf)]))

    def __enter__(self) -> Self:
        self._server.start()
        return self

    def __exit__(self, *why: object) -> None:
        self._server.stop(None).wait()

    def _check(self, context: grpc.ServicerContext) -> None:
        if ("authorization", f"Bearer {self._token}") not in context.invocation_metadata():
            context.abort(grpc.StatusCode.UNAUTHENTICATED, "Who are you?")

    def _echo(self, message: bytes, context: grpc.ServicerContext) -> bytes:
        self._check(context)
        context.send_initial_metadata([("x-begins", "yes")])
        context.set_trailing_metadata([("x-length", str(len(message)))])
        return message

    def _fail(self, message: bytes, context: grpc.ServicerContext) -> bytes:
        self._check(context)
        context.set_trailing_metadata([("x-why-bin", message)])
        context.abort(grpc.StatusCode.FAILED_PRECONDITION, "Not today: é.")
        raise AssertionError("abort raises")

    def _chat(self, messages: Iterator[bytes], context: grpc.ServicerContext) -> Iterator[bytes]:
        self._check(context)
        for message in messages:
            yield b"you said " + message

    def _count(self, message: bytes, context: grpc.ServicerContext) -> Iterator[bytes]:
        self._check(context)
        for number in range(int(message)):
            yield b"%d " % number * 1000
