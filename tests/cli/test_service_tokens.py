"""`service-tokens` and `sessions recheck`: what is asked of the gateway, and how its answers are told."""

import json
from collections.abc import Callable
from typing import Any

from click.testing import Result

from .conftest import Answers

type Run = Callable[..., Result]

TOKEN: dict[str, Any] = {
    "id": "abc0123456",
    "subject": "reports\x1b[31m",
    "groups": ["analysts", "night"],
    "created_s": 1_700_000_000.0,
    "expires_s": 1_702_592_000.0,
    "revoked_s": None,
    "used_s": None,
    "made_by": "local-operator",
    "note": "nightly",
}


def test_a_new_token_stands_alone_on_stdout(run: Run, gateway: Answers) -> None:
    gateway.given["service-token-create"] = TOKEN | {"token": "hpx_abc0123456_x"}
    words = "--group", "analysts", "--group", "night", "--days", "2", "--note", "nightly", "--socket", gateway.path
    result = run("service-tokens", "create", "reports", *words)
    assert (result.exit_code, result.stdout) == (0, "hpx_abc0123456_x\n")
    assert "counts until 2023-12-14 22:13:20Z; it is shown once" in result.stderr
    (asked,) = gateway.asked
    assert asked["arguments"] == {
        "subject": "reports",
        "groups": ["analysts", "night"],
        "lifetime_s": 172800.0,
        "note": "nightly",
        "addon": "",
    }
    result = run("service-tokens", "create", "reports", "--json", "--socket", gateway.path)
    assert json.loads(result.stdout)["token"] == "hpx_abc0123456_x" and not result.stderr


def test_tokens_count_for_days(run: Run, gateway: Answers) -> None:
    for days in ("0", "-1", "367", "x"):
        assert run("service-tokens", "create", "reports", "--days", days, "--socket", gateway.path).exit_code == 2
    assert not gateway.asked


def test_a_list_tells_all_but_the_tokens(run: Run, gateway: Answers) -> None:
    used = TOKEN | {"used_s": 1_700_003_600.0, "revoked_s": 1_700_007_200.0}
    gateway.given["service-tokens"] = {"tokens": [TOKEN, used]}
    result = run("service-tokens", "list", "--socket", gateway.path)
    assert result.exit_code == 0 and "\x1b" not in result.output
    for text in ("abc0123456", "analysts, night", "never", "2023-11-14 23:13:20Z", "revoked 2023-11-15 00:13:20Z"):
        assert text in result.output
    assert json.loads(run("service-tokens", "list", "--json", "--socket", gateway.path).stdout) == [TOKEN, used]
    gateway.given["service-tokens"] = {"tokens": []}
    assert run("service-tokens", "list", "--socket", gateway.path).output == "There are no service tokens.\n"


def test_a_revocation_tells_how_many_sessions_it_ended(run: Run, gateway: Answers) -> None:
    gateway.given["service-token-revoke"] = {"revoked": True, "ended": 3}
    result = run("service-tokens", "revoke", "abc0123456", "--socket", gateway.path)
    assert (result.exit_code, result.output) == (0, "Token abc0123456 was revoked; 3 sessions have ended.\n")
    gateway.given["service-token-revoke"] = {"revoked": False, "ended": 0}
    result = run("service-tokens", "revoke", "abc0123456", "--socket", gateway.path)
    assert (result.exit_code, result.stderr) == (1, "No token abc0123456 counts.\n")
    result = run("service-tokens", "revoke", "abc0123456", "--json", "--socket", gateway.path)
    assert (result.exit_code, json.loads(result.stdout)) == (1, {"revoked": False, "ended": 0})


def test_everybody_can_be_judged_again(run: Run, gateway: Answers) -> None:
    gateway.given["recheck"] = counts = {"checked": 7, "ended": 2, "unchecked": 1}
    result = run("sessions", "recheck", "--socket", gateway.path)
    assert (result.exit_code, result.output) == (0, "7 sessions were judged, 2 have ended, 1 could not be told.\n")
    assert json.loads(run("sessions", "recheck", "--json", "--socket", gateway.path).stdout) == counts
