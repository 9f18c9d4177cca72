"""Certificates, service tokens and re-checks, by psql, curl and the gateway's own commands."""

import json
from pathlib import Path

import psycopg
import pytest

from hoopproxy.testing.certificates import Authority

from .conftest import IDENTITIES, Proving, ended


def replace(path: Path, text: str) -> None:
    """As the gateway's manual wants it: nobody reads half of it."""
    new = path.with_suffix(".new")
    new.write_text(text)
    new.replace(path)


# Certificates ---------------------------------------------------------------------------------------------------------


def test_psql_with_a_certificate_is_asked_for_no_password(stand: Proving) -> None:
    made = stand.certify("ada", "email:ada@example.com", "analysts")
    for listener in ("certified", "certified-only"):
        done = stand.psql(stand.dsn_of("ada", listener))
        assert (done.returncode, done.stdout) == (0, "1\n"), done.stderr
    issued = stand.entries("admin-action")[-1]
    assert (issued["action"], issued["about"]) == ("certificate-issue", made["serial"])
    assert "ada@example.com" not in json.dumps(stand.entries("permitted")), "the log knows pseudonyms alone"
    assert stand.entries("permitted")[-1]["method"] == "certificate"


def test_a_certificate_by_direct_tls_is_one_too(stand: Proving) -> None:
    stand.certify("direct", "email:direct@example.com", "analysts")
    dsn = stand.dsn_of("direct", "certified-only", sslnegotiation="direct")
    with psycopg.connect(dsn) as connection:  # psql has to be of version 17 for that
        assert connection.execute("SELECT id FROM notes").fetchall() == [(1,)]


def test_curl_with_a_certificate_needs_no_token(stand: Proving) -> None:
    stand.certify("web", "uri:spiffe://example.com/ns/prod/sa/web")
    for version in ("--http1.1", "--http2"):
        said = stand.curl(version, "--cert", stand.files / "web.crt", "--key", stand.files / "web.key")
        assert said.endswith("200") and "Ada Lovelace" in said


def test_who_has_no_certificate_shows_a_token_where_that_is_allowed(stand: Proving) -> None:
    token = stand.tokens["ada"]
    nothing = {"sslcert": "", "sslkey": ""}
    with psycopg.connect(stand.dsn_of("", password=token, **nothing)) as connection:
        assert connection.execute("SELECT id FROM notes").fetchall() == [(1,)]
    done = stand.psql(stand.dsn_of("", **nothing))
    assert done.returncode and "no password supplied" in done.stderr
    done = stand.psql(stand.dsn_of("", "certified-only", password=token, **nothing))
    assert done.returncode and "no password" not in done.stderr
    assert stand.curl("-H", f"Authorization: Bearer {token}").endswith("200")
    assert stand.curl().endswith("401")


def test_a_certificate_of_another_authority_is_nobody_s(stand: Proving, foreign: Authority) -> None:
    leaf = foreign.issue("mallory", emails=("ada@example.com",), days=1)
    words = {"sslcert": leaf.certificate_file, "sslkey": leaf.key_file}
    done = stand.psql(stand.dsn_of("", **words))
    assert done.returncode and "no kind that this gateway accepts" in done.stderr
    assert stand.curl("--cert", leaf.certificate_file, "--key", leaf.key_file).endswith("401")


def test_a_certificate_of_a_server_is_refused(stand: Proving, foreign: Authority) -> None:
    leaf = foreign.issue("server", dns=("batch.example",), for_servers_only=True)
    done = stand.psql(stand.dsn_of("", sslcert=leaf.certificate_file, sslkey=leaf.key_file))
    assert done.returncode


def test_a_certificate_that_is_revoked_ends_its_session_and_lets_nobody_in(stand: Proving) -> None:
    made = stand.certify("eve", "email:eve@example.com", "analysts")
    other = stand.certify("bob", "email:bob@example.com", "analysts")
    with stand.live(stand.dsn_of("eve")) as eve, stand.live(stand.dsn_of("bob")) as bob:
        stand.revoke(made["serial"])
        assert "was revoked" in ended(eve)
        assert bob.execute("SELECT id FROM notes").fetchall() == [(1,)]
    done = stand.psql(stand.dsn_of("eve"))
    assert done.returncode and "Your certificate was revoked" in done.stderr
    assert stand.entries("ended")[-2]["cause"] == "identity-gone"
    assert other["serial"] != made["serial"]


def test_certificates_are_issued_for_names_that_a_rule_is_for_and_for_hours(stand: Proving) -> None:
    request = stand.request("nobody")
    for words, told in (
        (("--san", "email:ada@elsewhere.example"), "No rule of people is for"),
        (("--san", "email:*@example.com"), "No rule of people is for"),
        (("--san", "email:ada@example.com", "--group", "x" * 65), "64 characters"),
    ):
        said = stand.hoopproxy("ca", "client", "issue", request, *words, "--config", stand.config, fails=1)
        assert told in said
    words = "--san", "email:ada@example.com", "--hours", "25", "--config", stand.config
    stand.hoopproxy("ca", "client", "issue", request, *words, fails=2)


# Service tokens -------------------------------------------------------------------------------------------------------


def made(stand: Proving, subject: str = "reports", *words: str) -> dict[str, str]:
    found: dict[str, str] = json.loads(
        stand.hoopproxy(
            *("service-tokens", "create", subject, "--group", "analysts", "--note", "nightly"),
            *("--config", stand.config, "--json", *words),
        )
    )
    return found


def test_a_service_token_lets_in_by_psql_and_curl_and_is_kept_nowhere(stand: Proving) -> None:
    token = made(stand)
    assert token["token"].startswith(f"hpx_{token['id']}_")
    done = stand.psql(stand.dsn("", "notes", token=token["token"]))
    assert (done.returncode, done.stdout) == (0, "1\n"), done.stderr
    assert stand.curl("-H", f"Authorization: Bearer {token['token']}").endswith("200")
    assert stand.curl("-u", f"token:{token['token']}").endswith("200")
    secret = token["token"].rpartition("_")[2].encode()
    for file in stand.state.rglob("*"):
        assert not file.is_file() or secret not in file.read_bytes(), file
    listed = json.loads(stand.hoopproxy("service-tokens", "list", "--config", stand.config, "--json"))
    (mine,) = [each for each in listed if each["id"] == token["id"]]
    assert mine["subject"] == "reports" and mine["used_s"] and mine["made_by"] == "local-operator"
    assert "token" not in mine and "sha256" not in mine
    action = next(each for each in stand.entries("admin-action") if each["about"] == token["id"])
    assert action["action"] == "service-token-create"


def test_a_service_token_that_is_revoked_ends_its_sessions_before_the_command_does(stand: Proving) -> None:
    token, other = made(stand), made(stand, "others")
    with (
        stand.live(stand.dsn("", "notes", token=token["token"])) as mine,
        stand.live(stand.dsn("", "notes", token=other["token"])) as theirs,
    ):
        said = stand.hoopproxy("service-tokens", "revoke", token["id"], "--config", stand.config)
        assert said == f"Token {token['id']} was revoked; 1 sessions have ended.\n"
        assert "was revoked" in ended(mine)
        assert theirs.execute("SELECT id FROM notes").fetchall() == [(1,)]
    done = stand.psql(stand.dsn("", "notes", token=token["token"]))
    assert done.returncode and "Your service token was revoked" in done.stderr
    assert "No token" in stand.hoopproxy("service-tokens", "revoke", token["id"], "--config", stand.config, fails=1)


def test_unknown_and_wrong_tokens_look_alike(stand: Proving) -> None:
    token = made(stand)["token"]
    from hoopproxy.addons.service_tokens import _check  # the check sum is no secret

    wrong = token[:15] + token[15:-7] + ("a" if token[-7] != "a" else "b")
    unknown = "hpx_" + ("0" if token[4] != "0" else "1") + token[5:-6]
    said = set()
    for text in (wrong + _check(wrong), unknown + _check(unknown), token[:-1], "hpx_"):
        done = stand.psql(stand.dsn("", "notes", token=text))
        assert done.returncode
        said.add(next(line for line in done.stderr.splitlines() if "FATAL" in line).partition("FATAL")[2])
    assert said == {":  Your service token is not valid here; ask the operator of the gateway for another."}


# Re-checks ------------------------------------------------------------------------------------------------------------


def test_who_is_taken_out_of_a_group_is_out_at_once(stand: Proving, foreign: Authority) -> None:
    leaf = foreign.issue("batch", dns=("batch.example",))
    words = {"sslcert": leaf.certificate_file, "sslkey": leaf.key_file}
    try:
        with stand.live(stand.dsn_of("", **words)) as session, stand.live(stand.through("ada", "notes").dsn) as ada:
            replace(stand.identities, IDENTITIES.format(group="cooks"))
            assert "no longer in a group" in ended(session)
            assert ada.execute("SELECT id FROM notes").fetchall() == [(1,)]
        assert "group-lost" in {entry["cause"] for entry in stand.entries("ended")[-2:]}
        with pytest.raises(psycopg.OperationalError, match="You have no access"):
            psycopg.connect(stand.dsn_of("", **words))
    finally:
        replace(stand.identities, IDENTITIES.format(group="analysts"))


def test_a_list_that_cannot_be_read_for_too_long_ends_its_people(stand: Proving, foreign: Authority) -> None:
    leaf = foreign.issue("batch-too", dns=("batch.example",))
    words = {"sslcert": leaf.certificate_file, "sslkey": leaf.key_file}
    try:
        with stand.live(stand.dsn_of("", **words)) as session:
            replace(stand.identities, "this is no TOML")
            counts = json.loads(stand.hoopproxy("sessions", "recheck", "--config", stand.config, "--json"))
            assert counts["unchecked"] >= 1
            assert "could not check for 12 s" in ended(session)
    finally:
        replace(stand.identities, IDENTITIES.format(group="analysts"))
