"""One SSH transport without I/O: conch's key exchange between our packets, strict about what may come when (RFC 4253).

Old algorithms are not offered. Knows no socket and no clock; what is in the messages of authentication and of the
connection protocol is others' business.
"""

import struct
from collections.abc import Callable, Mapping
from typing import Any

from twisted.conch.ssh.common import NS, getNS
from twisted.conch.ssh.keys import Key
from twisted.conch.ssh.transport import SSHCiphers, SSHClientTransport, SSHServerTransport, SSHTransportBase
from twisted.internet.defer import Deferred, fail, succeed
from twisted.logger import ILogObserver, Logger
from zope.interface import implementer

from hoopproxy.errors import ProtocolViolation, SessionError
from hoopproxy.model import Side
from hoopproxy.ssh.algorithms import KEY_EXCHANGES, SIGNATURES, STRICT, USER_SIGNATURES, key_format
from hoopproxy.ssh.packing import CIPHERS, MACS, BadPacket, Cipherment, Packer, Unpacker, cipherment
from hoopproxy.wire.ssh.packets import LENGTH_BYTES

VERSION = b"SSH-2.0-OpenSSH_like_hoopproxy"
"""OpenSSH's programs tell each other that nobody reads on (`eow@openssh.com`), without which `ssh target yes | head`
would never end, and they tell it only what calls itself so."""

VERSION_BYTES_MAX = 255
"""RFC 4253 §4.2, with its line end."""

GREETING_BYTES_MAX = 8192
"""What a server may say before its version; nobody is shown it."""

WORDS_BYTES_MAX = 400
"""Of what a peer says, as much as anybody wants to read."""

EXTENSIONS_BYTES_MAX = 8192
"""OpenSSH's are some hundred bytes."""

BLOCKED_MAX = 64
"""Packets of ours that wait for a key exchange: answers to what was asked before it, and they are few."""

DISCONNECT, SERVICE_REQUEST, SERVICE_ACCEPT, KEXINIT, NEWKEYS, KEX_INIT, KEX_REPLY = 1, 5, 6, 20, 21, 30, 31
LOGIN_MIN, CONNECTION_MIN, CONNECTION_MAX = 50, 80, 100
"""Message numbers: RFC 4250 §4.1."""

PROTOCOL_ERROR, UNAVAILABLE, BY_APPLICATION = 2, 7, 11
"""Reasons to disconnect: RFC 4250 §4.2. Clients take the last one for an end in peace, and tell nobody the sentence."""

USERAUTH = b"ssh-userauth"

_COOKIE_BYTES = 16
_AGREED = ("key exchange", "host key", "cipher", "cipher", "MAC", "MAC", "compression", "compression")
_WHO = {Side.CLIENT: "Your client", Side.SERVER: "The target"}


@implementer(ILogObserver)
class _Nobody:
    """Takes what conch would write into the operator's log: it is what peers send."""

    def __call__(self, event: object) -> None: ...


class Exchange(SSHTransportBase):
    """What both ends have in common. `append` bytes of the peer's, `take` its packets one by one.

    What the packets bring goes to `payloads` (of the connection protocol, framed, once `is_open`) and to `login`
    (payloads of authentication, as long as it isn't). What is to be sent gathers in `outbox`. `is_halted` is for those
    who want no more taken for now. `farewell` is what a peer said that disconnected; nothing is taken after that.
    """

    _log = Logger("conch", observer=_Nobody())
    ourVersionString = VERSION
    ignoreNextPacket: int = 0
    nextEncryptions: Any

    def __init__(self, peer: Side, signatures: list[bytes], login: Callable[[bytes], None] | None) -> None:
        known = {Side.CLIENT: SSHServerTransport, Side.SERVER: SSHClientTransport}[peer].supportedKeyExchanges
        self.supportedKeyExchanges = [*(name for name in KEY_EXCHANGES if name in known), STRICT[peer.other]]
        self.supportedPublicKeys = signatures
        self.supportedCiphers, self.supportedMACs, self.supportedCompressions = list(CIPHERS), list(MACS), [b"none"]
        self.peer = peer
        self.login = login or self._is_early
        self.is_halted = self.is_open = self.is_secure = self.is_strict = self.is_logging_in = False
        self.payloads: list[bytes] = []
        self.outbox: list[bytes] = []
        self.farewell: str | None = None
        self.exchange_count = 0
        self._packer, self._unpacker = Packer(), Unpacker()
        self._greeting: bytes | None = b""
        self._greeting_bytes = 0
        self._peer_exchanges = self._is_settled = False
        self._failure: tuple[str, str] | None = None

    @property
    def is_exchanging(self) -> bool:
        """Whether keys are being agreed on: then nothing else may be sent."""
        return bool(self._keyExchangeState != self._KEY_EXCHANGE_NONE)

    @property
    def bytes_count(self) -> int:
        """Bytes under the present keys, in the direction that has more."""
        return max(self._packer.bytes_count, self._unpacker.bytes_count)

    def begin(self) -> None:
        """Our version and what we offer."""
        self.outbox.append(VERSION + b"\r\n")
        self.sendKexInit()  # type: ignore[no-untyped-call] # conch's is not annotated

    def renew(self) -> None:
        """Ask for new keys."""
        self.sendKexInit()  # type: ignore[no-untyped-call] # as above

    def say(self, payload: bytes) -> None:
        """Send a payload; during a key exchange, after it."""
        self.sendPacket(payload[0], payload[1:])

    def pack(self, payload: bytes) -> None:
        """Send a payload, when keys are not being agreed on: the short way."""
        self.outbox += self._packer.pack(payload)

    def disconnect(self, reason: int, sentence: str) -> None:
        """The last thing to say."""
        self.sendPacket(DISCONNECT, struct.pack("!I", reason) + NS(sentence) + NS(b""))

    def append(self, data: bytes) -> None:
        """More bytes of the peer's. @raise ProtocolViolation: it greets us with something else than SSH."""
        if self._greeting is None:
            self._unpacker.append(data)
            return
        self._greeting += data
        self._greeting_bytes += len(data)
        while self._greeting is not None and b"\n" in self._greeting:
            line, _, self._greeting = self._greeting.partition(b"\n")
            self._greeted(line.removesuffix(b"\r"))
        bytes_max = GREETING_BYTES_MAX if self.isClient else VERSION_BYTES_MAX
        if self._greeting is not None and self._greeting_bytes > bytes_max:
            raise self.violated("speaks no SSH of version 2", f"it begins with {self._greeting[:40]!r}")

    def take(self) -> bool:
        """Deal with the peer's next packet; False: there is no whole one. @raise ProtocolViolation."""
        if self.farewell is not None:
            return False
        try:
            framed = self._unpacker.next()
        except BadPacket as why:
            raise self.violated("sent a packet that can't be read", str(why)) from why
        if framed is None:
            return False
        number = framed[LENGTH_BYTES]
        if self._peer_exchanges or number < LOGIN_MIN:
            self._must_be_in_turn(number)
        if CONNECTION_MIN <= number <= CONNECTION_MAX and self.is_open:
            self.payloads.append(framed)
        elif number < LOGIN_MIN:
            self._dispatch(number, framed[LENGTH_BYTES + 1 :])
        elif number < CONNECTION_MIN and self.is_logging_in:
            if not self.is_open:  # RFC 4252 §5.1: later ones are ignored
                self.login(framed[LENGTH_BYTES:])
        elif self.is_open:
            self.sendUnimplemented()
        else:
            self._is_early(framed)
        return True

    def violated(self, what: str, detail: str = "") -> ProtocolViolation:
        """What the peer did, as an error."""
        return ProtocolViolation(self.peer.value, f"{_WHO[self.peer]} {what}.", detail=detail)

    # What is ours in place of conch's ---------------------------------------------------------------------------------

    def sendPacket(self, messageType: int, payload: bytes) -> None:
        if self.is_exchanging and not self._allowedKeyExchangeMessageType(messageType):  # type: ignore[no-untyped-call] # as above
            blocked: Any = self._blockedByKeyExchange
            if len(blocked) >= BLOCKED_MAX:
                raise self.violated("asks without end and agrees on no key")
            blocked.append((messageType, payload))
            return
        self.pack(bytes((messageType,)) + payload)
        if messageType == NEWKEYS:
            self._packer.switch(self.nextEncryptions.outgoing, restarts=self.is_strict)

    def sendUnimplemented(self) -> None:
        self.sendPacket(3, struct.pack("!I", (self._unpacker.sequence - 1) % 2**32))

    def sendDisconnect(self, reason: int, desc: bytes | str) -> None:
        """Conch gives up. It may do so amid callbacks that swallow what is raised: `_dispatch` raises it."""
        words = desc.decode("utf-8", "replace") if isinstance(desc, bytes) else desc
        self._failure = self._failure or ("could not agree with this gateway on keys", words)

    def ssh_KEXINIT(self, packet: bytes) -> Any:
        lists = _name_lists(packet)
        for_each_way = self.supportedCiphers, self.supportedMACs, self.supportedCompressions
        ours = [self.supportedKeyExchanges, self.supportedPublicKeys, *(each for each in for_each_way for _ in "io")]
        for what, wanted, offered in zip(_AGREED, ours, lists, strict=False):
            if not set(wanted) & set(offered):
                names = printable(b", ".join(offered))
                raise self.violated(
                    f"knows no {what} algorithm that this gateway accepts (it offers {names}); update it"
                )
        if not self.is_secure:
            self.is_strict = STRICT[self.peer] in lists[0]
            if self.is_strict and self._unpacker.sequence != 1:
                raise self.violated("sent something before its key exchange")
        self._peer_exchanges, self._is_settled = True, False
        self.exchange_count += 1
        answer = super().ssh_KEXINIT(packet)  # type: ignore[no-untyped-call] # as above
        self.nextEncryptions = _Keys(self.nextEncryptions)
        return answer

    def _keySetup(self, sharedSecret: bytes, exchangeHash: bytes) -> None:
        self._is_settled = True
        super()._keySetup(sharedSecret, exchangeHash)

    def _newKeys(self) -> None:
        self._unpacker.switch(self.nextEncryptions.incoming, restarts=self.is_strict)
        self._peer_exchanges = False
        self.is_secure = True
        super()._newKeys()  # type: ignore[no-untyped-call] # as above

    def ssh_DISCONNECT(self, packet: bytes) -> None:
        length = int.from_bytes(packet[4:8])
        self.farewell = printable(packet[8 : 8 + length])

    def ssh_EXT_INFO(self, packet: bytes) -> None:
        """RFC 8308. Conch reads it in a time that grows with the square of its length: a long one would stop us all."""
        if len(packet) > EXTENSIONS_BYTES_MAX:
            raise self.violated("has more extensions than there are", f"{len(packet)} bytes")
        super().ssh_EXT_INFO(packet)  # type: ignore[no-untyped-call] # as above

    def ssh_IGNORE(self, packet: bytes) -> None: ...

    def ssh_DEBUG(self, packet: bytes) -> None: ...

    def ssh_UNIMPLEMENTED(self, packet: bytes) -> None: ...

    # Inside -----------------------------------------------------------------------------------------------------------

    def _greeted(self, line: bytes) -> None:
        if line.startswith((b"SSH-2.0-", b"SSH-1.99-")) and len(line) <= VERSION_BYTES_MAX - 2 and b"\0" not in line:
            self.otherVersionString = line
            rest, self._greeting = self._greeting, None
            self._unpacker.append(rest or b"")
        elif line.startswith(b"SSH-") or not self.isClient:
            raise self.violated("speaks no SSH of version 2", f"its version is {line[:40]!r}")

    def _must_be_in_turn(self, number: int) -> None:
        """Conch takes any message at any time; what may come when is RFC 4253 §7.1's, and OpenSSH's strictness."""
        if self._peer_exchanges:
            reply = KEX_REPLY if self.isClient else KEX_INIT
            is_due = number == (NEWKEYS if self._is_settled else reply)
            is_due = is_due or (bool(self.ignoreNextPacket) and KEX_INIT <= number < LOGIN_MIN)
            is_aside = number == DISCONNECT or (number < SERVICE_REQUEST and (self.is_secure or not self.is_strict))
        else:
            is_due = number == KEXINIT or (self.is_secure and not KEXINIT <= number < LOGIN_MIN)
            is_aside = number < SERVICE_REQUEST
        if not is_due and not is_aside:
            raise self.violated("sent something amid a key exchange that does not belong there", f"message {number}")

    def _is_early(self, payload: bytes) -> None:
        raise self.violated("is ahead of its login")

    def _dispatch(self, number: int, body: bytes) -> None:
        try:
            self.dispatchMessage(number, body)  # type: ignore[no-untyped-call] # as above
        except SessionError:
            raise
        except Exception as why:  # conch checks little: whatever it stumbles over is the peer's doing
            raise self.violated("sent a message that makes no sense", f"message {number}: {why!r}") from why
        if self._failure is not None:
            raise self.violated(*self._failure)


class ServerExchange(Exchange, SSHServerTransport):
    """Our end of a client's transport. `host_keys` by format (`ssh-rsa` for all RSA signatures)."""

    def __init__(self, host_keys: Mapping[bytes, Key], login: Callable[[bytes], None] | None = None) -> None:
        super().__init__(Side.CLIENT, [name for name in SIGNATURES if key_format(name) in host_keys], login)
        self._host_keys = host_keys

    def _getHostKeys(self, keyAlg: bytes) -> tuple[Key, Key]:
        key = self._host_keys[key_format(keyAlg)]
        return key.public(), key  # type: ignore[no-untyped-call] # conch's is not annotated

    def sendExtInfo(self, extensions: object) -> None:
        """RFC 8308 §3.1; conch would name our own keys' algorithms."""
        super().sendExtInfo([(b"server-sig-algs", b",".join(USER_SIGNATURES))])  # type: ignore[no-untyped-call] # as above

    def ssh_SERVICE_REQUEST(self, packet: bytes) -> None:
        if packet != NS(USERAUTH):
            raise self.violated("asks for a service that is not there", repr(packet[:40]))
        self.is_logging_in = True
        self.sendPacket(SERVICE_ACCEPT, packet)


class ClientExchange(Exchange, SSHClientTransport):
    """Our end of a target's transport. `accepts` says of a host key's blob whether it is the target's; `host_key` is
    the one that it has proved. `login` also gets the payload of SERVICE_ACCEPT, after `request_login`."""

    def __init__(self, accepts: Callable[[bytes], bool], login: Callable[[bytes], None] | None = None) -> None:
        super().__init__(Side.SERVER, SIGNATURES, login)
        self.host_key = b""
        self._accepts = accepts
        self._gotNewKeys = 0

    def request_login(self) -> None:
        """Ask for the service that `login` speaks to."""
        self.sendPacket(SERVICE_REQUEST, NS(USERAUTH))

    def verifyHostKey(self, hostKey: bytes, fingerprint: object) -> Deferred[bool]:
        """Conch checks the signature after this. On new keys the host must be the one that it was."""
        if hostKey == self.host_key or (not self.host_key and self._accepts(hostKey)):
            self.host_key = hostKey
            return succeed(True)
        self._failure = "did not prove that it is itself", "another host key"
        return fail(ValueError("another host key"))

    def connectionSecure(self) -> None: ...

    def _ssh_KEX_ECDH_REPLY(self, packet: bytes) -> Any:
        """Conch takes whatever the key can sign with, SHA-1 included: it must be what was agreed on (RFC 8332 §3)."""
        _, _, signature, _ = getNS(packet, 3)
        if getNS(signature)[0] != self.keyAlg:
            raise self.violated("did not prove that it is itself", "a signature by another algorithm")
        return super()._ssh_KEX_ECDH_REPLY(packet)  # type: ignore[no-untyped-call] # as above

    def ssh_SERVICE_ACCEPT(self, packet: bytes) -> None:
        if packet not in (NS(USERAUTH), b"") or self.is_logging_in:  # Conch's own server sends no name
            raise self.violated("accepts a service that it was not asked for")
        self.is_logging_in = True
        self.login(bytes((SERVICE_ACCEPT,)))


class _Keys(SSHCiphers):
    """Algorithms that were agreed on; with their keys, once conch has made them."""

    outgoing: Cipherment
    incoming: Cipherment

    def __init__(self, chosen: SSHCiphers) -> None:
        super().__init__(chosen.outCipType, chosen.inCipType, chosen.outMACType, chosen.inMACType)  # type: ignore[no-untyped-call] # as above

    def setKeys(self, *made: bytes) -> None:
        out_iv, out_key, in_iv, in_key, out_mac_key, in_mac_key = made
        self.outgoing = cipherment(self.outCipType, self.outMACType, out_iv, out_key, out_mac_key)
        self.incoming = cipherment(self.inCipType, self.inMACType, in_iv, in_key, in_mac_key)
        self.encBlockSize = self.outgoing.block_bytes  # conch's client sees by it that there are keys


def printable(words: bytes) -> str:
    """A peer's words, fit to be kept and shown."""
    text = words[:WORDS_BYTES_MAX].decode("utf-8", "replace")
    return "".join(one if one.isprintable() else " " for one in text)


def _name_lists(packet: bytes) -> list[list[bytes]]:
    """The ten of a KEXINIT (RFC 4253 §7.1). @raise ValueError: they are not there."""
    lists, at = list[list[bytes]](), _COOKIE_BYTES
    for _ in range(10):
        end = at + 4 + int.from_bytes(packet[at : at + 4])
        if end > len(packet):
            raise ValueError("KEXINIT ends amid a name-list")
        lists.append(packet[at + 4 : end].split(b","))
        at = end
    return lists
