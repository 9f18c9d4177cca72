"""A machine between payloads of a client and of a server: what a relay does, without anything that waits."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import count
from typing import Any

from hoopproxy.events import (
    Ask,
    Asked,
    Call,
    Completed,
    Forward,
    Keep,
    Operation,
    Plan,
    Record,
    Reject,
    Rejected,
    Reply,
    Shape,
    Statement,
    Step,
    Streamed,
)
from hoopproxy.model import Side
from hoopproxy.settings import Limits
from hoopproxy.wire.ssh.machine import STEP_MESSAGES_MAX, SshWire
from hoopproxy.wire.ssh.terms import Terms

from . import speech as say


def allow(text: str) -> str:
    return ""


def keep(shape: Shape) -> Plan:
    return Plan(shape, (Keep(),))


def plan(operation: Operation, refusal: str = "") -> Callable[[Shape], Plan]:
    return lambda shape: Plan(shape, (operation,), refusal)


def calls(function: Callable[[bytes], bytes | None]) -> Callable[[Shape], Plan]:
    return plan(Call(function, "tester"))


@dataclass
class Rig:
    """`refuse` answers the text of a statement with a sentence, "" allows; `rewrite` says what is sent of it."""

    masked: bool = False
    refuse: Callable[[str], str] = allow
    rewrite: Callable[[str], str] = lambda text: text
    plan: Callable[[Shape], Plan] = keep
    environment: Sequence[str] = ("LANG", "LC_*")
    limits: Limits = field(default_factory=Limits)
    messages_max: int = STEP_MESSAGES_MAX

    def __post_init__(self) -> None:
        self.wire = SshWire(Terms(self.masked, self.environment, self.limits, count(1)), self.messages_max)
        self.shown, self.sent = bytearray(), bytearray()
        self.records: list[Record] = []
        self.asks: list[Ask] = []
        self.steps: list[Step] = []
        self._seen = (0, 0)

    def client(self, *payloads: bytes) -> "Rig":
        """The client sends these."""
        return self.feed(Side.CLIENT, say.framed(*payloads))

    def server(self, *payloads: bytes) -> "Rig":
        """The server sends these."""
        return self.feed(Side.SERVER, say.framed(*payloads))

    def feed(self, side: Side, data: bytes) -> "Rig":
        step = self.did(self.wire.feed(side, data))
        while step.ask is not None or (step.more and side not in step.pause):
            step = self.did(self.wire.resume(side, self._reply(step.ask)))
        return self

    def release(self) -> "Rig":
        self.did(self.wire.release(Side.SERVER))
        return self

    def did(self, step: Step) -> Step:
        self.steps.append(step)
        self.records += step.records
        self.shown += step.to_client
        self.sent += step.to_server
        if step.ask is not None:
            self.asks.append(step.ask)
        return step

    def _reply(self, ask: Ask | None) -> Reply | None:
        if isinstance(ask, Shape):
            return self.plan(ask)
        if isinstance(ask, Statement):
            sentence = self.refuse(ask.text)
            return Reject(sentence) if sentence else Forward(self.rewrite(ask.text))
        return None

    def news(self) -> tuple[list[bytes], list[bytes]]:
        """What the client and the server were sent since the last call."""
        shown, sent = self._seen
        self._seen = len(self.shown), len(self.sent)
        return say.unframed(bytes(self.shown[shown:])), say.unframed(bytes(self.sent[sent:]))

    def running(self, client: int = 0, server: int = 10, command: str = "cat", **window: Any) -> "Rig":
        """An exec that the server granted."""
        self.client(say.opens(client, **window)).server(say.confirmed(client, server))
        self.client(say.execs(server, command)).server(say.success(client))
        self.news()
        return self

    def texts(self) -> list[str]:
        return [ask.text for ask in self.asks if isinstance(ask, Statement)]

    def rejected(self) -> list[tuple[str, str]]:
        return [(record.statement.text, record.sentence) for record in self.records if isinstance(record, Rejected)]

    def asked(self) -> list[tuple[int, str]]:
        found = [record.statement for record in self.records if isinstance(record, Asked)]
        return [(statement.number, statement.text) for statement in found]

    def streamed(self, name: str = "stdout", number: int | None = None) -> bytes:
        found = [record for record in self.records if isinstance(record, Streamed) and record.stream == name]
        return b"".join(record.raw for record in found if number in (None, record.statement_number))

    def completed(self) -> list[tuple[int, str]]:
        return [(each.statement_number, each.tag) for each in self.records if isinstance(each, Completed)]
