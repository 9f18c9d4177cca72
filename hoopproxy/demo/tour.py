"""The tour: each stop says what is shown, runs real commands, and checks that their output shows it.

Knows the stage's commands and nothing of how its parts are made.
"""

import json
import subprocess
import threading
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from hoopproxy.demo.show import Show
from hoopproxy.demo.stage import ANSWER_S_MAX, FILES, Command, Stage
from hoopproxy.testing.issuer import Issuer
from hoopproxy.testing.stand import PEOPLE
from hoopproxy.testing.three_files import ISSUER_URL

QUERY = "SELECT name, email, card FROM customers ORDER BY id LIMIT 3"
CARD, EMAIL = "4111111111111111", "ines@example.es"
MASKED_CARD = "************1111"
REASON = "This was only a demonstration"

BROKEN = (OSError, subprocess.SubprocessError, zipfile.BadZipFile, LookupError, ValueError)
"""What commands and files that are not as they must be raise; the other stops are shown all the same."""


class NotShown(Exception):
    """A stop for which this machine has not what it takes, and what that is."""


class Tour:
    """Walks the stops in order; `walk` tells which did not show what they must."""

    def __init__(self, stage: Stage, show: Show) -> None:
        self._stage, self._show = stage, show
        self._problems: list[str] = []
        self._session_id = ""

    def walk(self) -> list[str]:
        """All stops; the titles of those that failed."""
        failed = []
        self._show.say("Each command below can be copied into another shell, after this one:")
        self._show.command(self._stage.preparation())
        for number, (title, stop) in enumerate(self._stops(), 1):
            self._problems = []
            self._show.title(f"{number}. {title}")
            try:
                stop()
            except NotShown as why:
                self._show.say(f"Not shown: {why}.", "dim")
                continue
            except BROKEN as why:
                self._problems.append(f"it broke off: {type(why).__name__}: {why}")
            self._show.verdict(self._problems)
            if self._problems:
                failed.append(title)
        return failed

    def _stops(self) -> tuple[tuple[str, Callable[[], None]], ...]:
        return (
            ("Ada, an analyst in Frankfurt, sees masked values", self.masked),
            ("Franz, a fraud officer in Frankfurt, sees them in clear", self.clear),
            ("The same Franz, in Zürich today, gets masks", self.elsewhere),
            ("From Ohio he does not get in", self.out_of_zone),
            ("A forged token does not get in", self.forged),
            ("A statement that would get around a mask is refused, and the session goes on", self.around),
            ("A live session is seen and ended", self.killed),
            ("What that session did was recorded, encrypted for the people of the zone", self.recorded),
            ("Over SSH, card numbers in what a command prints are masked", self.ssh),
            ("The way back is refused, in words, and the session goes on", self.forwarded),
            ("What was on that screen is played again from the recording", self.replayed),
            ("What nobody can parse is carried byte for byte, and the log says so", self.raw),
            ("The evidence is exported and verified, and one changed digit is found", self.verified),
        )

    # Stops ------------------------------------------------------------------------------------------------------------

    def masked(self) -> None:
        """A role without a right to see."""
        self._show.say(
            "The password is a token of the identity provider. The database knows neither Ada nor the token."
        )
        self._client(self._stage.psql("ada", QUERY), shown=("Ines Alvarez", MASKED_CARD), hidden=(CARD, EMAIL))

    def clear(self) -> None:
        """A role that may see, sitting where it may."""
        self._show.say("Same account, same statement; policy.toml reveals cards to the role fraud inside the EU.")
        self._client(self._stage.psql("franz", QUERY), shown=(CARD, EMAIL))

    def elsewhere(self) -> None:
        """The same role from another zone."""
        self._show.say("The port below is a forwarder on this machine whose far end has an address in Switzerland.")
        client = self._stage.psql("franz", QUERY, place="Zürich")
        self._client(client, shown=("Ines Alvarez", MASKED_CARD), hidden=(CARD, EMAIL))

    def out_of_zone(self) -> None:
        """A zone that the grant does not name."""
        self._client(self._stage.psql("franz", QUERY, place="Ohio"), shown=("US",), hidden=("Ines",), refused=True)

    def forged(self) -> None:
        """Right name, right groups, wrong key."""
        forger = Issuer(self._stage.directory / "forger", ISSUER_URL)
        token_file = self._stage.directory / "people" / "forged.token"
        token_file.write_text(forger.issue("ada", PEOPLE["ada"]))
        self._show.say("It says all the right things, and is signed by somebody else's key.")
        client = self._stage.psql("ada", QUERY, token_file=token_file)
        self._client(client, shown=("token",), hidden=("Ines",), refused=True)

    def around(self) -> None:
        """An expression over a protected column."""
        statements = ("SELECT upper(email) FROM customers", "SELECT count(*) AS payments FROM payments")
        self._client(self._stage.psql("ada", *statements), shown=("customers", "6"), hidden=(EMAIL.upper(), EMAIL))

    def killed(self) -> None:
        """List, kill, and what the client hears."""
        client = self._stage.psql("ada", QUERY, "SELECT pg_sleep(600)")
        self._show.say("Ada asks again, and then for something that takes ten minutes:")
        self._show.command(f"{client} &")
        with client.start() as process:
            giving_up = threading.Timer(ANSWER_S_MAX, process.kill)
            giving_up.start()
            try:
                assert process.stdout is not None
                for line in process.stdout:  # until her first answer is there
                    if line.startswith("("):
                        break
                self._kill()
                said = process.stdout.read()
                process.wait()
            finally:
                giving_up.cancel()
                process.kill()
        self._show.say("What Ada's client says to that:")
        self._show.output(said)
        self._must(said, shown=(REASON,))

    def recorded(self) -> None:
        """The transcript, with both keys."""
        stand, short = self._stage.stand, self._stage.short
        keys = ("--zone-key", short(stand.zone_key), "--sealed-key", short(stand.sealed_key))
        self._ours(
            "sessions",
            "show",
            self._session_id,
            *keys,
            shown=(QUERY, MASKED_CARD, "pg_sleep", "closed"),
            hidden=(CARD, EMAIL),
        )

    def ssh(self) -> None:
        """A command, a key of the person's, and a certificate that the gateway makes for this session alone."""
        self._need_ssh()
        self._show.say(
            "Ada's key opens the gateway alone. The machine trusts certificates that the gateway signs, each for "
            "one session, one account, one address and five minutes."
        )
        command = self._stage.ssh("ada", FILES, "cat ~/cards.txt")
        self._client(command, shown=("Ines Alvarez", MASKED_CARD), hidden=(CARD,))

    def forwarded(self) -> None:
        """A hole in the wall, from inside."""
        self._need_ssh()
        self._show.say("-R would let others come in through Ada's connection.")
        command = self._stage.ssh("ada", "-R", "0:localhost:22", FILES, "echo still here")
        self._client(command, shown=("does not forward ports", "still here"))

    def replayed(self) -> None:
        """The film of the first session over SSH."""
        self._need_ssh()
        stand, film = self._stage.stand, "ssh.cast"
        session_id = self._entry("ssh.zip", "parsed, output masked")["session_id"]
        keys = ("--zone-key", self._stage.short(stand.zone_key))
        self._ours("sessions", "cast", session_id, *keys, "--output", film, shown=(film,))
        self._show.say("asciinema and its players show it; to be read, it is lines of JSON:")
        said = (self._stage.directory / film).read_text()
        self._show.output(said)
        self._must(said, shown=(MASKED_CARD, '"version"'), hidden=(CARD,))

    def raw(self) -> None:
        """A protocol of its own, from two places."""
        self._show.say("It has no words for a token: a machine is known by a client certificate, or by its address.")
        self._client(self._stage.line_client("bolts", "nuts"), shown=("bolts: 4120", "You asked 2 times."))
        self._show.say("From Ohio it hears nothing at all:")
        self._client(
            self._stage.line_client("bolts", place="Ohio"), shown=("No answer",), hidden=("4120",), refused=True
        )
        entry = self._entry("raw.zip", "not parsed, not masked")
        self._show.say("What the log says of it, among other things:")
        self._show.output(json.dumps({name: entry[name] for name in ("kind", "session_id", "peer", "treatment")}))
        keys = ("--zone-key", self._stage.short(self._stage.stand.zone_key))
        self._ours("sessions", "show", entry["session_id"], *keys, shown=("bytes to client",))

    def verified(self) -> None:
        """Export, verify against the head, and an edited copy."""
        bundle, edited = "evidence.zip", "edited.zip"
        self._show.say(
            "The head is what an auditor keeps elsewhere; the bundle can be verified anywhere, without a key."
        )
        head = self._ours("evidence", "head", shown=(":",)).strip()
        self._ours("evidence", "export", "--all", "--output", bundle, shown=(":",))
        self._ours("evidence", "verify", bundle, "--head", head, shown=("sound",), hidden=("not sound",))
        index = _edit(self._stage.directory / bundle, self._stage.directory / edited)
        self._show.say(f"In a copy, one digit of entry {index} of the log is changed:")
        words = ("evidence", "verify", edited, "--head", head)
        self._ours(*words, shown=("not sound", f"Entry {index + 1} "), exits=1)

    # Steps ------------------------------------------------------------------------------------------------------------

    def _kill(self) -> None:
        said = self._ours("sessions", "list", shown=("Ada", "ledger"))
        self._session_id = said.splitlines()[-1].partition(" ")[0]
        self._ours("sessions", "kill", self._session_id, "--reason", REASON, shown=("has ended",))

    def _client(
        self, command: Command, *, shown: tuple[str, ...], hidden: tuple[str, ...] = (), refused: bool = False
    ) -> None:
        """A client's command. `refused`: it gets no connection, which psql says by exit code 2."""
        self._show.command(str(command))
        said, code = command.run()
        self._show.output(said)
        self._must(said, shown=shown, hidden=hidden)
        if refused != (code == 2):
            self._problems.append(f"the client exited with {code}")

    def _entry(self, bundle: str, treatment: str) -> dict[str, Any]:
        """The log's first entry of a session whose bytes were treated so. @raise LookupError: there is none."""
        self._ours("evidence", "export", "--all", "--output", bundle, shown=(":",))
        with zipfile.ZipFile(self._stage.directory / bundle) as opened:
            entries: list[dict[str, Any]] = [json.loads(each) for each in opened.read("log.jsonl").splitlines()]
        for entry in entries:
            if entry.get("treatment") == treatment:
                return entry
        raise LookupError(f"no entry says {treatment!r}")

    def _need_ssh(self) -> None:
        if self._stage.without_ssh:
            raise NotShown(self._stage.without_ssh)

    def _ours(self, *words: str, shown: tuple[str, ...], hidden: tuple[str, ...] = (), exits: int = 0) -> str:
        command = self._stage.hoopproxy(*words)
        self._show.command(str(command))
        said, code = command.run()
        self._show.output(said)
        self._must(said, shown=shown, hidden=hidden)
        if code != exits:
            self._problems.append(f"it exited with {code}, wanted is {exits}")
        return said

    def _must(self, said: str, *, shown: tuple[str, ...], hidden: tuple[str, ...] = ()) -> None:
        self._problems += [f"{text!r} should be there" for text in shown if text not in said]
        self._problems += [f"{text!r} must not be there" for text in hidden if text in said]


def _edit(bundle: Path, edited: Path) -> int:
    """Copy a bundle, with another time in one entry in the middle of its log; the entry's index."""
    with zipfile.ZipFile(bundle) as source, zipfile.ZipFile(edited, "w") as target:
        lines = source.read("log.jsonl").splitlines(keepends=True)
        index = len(lines) // 2
        at_ms = json.loads(lines[index])["at_ms"]
        lines[index] = lines[index].replace(str(at_ms).encode(), str(at_ms - 1).encode())
        for name in source.namelist():
            target.writestr(name, b"".join(lines) if name == "log.jsonl" else source.read(name))
    return index
