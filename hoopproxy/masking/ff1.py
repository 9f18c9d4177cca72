"""FF1: encryption of decimal digits to as many decimal digits (NIST SP 800-38G, §6.2; radix 10).

A Feistel network of ten rounds over AES. Numbers of the standard's steps stand behind the lines. Knows no value.
"""

from functools import lru_cache

from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.ciphers.modes import ECB

DIGITS_MIN = 6
"""A domain of 10^6: below, all tokens could be tried (SP 800-38G Rev. 1, §4)."""

ROUNDS = 10
BLOCK = 16


class Ff1:
    """One key, of 16, 24 or 32 bytes. @raise ValueError: of another length."""

    def __init__(self, key: bytes) -> None:
        # ECB keeps nothing from one call to the next; the chaining is done here, since most of each chain is the same.
        self._aes = Cipher(AES(key), ECB()).encryptor().update  # blocks of a PRF, no message
        self._network = lru_cache(64)(self._made)

    def encrypt(self, digits: str, tweak: bytes = b"") -> str:
        """The token of the digits. @raise ValueError: these are fewer than DIGITS_MIN, or no digits."""
        network = self._network(_length(digits), tweak)
        a, b = network.split(digits)
        for i in range(ROUNDS):
            a, b = b, (a + network.number(i, b)) % network.moduli[i % 2]  # 4.vi to 4.viii
        return network.joined(a, b)

    def decrypt(self, digits: str, tweak: bytes = b"") -> str:
        """The digits of a token. @raise ValueError: as above."""
        network = self._network(_length(digits), tweak)
        a, b = network.split(digits)
        for i in reversed(range(ROUNDS)):
            a, b = (b - network.number(i, a)) % network.moduli[i % 2], a
        return network.joined(a, b)

    def chained(self, state: bytes, data: bytes) -> bytes:
        """The last block of `data`, whole blocks, in CBC mode behind the block `state`: the standard's PRF."""
        for at in range(0, len(data), BLOCK):
            mixed = int.from_bytes(state) ^ int.from_bytes(data[at : at + BLOCK])
            state = self._aes(mixed.to_bytes(BLOCK))
        return state

    def _made(self, length: int, tweak: bytes) -> "_Network":
        return _Network(self, length, tweak)


class _Network:
    """What is the same for all texts of as many digits."""

    def __init__(self, ff1: Ff1, length: int, tweak: bytes) -> None:
        self._ff1 = ff1
        self._length, self._left = length, length // 2  # 1
        right = length - self._left
        self.moduli = 10**self._left, 10**right
        """What the half that a round makes is below, by whether its number is odd."""
        self._width = -(-(10**right - 1).bit_length() // 8)  # 3
        self._wanted = 4 * -(-self._width // 4) + 4  # 4
        head = b"\x01\x02\x01\x00\x00\x0a\x0a" + bytes((self._left % 256,))  # 5
        start = head + length.to_bytes(4) + len(tweak).to_bytes(4) + tweak
        start += bytes((-len(tweak) - self._width - 1) % BLOCK)  # 6.i
        whole = len(start) // BLOCK * BLOCK
        self._state, self._rest = ff1.chained(bytes(BLOCK), start[:whole]), start[whole:]

    def number(self, i: int, half: int) -> int:
        """`y` of round `i`, which takes in `half`."""
        stream = prf = self._ff1.chained(self._state, self._rest + bytes((i,)) + half.to_bytes(self._width))  # 6.ii
        for j in range(1, -(-self._wanted // BLOCK)):  # 6.iii
            stream += self._ff1.chained(prf, j.to_bytes(BLOCK))
        return int.from_bytes(stream[: self._wanted])  # 6.iv

    def split(self, digits: str) -> tuple[int, int]:
        """Both halves."""
        return int(digits[: self._left]), int(digits[self._left :])

    def joined(self, a: int, b: int) -> str:
        """Both halves as digits."""
        return str(a * self.moduli[1] + b).zfill(self._length)


def _length(digits: str) -> int:
    if len(digits) < DIGITS_MIN or not (digits.isascii() and digits.isdigit()):
        raise ValueError(f"FF1 takes {DIGITS_MIN} or more decimal digits")
    return len(digits)
