"""What a webhook is told, and when again."""

import base64
import json
from pathlib import Path

import pytest

from hoopproxy.access.delivery import KINDS, PAUSE_S_MAX, USUAL, delivery_id, headers, pause_s, secret_of, then, told
from hoopproxy.access.request import Phase
from hoopproxy.access.steps import Approved, Approver, Entry, Expired, Requested, Voted

from .test_request_history import terms

ASKED = Entry("r1", 0, 1_000_000.125, Requested(terms("https://id.test ada"), 1_000_060.0), "gw")
VOTE = Voted(Approver("https://id.test bob", frozenset(), frozenset()), True, "", "Go on.")
HISTORY = (
    ASKED,
    Entry("r1", 1, 1_000_001.0, VOTE, "gw"),
    Entry("r1", 2, 1_000_001.0, Approved(1_000_001.0, 1_000_031.0), "gw"),
    Entry("r1", 3, 1_000_031.0, Expired(), "other"),
)


def test_a_step_is_told_with_what_the_request_was_then() -> None:
    phases = [then(HISTORY, entry.number).phase for entry in HISTORY]
    assert phases == [Phase.REQUESTED, Phase.REQUESTED, Phase.APPROVED, Phase.EXPIRED]
    said = json.loads(told(HISTORY[1], then(HISTORY, 1), "https://gw/link"))
    assert (said["type"], said["id"], said["timestamp"]) == ("access.voted", "r1-1", "1970-01-12T13:46:41.000+00:00")
    assert said["data"]["by"] == {"issuer": "https://id.test", "subject": "bob"}
    assert (said["data"]["note"], said["data"]["link"]) == ("Go on.", "https://gw/link")
    assert json.loads(told(HISTORY[3], then(HISTORY, 3), ""))["data"]["by"] is None


def test_the_signature_is_that_of_standard_webhooks() -> None:
    """The example of their libraries (https://github.com/standard-webhooks/standard-webhooks, test vectors)."""
    secret = secret_of(b"whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw\n")
    signed = headers(secret, "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330.9, b'{"test": 2432232314}')
    assert signed["webhook-signature"] == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
    assert signed["webhook-timestamp"] == "1614265330"


def test_each_step_has_an_id_of_its_own_without_what_separates_it_from_the_time() -> None:
    ids = {delivery_id(entry) for entry in HISTORY}
    assert len(ids) == 4 and not any("." in each for each in ids)


def test_a_secret_is_bytes_or_what_a_receiver_hands_out() -> None:
    assert secret_of(b"\x00" * 32) == b"\x00" * 32
    assert secret_of(b"whsec_" + base64.b64encode(b"x" * 24)) == b"x" * 24
    short = base64.b64encode(b"x" * 23)
    for wrong, why in ((short, "it holds 23 bytes"), (b"%%%", "no Base64"), (b"", "holds 0 bytes")):
        with pytest.raises(ValueError, match=why):
            secret_of(b"whsec_" + wrong)


def test_pauses_double_up_to_an_hour_and_are_never_equal_for_all() -> None:
    assert [pause_s(tries, 0.0) for tries in (1, 2, 3, 12)] == [1.0, 2.0, 4.0, 2048.0]
    assert pause_s(13, 0.0) == pause_s(10**6, 0.0) == PAUSE_S_MAX
    assert pause_s(3, 1.0) == 2.0


def test_by_default_everything_but_counting_is_told() -> None:
    assert KINDS - USUAL == {"spent"}


def test_the_example_of_the_page_has_what_is_told() -> None:
    page = (Path(__file__).parents[2] / "docs/access.md").read_text()
    (example,) = (json.loads(each.split("```")[0]) for each in page.split("```json\n")[1:])
    said = json.loads(told(ASKED, then(HISTORY, 0), ""))
    assert (list(example), list(example["data"])) == (list(said), list(said["data"]))
