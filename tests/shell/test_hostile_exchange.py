"""What a stranger's transport may cost the gateway, whose loop all others share."""

from typing import Any

import pytest
from twisted.conch.ssh.keys import Key

from hoopproxy.errors import ProtocolViolation
from hoopproxy.ssh.exchange import EXTENSIONS_BYTES_MAX, ClientExchange, ServerExchange
from hoopproxy.testing.ssh_keys import new_key

HOST_KEY = Key.fromString(new_key().private)


def carry(*ends: Any) -> None:
    while any(end.outbox for end in ends):
        for speaker, hearer in (ends, ends[::-1]):
            said = b"".join(speaker.outbox)
            speaker.outbox.clear()
            hearer.append(said)
            while hearer.take():
                pass


def extensions(count: int, value: bytes = b"") -> bytes:
    each = b"\0\0\0\1x" + len(value).to_bytes(4) + value
    return b"\7" + count.to_bytes(4) + each * count


@pytest.mark.parametrize("is_server_the_hearer", [True, False])
def test_extensions_without_end_are_not_read(is_server_the_hearer: bool) -> None:
    """A quarter of a mebibyte of them kept conch busy for a quarter of a second."""
    server, client = ServerExchange({b"ssh-ed25519": HOST_KEY}), ClientExchange(lambda _: True)
    ends: Any = (server, client) if is_server_the_hearer else (client, server)
    hearer, speaker = ends
    for end in ends:
        end.begin()
    carry(*ends)
    speaker.pack(extensions(1, b"v" * (EXTENSIONS_BYTES_MAX - 13)))
    carry(*ends)
    assert hearer.peerExtensions.keys() == {b"x"}
    speaker.pack(extensions(1, b"v" * (EXTENSIONS_BYTES_MAX - 12)))
    with pytest.raises(ProtocolViolation, match="more extensions than there are"):
        carry(*ends)
