"""SSH's transport without I/O: our two ends against each other, and against peers that are old, hostile or broken."""

import random
import struct
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.conch.ssh.keys import Key
from twisted.logger import globalLogPublisher

from hoopproxy.errors import ProtocolViolation
from hoopproxy.ssh.algorithms import KEY_EXCHANGES, SIGNATURES, USER_SIGNATURES
from hoopproxy.ssh.exchange import (
    DISCONNECT,
    KEXINIT,
    NEWKEYS,
    PROTOCOL_ERROR,
    USERAUTH,
    ClientExchange,
    Exchange,
    ServerExchange,
    _name_lists,
)
from hoopproxy.ssh.packing import CIPHERS, MACS, Packer, Unpacker
from hoopproxy.testing.ssh_keys import new_key
from hoopproxy.wire.ssh.messages import string
from hoopproxy.wire.ssh.packets import PAYLOAD_BYTES_MAX, framed

DEBUG, IGNORE, UNIMPLEMENTED, SERVICE_REQUEST = 4, 2, 3, 5
KEYS = {kind: Key.fromString(new_key(kind).private) for kind in ("ed25519", "ecdsa", "rsa")}
HOST_KEYS = {key.sshType(): key for key in KEYS.values()}

type Ends = tuple[ServerExchange, ClientExchange]


def ends(accepts: Callable[[bytes], bool] = lambda _: True) -> Ends:
    """Both ends of a connection whose logins are over as soon as there are keys."""
    server, client = ServerExchange(HOST_KEYS), ClientExchange(accepts)
    for end in (server, client):
        end.is_open = end.is_logging_in = True
    return server, client


def carry(*exchanges: Exchange, cut: Callable[[int], int] = lambda most: most) -> None:
    """Bring each what the other said, in pieces, until both are silent."""
    while any(end.outbox for end in exchanges):
        for speaker, hearer in (exchanges, exchanges[::-1]):
            said = b"".join(speaker.outbox)
            speaker.outbox.clear()
            while said:
                count = cut(len(said))
                hearer.append(said[:count])
                said = said[count:]
                while hearer.take():
                    pass


def begun(server: Exchange, client: Exchange) -> Ends:
    """With keys."""
    server.begin()
    client.begin()
    carry(server, client)
    assert server.is_secure and client.is_secure
    return server, client  # type: ignore[return-value] # they are what `ends` made


def violation(doing: Callable[[], object]) -> ProtocolViolation:
    with pytest.raises(ProtocolViolation) as caught:
        doing()
    assert caught.value.sentence.endswith(".")
    return caught.value


def take_all(end: Exchange) -> None:
    while end.take():
        pass


class TestOffers:
    COMMON = (
        "aes256-gcm@openssh.com,aes128-gcm@openssh.com,aes256-ctr,aes192-ctr,aes128-ctr",
        "hmac-sha2-256-etm@openssh.com,hmac-sha2-512-etm@openssh.com,hmac-sha2-256,hmac-sha2-512",
        "none",
    )
    ELLIPTIC = "curve25519-sha256,curve25519-sha256@libssh.org,ecdh-sha2-nistp256,ecdh-sha2-nistp384,ecdh-sha2-nistp521"

    def offer(self, end: Exchange) -> list[str]:
        end.begin()
        return [b",".join(names).decode() for names in _name_lists(end.ourKexInitPayload[1:])]

    def test_to_clients(self) -> None:
        offered = self.offer(ServerExchange(HOST_KEYS))
        assert offered[0] == f"mlkem768x25519-sha256,{self.ELLIPTIC},kex-strict-s-v00@openssh.com,ext-info-s"
        assert offered[1] == "ssh-ed25519,ecdsa-sha2-nistp256,rsa-sha2-512,rsa-sha2-256"
        assert offered[2:] == [*(each for each in self.COMMON for _ in "io"), "", ""]

    def test_to_targets(self) -> None:
        offered = self.offer(ClientExchange(lambda _: True))
        assert offered[0] == f"{self.ELLIPTIC},kex-strict-c-v00@openssh.com,ext-info-c"
        assert offered[1] == (
            "ssh-ed25519,ecdsa-sha2-nistp256,ecdsa-sha2-nistp384,ecdsa-sha2-nistp521,rsa-sha2-512,rsa-sha2-256"
        )
        assert offered[2:] == [*(each for each in self.COMMON for _ in "io"), "", ""]

    def test_the_server_tells_how_users_may_sign(self) -> None:
        _, client = begun(*ends())
        assert client.peerExtensions == {b"server-sig-algs": b",".join(USER_SIGNATURES)}
        assert not {b"ssh-rsa", b"ssh-dss"} & set(USER_SIGNATURES)

    @pytest.mark.parametrize("is_server", [True, False])
    @pytest.mark.parametrize(
        ("place", "names", "told"),
        [
            (0, b"diffie-hellman-group14-sha1,diffie-hellman-group1-sha1", "key exchange"),
            (1, b"ssh-rsa,ssh-dss", "host key"),
            (2, b"aes128-cbc,3des-cbc,arcfour", "cipher"),
            (3, b"aes128-cbc,3des-cbc,arcfour", "cipher"),
            (4, b"hmac-sha1,hmac-md5", "MAC"),
            (5, b"hmac-sha1,hmac-md5", "MAC"),
            (6, b"zlib", "compression"),
        ],
    )
    def test_peers_that_know_old_ones_alone_are_told_so(
        self, is_server: bool, place: int, names: bytes, told: str
    ) -> None:
        end, peer = ends() if is_server else ends()[::-1]
        end.begin()
        peer.begin()
        lists = [b",".join(each) for each in _name_lists(peer.ourKexInitPayload[1:])]
        lists[place] = names
        end.append(b"SSH-2.0-Old\r\n")
        end.append(b"".join(Packer().pack(kexinit(*lists))))
        why = violation(lambda: take_all(end))
        assert why.sentence == (
            f"{'Your client' if is_server else 'The target'} knows no {told} algorithm that this gateway accepts (it "
            f"offers {names.decode().replace(',', ', ')}); update it."
        )


def kexinit(*lists: bytes) -> bytes:
    return bytes((KEXINIT,)) + bytes(16) + b"".join(map(string, lists)) + bytes(5)


class TestKeys:
    @pytest.mark.parametrize("name", [*KEY_EXCHANGES])
    def test_are_agreed_on_by_each_exchange(self, name: bytes) -> None:
        server, client = ends()
        if name not in client.supportedKeyExchanges:
            assert name == b"mlkem768x25519-sha256" and name in server.supportedKeyExchanges
            return
        client.supportedKeyExchanges = [name]
        begun(server, client)
        assert server.kexAlg == client.kexAlg == name
        assert server.sessionID == client.sessionID

    @pytest.mark.parametrize("name", [*SIGNATURES])
    def test_are_signed_by_each_kind_of_host_key(self, name: bytes) -> None:
        server, client = ends()
        if name not in server.supportedPublicKeys:
            assert name in (b"ecdsa-sha2-nistp384", b"ecdsa-sha2-nistp521")  # of which this host has none
            return
        client.supportedPublicKeys = [name]
        begun(server, client)
        assert client.host_key == server._getHostKeys(name)[0].blob()

    @pytest.mark.parametrize("cipher", [*CIPHERS])
    @pytest.mark.parametrize("mac", [*MACS])
    def test_carry_payloads_under_each_cipher_however_they_are_cut(self, cipher: bytes, mac: bytes) -> None:
        server, client = ends()
        client.supportedCiphers, client.supportedMACs = [cipher], [mac]
        begun(server, client)
        pieces = random.Random(7)
        said = [
            bytes((94,)) + pieces.randbytes(count) for count in (0, 1, 7, 8, 15, 16, 17, 4096, PAYLOAD_BYTES_MAX - 1)
        ]
        for end in (server, client):
            for payload in said:
                end.say(payload)
        carry(server, client, cut=lambda most: min(most, pieces.choice((1, 3, 100, 70_000))))
        assert server.payloads == client.payloads == [framed(payload) for payload in said]

    @given(cuts=st.lists(st.integers(1, 200), min_size=1))
    @settings(max_examples=25, deadline=None)
    def test_are_agreed_on_however_it_is_cut(self, cuts: list[int]) -> None:
        server, client = ends()
        server.begin()
        client.begin()
        turns = iter(cuts * 10_000)
        carry(server, client, cut=lambda most: min(most, next(turns)))
        assert server.is_secure and client.is_secure

    def test_are_renewed_by_either_end_and_by_both_at_once(self) -> None:
        server, client = begun(*ends())
        for renewing in ((server,), (client,), (server, client)):
            for end in renewing:
                end.renew()
                end.say(b"\x5e" + b"behind")
            carry(server, client)
            assert not server.is_exchanging and not client.is_exchanging
        assert server.payloads == client.payloads == 2 * [framed(b"\x5ebehind")]
        assert server.exchange_count == client.exchange_count == 4

    def test_of_another_host_are_not_accepted_later_either(self) -> None:
        server, client = begun(*ends())
        server._host_keys = {b"ssh-ed25519": Key.fromString(new_key().private)}
        server.renew()
        why = violation(lambda: carry(server, client))
        assert why.side == "server" and "did not prove that it is itself" in why.sentence

    def test_of_a_host_without_the_private_half_are_not_accepted(self) -> None:
        server, client = ends()
        stranger, other = Key.fromString(new_key().private), KEYS["ed25519"]
        server._getHostKeys = lambda name: (other.public(), stranger)  # type: ignore[method-assign] # to lie
        why = violation(lambda: begun(server, client))
        assert why.side == "server" and "could not agree" in why.sentence

    def test_that_are_refused_say_so(self) -> None:
        server, client = ends(accepts=lambda _: False)
        why = violation(lambda: begun(server, client))
        assert why.sentence == "The target did not prove that it is itself."


class TestStrictness:
    """CVE-2023-48795."""

    def test_numbers_begin_anew_with_each_key(self) -> None:
        server, client = begun(*ends())
        assert server.is_strict and client.is_strict
        for _ in range(2):
            client.say(b"\x5e1")
            carry(server, client)
            before = server._unpacker.sequence
            client.renew()
            carry(server, client)
            assert (server._unpacker.sequence, client._packer.sequence, client._unpacker.sequence) == (0, 0, 0)
            assert before > 0

    @pytest.mark.parametrize("at_server", [True, False])
    @pytest.mark.parametrize("injected", [IGNORE, DEBUG, UNIMPLEMENTED])
    def test_nothing_may_be_injected_before_there_are_keys(self, at_server: bool, injected: int) -> None:
        """An attacker puts a packet in, and takes one out behind NEWKEYS: all numbers fit without this rule."""
        server, client = ends()
        server.begin()
        client.begin()
        hearer, speaker = (server, client) if at_server else (client, server)
        version, hello, *rest = speaker.outbox
        assert not rest
        speaker.outbox.clear()
        attack = b"".join(Packer().pack(bytes((injected,)) + string(b"")))
        hearer.append(version + hello + attack)
        assert violation(lambda: take_all(hearer)).detail == f"message {injected}"

    @pytest.mark.parametrize("at_server", [True, False])
    def test_nothing_may_be_injected_before_it_is_known_whether_the_peer_is_strict(self, at_server: bool) -> None:
        server, client = ends()
        server.begin()
        client.begin()
        hearer, speaker = (server, client) if at_server else (client, server)
        version, hello = speaker.outbox
        hearer.append(version + b"".join(Packer().pack(bytes((IGNORE,)) + string(b""))) + hello)
        assert "before its key exchange" in violation(lambda: take_all(hearer)).sentence

    @pytest.mark.parametrize("lax_server", [True, False])
    def test_peers_that_are_not_strict_are_spoken_to_as_ever(self, lax_server: bool) -> None:
        server, client = ends()
        lax, strict = (server, client) if lax_server else (client, server)
        lax.supportedKeyExchanges = lax.supportedKeyExchanges[:-1]
        server.begin()
        client.begin()
        lax.say(bytes((IGNORE,)) + string(b"x"))
        carry(server, client)
        assert server.is_secure and client.is_secure and not strict.is_strict
        assert strict._unpacker.sequence > 0
        strict.say(b"\x5e1")
        strict.renew()
        carry(server, client)
        assert lax.payloads == [framed(b"\x5e1")]

    @pytest.mark.parametrize("number", [SERVICE_REQUEST, 7, NEWKEYS, 30, 31, 32, 33, 34, 50, 80, 90, 101, 255])
    def test_before_the_key_exchange_comes_nothing_else(self, number: int) -> None:
        for end in ends():
            end.is_open = False
            end.begin()
            end.append(b"SSH-2.0-x\r\n" + b"".join(Packer().pack(bytes((number,)) + string(USERAUTH))))
            violation(lambda end=end: take_all(end))  # type: ignore[misc] # a lambda has no annotations

    @pytest.mark.parametrize("number", [KEXINIT, SERVICE_REQUEST, NEWKEYS, 32, 33, 34, 50, 90, 255])
    def test_amid_it_comes_what_is_due(self, number: int) -> None:
        server, client = begun(*ends())
        client.sendPacket(KEXINIT, client.ourKexInitPayload[1:])
        client.pack(bytes((number,)) + b"\0" * 8)
        server.append(b"".join(client.outbox))
        assert "amid a key exchange" in violation(lambda: take_all(server)).sentence

    def test_a_second_answer_in_one_exchange_is_out_of_turn(self) -> None:
        server, client = begun(*ends())
        client.renew()
        carry_once(client, server)
        carry_once(server, client)
        first = client.outbox[0]
        assert first
        point = client.ecPub.public_bytes_raw()
        client.pack(bytes((30,)) + string(point))
        server.append(b"".join(client.outbox))
        assert "amid a key exchange" in violation(lambda: take_all(server)).sentence

    def test_a_wrong_guess_is_passed_over(self) -> None:
        """RFC 4253 §7: a client may send its first packet at once, and has to send another if it guessed wrong."""
        server, client = ends()
        server.begin()
        client.begin()
        version, _ = client.outbox
        lists = [b",".join(each) for each in _name_lists(client.ourKexInitPayload[1:])]
        guess = kexinit(*lists)[:-5] + b"\1" + bytes(4)
        client.ourKexInitPayload = guess
        client.outbox[:] = [version, *Packer().pack(guess), *_second(Packer(), b"\x1e" + string(b"guessed wrong"))]
        client._packer.sequence = 2
        carry(server, client)
        assert server.is_secure and client.is_secure


def _second(packer: Packer, payload: bytes) -> tuple[bytes, ...]:
    packer.sequence = 1
    return packer.pack(payload)


def carry_once(speaker: Exchange, hearer: Exchange) -> None:
    hearer.append(b"".join(speaker.outbox))
    speaker.outbox.clear()
    take_all(hearer)


class TestGreetings:
    @pytest.mark.parametrize(
        "line",
        [
            b"GET / HTTP/1.1\r\n",
            b"SSH-1.5-old\r\n",
            b"\r\n",
            b"SSH-2.0-" + b"x" * 300 + b"\r\n",
            b"SSH-2.0-a\0b\r\n",
            b"x" * 256,
            b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\n",
        ],
    )
    def test_clients_begin_with_their_version(self, line: bytes) -> None:
        server, _ = ends()
        assert "speaks no SSH" in violation(lambda: server.append(line)).sentence

    def test_targets_may_say_something_before(self) -> None:
        server, client = ends()
        server.begin()
        client.begin()
        server.outbox.insert(0, b"Welcome!\r\nSSH is spoken here.\n\n")
        carry(server, client)
        assert client.is_secure

    @pytest.mark.parametrize("flood", [b"x" * 9000, b"line\n" * 2000 + b"x"])
    def test_but_not_without_end(self, flood: bytes) -> None:
        _, client = ends()
        assert "speaks no SSH" in violation(lambda: client.append(flood)).sentence

    def test_version_1_99_is_version_2(self) -> None:
        _, client = ends()
        client.append(b"SSH-1.99-x\n")
        assert client.otherVersionString == b"SSH-1.99-x"


class TestHostility:
    @pytest.mark.parametrize("seed", range(20))
    def test_bytes_that_are_no_packets_end_it(self, seed: int) -> None:
        """Before there are keys and with them, at both ends."""
        noise = random.Random(seed)
        for end in ends():
            end.begin()
            end.append(b"SSH-2.0-x\r\n" + noise.randbytes(400_000))
            violation(lambda end=end: take_all(end))  # type: ignore[misc] # a lambda has no annotations
        for end, _ in (begun(*ends()), begun(*ends())[::-1]):
            end.append(noise.randbytes(400_000))
            violation(lambda end=end: take_all(end))  # type: ignore[misc] # as above

    @given(number=st.integers(0, 255), body=st.binary(max_size=80), is_server=st.booleans(), is_amid=st.booleans())
    @settings(max_examples=300, deadline=None)
    def test_whatever_a_packet_holds_it_is_taken_or_a_violation(
        self, number: int, body: bytes, is_server: bool, is_amid: bool
    ) -> None:
        end, peer = begun(*ends()) if is_server else begun(*ends())[::-1]
        end.is_open = False
        end.login = lambda payload: None
        if is_amid:
            peer.sendPacket(KEXINIT, peer.ourKexInitPayload[1:])
        peer.pack(bytes((number,)) + body)
        end.append(b"".join(peer.outbox))
        with suppress(ProtocolViolation):
            take_all(end)

    @pytest.mark.parametrize("lists", [b"", b"\xff" * 4, bytes(40), string(b",,,") * 10])
    def test_an_offer_that_is_none_is_a_violation(self, lists: bytes) -> None:
        for end in ends():
            end.begin()
            end.append(b"SSH-2.0-x\r\n" + b"".join(Packer().pack(bytes((KEXINIT,)) + bytes(16) + lists)))
            violation(lambda end=end: take_all(end))  # type: ignore[misc] # a lambda has no annotations

    @pytest.mark.parametrize("point", [b"", b"x", bytes(32), b"\xff" * 32])
    def test_no_key_comes_of_a_point_that_is_none(self, point: bytes) -> None:
        server, client = begun(*ends())
        client.renew()
        carry_once(client, server)
        client.pack(bytes((30,)) + string(point))
        server.append(b"".join(client.outbox))
        if point == b"\xff" * 32:  # any other 32 bytes are a point of Curve25519
            take_all(server)
        else:
            violation(lambda: take_all(server))

    def test_a_changed_packet_is_noticed_under_each_cipher(self) -> None:
        for cipher in CIPHERS:
            for mac in MACS:
                server, client = ends()
                client.supportedCiphers, client.supportedMACs = [cipher], [mac]
                begun(server, client)
                client.say(b"\x5e" + bytes(100))
                data = bytearray(b"".join(client.outbox))
                data[40] ^= 1
                server.append(bytes(data))
                assert "can't be read" in violation(lambda server=server: take_all(server)).sentence  # type: ignore[misc] # as above

    @pytest.mark.parametrize("length", [0, 1, 5, 11, PAYLOAD_BYTES_MAX + 512, 2**31, 2**32 - 1])
    def test_lengths_that_no_packet_has_are_noticed_at_once(self, length: int) -> None:
        unpacker = Unpacker()
        unpacker.append(struct.pack("!I", length) + bytes(60))
        with pytest.raises(Exception, match="bytes long"):
            unpacker.next()

    @pytest.mark.parametrize("padding", [0, 3, 12, 255])
    def test_padding_that_no_packet_has_is_noticed(self, padding: int) -> None:
        unpacker = Unpacker()
        unpacker.append(struct.pack("!IB", 12, padding) + bytes(11))
        with pytest.raises(Exception, match="padding"):
            unpacker.next()

    def test_floods_of_packets_for_nobody_leave_nothing_behind(self) -> None:
        server, client = begun(*ends())
        for _ in range(5000):
            client.say(bytes((IGNORE,)) + string(b"x" * 100))
            client.say(bytes((DEBUG,)) + b"\1" + string(b"look at me") + string(b""))
            client.say(bytes((UNIMPLEMENTED,)) + bytes(4))
        carry(server, client)
        assert (server.outbox, server.payloads) == ([], [])

    def test_answers_that_wait_for_keys_are_few(self) -> None:
        server, client = begun(*ends())
        server.renew()
        for _ in range(100):
            client.pack(bytes((SERVICE_REQUEST,)) + string(USERAUTH))
        server.append(b"".join(client.outbox))
        assert "agrees on no key" in violation(lambda: take_all(server)).sentence

    def test_what_nobody_knows_is_answered_with_its_number(self) -> None:
        server, client = begun(*ends())
        number = client._packer.sequence
        client.say(b"\xc8")
        carry_once(client, server)
        packet = b"".join(server.outbox)
        client.append(packet)
        told = client._unpacker.next()
        assert told is not None and told[4:] == bytes((UNIMPLEMENTED,)) + number.to_bytes(4)

    def test_nothing_that_peers_send_gets_into_the_log(self) -> None:
        told: list[Any] = []
        globalLogPublisher.addObserver(told.append)
        try:
            server, client = begun(*ends())
            client.say(bytes((DEBUG,)) + b"\1" + string(b"canary") + string(b""))
            client.say(b"\xc8canary")
            client.disconnect(PROTOCOL_ERROR, "canary")
            carry(server, client)
        finally:
            globalLogPublisher.removeObserver(told.append)
        assert told == []


class TestFarewell:
    def test_is_heard_and_nothing_behind_it(self) -> None:
        server, client = begun(*ends())
        client.disconnect(PROTOCOL_ERROR, "Enough, and\nover.")
        client.say(b"\x5emore")
        carry(server, client)
        assert server.farewell == "Enough, and over." and server.payloads == []

    @pytest.mark.parametrize("rest", [b"", b"\0\0", bytes(4) + b"\xff" * 4, bytes(4) + string(b"\xff\xfe")])
    def test_however_badly_it_is_said(self, rest: bytes) -> None:
        server, client = begun(*ends())
        client.say(bytes((DISCONNECT,)) + rest)
        carry(server, client)
        assert server.farewell is not None

    def test_amid_a_key_exchange_it_is_understood_all_the_same(self) -> None:
        """Ours are the new keys as soon as we have said so, also if the peer has not yet."""
        server, client = begun(*ends())
        client.renew()
        carry_once(client, server)
        carry_once(server, client)
        carry_once(client, server)  # the server has answered, and said that it has new keys
        server.disconnect(PROTOCOL_ERROR, "Over.")
        carry_once(server, client)
        assert client.farewell == "Over."
