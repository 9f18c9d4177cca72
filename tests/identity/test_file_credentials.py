"""Credentials in files: read when asked, refused when anybody else could read them, unreachable by a path."""

import os
from pathlib import Path
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hoopproxy.addons.file_credentials import FILE_BYTES_MAX, FileCredentials
from hoopproxy.errors import Refused
from hoopproxy.model import Passage
from hoopproxy.proofs import TargetSecret
from hoopproxy.testing.ssh_keys import new_key

from .conftest import run

PASSAGE = cast(Passage, None)


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    (tmp_path / "vault").mkdir()
    write(tmp_path / "vault" / "ledger-app.toml", 'username = "app"\npassword = "hunter2"\n')
    write(tmp_path / "outside.toml", 'username = "root"\npassword = "root"\n')
    return tmp_path / "vault"


def write(path: Path, text: str, mode: int = 0o600) -> None:
    path.write_text(text)
    path.chmod(mode)


def ask(directory: Path, name: str) -> TargetSecret | None:
    secret: TargetSecret | None = run(FileCredentials("vault", directory).secret(PASSAGE, name))
    return secret


def refusal(directory: Path, name: str = "ledger-app") -> Refused:
    with pytest.raises(Refused) as caught:
        ask(directory, name)
    assert caught.value.sentence == (
        "The gateway can't use its own credential for this target; tell the operator of the gateway."
    )
    assert "hunter2" not in caught.value.detail
    return caught.value


def test_a_credential_is_read_each_time(directory: Path) -> None:
    source = FileCredentials("vault", directory)
    first = run(source.secret(PASSAGE, "ledger-app"))
    write(directory / "ledger-app.toml", 'username = "app"\npassword = "changed"\n', 0o400)
    second = run(source.secret(PASSAGE, "ledger-app"))
    assert (first.username, first.password.reveal(), second.password.reveal()) == ("app", "hunter2", "changed")
    assert "hunter2" not in repr(first)


@pytest.mark.parametrize("key", ["private_key", "authority_key"])
def test_a_credential_may_be_a_key(directory: Path, key: str) -> None:
    pem = new_key().private
    write(directory / "build.toml", f'username = "ci"\n{key} = """\n{pem}"""\n')
    secret = ask(directory, "build")
    assert secret is not None
    assert (secret.username, secret.password.reveal()) == ("ci", "")
    held = {"private_key": secret.private_key, "authority_key": secret.authority_key}
    assert (held.pop(key) or secret.password).reveal() == pem
    assert list(held.values()) == [None]
    assert "PRIVATE" not in repr(secret)


def test_a_credential_that_is_not_here_is_somebody_elses(directory: Path) -> None:
    assert ask(directory, "another") is None


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o644, 0o620, 0o602, 0o666, 0o610])
def test_a_file_that_others_may_touch_is_refused(directory: Path, mode: int) -> None:
    (directory / "ledger-app.toml").chmod(mode)
    assert "chmod 0600" in refusal(directory).detail


def test_a_file_of_another_user_is_refused(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    true = os.fstat
    strange: Any = lambda fd: os.stat_result((*true(fd)[:4], 4711, *true(fd)[5:10]))  # noqa: E731 -- one line says it
    monkeypatch.setattr("hoopproxy.disk.private.os.fstat", strange)
    assert "belongs to user 4711" in refusal(directory).detail


@pytest.mark.parametrize(
    "text",
    [
        "",
        "app\nhunter2\n",
        'username = "app"\n',
        'username = "app"\npassword = 2\nnote = "hunter2"',
        'username = "app"\npassword = ["hunter2"]\n',
        'username = "app"\npassword = "hunter2"\nextra = 1\n',
        'username = "app"\npassword = "hunter2',
        'username = "app"\npassword = "hunter2"\nprivate_key = "hunter2"\n',
        'username = "app"\nauthority_key = "hunter2"\nprivate_key = "hunter2"\n',
        'username = "app"\nprivate_key = 2\nnote = "hunter2"\n',
        'username = "app"\nprivate_key_file = "hunter2"\n',
        'private_key = "hunter2"\n',
    ],
)
def test_another_content_is_refused_without_quoting_it(directory: Path, text: str) -> None:
    write(directory / "ledger-app.toml", text)
    why = refusal(directory)
    assert "wanted: TOML with a username and one of password, private_key and authority_key" in why.detail
    assert why.__cause__ is not None
    assert why.__cause__.__cause__ is None
    assert why.__cause__.__suppress_context__


def test_what_is_no_file_is_refused(directory: Path) -> None:
    (directory / "folder.toml").mkdir(0o700)
    os.mkfifo(directory / "pipe.toml", 0o600)
    write(directory / "long.toml", "#" * (FILE_BYTES_MAX + 1))
    assert "Is a directory" in refusal(directory, "folder").detail
    assert "no regular file" in refusal(directory, "pipe").detail
    assert "longer than" in refusal(directory, "long").detail


@given(name=st.one_of(st.text(max_size=30), st.lists(st.sampled_from(["..", ".", "/", "outside", "\0"])).map("".join)))
def test_no_name_leads_out_of_the_directory(name: str, tmp_path_factory: pytest.TempPathFactory) -> None:
    top = tmp_path_factory.getbasetemp() / "traversal"
    (top / "vault").mkdir(parents=True, exist_ok=True)
    write(top / "outside.toml", 'username = "root"\npassword = "root"\n')
    assert ask(top / "vault", name) is None


def test_without_its_directory_the_gateway_does_not_start(tmp_path: Path) -> None:
    with pytest.raises(NotADirectoryError, match="wanted is one with a file for each credential"):
        FileCredentials("vault", tmp_path / "missing")
