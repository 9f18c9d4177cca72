"""Runs scripts of the grammar at two places and compares what they come to: results and SQLSTATEs."""

import os
import select
from collections import Counter
from collections.abc import Iterator
from random import Random, SystemRandom
from typing import Any, Protocol

from psycopg import pq

from hoopproxy.masking.shadows.places import Places
from hoopproxy.masking.shadows.rewriting import rewritten
from hoopproxy.masking.syntax import parsed
from tests.shadows.masked_sample import SHADOW
from tests.shadows.scripts import RULED_OUT, Scripts

SUCCESS_MIN = 0.6
SCRIPTS_MAX = 5000
ANSWER_S_MAX = 60.0

type Answer = tuple[str, tuple[object, ...]]
"""What a text came to: the SQLSTATE of its error, or "", and the rows of each of its statements."""


class Place(Protocol):
    """Where scripts are run."""

    def send(self, text: str) -> Answer:
        """Run what one text says."""


class Server:
    """A connection. Given a source of chance, it sends half of the single statements by the extended protocol."""

    def __init__(self, dsn: str, random: Random | None = None) -> None:
        self._connection, self._random = pq.PGconn.connect(dsn.encode()), random
        assert self._connection.status == pq.ConnStatus.OK, self._connection.error_message
        self.send("SET client_min_messages = error; SET client_encoding = 'UTF8'")

    def close(self) -> None:
        self._connection.finish()

    def send(self, text: str) -> Answer:
        """The rows of each statement, without their order."""
        if self._random and self._random.random() < 0.5 and len(parsed(text)) == 1:
            self._connection.send_query_params(text.encode(), [])
        else:
            self._connection.send_query(text.encode())
        found, state = list[object](), ""
        while result := self._result(text):
            match result.status:
                case pq.ExecStatus.FATAL_ERROR:
                    state = (result.error_field(pq.DiagnosticField.SQLSTATE) or b"?").decode()
                case pq.ExecStatus.COPY_OUT:
                    found.append(sorted(self._copied()))
                case _:
                    names = [result.fname(column) for column in range(result.nfields)]
                    rows = (
                        [result.get_value(row, column) for column in range(len(names))] for row in range(result.ntuples)
                    )
                    # Plans differ.
                    shown = [] if result.command_status == b"EXPLAIN" else sorted(map(repr, rows))
                    found.append((result.command_status, names, shown))
        return state, tuple(found)

    def _result(self, text: str) -> Any:
        """The next one. @raise AssertionError: it got lost on the way."""
        while self._connection.is_busy():
            if not select.select([self._connection.socket], [], [], ANSWER_S_MAX)[0]:
                raise AssertionError(f"no answer within {ANSWER_S_MAX:g} s to {text}")
            self._connection.consume_input()
        return self._connection.get_result()

    def _copied(self) -> Iterator[bytes]:
        while (piece := self._connection.get_copy_data(0))[0] > 0:
            yield bytes(piece[1])


class Rewritten:
    """A server to which the rewriter's texts are sent: a gateway without its wire."""

    def __init__(self, server: Server) -> None:
        self._server, self._places = server, Places.of(SHADOW)

    def send(self, text: str) -> Answer:
        """As the gateway would."""
        found = rewritten(text, SHADOW, self._places)
        self._places = found.places
        if text == "ROLLBACK":
            assert self._places == Places.of(SHADOW)
        return self._server.send(found.text)


def compare(masked: Place, reference: Place, hits_min: int, apart: float = 1.0) -> None:
    """Scripts until each production was hit so often. Most succeed, so that errors don't agree by accident. A script is
    sent as one text, or, with the probability of `apart`, each of its texts by itself.

    @raise AssertionError: the two don't agree; the seed that was printed replays it.
    """
    seed = int(os.environ.get("DIFFERENTIAL_SEED") or SystemRandom().randrange(2**32))
    print(f"\nDIFFERENTIAL_SEED={seed}")  # noqa: T201 - shown where the test fails, and with -s
    random, states, count = Random(seed), Counter[str](), 0
    scripts = Scripts(random)
    while count < 100 or (min(scripts.hits.values()) < hits_min and count < SCRIPTS_MAX):
        texts = scripts.script()
        if random.random() >= apart and not scripts.acting.intersection(texts):
            texts = ["\n;".join(["BEGIN", *texts, "ROLLBACK"])]
        states.update(_compared(texts, scripts.acting, masked, reference))
        count += 1
    hits = ", ".join(f"{name} {hits}" for name, hits in scripts.hits.most_common())
    print(f"{count} scripts, {states.total()} texts, SQLSTATEs {dict(states)}\n{hits}")  # noqa: T201 - as above
    assert min(scripts.hits.values()) >= hits_min
    assert states[""] >= SUCCESS_MIN * states.total()


def _compared(texts: list[str], acting: set[str], masked: Place, reference: Place) -> Iterator[str]:
    """The SQLSTATEs of a script's texts, which are alike at both places; it ends at the first error."""
    is_apart = not texts[0].startswith("BEGIN")
    if is_apart:
        for place in (masked, reference):
            place.send("BEGIN")
    state = ""
    for text in texts:
        seen = masked.send(text)
        wanted = (RULED_OUT, seen[1]) if text in acting else reference.send(text)
        state = seen[0]
        assert seen == wanted, f"{texts}\n{text}\n{seen}\n{wanted}"
        yield state
        if state:
            break
    if is_apart or state:
        for place in (masked, reference):
            place.send("ROLLBACK")
