"""What stops of the tour do: run commands as people do, show what they say, and check it. Knows no stop."""

import json
import zipfile
from typing import Any

from hoopproxy.demo.command import Command
from hoopproxy.demo.show import Show
from hoopproxy.demo.stage import Stage


class NotShown(Exception):
    """A stop for which this machine has not what it takes, and what that is."""


class Steps:
    """`problems` are what the stop that is under way did not show as it must."""

    def __init__(self, stage: Stage, show: Show) -> None:
        self.stage, self.show = stage, show
        self.problems: list[str] = []

    def client(
        self, command: Command, *, shown: tuple[str, ...], hidden: tuple[str, ...] = (), exits: int | None = None
    ) -> str:
        """A client's command: what it must say, and must not, and its exit code. None: any but 2, by which psql says
        that it got no connection. All that it said."""
        self.show.command(str(command))
        said, code = command.run()
        self.show.output(said)
        self.must(said, shown=shown, hidden=hidden)
        if (code == 2) if exits is None else (code != exits):
            self.problems.append(f"the client exited with {code}")
        return said

    def ours(self, *words: str, shown: tuple[str, ...], hidden: tuple[str, ...] = (), exits: int = 0) -> str:
        """The same for a command of ours."""
        return self.client(self.stage.hoopproxy(*words), shown=shown, hidden=hidden, exits=exits)

    def must(self, said: str, *, shown: tuple[str, ...], hidden: tuple[str, ...] = ()) -> None:
        """All of `shown` must be in it, and none of `hidden`."""
        self.problems += [f"{text!r} should be there" for text in shown if text not in said]
        self.problems += [f"{text!r} must not be there" for text in hidden if text in said]

    def entry(self, bundle: str, **wanted: str) -> dict[str, Any]:
        """The log's first entry that says so; `bundle` is a new file. @raise LookupError: there is none."""
        self.ours("evidence", "export", "--all", "--output", bundle, shown=(":",))
        with zipfile.ZipFile(self.stage.directory / bundle) as opened:
            entries: list[dict[str, Any]] = [json.loads(each) for each in opened.read("log.jsonl").splitlines()]
        for entry in entries:
            if wanted.items() <= entry.items():
                return entry
        raise LookupError(f"no entry says {wanted}")

    @property
    def zone_key(self) -> tuple[str, str]:
        """What `sessions` needs to open what reviewers read."""
        return "--zone-key", self.stage.short(self.stage.stand.zone_key)

    @property
    def both_keys(self) -> tuple[str, ...]:
        """What it needs to open all of it."""
        return *self.zone_key, "--sealed-key", self.stage.short(self.stage.stand.sealed_key)
