"""Harness: a hostile server while the gateway logs in to it. It may know the password, and so get far."""

import base64
import hashlib
import hmac
import struct

from fuzz.choices import Choices, damaged
from fuzz.endings import Ending, ending
from hoopproxy.errors import SessionError
from hoopproxy.proofs import Secret, TargetSecret
from hoopproxy.wire.postgres import messages, scram
from hoopproxy.wire.postgres.framing import message, string
from hoopproxy.wire.postgres.login import MESSAGE_BYTES_MAX, Login
from hoopproxy.wire.postgres.startup import KEY_BYTES_MAX

NONCE, PASSWORD, SALT, ITERATIONS = "rOprNGfwEbeRWgbNEkqO", b"pencil", b"salt", 4096
SALTED = hashlib.pbkdf2_hmac("sha256", PASSWORD, SALT, ITERATIONS)


def run(data: bytes) -> None:
    """@raise AssertionError: a promise was broken."""
    choices = Choices(data)
    end_point, size = (b"", b"e" * 32)[choices.byte() & 1], 1 + choices.byte()
    server = _Server()
    login = _login(end_point)
    said = sent = b""
    broke = None
    while choices.left and login.done is None and broke is None and len(said) < 1 << 16:
        answer = server.says(choices)
        said += answer
        got, broke = _fed(login, [answer] if answer else [])
        server.heard(got)
        sent += got
    assert len(sent) < 4096
    if login.done is not None:
        assert server.proved, "it took a server for one that knows the password"
        assert 0 <= login.done.process_id < 2**32 and len(login.done.key) <= KEY_BYTES_MAX
    assert len(login.rest) <= MESSAGE_BYTES_MAX or login.done is not None or broke is not None
    again = _login(end_point)
    got, broke_again = _fed(again, [said[at : at + size] for at in range(0, len(said), size)])
    assert broke_again == broke
    if broke is None:
        assert (got, again.done, again.rest) == (sent, login.done, login.rest)


def _login(end_point: bytes) -> Login:
    login = Login(TargetSecret("app", Secret(PASSWORD.decode())), "crm", {"search_path": "a"}, NONCE, end_point)
    assert login.start()
    return login


def _fed(login: Login, pieces: list[bytes]) -> tuple[bytes, Ending | None]:
    """What it answered, and how it broke off."""
    sent = b""
    for piece in pieces:
        if login.done is not None:
            login._splitter.append(piece)  # as its owner does by `rest`: these bytes are the session's
            continue
        try:
            sent += login.feed(piece)
        except SessionError as why:
            return sent, ending(why)
    return sent, None


class _Server:
    """One that does SCRAM right, unless it chooses not to."""

    def __init__(self) -> None:
        self.proved = False
        self._first = self._bare = self._final = ""

    def heard(self, data: bytes) -> None:
        text = data.decode("latin-1")
        if "n=,r=" in text:
            self._bare = text[text.index("n=,r=") :]
        elif "c=" in text:
            self._final = text[text.index("c=") :].partition(",p=")[0]

    def says(self, choices: Choices) -> bytes:
        options = (self._offers, self._challenges, self._proves, self._lets_in, self._lets_in, self._rare, self._rare)
        said = choices.call(*options)
        return said * (1 + choices.byte()) if choices.byte() == 255 else said

    def _offers(self, choices: Choices) -> bytes:
        names = choices.pick(((scram.PLAIN,), (scram.PLAIN, scram.PLUS), (scram.PLUS,), ("SCRAM-MD5",), ()))
        return _authentication(10, b"".join(map(string, names)) + b"\0")

    def _challenges(self, choices: Choices) -> bytes:
        nonce = NONCE + choices.pick(("server", "server", "", ",", "\xff"))
        salt = choices.pick((base64.b64encode(SALT).decode(),) * 3 + ("", "====", "A" * 2000))
        iterations = choices.pick((str(ITERATIONS),) * 3 + ("1", "4095", "999999999", "x", "-1"))
        self._first = f"r={nonce},s={salt},i={iterations}"
        said = self._first.encode("latin-1")
        return _authentication(11, damaged(choices, said) if choices.byte() & 15 == 15 else said)

    def _proves(self, choices: Choices) -> bytes:
        key = hmac.new(SALTED, b"Server Key", hashlib.sha256).digest()
        signed = f"{self._bare},{self._first},{self._final}".encode("latin-1")
        signature = hmac.new(key, signed, hashlib.sha256).digest()
        said = b"v=" + base64.b64encode(signature)
        if choices.byte() & 15 == 15:
            return _authentication(12, damaged(choices, said))
        self.proved = True
        return _authentication(12, said)

    def _lets_in(self, choices: Choices) -> bytes:
        settings = ("standard_conforming_strings", "on"), ("client_encoding", "UTF8"), ("client_encoding", "SJIS")
        few = b"".join(messages.parameter_status(*pair) for pair in settings[: 1 + choices.below(3)])
        key = messages.backend_key_data(7, b"k" * choices.pick((4, 4, 32, 256, 257, 0, 3)))
        return _authentication(0, b"") + few + key + messages.ready_for_query(choices.pick((b"I", b"I", b"T", b"")))

    def _rare(self, choices: Choices) -> bytes:
        return choices.call(
            lambda some: messages.error_response({"S": "FATAL", "C": "28P01\udcff", "M": "no\udcfe"}),
            lambda some: messages.notice("welcome"),
            lambda some: _authentication(some.number(), some.some(8)),
            lambda some: message(b"v", struct.pack("!II", some.number(), some.below(3)) + some.some(12)),
            lambda some: message(bytes([some.pick(b"RSKZENv1T")]), some.some(40)),
            lambda some: bytes([some.pick(b"RSKZENv")]) + struct.pack("!I", some.number()) + some.some(20),
            lambda some: some.some(80),
        )


def _authentication(code: int, body: bytes) -> bytes:
    return message(b"R", struct.pack("!I", code) + body)
