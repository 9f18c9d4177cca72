"""`ca client`: an authority that openssl, too, takes for one, certificates for hours, and a list of what is revoked."""

import json
import stat
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result

from .conftest import Answers

type Run = Callable[..., Result]


@pytest.fixture
def files(tmp_path: Path) -> list[str]:
    """The options that name the authority's files."""
    return [f"--{name}={tmp_path / f'clients.{name}'}" for name in ("certificate", "key", "passphrase")]


@pytest.fixture
def request_file(tmp_path: Path) -> Path:
    key, request = tmp_path / "ada.key", tmp_path / "ada.csr"
    words = "req -new -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN=mallory".split()
    subprocess.run(["openssl", *words, "-keyout", key, "-out", request], capture_output=True, check=True)
    return request


def openssl(*words: object) -> str:
    return subprocess.run(["openssl", *map(str, words)], capture_output=True, text=True, check=False).stdout


def test_what_is_issued_openssl_verifies_and_what_is_revoked_not(
    run: Run, files: list[str], request_file: Path, tmp_path: Path
) -> None:
    assert run("ca", "client", "create", *files).exit_code == 0
    for kind in ("certificate", "key", "passphrase"):
        assert stat.S_IMODE((tmp_path / f"clients.{kind}").stat().st_mode) == 0o600
    assert "ENCRYPTED" in (tmp_path / "clients.key").read_text()
    made = run("ca", "client", "issue", request_file, "--san", "email:ada@example.com", "--group", "analysts", *files)
    assert made.exit_code == 0 and "counts until" in made.stderr
    certificate, crl = tmp_path / "ada.crt", tmp_path / "clients.crl"
    certificate.write_text(made.stdout)
    text = openssl("x509", "-in", certificate, "-noout", "-text")
    for told in ("OU = analysts", "CN = ada@example.com", "email:ada@example.com", "TLS Web Client Authentication"):
        assert told in text
    assert "mallory" not in text and "CA:FALSE" in text
    renewed = run("ca", "client", "revoke", f"--list={crl}", *files)
    assert (renewed.exit_code, renewed.output) == (0, f"{crl} lists 0 certificates.\n")
    verify = "verify", "-CAfile", tmp_path / "clients.certificate", "-crl_check", "-CRLfile", crl
    assert openssl(*verify, "-purpose", "sslclient", certificate).endswith("OK\n")
    assert not openssl(*verify, "-purpose", "sslserver", certificate).endswith("OK\n")
    serial = openssl("x509", "-in", certificate, "-noout", "-serial").strip().partition("=")[2]
    assert json.loads(run("ca", "client", "revoke", serial, f"--list={crl}", *files, "--json").stdout)["revoked"] == 1
    assert not openssl(*verify, certificate).endswith("OK\n")


def test_an_authority_for_one_domain_issues_nothing_that_counts_for_another(
    run: Run, files: list[str], request_file: Path, tmp_path: Path
) -> None:
    permitted = "--permit", "email:example.com", "--permit", "uri:example.com"
    assert run("ca", "client", "create", *permitted, *files).exit_code == 0
    for san, is_good in (("email:ada@example.com", True), ("email:ada@elsewhere.example", False)):
        made = run("ca", "client", "issue", request_file, "--san", san, *files)
        (tmp_path / "one.crt").write_text(made.stdout)
        told = openssl("verify", "-CAfile", tmp_path / "clients.certificate", tmp_path / "one.crt")
        assert told.endswith("OK\n") is is_good


def test_nothing_is_replaced_and_nothing_is_half_named(run: Run, files: list[str], request_file: Path) -> None:
    assert run("ca", "client", "create", *files).exit_code == 0
    again = run("ca", "client", "create", *files)
    assert again.exit_code == 1 and "never replaced" in again.stderr
    half = run("ca", "client", "issue", request_file, "--san", "email:ada@example.com", *files[:2])
    assert half.exit_code == 2 and "or none of them" in half.stderr


@pytest.mark.parametrize("san", ["ada", "email:", "ip:10.0.0.1", "dns:é.example"])
def test_a_name_that_can_stand_in_no_certificate_is_wrong_usage(
    run: Run, files: list[str], request_file: Path, san: str
) -> None:
    assert run("ca", "client", "create", *files).exit_code == 0
    assert run("ca", "client", "issue", request_file, "--san", san, *files).exit_code == 2


def test_serials_are_hexadecimal_and_a_list_is_its_authority_s(run: Run, files: list[str], tmp_path: Path) -> None:
    assert run("ca", "client", "create", *files).exit_code == 0
    assert run("ca", "client", "revoke", "xyz", f"--list={tmp_path / 'l'}", *files).exit_code == 2
    (tmp_path / "l").write_text("no list")
    wrong = run("ca", "client", "revoke", "ab", f"--list={tmp_path / 'l'}", *files)
    assert wrong.exit_code == 2 and "no list of this authority's" in wrong.stderr
    assert (tmp_path / "l").read_text() == "no list"


def test_the_running_gateway_issues_where_no_key_is_named(run: Run, gateway: Answers, request_file: Path) -> None:
    gateway.given["certificate-issue"] = {"serial": "ab", "not_after_s": 1_700_000_000.0, "pem": "PEM\n"}
    words = "--san", "email:ada@example.com", "--group", "analysts", "--hours", "2", "--socket", gateway.path
    made = run("ca", "client", "issue", request_file, *words)
    assert (made.exit_code, made.stdout) == (0, "PEM\n")
    (asked,) = gateway.asked
    assert asked["arguments"] == {
        "request": request_file.read_text(),
        "san": "email:ada@example.com",
        "groups": ["analysts"],
        "lifetime_s": 7200.0,
        "addon": "",
    }
