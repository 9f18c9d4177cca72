"""What a hostile server may say: messages of every kind, in order or not, whole or lying, and noise.

Knows no order of messages. Nothing here holds what the fake server protects.
"""

import struct
from functools import partial

from fuzz.choices import Choices, damaged
from hoopproxy.events import Field
from hoopproxy.wire.postgres import messages
from hoopproxy.wire.postgres.framing import message, string
from tests.wire.fake_postgres import OPEN_OID, PROTECTED_OID, TABLES, column

KINDS = b"123nsICZTtDdcGHWEKRSNAVvf\0X"
TAGS = ("SELECT 3", "INSERT 0 1", "DISCARD ALL", "DEALLOCATE ALL", "COPY 2", "", "n\udcffe")
CODES = ("22012", "42P05", "57P01", "", "\udcff")
SEVERITIES = ("ERROR", "FATAL", "PANIC", "", "WARNING")


def answers(choices: Choices) -> tuple[bytes, bool]:
    """Something that it says; whether it says nothing by it about where cells come from."""
    return choices.call(
        _confirms, _confirms, _completes, _ready, _complains, _copies, _remarks, _rows, _describes, _lies
    )


def _confirms(choices: Choices) -> tuple[bytes, bool]:
    return message(choices.pick((b"1", b"2", b"3", b"n", b"s", b"I", b"c"))), True


def _completes(choices: Choices) -> tuple[bytes, bool]:
    return messages.command_complete(choices.pick(TAGS)), True


def _ready(choices: Choices) -> tuple[bytes, bool]:
    return messages.ready_for_query(choices.pick((b"I", b"T", b"E", b"?", b"", b"II"))), True


def _complains(choices: Choices) -> tuple[bytes, bool]:
    make = choices.pick((messages.error_response, messages.error_response, messages.notice_response))
    fields = {"S": "ERROR", "V": choices.pick(SEVERITIES), "C": choices.pick(CODES), "M": "no\udcfe"}
    return make(fields | {"D": "Key (x)=(y)", "W": "where"} if choices.byte() & 1 else fields), True


def _copies(choices: Choices) -> tuple[bytes, bool]:
    return choices.pick(
        (
            message(b"G", b"\0\0\0"),
            message(b"H", b"\0\0\0"),
            message(b"H", b"\0\0\0") + message(b"d", b"x" * 9) + message(b"c"),
            message(b"d", b"copied\n"),
            message(b"d", b"x" * 900),
            message(b"t", b"\0\0"),
        )
    ), True


def _remarks(choices: Choices) -> tuple[bytes, bool]:
    return choices.pick(
        (
            messages.parameter_status("TimeZone", "UTC"),
            messages.notice("take note"),
            message(b"A", b"\0\0\0\1" + string("channel") + string("payload")),
            message(b"A", b"\0\0\0\1" + string("channel")),
            message(b"W", b"\0\0\0"),
            message(b"K", b"\0" * 8),
        )
    ), True


def _rows(choices: Choices) -> tuple[bytes, bool]:
    cells = [choices.pick((None, b"", b"1", b"\xc3\xbc" * 9, b"x" * 390, b"x" * 250)) for _ in range(choices.below(4))]
    row = messages.data_row(cells)
    return row * (1 + choices.below(3)), True


def _describes(choices: Choices) -> tuple[bytes, bool]:
    fields = choices.call(lambda _: TABLES["customers"], lambda _: TABLES["products"], lambda _: (), _fields)
    described = messages.row_description(fields)
    if choices.byte() & 1:
        described = message(b"t", struct.pack("!HI", 1, 25)) + described
    return described, False


def _fields(choices: Choices) -> tuple[Field, ...]:
    one = partial(column, choices.pick(("x", "n\udcff", "")))
    oids = (PROTECTED_OID, OPEN_OID, 0, 2**32 - 1)
    return tuple(one(choices.pick(oids), choices.pick((1, 2, 0, -1))) for _ in range(choices.below(5)))


def _lies(choices: Choices) -> tuple[bytes, bool]:
    """A length that isn't, a body of anything, a message with a byte changed, or plain noise."""
    kind = bytes([choices.pick(KINDS)])
    match choices.below(4):
        case 0:
            return kind + struct.pack("!I", choices.number()) + choices.some(60), False
        case 1:
            return message(kind, choices.some(60)), False
        case 2:
            honest, _ = choices.call(_completes, _complains, _remarks, _rows, _describes)
            return honest[:5] + damaged(choices, honest[5:]), False
        case _:
            return choices.some(255), False
