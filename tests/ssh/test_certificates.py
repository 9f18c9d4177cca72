"""Minted certificates before OpenSSH's own eyes: what ssh-keygen reads in them, and whom a real sshd lets in."""

import base64
import subprocess
from collections.abc import Iterator
from datetime import UTC, datetime
from ipaddress import ip_address
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hoopproxy.dial.ssh_certificates import SKEW_S, Minted, UnfitAuthority, minted
from hoopproxy.model import IPAddress
from hoopproxy.proofs import Secret
from hoopproxy.testing.ssh_keys import SshKey, new_key
from hoopproxy.testing.sshd import Sshd

HERE = ip_address("127.0.0.1")
START_S = 1_800_000_000.0


@pytest.fixture(scope="module")
def sshd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sshd]:
    with Sshd(tmp_path_factory.mktemp("sshd")) as running:
        yield running


def mint(
    sshd: Sshd, principal: str = "", source: IPAddress = HERE, *, authority: SshKey | None = None, age_s: float = 0
) -> Minted:
    signer, now_s = authority or sshd.authority, datetime.now(UTC).timestamp()
    return minted(Secret(signer.private), principal or sshd.user, source, now_s - age_s, "s-4711")


def write(made: Minted, directory: Path) -> Path:
    """The key, and its certificate where ssh looks for it."""
    key = directory / "key"
    key.touch(0o600)
    key.write_text(made.private_key.reveal())
    line = base64.b64encode(made.certificate).decode()
    (directory / "key-cert.pub").write_text(f"ssh-ed25519-cert-v01@openssh.com {line}\n")
    return key


def enter(sshd: Sshd, made: Minted, directory: Path, *options: str) -> subprocess.CompletedProcess[str]:
    known_hosts = directory / "known_hosts"
    known_hosts.write_text(sshd.known_hosts())
    words = ["-F", "none", "-o", f"UserKnownHostsFile={known_hosts}", "-o", "IdentitiesOnly=yes", "-o", "BatchMode=yes"]
    where = ["-p", str(sshd.port), "-i", str(write(made, directory)), *options, f"{sshd.user}@{sshd.host}"]
    return subprocess.run(["ssh", *words, *where, "echo in"], capture_output=True, text=True, timeout=60, check=False)


def read(made: Minted, directory: Path) -> dict[str, str]:
    """What ssh-keygen reads in it: `name: value`, and lists in one line."""
    write(made, directory)
    command = ["ssh-keygen", "-L", "-f", str(directory / "key-cert.pub")]
    said = subprocess.run(command, capture_output=True, text=True, check=True, env={"TZ": "UTC"}).stdout
    found: dict[str, str] = {}
    for line in said.splitlines()[1:]:
        name, _, value = line.strip().partition(": ")
        if line[8] != " ":
            last = name.rstrip(":")
            found[last] = value
        else:
            found[last] = f"{found[last]} {line.strip()}".strip()
    return found


def test_it_says_who_may_do_what_from_where_and_until_when(tmp_path: Path) -> None:
    authority = new_key("rsa")
    made = minted(Secret(authority.private), "app", ip_address("2001:db8::7"), START_S + 0.9, "s-4711")
    said = read(made, tmp_path)
    assert said["Type"] == "ssh-ed25519-cert-v01@openssh.com user certificate"
    assert said["Key ID"] == '"s-4711"'
    assert said["Principals"] == "app"
    assert said["Critical Options"] == "source-address 2001:db8::7/128"
    assert said["Extensions"] == "permit-pty"
    assert said["Valid"] == "from 2027-01-15T07:59:00 to 2027-01-15T08:05:00"
    assert said["Signing CA"].startswith(f"RSA {authority.fingerprint}")


def test_no_two_share_a_key_or_a_number(tmp_path: Path) -> None:
    authority = Secret(new_key().private)
    first, second = (minted(authority, "app", HERE, START_S, "s") for _ in range(2))
    for name in ("first", "second"):
        (tmp_path / name).mkdir()
    one, other = read(first, tmp_path / "first"), read(second, tmp_path / "second")
    assert one["Serial"] != other["Serial"]
    assert one["Public key"] != other["Public key"]
    assert "PRIVATE" not in repr(first)


def test_a_server_lets_in_whom_it_certifies(sshd: Sshd, tmp_path: Path) -> None:
    done = enter(sshd, mint(sshd), tmp_path)
    assert (done.stdout, done.returncode) == ("in\n", 0), done.stderr
    assert "ID s-4711" in sshd.log()


@pytest.mark.parametrize("kind", ["rsa", "ecdsa"])
def test_authorities_of_each_kind_are_taken(sshd: Sshd, tmp_path: Path, kind: str) -> None:
    authority = new_key(kind)
    sshd.trust(authority)
    assert enter(sshd, mint(sshd, authority=authority), tmp_path).returncode == 0


def test_it_is_good_from_one_address_alone(sshd: Sshd, tmp_path: Path) -> None:
    done = enter(sshd, mint(sshd), tmp_path, "-b", "127.0.2.1")
    assert (done.stdout, done.returncode) == ("", 255)
    assert "Permission denied" in done.stderr


def test_it_is_good_for_minutes(sshd: Sshd, tmp_path: Path) -> None:
    done = enter(sshd, mint(sshd, age_s=301), tmp_path)
    assert (done.stdout, done.returncode) == ("", 255)
    assert "expired" in sshd.log()


def test_it_is_good_for_a_server_whose_clock_is_behind(sshd: Sshd, tmp_path: Path) -> None:
    assert enter(sshd, mint(sshd, age_s=-SKEW_S + 20), tmp_path).returncode == 0


def test_it_is_good_for_one_account_alone(sshd: Sshd, tmp_path: Path) -> None:
    assert enter(sshd, mint(sshd, "somebody-else"), tmp_path).returncode == 255


def test_a_stranger_certifies_nobody(sshd: Sshd, tmp_path: Path) -> None:
    assert enter(sshd, mint(sshd, authority=new_key()), tmp_path).returncode == 255


def test_it_carries_no_right_to_forward(sshd: Sshd, tmp_path: Path) -> None:
    done = enter(sshd, mint(sshd), tmp_path, "-R", "0:127.0.0.1:9", "-o", "ExitOnForwardFailure=yes")
    assert done.returncode == 255
    assert "remote port forwarding failed" in done.stderr


def test_what_is_no_authority_is_told_without_quoting_it() -> None:
    locked = subprocess.run(
        ["sh", "-c", 'd=$(mktemp -d); ssh-keygen -q -t ed25519 -N hunter2 -f "$d/k"; cat "$d/k"; rm -r "$d"'],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    good = new_key().private
    for text in ("", "hunter2", locked, good[: len(good) // 2], good.replace("A", "B"), new_key().public):
        with pytest.raises(UnfitAuthority) as caught:
            minted(Secret(text), "app", HERE, START_S, "s-1")
        assert "hunter2" not in str(caught.value)
        assert caught.value.__suppress_context__


@given(st.text())
def test_no_text_breaks_the_mint(text: str) -> None:
    with pytest.raises(UnfitAuthority):
        minted(Secret(text), "app", HERE, START_S, "s-1")
