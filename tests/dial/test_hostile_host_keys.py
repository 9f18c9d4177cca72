"""An SSH target's proof of its host key, by something else than was agreed on."""

from typing import Any

import pytest
from twisted.conch.ssh.keys import Key

from hoopproxy.errors import ProtocolViolation
from hoopproxy.ssh.exchange import ClientExchange, ServerExchange
from hoopproxy.testing.ssh_keys import new_key


class Otherwise(Key):
    """Signs by an algorithm of its own choice."""

    algorithm = b""

    def sign(self, data: bytes, signatureType: bytes | None = None) -> Any:
        return super().sign(data, self.algorithm or signatureType)


def agreed(key: Otherwise) -> ClientExchange:
    server, client = ServerExchange({b"ssh-rsa": key}), ClientExchange(lambda _: True)
    ends: Any = (server, client)
    for end in ends:
        end.begin()
    while server.outbox or client.outbox:
        for speaker, hearer in (ends, reversed(ends)):
            said = b"".join(speaker.outbox)
            speaker.outbox.clear()
            hearer.append(said)
            while hearer.take():
                pass
    return client


@pytest.mark.parametrize("algorithm", [b"ssh-rsa", b"rsa-sha2-256", b""])
def test_is_taken_only_by_the_algorithm_that_was_agreed_on(algorithm: bytes) -> None:
    """Conch takes SHA-1's wherever the key is RSA's."""
    key = Otherwise(Key.fromString(new_key("rsa").private)._keyObject)
    assert agreed(key).keyAlg == b"rsa-sha2-512"
    key.algorithm = algorithm
    if not algorithm:
        assert agreed(key).is_secure
        return
    with pytest.raises(ProtocolViolation, match="did not prove that it is itself"):
        agreed(key)
