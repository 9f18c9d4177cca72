"""`hoopproxy ca`: an authority is made once, fits a gateway, and its certificate is what clients are given."""

import hashlib
import json
import stat
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, load_pem_private_key

from hoopproxy.config.load import load

type Run = Callable[..., Result]

LISTENER = """
[[listen]]
name = "{name}"
protocol = "http"
addresses = ["127.0.0.1"]
port = 0
plaintext = "loopback"
authority = "{files}/ca.crt"
authority_key = "{files}/ca.key"
authority_passphrase_file = "{files}/ca.pass"
"""


def create(run: Run, directory: Path, *more: str) -> Result:
    directory.mkdir(exist_ok=True)
    files = [directory / name for name in ("ca.crt", "ca.key", "ca.pass")]
    return run("ca", "create", "--certificate", files[0], "--key", files[1], "--passphrase", files[2], *more)


def test_three_files_are_made_for_their_owner_alone(run: Run, tmp_path: Path) -> None:
    made = create(run, tmp_path)
    assert made.exit_code == 0, made.output
    files = list(map(Path, made.stdout.split()))
    assert [file.name for file in files] == ["ca.crt", "ca.key", "ca.pass"]
    assert {stat.S_IMODE(file.stat().st_mode) for file in files} == {0o600}
    certificate = x509.load_pem_x509_certificate(files[0].read_bytes())
    key = load_pem_private_key(files[1].read_bytes(), files[2].read_bytes().strip())
    assert certificate.public_key() == key.public_key()
    assert b"ENCRYPTED" in files[1].read_bytes() and len(files[2].read_bytes()) > 40


def test_openssl_takes_it_for_a_root(run: Run, tmp_path: Path) -> None:
    create(run, tmp_path, "--name", "Our gateway", "--permit", "example.com", "--permit", "example.org", "--days", "90")
    file = tmp_path / "ca.crt"
    verify = ["openssl", "verify", "-x509_strict", "-check_ss_sig", "-CAfile", file, file]
    assert "OK" in subprocess.run(verify, capture_output=True, text=True, timeout=60).stdout
    shown = subprocess.run(["openssl", "x509", "-noout", "-text", "-in", file], capture_output=True, text=True).stdout
    for text in ("CA:TRUE, pathlen:0", "Our gateway", "DNS:example.com", "DNS:example.org", "IP:0.0.0.0/0.0.0.0"):
        assert text in shown


@pytest.mark.parametrize("there", ["ca.crt", "ca.key", "ca.pass"])
def test_an_authority_is_never_replaced(run: Run, tmp_path: Path, there: str) -> None:
    (tmp_path / there).write_text("mine")
    made = create(run, tmp_path)
    assert made.exit_code == 1 and f"{tmp_path / there} exists already" in made.stderr
    assert [file.name for file in tmp_path.iterdir()] == [there] and (tmp_path / there).read_text() == "mine"


def test_a_directory_that_is_none_is_named(run: Run, tmp_path: Path) -> None:
    missing = tmp_path / "missing"
    words = ("--certificate", missing / "a", "--key", missing / "b", "--passphrase", missing / "c")
    made = run("ca", "create", *words)
    assert made.exit_code == 1 and str(missing) in made.stderr and "Traceback" not in made.output


@pytest.mark.parametrize("domain", ["10.0.0.1", "a b", "*.example.com", ""])
def test_what_is_no_domain_is_wrong_usage(run: Run, tmp_path: Path, domain: str) -> None:
    assert create(run, tmp_path, "--permit", domain).exit_code == 2
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("more", [("--days", "0"), ("--name", "x" * 65)])
def test_what_a_certificate_cannot_hold_is_wrong_usage(run: Run, tmp_path: Path, more: tuple[str, str]) -> None:
    assert create(run, tmp_path, *more).exit_code == 2
    assert list(tmp_path.iterdir()) == []


def test_what_was_made_fits_a_listener_and_is_exported(run: Run, config: Path, tmp_path: Path) -> None:
    for name in ("one", "two"):
        create(run, tmp_path / name)
    with config.open("a") as opened:
        for name, files in (("proxy", "one"), ("again", "one"), ("other", "two")):
            opened.write(LISTENER.format(name=name, files=tmp_path / files))
    checked = run("check", "--config", config)
    assert checked.exit_code == 0, checked.output
    pems = [(tmp_path / name / "ca.crt").read_text() for name in ("one", "two")]
    assert run("ca", "export", "--config", config).stdout == "".join(pems)
    told = json.loads(run("ca", "export", "--config", config, "--json").stdout)
    assert [each["listeners"] for each in told] == [["proxy", "again"], ["other"]]
    assert [each["pem"] for each in told] == pems
    certificate = x509.load_pem_x509_certificate(pems[0].encode())
    der = certificate.public_bytes(Encoding.DER)
    assert told[0]["sha256"] == hashlib.sha256(der).hexdigest()
    assert load(config).listeners[-1].authority_file == str(tmp_path / "two" / "ca.crt")


def test_the_fingerprint_is_told_to_programs(run: Run, tmp_path: Path) -> None:
    told = json.loads(create(run, tmp_path, "--json").stdout)
    shown = subprocess.run(
        ["openssl", "x509", "-noout", "-fingerprint", "-sha256", "-in", told["certificate"]],
        capture_output=True,
        text=True,
        timeout=60,
    ).stdout
    assert shown.partition("=")[2].strip().replace(":", "").lower() == told["sha256"]
    assert (told["key"], told["passphrase"]) == (str(tmp_path / "ca.key"), str(tmp_path / "ca.pass"))


def test_a_gateway_without_an_authority_exports_none(run: Run, config: Path) -> None:
    answer = run("ca", "export", "--config", config)
    assert answer.exit_code == 1 and "no [[listen]] has an authority" in answer.stderr


def test_a_file_that_is_no_certificate_is_named(run: Run, config: Path, tmp_path: Path) -> None:
    create(run, tmp_path / "one")
    (tmp_path / "one" / "ca.crt").write_text("hello")
    with config.open("a") as opened:
        opened.write(LISTENER.format(name="proxy", files=tmp_path / "one"))
    for words in (("ca", "export"), ("check",)):
        answer = run(*words, "--config", config)
        assert answer.exit_code == 2 and "listen.proxy.authority" in answer.stderr
