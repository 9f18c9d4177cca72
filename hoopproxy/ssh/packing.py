"""SSH's binary packets: payloads sealed on their way out and opened on their way in (RFC 4253 §6).

Knows keys and lengths; not how keys are agreed on, and no message's meaning.
"""

import hmac
import os
from typing import Protocol

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from hoopproxy.wire.ssh.packets import LENGTH_BYTES, PAYLOAD_BYTES_MAX

CIPHERS = {
    b"aes256-gcm@openssh.com": 32,
    b"aes128-gcm@openssh.com": 16,
    b"aes256-ctr": 32,
    b"aes192-ctr": 24,
    b"aes128-ctr": 16,
}
"""The ciphers in order of preference, with the bytes of their keys: RFC 4344 §4, RFC 5647 as OpenSSH corrects it."""

MACS = {
    b"hmac-sha2-256-etm@openssh.com": "sha256",
    b"hmac-sha2-512-etm@openssh.com": "sha512",
    b"hmac-sha2-256": "sha256",
    b"hmac-sha2-512": "sha512",
}
"""The MACs in order of preference, with their hashes: RFC 6668, and OpenSSH's PROTOCOL §1.5 for those that go over what
was encrypted. SHA-256 is three times as fast as SHA-512 where the processor knows it."""

_DIGEST_BYTES = {"sha256": 32, "sha512": 64}

BLOCK_BYTES, BLOCK_BYTES_CLEAR = 16, 8
IV_BYTES, TAG_BYTES, COUNTER_BYTES = 12, 16, 8
PADDING_BYTES_MIN, PADDING_BYTES_MAX = 4, 255
PACKET_BYTES_MAX = 1 + PAYLOAD_BYTES_MAX + PADDING_BYTES_MAX
SEQUENCE_BYTES = 4
START = SEQUENCE_BYTES + LENGTH_BYTES
"""Packets are worked on behind their number and their length: the way in which most MACs want to see them."""


class BadPacket(Exception):
    """The peer sent what is no packet of its; nothing that it sends can be understood from here on. The text says how
    it was seen."""


class Cipherment(Protocol):
    """The keys of one direction. The length of a packet is known once `head_bytes` of it are there; `tag_bytes` follow
    each; what is behind the length is a multiple of `block_bytes`, or all is, where `counts_length`."""

    block_bytes: int
    head_bytes: int
    tag_bytes: int
    counts_length: bool

    def seal(self, packet: memoryview) -> tuple[bytes, ...]:
        """What goes out for a packet, which lies behind its number: the pieces."""

    def length(self, head: memoryview) -> bytes:
        """What can be read of a packet by its head: its length, and what else came along."""

    def open(self, sealed: memoryview, packet: memoryview, known_bytes: int) -> None:
        """Fill in a packet that lies behind its number, and of which `known_bytes` are there. @raise BadPacket"""


class Clear:
    """Before there are keys."""

    block_bytes, head_bytes, tag_bytes, counts_length = BLOCK_BYTES_CLEAR, LENGTH_BYTES, 0, True

    def seal(self, packet: memoryview) -> tuple[bytes, ...]:
        return (bytes(packet[SEQUENCE_BYTES:]),)

    def length(self, head: memoryview) -> bytes:
        return bytes(head)

    def open(self, sealed: memoryview, packet: memoryview, known_bytes: int) -> None:
        packet[START:] = sealed[LENGTH_BYTES:]


class Counted:
    """AES in counter mode, and a MAC over each packet before it was encrypted (RFC 4253 §6.4)."""

    block_bytes, head_bytes, counts_length = BLOCK_BYTES, BLOCK_BYTES, True

    def __init__(self, cipher: bytes, mac: bytes, iv: bytes, key: bytes, mac_key: bytes) -> None:
        made = Cipher(algorithms.AES(key[: CIPHERS[cipher]]), modes.CTR(iv[:BLOCK_BYTES]))
        self._encryptor, self._decryptor = made.encryptor(), made.decryptor()
        self._hash = MACS[mac]
        self.tag_bytes = _DIGEST_BYTES[self._hash]
        self._mac_key = mac_key[: self.tag_bytes]

    def seal(self, packet: memoryview) -> tuple[bytes, ...]:
        return self._encryptor.update(packet[SEQUENCE_BYTES:]), hmac.digest(self._mac_key, packet, self._hash)

    def length(self, head: memoryview) -> bytes:
        return self._decryptor.update(head)

    def open(self, sealed: memoryview, packet: memoryview, known_bytes: int) -> None:
        end = len(sealed) - self.tag_bytes
        packet[SEQUENCE_BYTES + known_bytes :] = self._decryptor.update(sealed[known_bytes:end])
        self._check(packet, sealed[end:])

    def _check(self, checked: bytes | memoryview, tag: memoryview) -> None:
        if not hmac.compare_digest(hmac.digest(self._mac_key, checked, self._hash), tag):
            raise BadPacket("its MAC is wrong")


class CountedThenMac(Counted):
    """The same with a MAC over what was encrypted, and the length in the clear."""

    head_bytes, counts_length = LENGTH_BYTES, False

    def seal(self, packet: memoryview) -> tuple[bytes, ...]:
        encrypted = b"".join((packet[:START], self._encryptor.update(packet[START:])))
        return encrypted[SEQUENCE_BYTES:], hmac.digest(self._mac_key, encrypted, self._hash)

    def length(self, head: memoryview) -> bytes:
        return bytes(head)

    def open(self, sealed: memoryview, packet: memoryview, known_bytes: int) -> None:
        end = len(sealed) - self.tag_bytes
        self._check(b"".join((packet[:SEQUENCE_BYTES], sealed[:end])), sealed[end:])
        packet[START:] = self._decryptor.update(sealed[LENGTH_BYTES:end])


class Galois:
    """AES-GCM (RFC 5647): the length in the clear, and one tag over all."""

    block_bytes, head_bytes, tag_bytes, counts_length = BLOCK_BYTES, LENGTH_BYTES, TAG_BYTES, False

    def __init__(self, cipher: bytes, iv: bytes, key: bytes) -> None:
        self._gcm = AESGCM(key[: CIPHERS[cipher]])
        self._fixed = iv[: IV_BYTES - COUNTER_BYTES]
        self._count = int.from_bytes(iv[IV_BYTES - COUNTER_BYTES : IV_BYTES])

    def seal(self, packet: memoryview) -> tuple[bytes, ...]:
        length = bytes(packet[SEQUENCE_BYTES:START])
        return length, self._gcm.encrypt(self._nonce(), packet[START:], length)

    def length(self, head: memoryview) -> bytes:
        return bytes(head)

    def open(self, sealed: memoryview, packet: memoryview, known_bytes: int) -> None:
        try:
            self._gcm.decrypt_into(self._nonce(), sealed[LENGTH_BYTES:], sealed[:LENGTH_BYTES], packet[START:])
        except InvalidTag as why:
            raise BadPacket("its tag is wrong") from why

    def _nonce(self) -> bytes:
        count, self._count = self._count, (self._count + 1) % 2 ** (8 * COUNTER_BYTES)
        return self._fixed + count.to_bytes(COUNTER_BYTES)


def cipherment(cipher: bytes, mac: bytes, iv: bytes, key: bytes, mac_key: bytes) -> Cipherment:
    """The keys of one direction, for one of `CIPHERS` and of `MACS`; key material may be longer than what is taken."""
    if b"-gcm@" in cipher:
        return Galois(cipher, iv, key)
    kind = CountedThenMac if b"-etm@" in mac else Counted
    return kind(cipher, mac, iv, key, mac_key)


class _Direction:
    """What both directions count: packets, and bytes under the present keys."""

    def __init__(self) -> None:
        self.sequence = self.bytes_count = 0
        self._cipherment: Cipherment = Clear()
        self._packet = bytearray(1024)

    def switch(self, cipherment: Cipherment, *, restarts: bool) -> None:
        """New keys for all that follows; with strict key exchange the numbers begin anew."""
        self._cipherment = cipherment
        self.bytes_count = 0
        if restarts:
            self.sequence = 0

    def _room(self, count: int) -> memoryview:
        """The place where a packet is worked on, its number filled in."""
        if len(self._packet) < count:
            self._packet = bytearray(count)
        room = memoryview(self._packet)[:count]
        room[:SEQUENCE_BYTES] = self.sequence.to_bytes(SEQUENCE_BYTES)
        return room

    def _passed(self, count: int) -> None:
        self.sequence = (self.sequence + 1) % 2**32
        self.bytes_count += count


class Packer(_Direction):
    """Payloads to packets."""

    def pack(self, payload: bytes | memoryview) -> tuple[bytes, ...]:
        """The packet for a payload of 1 to `PAYLOAD_BYTES_MAX` bytes, in pieces."""
        cipherment, padded = self._cipherment, 1 + len(payload)
        counted = padded + LENGTH_BYTES if cipherment.counts_length else padded
        padding = PADDING_BYTES_MIN + (-counted - PADDING_BYTES_MIN) % cipherment.block_bytes
        end = START + padded
        room = self._room(end + padding)
        room[SEQUENCE_BYTES:START] = (padded + padding).to_bytes(LENGTH_BYTES)
        room[START] = padding
        room[START + 1 : end] = payload
        room[end:] = os.urandom(padding)
        self._passed(len(room))
        return cipherment.seal(room)


class Unpacker(_Direction):
    """Packets to payloads, however they are cut."""

    def __init__(self) -> None:
        super().__init__()
        self._data, self._at = b"", 0
        self._head = b""

    def append(self, data: bytes) -> None:
        """More bytes."""
        self._data = self._data[self._at :] + data if self._at < len(self._data) else data
        self._at = 0

    def next(self) -> bytes | None:
        """The next payload with its length before it (`wire.ssh.packets.framed`); None: more is needed.

        @raise BadPacket
        """
        cipherment, there = self._cipherment, len(self._data) - self._at
        if not self._head:
            if there < cipherment.head_bytes:
                return None
            self._head = cipherment.length(memoryview(self._data)[self._at : self._at + cipherment.head_bytes])
        length = int.from_bytes(self._head[:LENGTH_BYTES])
        counted = length + LENGTH_BYTES if cipherment.counts_length else length
        if length > PACKET_BYTES_MAX or length < 2 + PADDING_BYTES_MIN or counted % cipherment.block_bytes:
            raise BadPacket(f"it is {length} bytes long")
        end = LENGTH_BYTES + length + cipherment.tag_bytes
        if there < end:
            return None
        room = self._room(START + length)
        room[SEQUENCE_BYTES : SEQUENCE_BYTES + len(self._head)] = self._head
        cipherment.open(memoryview(self._data)[self._at : self._at + end], room, len(self._head))
        self._at += end
        self._head = b""
        self._passed(len(room))
        return self._framed(room)

    def _framed(self, packet: memoryview) -> bytes:
        padding = packet[START]
        payload_bytes = len(packet) - START - 1 - padding
        if padding < PADDING_BYTES_MIN or not 0 < payload_bytes <= PAYLOAD_BYTES_MAX:
            raise BadPacket(f"its padding is {padding} bytes of {len(packet) - START}")
        start = START + 1 - LENGTH_BYTES
        packet[start : START + 1] = payload_bytes.to_bytes(LENGTH_BYTES)
        return bytes(packet[start : START + 1 + payload_bytes])
