"""Getting in by stock OpenSSH: with keys of each kind, with tokens, to targets by name; and not getting in."""

import os
import re
from dataclasses import replace
from pathlib import Path

import pytest

from hoopproxy.testing.issuer import Issuer
from hoopproxy.testing.ssh_keys import KINDS, new_key
from hoopproxy.testing.sshd import Sshd
from hoopproxy.testing.stand import PEOPLE
from hoopproxy.testing.three_files import ISSUER_URL

from .conftest import SshStand, agent
from .ways import Ran, Way, run

IN = Ran(b"in\n", b"", 0)
METHODS = ("password", "keyboard-interactive")
LEFT = re.compile(rb"Session [0-9a-f]+: name it when you ask the operator of the gateway")


def asked(way: Way, token: str, method: str = METHODS[0], *options: str) -> Ran:
    """ssh, where somebody answers what it asks with this token, line by line if it asks more than once."""
    lines, answer = way.directory / "lines", way.directory / "answer"
    lines.write_text(token + "\n")
    answer.write_text(f"#!/bin/sh\nhead -1 {lines}; [ $(wc -l <{lines}) = 1 ] || sed -i 1d {lines}\n")
    answer.chmod(0o700)
    environ = os.environ | {"SSH_ASKPASS": str(answer), "SSH_ASKPASS_REQUIRE": "force"}
    chosen = ("-o", "BatchMode=no", "-o", f"PreferredAuthentications={method}")
    return way.ssh("echo in", *chosen, *options, env=environ)


@pytest.mark.parametrize("kind", KINDS)
def test_a_key_lets_in(stand: SshStand, kind: str) -> None:
    assert stand.way("shell", kind=kind).ssh("echo in") == IN


@pytest.mark.parametrize("method", METHODS)
def test_a_token_lets_in(stand: SshStand, method: str) -> None:
    ran = asked(stand.way("shell"), stand.tokens["ada"], method)
    assert (ran.out, ran.code) == (b"in\n", 0)


@pytest.mark.parametrize("method", METHODS)
def test_a_forged_token_does_not_and_is_told_so(stand: SshStand, tmp_path: Path, method: str) -> None:
    forged = Issuer(tmp_path / "forger", ISSUER_URL).issue("ada", PEOPLE["ada"])
    ran = asked(stand.way("shell"), forged, method, "-o", "NumberOfPasswordPrompts=1")
    assert (ran.out, ran.code) == (b"", 255)
    assert b"Your token is not valid here" in ran.err
    assert b"Permission denied" in ran.err


@pytest.mark.parametrize("method", METHODS)
def test_who_mistypes_may_try_again(stand: SshStand, method: str) -> None:
    ran = asked(stand.way("shell"), f"mistyped\n{stand.tokens['ada']}", method)
    assert (ran.out, ran.code) == (b"in\n", 0)
    assert b"Your token is not valid here" in ran.err


def test_a_key_that_nobody_knows_does_not(stand: SshStand, tmp_path: Path) -> None:
    ran = replace(stand.way("shell"), key_file=new_key().write(tmp_path / "key")).ssh("echo in")
    assert (ran.out, ran.code) == (b"", 255)
    assert b"Permission denied" in ran.err


def test_an_agents_wrong_keys_are_passed_over(stand: SshStand, short: Path) -> None:
    with agent(short) as environ:
        for number in range(4):
            run(["ssh-add", str(new_key().write(short / f"wrong-{number}"))], env=environ)
        way = stand.way("shell")
        run(["ssh-add", str(way.key_file)], env=environ)
        anything = replace(way, key_file=short / "none", name="agent", directory=short)
        assert anything.ssh("echo in", "-o", "IdentitiesOnly=no", env=environ) == IN


def test_an_agent_with_too_many_of_them_is_told_so(stand: SshStand, short: Path) -> None:
    with agent(short) as environ:
        for number in range(8):
            run(["ssh-add", str(new_key().write(short / f"wrong-{number}"))], env=environ)
        anything = replace(stand.way("shell"), key_file=short / "none", name="agent", directory=short)
        ran = anything.ssh("echo in", "-o", "IdentitiesOnly=no", env=environ)
    assert (ran.out, ran.code) == (b"", 255)
    assert LEFT.search(ran.err), ran.err


def test_a_target_is_reached_by_a_minted_certificate(stand: SshStand, sshd: Sshd) -> None:
    assert stand.way("minted").ssh("echo in") == IN
    assert f"Accepted publickey for {sshd.user}" in sshd.log()
    assert re.search(r"ED25519-CERT \S+ ID [0-9a-f]+ \(serial \d+\) CA ED25519", sshd.log())


def test_an_account_may_be_named(stand: SshStand) -> None:
    assert stand.way("shell", account="app").ssh("echo in") == IN


@pytest.mark.parametrize("user", ["nowhere", "ledger", "app+ledger", "other+shell", "app+nowhere"])
def test_what_is_unknown_and_what_is_forbidden_answer_alike(stand: SshStand, user: str) -> None:
    def answer(person: str, user: str) -> bytes:
        account, _, target = user.rpartition("+")
        ran = stand.way(target, person, account).ssh("echo in")
        assert (ran.out, ran.code) == (b"", 255)
        names = f"'{target}' as account '{account}'" if account else f"'{target}'"
        assert f"You have no access to target {names}, or there is no such target".encode() in ran.err
        return re.sub(rb"[0-9a-f]{20}|\S+@|port \d+|request \S+|" + re.escape(names.encode()), b"-", ran.err)

    assert answer("ada", user) == answer("nobody", "app+shell" if "+" in user else "shell")


def test_outside_its_zone_nobody_gets_in(stand: SshStand) -> None:
    ran = stand.way("shell").ssh("echo in", "-b", "127.0.3.1")
    assert (ran.out, ran.code) == (b"", 255)
    assert b"US" in ran.err
    assert LEFT.search(ran.err)


def test_the_gateway_shows_the_key_that_it_has(stand: SshStand, tmp_path: Path) -> None:
    stranger = tmp_path / "known_hosts"
    stranger.write_text(f"[{stand.host}]:{stand.ssh_port} {new_key().public}\n")
    ran = replace(stand.way("shell"), known_hosts=stranger, directory=tmp_path).ssh("echo in")
    assert ran.code == 255
    assert b"Host key verification failed" in ran.err
