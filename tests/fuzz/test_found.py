"""What fuzzing has found, once each: as what it amounts to for whom it would have hurt."""

import subprocess
import sys
from dataclasses import replace

import pytest

from hoopproxy.events import Plan, Shape
from hoopproxy.model import Side
from hoopproxy.settings import Limits
from hoopproxy.wire.postgres.framing import Message, Splitter, message
from hoopproxy.wire.postgres.requests import SYNC, query
from tests.wire.fake_postgres import FakePostgres
from tests.wire.rig import Rig, machine, masks

DATA = message(b"d", b"x" * 10 + b"d\0\0\0\x09")
"""Where five bytes get into it, its own last five become a header to the server, which takes that of the next message
for data; and the body of the next message for messages, which nobody has judged."""

UNJUDGED = message(b"d", query("insert forbidden"))


def refused(shape: Shape) -> Plan:
    return replace(masks(shape), refusal="Nothing of this may be shown.")


def messages_sent(rig: Rig) -> list[Message]:
    splitter, found = Splitter(Side.CLIENT), list[Message]()
    splitter.append(bytes(rig.sent))
    while (got := splitter.next(1 << 30, "")) is not None:
        found.append(got)
    assert not splitter.buffer
    return found


@pytest.mark.parametrize(
    ("before", "pending_max"),
    [
        pytest.param(SYNC * 4, 4, id="a Flush for a client that has sent too much ahead"),
        pytest.param(query("select customers;copy in"), 10, id="a CopyFail for a COPY that the client must not see"),
    ],
)
def test_no_message_of_ours_gets_into_one_of_the_clients(before: bytes, pending_max: int) -> None:
    limits, server = Limits(pending_statements_max=pending_max), FakePostgres(strict=False)
    rig = Rig(wire=machine(limits=limits), plan=refused, server=server)
    said = before + DATA
    rig.client(said[:-12])
    rig.serve()
    rig.client(said[-12:] + UNJUDGED + SYNC)
    rig.serve()
    assert "insert forbidden" not in server.executed
    assert [got.raw for got in messages_sent(rig) if got.kind == b"d"] == [DATA, UNJUDGED]


def test_a_client_that_is_always_amid_a_message_is_stopped_all_the_same() -> None:
    rig = Rig(wire=machine(limits=Limits(pending_statements_max=4)))
    for _ in range(10):
        rig.client(SYNC * 3 + DATA[:6])
        rig.client(DATA[6:])
    assert rig.sent.count(SYNC) <= 4 and Side.CLIENT in rig.pause
    rig.serve()
    assert rig.sent.count(SYNC) == 30 and rig.sent.count(DATA) == 10
    assert bytes(rig.shown).count(b"Z\0\0\0\5I") == 30


@pytest.mark.parametrize("link", ["+1", "::int", " COLLATE a", " IS NULL", " UNION SELECT 1", " AND 1"])
@pytest.mark.parametrize("bytes_max", [262_144, 1_048_576])
def test_no_statement_is_too_deep_for_the_process(link: str, bytes_max: int) -> None:
    """libpg_query writes its tree by recursion, without a look at the stack; wire-enforcement reads long texts in a
    thread of the reactor's pool."""
    program = f"""
import hoopproxy.hands
from twisted.internet import reactor
from hoopproxy.masking.names import Names
from hoopproxy.masking.statements import Rules, judge
from hoopproxy.masks import Catalog
from twisted.internet.defer import Deferred

names, rules = Names.of(Catalog({{}}, {{}}, frozenset(), frozenset())), Rules(statement_bytes_max={bytes_max})
text = "SELECT 1" + {link!r} * (({bytes_max} - 8) // len({link!r}))

async def judged():
    return await hoopproxy.hands.in_thread("statements", judge, text, names, rules)

Deferred.fromCoroutine(judged()).addBoth(lambda verdict: (print(verdict), reactor.stop()))
reactor.run()
"""
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=120, check=False)
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout.startswith(("Denied(", "Allowed("))
