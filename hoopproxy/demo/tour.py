"""The tour: each stop says what is shown, runs real commands, and checks that their output shows it.

Knows the stage's commands and nothing of how its parts are made.
"""

import json
import shutil
import subprocess
import threading
import zipfile
from base64 import b64encode
from collections.abc import Callable
from pathlib import Path

from hoopproxy.demo.command import ANSWER_S_MAX
from hoopproxy.demo.show import Show
from hoopproxy.demo.stage import FILES, TARGET, Stage
from hoopproxy.demo.steps import NotShown, Steps
from hoopproxy.demo.web import PASSWORD, SECRET_NAME
from hoopproxy.testing.http_target import CARD as NUMBER
from hoopproxy.testing.http_target import MASKED as MASKED_NUMBER
from hoopproxy.testing.issuer import Issuer
from hoopproxy.testing.stand import PEOPLE
from hoopproxy.testing.three_files import ISSUER_URL

QUERY = "SELECT name, email, card FROM customers ORDER BY id LIMIT 3"
CARD, EMAIL = "4111111111111111", "ines@example.es"
MASKED_CARD = "************1111"
CUSTOMER = "/customers/1"
ADDRESS, MASKED_ADDRESS = "ada@example.com", "a**************"
"""The same for the service in JSON, whose customers are others."""

PODS, SECRET_PATH = (f"/api/v1/namespaces/default/{what}" for what in ("pods", f"secrets/{SECRET_NAME}"))
ENCODED, MASK = (b64encode(text.encode()).decode() for text in (PASSWORD, "***"))
"""A value of the cluster's Secret, and what is shown in its place."""

REASON = "This was only a demonstration"
REFUNDED = "The refund is through"

BROKEN = (OSError, subprocess.SubprocessError, zipfile.BadZipFile, LookupError, ValueError)
"""What commands and files that are not as they must be raise; the other stops are shown all the same."""


class Tour(Steps):
    """Walks the stops in order; `walk` tells which did not show what they must."""

    def __init__(self, stage: Stage, show: Show) -> None:
        super().__init__(stage, show)
        self._session_id = ""

    def walk(self) -> list[str]:
        """All stops; the titles of those that failed."""
        failed = []
        self.show.say("Each command below can be copied into another shell, after this one:")
        self.show.command(self.stage.preparation())
        for number, (title, stop) in enumerate(self._stops(), 1):
            self.problems = []
            self.show.title(f"{number}. {title}")
            try:
                stop()
            except NotShown as why:
                self.show.say(f"Not shown: {why}.", "dim")
                continue
            except BROKEN as why:
                self.problems.append(f"it broke off: {type(why).__name__}: {why}")
            self.show.verdict(self.problems)
            if self.problems:
                failed.append(title)
        return failed

    def _stops(self) -> tuple[tuple[str, Callable[[], None]], ...]:
        return (
            ("Ada, an analyst in Frankfurt, sees masked values", self.masked),
            ("Franz, a fraud officer in Frankfurt, sees them in clear", self.clear),
            ("The same Franz, in Zürich today, gets masks", self.elsewhere),
            ("From Ohio he does not get in", self.out_of_zone),
            ("A forged token does not get in", self.forged),
            ("What would get around a mask finds masks, as PostgreSQL itself keeps them", self.around),
            ("A live session is seen and ended", self.killed),
            ("Ada asks for access to card numbers; Franz approves, and takes it back", self.asked),
            ("What that session did was recorded, encrypted for the people of the zone", self.recorded),
            ("Over SSH, card numbers in what a command prints are masked", self.ssh),
            ("The way back is refused, in words, and the session goes on", self.forwarded),
            ("What was on that screen is played again from the recording", self.replayed),
            ("What nobody can parse is carried byte for byte, and the log says so", self.raw),
            ("Over HTTP, answers are masked by where values stand and by what they are", self.web),
            ("kubectl reaches a cluster as who its user is, and sees no Secret", self.cluster),
            ("The evidence is exported and verified, and one changed digit is found", self.verified),
        )

    # Stops ------------------------------------------------------------------------------------------------------------

    def masked(self) -> None:
        """A role without a right to see."""
        self.show.say("The password is a token of the identity provider. The database knows neither Ada nor the token.")
        self.client(self.stage.psql("ada", QUERY), shown=("Ines Alvarez", MASKED_CARD), hidden=(CARD, EMAIL))

    def clear(self) -> None:
        """A role that may see, sitting where it may."""
        self.show.say("Same account, same statement; policy.toml reveals cards to the role fraud inside the EU.")
        self.client(self.stage.psql("franz", QUERY), shown=(CARD, EMAIL))

    def elsewhere(self) -> None:
        """The same role from another zone."""
        self.show.say("The port below is a forwarder on this machine whose far end has an address in Switzerland.")
        client = self.stage.psql("franz", QUERY, place="Zürich")
        self.client(client, shown=("Ines Alvarez", MASKED_CARD), hidden=(CARD, EMAIL))

    def out_of_zone(self) -> None:
        """A zone that the grant does not name."""
        self.client(self.stage.psql("franz", QUERY, place="Ohio"), shown=("US",), hidden=("Ines",), exits=2)

    def forged(self) -> None:
        """Right name, right groups, wrong key."""
        forger = Issuer(self.stage.directory / "forger", ISSUER_URL)
        token_file = self.stage.directory / "people" / "forged.token"
        token_file.write_text(forger.issue("ada", PEOPLE["ada"]))
        self.show.say("It says all the right things, and is signed by somebody else's key.")
        client = self.stage.psql("ada", QUERY, token_file=token_file)
        self.client(client, shown=("token",), hidden=("Ines",), exits=2)

    def around(self) -> None:
        """Expressions, conditions and code over protected columns, and where no name was found to replace."""
        statements = (
            "SELECT upper(email), reverse(card) FROM customers WHERE id = 1",
            f"SELECT count(*) AS found FROM customers WHERE email = '{EMAIL}'",
            "DO $$ BEGIN RAISE NOTICE 'card: %', (SELECT min(card) FROM customers WHERE id = 1); END $$",
            "DO $$ BEGIN EXECUTE concat('SELECT card ', 'FROM customers'); END $$",
        )
        hidden = (EMAIL.upper(), EMAIL, CARD, CARD[::-1])
        shown = (f"I{MASKED_ADDRESS[1:]}", MASKED_CARD[::-1], f"card: {MASKED_CARD}", "permission denied")
        self.client(self.stage.psql("ada", *statements), shown=shown, hidden=hidden)

    def killed(self) -> None:
        """List, kill, and what the client hears."""
        self.show.say("Ada asks again, and then for something that takes ten minutes:")
        self._ended_amid(self._kill, shown=(REASON,))

    def asked(self) -> None:
        """Just-in-time access: requested, approved, used, revoked."""
        self.show.say("policy.toml lets analysts ask for the card numbers, and fraud officers decide about it.")
        words = ("--for", "1h", "--reason", "A refund is stuck", "--ticket", "OPS-7", "--token-file")
        asked = self.ours("access", "request", TARGET, *words, self.stage.token("ada"), shown=("is requested",))
        request_id = asked.split()[1]
        approval = ("access", "approve", request_id, "--token-file")
        self.ours(*approval, self.stage.token("ada"), shown=("decide about a request of their own",), exits=1)
        self.ours(*approval, self.stage.token("franz"), shown=("A refund is stuck", "is approved until"))
        self.show.say("The same Ada, the same statement; and then again something that takes ten minutes:")

        def revoke() -> None:
            why = ("--reason", REFUNDED, "--token-file", self.stage.token("franz"))
            self.ours("access", "revoke", request_id, *why, shown=("is revoked",))

        before = self._ended_amid(revoke, shown=(REFUNDED,))
        self.must(before, shown=(CARD,), hidden=(EMAIL,))
        history = ("access", "show", request_id, "--token-file", self.stage.token("ada"))
        self.ours(*history, shown=("voted", "approved", "used", "revoked"))
        client = self.stage.psql("ada", QUERY)
        self.client(client, shown=("Ines Alvarez", MASKED_CARD), hidden=(CARD, EMAIL))

    def recorded(self) -> None:
        """The transcript, with both keys."""
        shown = (QUERY, MASKED_CARD, "pg_sleep", "closed")
        self.ours("sessions", "show", self._session_id, *self.both_keys, shown=shown, hidden=(CARD, EMAIL))

    def ssh(self) -> None:
        """A command, a key of the person's, and a certificate that the gateway makes for this session alone."""
        self._need_ssh()
        self.show.say(
            "Ada's key opens the gateway alone. The machine trusts certificates that the gateway signs, each for "
            "one session, one account, one address and five minutes."
        )
        command = self.stage.ssh("ada", FILES, "cat ~/cards.txt")
        self.client(command, shown=("Ines Alvarez", MASKED_CARD), hidden=(CARD,))

    def forwarded(self) -> None:
        """A hole in the wall, from inside."""
        self._need_ssh()
        self.show.say("-R would let others come in through Ada's connection.")
        command = self.stage.ssh("ada", "-R", "0:localhost:22", FILES, "echo still here")
        self.client(command, shown=("does not forward ports", "still here"))

    def replayed(self) -> None:
        """The film of the first session over SSH."""
        self._need_ssh()
        film = "ssh.cast"
        session_id = self.entry("ssh.zip", treatment="parsed, output masked")["session_id"]
        self.ours("sessions", "cast", session_id, *self.zone_key, "--output", film, shown=(film,))
        self.show.say("asciinema and its players show it; to be read, it is lines of JSON:")
        said = (self.stage.directory / film).read_text()
        self.show.output(said)
        self.must(said, shown=(MASKED_CARD, '"version"'), hidden=(CARD,))

    def raw(self) -> None:
        """A protocol of its own, from two places."""
        self.show.say("It has no words for a token: a machine is known by a client certificate, or by its address.")
        self.client(self.stage.line_client("bolts", "nuts"), shown=("bolts: 4120", "You asked 2 times."))
        self.show.say("From Ohio it hears nothing at all:")
        self.client(self.stage.line_client("bolts", place="Ohio"), shown=("No answer",), hidden=("4120",), exits=2)
        entry = self.entry("raw.zip", treatment="not parsed, not masked")
        self.show.say("What the log says of it, among other things:")
        self.show.output(json.dumps({name: entry[name] for name in ("kind", "session_id", "peer", "treatment")}))
        self.ours("sessions", "show", entry["session_id"], *self.zone_key, shown=("bytes to client",))

    def web(self) -> None:
        """A reverse proxy, a forward proxy, a rule, and the requests as a HAR."""
        self.show.say("The service knows neither Ada nor her token: the gateway takes it out and shows one of its own.")
        masked, whole = (MASKED_NUMBER, MASKED_ADDRESS), (NUMBER, ADDRESS)
        self.client(self.stage.curl("ada", CUSTOMER), shown=("Ada Lovelace", *masked), hidden=whole, exits=0)
        self.show.say(
            "Franz may see addresses. Card numbers are the plugin's, which is the one of stop 10 and knows no roles."
        )
        shown = (MASKED_NUMBER, ADDRESS)
        self.client(self.stage.curl("franz", CUSTOMER), shown=shown, hidden=(NUMBER,), exits=0)
        self.show.say("A change is refused by a rule before it leaves, and a foreign host is not looked for:")
        change = self.stage.curl("ada", CUSTOMER, "--request", "DELETE")
        self.client(change, shown=("is read through this gateway", "403"), exits=0)
        foreign = self.stage.curl("ada", CUSTOMER, "--header", "Host: intranet.example")
        self.client(foreign, shown=("another host", "421"), hidden=("Ada Lovelace",), exits=0)
        self.show.say(
            "The same by its own address, through the gateway as a proxy with a certificate authority of its own:"
        )
        self.client(self.stage.curl_through_proxy("ada", CUSTOMER), shown=masked, hidden=whole, exits=0)
        session_id = self.entry("http.zip", kind="permitted", protocol="http")["session_id"]
        self.show.say("What reviewers get of the first exchange, for a browser's developer tools:")
        self.ours("sessions", "har", session_id, *self.zone_key, "--output", "crm.har", shown=("crm.har: 1 request",))
        said = (self.stage.directory / "crm.har").read_text()
        self.must(said, shown=("/customers/{id}",), hidden=(*whole, CUSTOMER))
        self.show.output(_exchange(said))
        self.must(_exchange(said), shown=(MASKED_NUMBER, '"status": 200'))

    def cluster(self) -> None:
        """The real kubectl where there is one, and its requests where there is none."""
        if shutil.which("kubectl") is None:
            self.show.say("There is no kubectl on this machine; these are requests that it would make.")
            self.client(self.stage.curl_cluster("ada", PODS), shown=('"web"',), exits=0)
            self.client(self.stage.curl_cluster("ada", SECRET_PATH), shown=(MASK,), hidden=(ENCODED,), exits=0)
            return
        self.client(self.stage.kube_config("ada"), shown=(), exits=0)
        self.client(self.stage.kubectl("ada", "get", "pods"), shown=("web", "Running"), exits=0)
        secret = self.stage.kubectl("ada", "get", "secret", SECRET_NAME, "--output", "yaml")
        self.client(secret, shown=(MASK,), hidden=(ENCODED,), exits=0)
        self.show.say("Whoever Ada says that she is, the cluster hears who she is:")
        self.client(
            self.stage.kubectl("ada", "auth", "whoami", "--as", "root"), shown=("ada",), hidden=("root",), exits=0
        )
        self.show.say("What runs in a pod is masked and recorded like a terminal, and ends as it ends:")
        ran = self.stage.kubectl("ada", "exec", "web", "--", "sh", "-c", f"echo {CARD}; exit 7")
        self.client(ran, shown=(MASKED_CARD,), hidden=(CARD,), exits=7)

    def verified(self) -> None:
        """Export, verify against the head, and an edited copy."""
        bundle, edited = "evidence.zip", "edited.zip"
        self.show.say(
            "The head is what an auditor keeps elsewhere; the bundle can be verified anywhere, without a key."
        )
        head = self.ours("evidence", "head", shown=(":",)).strip()
        self.ours("evidence", "export", "--all", "--output", bundle, shown=(":",))
        self.ours("evidence", "verify", bundle, "--head", head, shown=("sound",), hidden=("not sound",))
        index = _edit(self.stage.directory / bundle, self.stage.directory / edited)
        self.show.say(f"In a copy, one digit of entry {index} of the log is changed:")
        words = ("evidence", "verify", edited, "--head", head)
        self.ours(*words, shown=("not sound", f"Entry {index + 1} "), exits=1)

    def _ended_amid(self, end: Callable[[], None], shown: tuple[str, ...]) -> str:
        """Ada's session, ended from outside once she has her first answer; that answer."""
        client, before = self.stage.psql("ada", QUERY, "SELECT pg_sleep(600)"), ""
        self.show.command(f"{client} &")
        with client.start() as process:
            giving_up = threading.Timer(ANSWER_S_MAX, process.kill)
            giving_up.start()
            try:
                assert process.stdout is not None
                for line in process.stdout:  # until her first answer is there
                    before += line
                    if line.startswith("("):
                        break
                end()
                said = process.stdout.read()
                process.wait()
            finally:
                giving_up.cancel()
                process.kill()
        self.show.say("What Ada's client says to that:")
        self.show.output(before + said)
        self.must(said, shown=shown)
        return before

    def _kill(self) -> None:
        said = self.ours("sessions", "list", shown=("Ada", "ledger"))
        self._session_id = said.splitlines()[-1].partition(" ")[0]
        self.ours("sessions", "kill", self._session_id, "--reason", REASON, shown=("has ended",))

    def _need_ssh(self) -> None:
        if self.stage.without_ssh:
            raise NotShown(self.stage.without_ssh)


def _exchange(har: str) -> str:
    """The first of its entries, in short."""
    entry = json.loads(har)["log"]["entries"][0]
    request, response = entry["request"], entry["response"]
    told = {"method": request["method"], "url": request["url"], "status": response["status"]}
    return json.dumps(told | {"text": response["content"].get("text", ""), "time": entry["time"]})


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
