"""Performs the script with asyncpg: JSON on standard input, a line of JSON for each operation on standard output."""

import asyncio
import base64
import hashlib
import json
import ssl
import sys
from collections.abc import AsyncIterator, Callable, Iterable
from datetime import date, datetime
from decimal import Decimal
from typing import Any

import asyncpg

PIECE_BYTES = 1000
SECONDS_MAX = 20
KINDS: dict[str, Callable[[Any], Any]] = {
    "numeric": Decimal,
    "bytes": bytes.fromhex,
    "date": date.fromisoformat,
    "timestamptz": datetime.fromisoformat,
}


class Abandoned(Exception):
    """The client gives up a COPY."""


def values(parameters: Iterable[tuple[str, Any]]) -> list[Any]:
    return [value if value is None else KINDS.get(kind, lambda each: each)(value) for kind, value in parameters]


def table(records: list[Any], digest: bool) -> dict[str, Any]:
    """asyncpg decodes all cells, of which almost all come in binary."""
    rows = [[None if cell is None else str(getattr(cell, "points", cell)) for cell in record] for record in records]
    if digest:
        return {"hash": hashlib.md5(json.dumps(rows).encode()).hexdigest(), "rows": len(rows)}
    return {"rows": rows, "names": [list(record.keys()) for record in records[:1]]}


def complaint(why: Exception) -> dict[str, Any]:
    said = why.as_dict() if isinstance(why, asyncpg.PostgresError) else {}
    return {"class": type(why).__name__, "said": str(why), **said}


class Session:
    """One connection, and what runs on it."""

    def __init__(self, connection: asyncpg.Connection) -> None:
        self.connection = connection
        self.running: asyncio.Task[dict[str, Any]] | None = None
        self.kept: dict[tuple[str, str], Any] = {}
        self.transaction: Any = None
        self.notices: list[dict[str, str]] = []
        self.heard: asyncio.Queue[tuple[str, str]] = asyncio.Queue()
        connection.add_log_listener(lambda _, message: self.notices.append(message.as_dict()))

    @classmethod
    async def open(cls, door: dict[str, Any], options: dict[str, Any]) -> "Session":
        return cls(
            await asyncpg.connect(
                host=door["host"], port=door["port"], user=door["user"], password=door["password"],
                database=door["database"], ssl=ssl.create_default_context(cafile=door["ca"]),
                server_settings={"application_name": "matrix"}, statement_cache_size=options.get("cache", 100),
            )
        )  # fmt: skip

    def start(self, op: dict[str, Any]) -> None:
        self.running = asyncio.create_task(self.outcome(op))

    async def join(self) -> dict[str, Any]:
        assert self.running is not None
        try:
            told = await self.running
        except asyncio.CancelledError:
            told = {"cancelled": True}
        await asyncio.sleep(0)  # listeners are called in the loop's next turn
        told["notices"], self.notices = self.notices, []
        told["in transaction"] = self.connection.is_closed() or self.connection.is_in_transaction()
        return told

    async def outcome(self, op: dict[str, Any]) -> dict[str, Any]:
        told: dict[str, Any] = {}
        try:
            await getattr(self, op["do"])(op, told)
        except Exception as why:  # noqa: BLE001 # whatever the driver raises is what it makes of an answer
            told["error"] = complaint(why)
        return told

    async def run(self, op: dict[str, Any], out: dict[str, Any]) -> None:
        out["tag"] = await self.connection.execute(op["sql"])

    async def ask(self, op: dict[str, Any], out: dict[str, Any]) -> None:
        parameters = values(op["with"])
        if not op.get("keep"):
            records = await self.connection.fetch(op["sql"], *parameters)
        else:
            key = op["keep"], op["sql"]
            if key not in self.kept:
                self.kept[key] = await self.connection.prepare(op["sql"])
            records = await self.kept[key].fetch(*parameters)
            out["columns"] = [(each.name, each.type.name) for each in self.kept[key].get_attributes()]
            out["tag"] = self.kept[key].get_statusmsg()
        out["results"] = [table(records, op.get("digest", False))]

    async def many(self, op: dict[str, Any], out: dict[str, Any]) -> None:
        rows = [values(row) for row in op["rows"]]
        if op["keys"]:
            out["results"] = [table(await self.connection.fetchmany(op["sql"], rows), False)]
        else:
            await self.connection.executemany(op["sql"], rows)

    async def cursor(self, op: dict[str, Any], out: dict[str, Any]) -> None:
        records: list[Any] = []
        if op["take"]:
            cursor = await self.connection.cursor(op["sql"])
            while len(records) < op["take"] and (fetched := await cursor.fetch(op["by"])):
                records += fetched
        else:
            async for record in self.connection.cursor(op["sql"], prefetch=op["by"]):
                records.append(record)
        out["results"] = [table(records, op.get("digest", False))]

    async def copy_in(self, op: dict[str, Any], out: dict[str, Any]) -> None:
        data = base64.b64decode(op["data"])

        async def pieces() -> AsyncIterator[bytes]:
            for start in range(0, len(data), PIECE_BYTES):
                yield data[start : start + PIECE_BYTES]
            if op["abandon"]:
                raise Abandoned

        try:
            out["tag"] = await self.connection.copy_to_table(op["table"], source=pieces(), format=op["form"])
        except Abandoned:
            out["abandoned"] = True

    async def copy_out(self, op: dict[str, Any], out: dict[str, Any]) -> None:
        data = bytearray()

        async def keep(block: bytes) -> None:
            data.extend(block)

        try:
            out["tag"] = await self.connection.copy_from_query(op["query"], output=keep, format=op["form"])
        finally:
            starts = bytes(data[:200]).decode(errors="backslashreplace")
            out |= {"bytes": len(data), "hash": hashlib.md5(data).hexdigest(), "starts": starts}

    async def begin(self, op: dict[str, Any], out: dict[str, Any]) -> None:
        level = op["isolation"].lower().replace(" ", "_") or None
        self.transaction = self.connection.transaction(
            isolation=level, readonly=op["read_only"], deferrable=op["deferrable"]
        )
        await self.transaction.start()

    async def commit(self, op: dict[str, Any], out: dict[str, Any]) -> None:
        await self.transaction.commit()

    async def rollback(self, op: dict[str, Any], out: dict[str, Any]) -> None:
        await self.transaction.rollback()

    async def listen(self, op: dict[str, Any], out: dict[str, Any]) -> None:
        def hear(_: Any, __: int, channel: str, payload: str) -> None:
            self.heard.put_nowait((channel, payload))

        await self.connection.add_listener(op["channel"].strip('"'), hear)

    async def hear(self, op: dict[str, Any], out: dict[str, Any]) -> None:
        async with asyncio.timeout(SECONDS_MAX):
            out["heard"] = sorted([await self.heard.get() for _ in range(op["count"])])

    async def status(self, op: dict[str, Any], out: dict[str, Any]) -> None:
        settings = self.connection.get_settings()
        out["reported"] = {name: getattr(settings, name, None) for name in op["names"]}


async def perform(run: dict[str, Any], options: dict[str, Any]) -> None:
    sessions: dict[str, Session] = {}

    async def close() -> None:
        while sessions:
            await sessions.popitem()[1].connection.close()

    for step in run["steps"]:
        for number, op in enumerate(step["ops"]):
            name = op.get("on", "a")
            if name not in sessions:
                sessions[name] = await Session.open(run["door"], options)
            on = sessions[name]
            if op["do"] == "cancel":
                assert on.running is not None
                on.running.cancel()
                outcome: dict[str, Any] = {}
            else:
                if op["do"] != "join":
                    on.start(op)
                outcome = await on.join() if op.get("wait", True) else {}
            line = {"run": run["name"], "step": step["name"], "op": number, **outcome}
            sys.stdout.write(json.dumps(line, default=str) + "\n")
        if step["fresh"]:
            await close()
    await close()


async def main() -> None:
    task = json.load(sys.stdin)
    for each in task["runs"]:
        await perform(each, task["options"])


asyncio.run(main())
