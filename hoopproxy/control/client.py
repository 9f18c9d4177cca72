"""How the command line speaks to a running gateway; blocks. Knows no command."""

import socket
from collections.abc import Iterator, Mapping
from contextlib import closing
from io import BufferedReader
from pathlib import Path
from typing import Any, cast

from hoopproxy.control.lines import ANSWER_BYTES_MAX, BROKEN_OFF, ControlError, granted, line


class ControlClient:
    """Speaks to a running gateway. Every error is a `ControlError` with one sentence for a terminal."""

    def __init__(self, path: Path | str, timeout_s: float = 10.0) -> None:
        self._path, self._timeout_s = Path(path), timeout_s

    def call(self, command: str, **arguments: Any) -> dict[str, Any]:
        """The command's answer. @raise ControlError."""
        with closing(self._connected()) as connection, connection.makefile("rb") as lines:
            return self._asked(connection, lines, command, arguments)

    def follow(self, stream: str, **arguments: Any) -> Iterator[dict[str, Any]]:
        """Events as they happen, until there are no more. @raise ControlError: among others, you read too slowly."""
        with closing(self._connected()) as connection, connection.makefile("rb") as lines:
            self._asked(connection, lines, stream, arguments)
            connection.settimeout(None)
            for event in lines:
                yield granted(event)["event"]

    def _connected(self) -> socket.socket:
        connection = socket.socket(socket.AF_UNIX)
        connection.settimeout(self._timeout_s)
        try:
            connection.connect(str(self._path))
        except OSError as why:
            connection.close()
            match why:
                case FileNotFoundError() | ConnectionRefusedError():
                    sentence = f"The gateway is not running: nothing answers on {self._path}."
                case PermissionError():
                    sentence = f"You may not use {self._path}; run this as the gateway's user or as root."
                case _:
                    sentence = f"The gateway can't be reached on {self._path}: {why}."
            raise ControlError(sentence) from why
        return connection

    def _asked(
        self, connection: socket.socket, lines: BufferedReader, command: str, arguments: Mapping[str, Any]
    ) -> dict[str, Any]:
        try:
            connection.sendall(line({"command": command, "arguments": arguments}))
            answer = lines.readline(ANSWER_BYTES_MAX)
        except TimeoutError as why:
            raise ControlError(f"The gateway did not answer within {self._timeout_s:g} s.") from why
        except OSError as why:
            raise ControlError(BROKEN_OFF) from why
        return cast(dict[str, Any], granted(answer)["answer"])
