"""An SSH client that says what it is told to, and waits for what it wants to hear: for what no decent client does.

Blocking, over the gateway's own transport without I/O. Knows no gateway.
"""

import socket
import struct
from collections.abc import Callable
from typing import Any, Self

from hoopproxy.ssh.exchange import SERVICE_ACCEPT, ClientExchange
from hoopproxy.wire.ssh import messages, userauth
from hoopproxy.wire.ssh.messages import string
from hoopproxy.wire.ssh.packets import LENGTH_BYTES

RECEIVE_BYTES = 1 << 18
WINDOW, PACKET_BYTES_MAX = 2_097_152, 32_768
"""As OpenSSH has them."""


class Gone(Exception):
    """The server closed the connection; the text is what it said last."""


def open_session(number: int, window: int = WINDOW, packet_bytes_max: int = PACKET_BYTES_MAX) -> bytes:
    """A channel to run something in (RFC 4254 §6.1)."""
    return _open(b"session", number, window, packet_bytes_max)


def open_forward(
    number: int, host: str, port: int, window: int = WINDOW, packet_bytes_max: int = PACKET_BYTES_MAX
) -> bytes:
    """A channel to another place (RFC 4254 §7.2), as `ssh -L` opens it."""
    where = string(host.encode()) + struct.pack("!I", port) + string(b"127.0.0.1") + struct.pack("!I", 40000)
    return _open(b"direct-tcpip", number, window, packet_bytes_max) + where


def execute(channel: int, command: str) -> bytes:
    """Run a command in a session channel, whose number is the server's."""
    return messages.channel_request(channel, "exec", True, string(command.encode()))


def _open(kind: bytes, *numbers: int) -> bytes:
    return bytes((messages.CHANNEL_OPEN,)) + string(kind) + struct.pack("!III", *numbers)


class SshSpeaker:
    """One connection; a context manager. @raise Gone, OSError: everywhere.

    `agree` on keys, then `log_in`; until then raw bytes may be sent over `socket`. `banners` is what the server showed
    before it let us in. `receive_bytes` shrinks what the kernel takes for us.
    """

    def __init__(self, address: tuple[str, int], *, wait_s_max: float = 60.0, receive_bytes: int = 0) -> None:
        self.banners: list[str] = []
        self.exchange = ClientExchange(lambda _: True, self._login)
        self._user = self._token = b""
        self.socket = socket.socket()
        try:
            self.socket.settimeout(wait_s_max)
            if receive_bytes:
                self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_bytes)
            self.socket.connect(address)
            self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        except OSError:
            self.socket.close()
            raise

    @classmethod
    def logged_in(cls, address: tuple[str, int], user: str, token: str, **how: Any) -> Self:
        """One that may open channels."""
        client = cls(address, **how)
        try:
            client.agree()
            client.log_in(user, token)
        except BaseException:
            client.close()
            raise
        return client

    def agree(self) -> None:
        """Agree on keys."""
        self.exchange.begin()
        self._until(lambda: self.exchange.is_secure)

    def log_in(self, user: str, token: str) -> None:
        """With a token as password; `user` is `TARGET` or `ACCOUNT+TARGET`."""
        self._user, self._token = user.encode(), token.encode()
        self.exchange.request_login()
        self._until(lambda: self.exchange.is_open)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def renew(self) -> None:
        """Agree on new keys."""
        self.exchange.renew()
        self._until(lambda: not self.exchange.is_exchanging)

    def close(self) -> None:
        """Without a word."""
        self.socket.close()

    def send(self, *payloads: bytes) -> None:
        """Payloads of the connection protocol, whatever is in them, all at once."""
        for payload in payloads:
            self.exchange.say(payload)
        self._flush()

    def receive(self) -> bytes:
        """The next payload of the connection protocol."""
        self._until(lambda: bool(self.exchange.payloads))
        return self.exchange.payloads.pop(0)[LENGTH_BYTES:]

    def hear(self, *kinds: int) -> bytes:
        """The next payload whose message number is one of these; those before it are thrown away."""
        while (payload := self.receive())[0] not in kinds:
            pass
        return payload

    def opened(self, payload: bytes) -> int:
        """Open a channel; its number at the server. @raise Gone: with the sentence, if it is refused."""
        self.send(payload)
        answer = self.hear(messages.CHANNEL_OPEN_CONFIRMATION, messages.CHANNEL_OPEN_FAILURE)
        if answer[0] == messages.CHANNEL_OPEN_FAILURE:
            raise Gone(_sentence(answer, 9))
        return int.from_bytes(answer[5:9])

    def _login(self, payload: bytes) -> None:
        match payload[0]:
            case _ if payload[0] == SERVICE_ACCEPT:
                self.exchange.say(userauth.password_request(self._user, self._token))
            case userauth.BANNER:
                self.banners.append(_sentence(payload, 1))
            case userauth.SUCCESS:
                self.exchange.is_open = True
            case number:
                raise Gone(f"message {number}; {' '.join(self.banners)}")

    def _until(self, is_so: Callable[[], bool]) -> None:
        while not is_so():
            self._flush()
            if self.exchange.take():
                continue
            self._flush()
            if self.exchange.farewell is not None:
                raise Gone(self.exchange.farewell)
            data = self.socket.recv(RECEIVE_BYTES)
            if not data:
                raise Gone("nothing")
            self.exchange.append(data)
        self._flush()

    def _flush(self) -> None:
        data = b"".join(self.exchange.outbox)
        self.exchange.outbox.clear()
        if data:
            self.socket.sendall(data)


def _sentence(payload: bytes, at: int) -> str:
    """A text of a payload, printable."""
    length = int.from_bytes(payload[at : at + 4])
    return payload[at + 4 : at + 4 + length].decode("utf-8", "backslashreplace")
