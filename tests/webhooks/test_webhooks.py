"""Two gateways on one PostgreSQL tell a real HTTP(S) server of each step, whatever happens to any of them."""

import json
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from hoopproxy.cli.main import main
from hoopproxy.disk.segments import segment_paths
from hoopproxy.evidence.framing import frames
from hoopproxy.testing.certificates import Authority
from hoopproxy.testing.postgres import PostgresCluster
from hoopproxy.testing.stand import Stand
from hoopproxy.testing.three_files import More
from tests.asking.conftest import POLICY, Desk
from tests.asking.test_two_gateways import Second
from tests.people import PEOPLE

from .conftest import SECRET, portal, private, webhook
from .receiver import Receiver


class Quick(Desk):
    """The same, in this very process."""

    def run(self, person: str | None, *words: str, verb: str = "access") -> "subprocess.CompletedProcess[str]":
        who = ("--token-file", str(self._directory / person)) if person else ()
        done = CliRunner().invoke(main, [verb, *words, "--config", str(self.stand.config), *who])
        return subprocess.CompletedProcess(words, done.exit_code, done.stdout, done.stderr)


@dataclass
class House:
    """Two gateways and whom they tell: of everything over TLS, and of decisions, twice at most."""

    one: Desk
    other: Desk
    everything: Receiver
    decisions: Receiver
    url: str

    def state(self, name: str) -> dict[str, Any]:
        found: list[dict[str, Any]] = self.one.said(None, "webhooks")
        return next(each for each in found if each["name"] == name)


@pytest.fixture(scope="module")
def house(cluster: PostgresCluster, authority: Authority, tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    directory = tmp_path_factory.mktemp("house")
    (directory / "people").mkdir()
    secret = private(directory / "secret", SECRET)
    leaf = authority.issue("receiver", ips=("127.0.0.1",))
    with (
        Receiver((str(leaf.certificate_file), str(leaf.key_file))) as everything,
        Receiver() as decisions,
        PostgresCluster(directory / "store", durable=True) as store,
    ):
        store.create_database("access")
        url_file = private(directory / "store.url", store.url("access").encode())
        table, url = portal(authority, directory, "127.0.0.61")
        tables = (
            f"\n[store]\nurl_file = {json.dumps(str(url_file))}\n{table}"
            + webhook(
                "everything", everything.url, secret, f"ca_file = {json.dumps(str(authority.ca_file))}\ntimeout_s = 2"
            )
            + webhook("decisions", decisions.url, secret, 'events = ["approved", "denied"]\ntries_max = 2')
            + (strangers := webhook("strangers", everything.url + "/strangers", secret, "tries_max = 100"))
        )
        more = More(policy=POLICY, main=tables)
        with (
            Stand(directory / "first", cluster, authority, {"ledger": PEOPLE}, more=more) as first,
            elsewhere(first, directory / "second", ('["127.0.0.61"]', '["127.0.0.62"]'), (strangers, "")) as second,
        ):
            people = directory / "people"
            yield House(Quick(first, people), Quick(second, people), everything, decisions, url)


def elsewhere(first: Stand, directory: Path, *changes: tuple[str, str]) -> Second:
    """The second gateway, whose configuration is the first one's but for these."""
    config = first.config.read_text()
    changed = config
    for mine, its in changes:
        changed = changed.replace(mine, its)
    first.config.write_text(changed)
    try:
        return Second(first, directory)
    finally:
        first.config.write_text(config)


def test_each_step_is_told_once_in_order_and_signed_whichever_gateway_took_it(house: House) -> None:
    request_id = house.one.asked("ivo", "--ticket", "OPS-7", reason="A customer calls.")
    house.other.said("lena", "approve", request_id, "--note", "Go on.")
    house.one.said("ivo", "give-up", request_id)
    told = house.everything.heard(request_id, "given-up")
    assert [each.type for each in told] == [
        "access.requested",
        "access.voted",
        "access.approved",
        "access.given-up",
    ]
    assert all(each.is_signed(SECRET) and not each.is_signed(SECRET[1:]) for each in told)
    assert len({each.headers["webhook-id"] for each in told}) == 4
    assert all("." not in each.headers["webhook-id"] for each in told)
    first, vote = told[0].data, told[1].data
    assert first["requester"] == {"issuer": "https://id.hoopproxy.test", "subject": "ivo"}
    assert (first["target"], first["reason"], first["ticket"], first["duration_s"]) == (
        "ledger",
        "A customer calls.",
        "OPS-7",
        3600,
    )
    assert (first["phase"], vote["note"], vote["by"]["subject"]) == ("requested", "Go on.", "lena")
    assert first["link"].startswith(f"{house.url}/access/{request_id}?terms={first['terms_sha256']}&until=")
    assert [each.data["link"] for each in told[2:]] == ["", ""]
    assert [each.type for each in house.decisions.heard(request_id, "approved")] == ["access.approved"]


def test_what_failed_is_told_again_just_as_it_was_and_later_steps_wait_for_it(house: House) -> None:
    house.everything.script.extend((500, 307, "hang"))
    request_id = house.one.asked("ivo")
    house.one.said("ivo", "withdraw", request_id)
    told = house.everything.heard(request_id, "withdrawn")
    assert [each.type for each in told] == ["access.requested"] * 4 + ["access.withdrawn"]
    assert len({(each.headers["webhook-id"], each.body) for each in told[:4]}) == 1
    assert all(each.is_signed(SECRET) for each in told)
    assert "/elsewhere" not in [each.path for each in house.everything.told]


def test_after_so_many_tries_it_is_given_up_said_everywhere_and_later_ones_go_on(house: House) -> None:
    house.decisions.script.extend((503, 503))
    before = house.state("decisions")["given_up"]
    request_id, later = house.one.asked("ivo"), house.one.asked("ivo")
    house.one.said("lena", "deny", request_id)
    house.one.said("lena", "deny", later)
    assert [each.type for each in house.decisions.heard(later, "denied")] == ["access.denied"]
    assert len(house.decisions.heard(request_id, "denied")) == 2
    assert house.state("decisions")["given_up"] == before + 1
    said = [
        each
        for desk in (house.one, house.other)
        for each in desk.stand.gateway.said()
        if each.get("event") == "webhook-given-up"
    ]
    assert [(each["delivery"], each["tries"]) for each in said] == [(f"{request_id}-2", 2)]
    assert "status 503" in said[0]["detail"]
    untold = [
        leaf
        for desk in (house.one, house.other)
        for path in segment_paths(desk.stand.log_directory)
        for frame in frames(path.read_bytes())
        for leaf in map(json.loads, frame.leaves)
        if leaf["kind"] == "untold"
    ]
    assert [(leaf["webhook"], leaf["request_id"], leaf["number"], leaf["tries"]) for leaf in untold] == [
        ("decisions", request_id, 2, 2)
    ]


def test_whoever_does_not_prove_to_be_the_webhook_is_told_nothing(house: House) -> None:
    request_id = house.one.asked("ivo")
    house.one.said("ivo", "withdraw", request_id)
    house.everything.heard(request_id, "withdrawn")
    house.one.stand.gateway.heard("webhook-failed", holding="strangers")
    state = house.state("strangers")
    assert state["waiting"] >= 2 and state["tries"] >= 1 and "certificate verify failed" in state["error"]
    assert "/hook/strangers" not in [each.path for each in house.everything.told]


def test_nothing_that_a_webhook_answers_decides(house: House) -> None:
    request_id = house.one.asked("ivo")
    terms = house.one.said("lena", "show", request_id)["request"]["terms_sha256"]
    house.everything.usual, house.everything.words = (
        200,
        json.dumps(
            {
                "approve": True,
                "approved": True,
                "id": request_id,
                "terms": terms,
                "verb": "approve",
                "decision": "approve",
            }
        ).encode(),
    )
    try:
        house.one.said("ivo", "edit", request_id, "ledger", "--for", "2h", "--reason", "Longer.")
        house.everything.heard(request_id, "edited")
    finally:
        house.everything.usual, house.everything.words = 204, b""
    house.one.said("ivo", "withdraw", request_id)
    steps = [each.data["step"] for each in house.everything.heard(request_id, "withdrawn")]
    assert steps == ["requested", "edited", "withdrawn"]


def test_what_was_decided_is_told_after_a_kill(house: House) -> None:
    house.everything.usual = 503
    request_id = house.one.asked("ivo")
    house.one.said("lena", "approve", request_id)
    house.everything.heard(request_id, "requested")
    for desk in (house.one, house.other):
        desk.stand.gateway.kill()
    house.everything.usual = 204
    house.other.stand.start()
    told = house.everything.heard(request_id, "approved")
    assert list(dict.fromkeys(each.type for each in told)) == ["access.requested", "access.voted", "access.approved"]
    house.one.stand.start()
    house.one.said("ivo", "give-up", request_id)
    assert house.everything.heard(request_id, "given-up")[-1].type == "access.given-up"
