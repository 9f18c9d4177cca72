"""Random clients against a fake server: through the gateway they get, byte for byte, what a server would answer that
masks and refuses by itself; whatever the timing, nothing protected comes out.
"""

from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st

from hoopproxy.errors import ProtocolViolation
from hoopproxy.events import Format
from hoopproxy.model import Side
from hoopproxy.wire.postgres import requests
from hoopproxy.wire.postgres.framing import Splitter
from hoopproxy.wire.postgres.requests import FLUSH, SYNC, Named

from .fake_postgres import FakePostgres
from .rig import Rig, machine

TEXTS = st.sampled_from(
    [
        "select customers",
        "select products",
        "select t",
        "execute t",
        "switch",
        "insert",
        "insert forbidden",
        "insert unrunnable",
        "begin",
        "commit",
        "rollback",
        "fail",
        "mistyped",
        "copy out",
        "note",
        "",
    ]
)
STATEMENTS = st.sampled_from(["", "", "a", "b"])
PORTALS = st.sampled_from(["", "", "p", "q"])
FORMATS = st.sampled_from([(), (Format.BINARY,), (Format.TEXT, Format.BINARY)])
MESSAGES = st.one_of(
    st.builds(lambda name, text: requests.Parse(name, text.encode()).encode(), STATEMENTS, TEXTS),
    st.builds(
        lambda portal, name, formats: requests.Bind(portal, name, (), formats).encode(), PORTALS, STATEMENTS, FORMATS
    ),
    st.builds(requests.execute, PORTALS, st.sampled_from([0, 0, 1, 2])),
    st.builds(requests.describe, st.just(Named.PORTAL), PORTALS),
    st.builds(requests.describe, st.just(Named.STATEMENT), STATEMENTS),
    st.builds(requests.close, st.just(Named.PORTAL), PORTALS),
    st.builds(requests.close, st.just(Named.STATEMENT), STATEMENTS),
    st.sampled_from([SYNC, SYNC, SYNC, FLUSH]),
    st.builds(lambda texts: requests.query(";".join(texts)), st.lists(TEXTS, min_size=1, max_size=3)),
    # What drivers really send: asyncpg and pgjdbc without a Describe, psycopg with one.
    st.builds(
        lambda name, text: (
            requests.Parse(name, text.encode()).encode()
            + requests.Bind("", name).encode()
            + requests.execute("")
            + SYNC
        ),
        STATEMENTS,
        TEXTS,
    ),
    st.builds(
        lambda name: (
            requests.Bind("", name).encode() + requests.describe(Named.PORTAL, "") + requests.execute("") + SYNC
        ),
        STATEMENTS,
    ),
    st.builds(lambda name: requests.Bind("", name).encode() + requests.execute("") + SYNC, STATEMENTS),
)
SCRIPTS = st.lists(
    st.tuples(MESSAGES, st.integers(min_value=0, max_value=3), st.integers(min_value=1, max_value=60)), max_size=40
)


def refuse(action: str, text: str) -> str:
    if "forbidden" in text or ("unrunnable" in text and action == "execute"):
        return "The security team refuses this statement; ask them."
    return ""


def play(rig: Rig, script: list[tuple[bytes, int, int]], *, patient: bool = False) -> None:
    """Each message, then some of the server's bytes in pieces of some size; all of them when `patient`."""
    for data, pieces, size in script:
        rig.client(data)
        for _ in range(pieces):
            rig.serve(size)
        if patient:
            rig.serve()
    rig.serve()


def was_too_early(why: ProtocolViolation) -> None:
    """The one thing that the gateway can't know in time (see `statements.be_sure`)."""
    if "before the target had confirmed it" not in why.sentence:
        raise why
    event("ended: a name was used again too early")


@given(SCRIPTS)
@settings(max_examples=250, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_a_client_gets_what_a_perfect_server_would_answer(script: list[tuple[bytes, int, int]]) -> None:
    script = [*script, (SYNC, 0, 1)]
    rig, perfect = Rig(refuse=refuse), FakePostgres(masked=True, refuse=refuse)
    expected = perfect.feed(b"".join(data for data, _, _ in script))
    # A guard that refuses an Execute speaks before the server could say that the portal is gone already. So that both
    # say the same, the client waits for answers where there is such a statement.
    patient = any(b"unrunnable" in data for data, _, _ in script)
    try:
        play(rig, script, patient=patient)
    except ProtocolViolation as why:
        was_too_early(why)
        assert expected.startswith(bytes(rig.shown))
    else:
        assert bytes(rig.shown) == expected
        assert rig.server.executed == perfect.executed
    assert b"canary" not in rig.shown
    assert "canary" not in repr(rig.records) and all(b"canary" not in getattr(r, "raw", b"") for r in rig.records)


@given(SCRIPTS)
@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_where_nothing_is_protected_bytes_are_identical_in_both_directions(
    script: list[tuple[bytes, int, int]],
) -> None:
    """Except that what a server would skip after an error need not be sent to it at all."""
    script = [*script, (SYNC, 0, 1)]
    rig, direct = Rig(wire=machine(protected=())), FakePostgres()
    expected = direct.feed(b"".join(data for data, _, _ in script))
    try:
        play(rig, script)
    except ProtocolViolation as why:
        was_too_early(why)
        return
    assert bytes(rig.shown) == expected
    assert rig.server.executed == direct.executed
    if b"E" not in kinds(expected):
        assert bytes(rig.sent) == b"".join(data for data, _, _ in script)


def kinds(data: bytes) -> set[bytes]:
    splitter, found = Splitter(Side.SERVER), set()
    splitter.append(data)
    while (message := splitter.next(1 << 30, "")) is not None:
        found.add(message.kind)
    return found
