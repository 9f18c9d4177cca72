"""Bad input, each with its sentence: what the client reads, in its own protocol, and that the gateway lives on."""

import socket
import struct
import time
from collections.abc import Callable
from typing import Any

import psycopg
import pytest
from joserfc import jwt
from joserfc.jwk import ECKey, OctKey

from .conftest import Stand


def said(stand: Stand, **given: Any) -> str:
    """What a client is told that is not let in."""
    with pytest.raises(psycopg.OperationalError) as why:
        psycopg.connect(stand.dsn("ada", given.pop("target", "ledger"), **given))
    return str(why.value)


def lets_in(stand: Stand) -> bool:
    with psycopg.connect(stand.through("ada", "plain").dsn) as connection:
        return connection.execute("SELECT 1").fetchone() == (1,)


def claims(**changes: Any) -> dict[str, Any]:
    now = int(time.time())  # noqa: TID251 - a forger has a clock of its own
    return {
        "iss": "https://id.hoopproxy.test",
        "aud": "hoopproxy",
        "sub": "ada",
        "groups": ["fraud"],
        "iat": now,
        "exp": now + 600,
    } | changes


FORGED: dict[str, Callable[[Stand], str]] = {
    "another key": lambda _: jwt.encode({"alg": "ES256"}, claims(), ECKey.generate_key("P-256")),
    "alg none": lambda _: "eyJhbGciOiJub25lIiwidHlwIjoiSldUIn0." + _body(claims()) + ".",
    "public key as secret": lambda stand: jwt.encode(
        {"alg": "HS256"}, claims(), OctKey.import_key(stand.issuer.jwks_file.read_bytes())
    ),
    "wrong audience": lambda stand: stand.issuer.issue("ada", ("fraud",), "somebody-else", 600),
    "expired": lambda stand: stand.issuer.issue("ada", ("fraud",), "hoopproxy", -600),
    "no token": lambda _: "hunter2",
    "empty": lambda _: " ",
    "huge": lambda _: "e" * 60_000,
}


def _body(payload: dict[str, Any]) -> str:
    import base64
    import json

    return base64.urlsafe_b64encode(json.dumps(payload).encode()).rstrip(b"=").decode()


@pytest.mark.parametrize("kind", FORGED)
def test_a_token_that_is_not_ours_is_refused_with_one_sentence(stand: Stand, kind: str) -> None:
    text = said(stand, token=FORGED[kind](stand))
    assert "FATAL:" in text
    assert "token" in text or "credential" in text
    assert "Session " in text
    assert "Traceback" not in text
    assert lets_in(stand)


def test_an_unknown_target_a_forbidden_one_and_an_unknown_account_sound_alike(stand: Stand) -> None:
    unknown = said(stand, target="nowhere")
    account = said(stand, account="postgres")
    with pytest.raises(psycopg.OperationalError) as why:
        psycopg.connect(stand.dsn("nobody", "ledger"))
    for text in (unknown, account, str(why.value)):
        assert "or there is no such target" in text
    assert "You have no access to target 'ledger/postgres'" in said(stand, target="ledger/postgres")


def exchange(stand: Stand, data: bytes) -> bytes:
    """All that the gateway answers to these bytes before it closes."""
    with socket.create_connection((stand.host, stand.port), timeout=30) as client:
        client.sendall(data)
        client.shutdown(socket.SHUT_WR)
        answer = b""
        while received := client.recv(65536):
            answer += received
        return answer


GARBAGE = {
    "nothing": (b"", b"closed the connection"),
    "http": (b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", b"first packet has"),
    "zeros": (bytes(64), b"impossible length"),
    "truncated startup": (struct.pack("!iI", 40, 3 << 16) + b"user\0ada", b"closed the connection"),
    "protocol 2": (struct.pack("!iI", 8, 2 << 16), b"protocol 2.0"),
    "2 GB length": (struct.pack("!iI", 2**31 - 1, 3 << 16), b"first packet has"),
    "no terminator": (struct.pack("!iI", 13, 3 << 16) + b"user\0", b"malformed"),
    "plaintext": (struct.pack("!iI", 32, 3 << 16) + b"user\0ada\0database\0t\0\0"[:24].ljust(24, b"\0"), b"."),
    "smuggled": (struct.pack("!ii", 8, 80877103) + b"Q\0\0\0\x0cSELECT 1\0", b"behind its request"),
}


@pytest.mark.parametrize("kind", GARBAGE)
def test_garbage_ends_that_connection_with_a_sentence(stand: Stand, kind: str) -> None:
    data, wanted = GARBAGE[kind]
    answer = exchange(stand, data)
    assert answer[:1] in (b"E", b"S")
    assert wanted in answer
    assert lets_in(stand)


def test_a_client_that_sends_too_much_still_reads_why(stand: Stand) -> None:
    with psycopg.connect(stand.through("ada", "plain").dsn) as connection:
        connection.autocommit = True
        with pytest.raises(psycopg.Error, match=r"20\d{6} bytes") as why:
            connection.execute(f"SELECT length('{'x' * 20_000_000}')".encode())
        assert why.value.sqlstate == "53400"
        assert connection.execute("SELECT length(%s)", ("x" * 20_000_000,)).fetchone() == (20_000_000,)
    assert lets_in(stand)


def test_a_client_that_stays_silent_delays_nobody(stand: Stand) -> None:
    silent = [socket.create_connection((stand.host, stand.port)) for _ in range(50)]
    try:
        silent[0].sendall(struct.pack("!ii", 8, 80877103))
        assert silent[0].recv(1) == b"S"
        assert lets_in(stand)
    finally:
        for each in silent:
            each.close()


def test_the_gateway_knows_no_traceback_for_any_of_this(stand: Stand) -> None:
    assert "Traceback" not in stand.gateway.log()
