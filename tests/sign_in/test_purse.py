"""Tokens at rest."""

import stat
import sys
from pathlib import Path
from types import ModuleType

import click
import pytest

from hoopproxy.cli.purse import opened

ADA = {"token": "the-secret-token"}


def files(home: Path) -> list[Path]:
    return sorted(path for path in home.rglob("*") if path.is_file())


def keep() -> None:
    with opened() as purse:
        purse.put("gw", ADA)


def test_what_is_kept_is_found_and_lies_encrypted(home: Path) -> None:
    keep()
    with opened() as purse:
        assert purse.find("gw") == purse.find("") == ADA
    assert [path.relative_to(home).as_posix() for path in files(home)] == [
        "config/hoopproxy/tokens.key",
        "state/hoopproxy/lock",
        "state/hoopproxy/tokens",
    ]
    for path in files(home):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert b"secret-token" not in path.read_bytes()


def test_each_time_it_looks_different(home: Path) -> None:
    keep()
    before = (home / "state/hoopproxy/tokens").read_bytes()
    with opened() as purse:
        purse.put("other", {})
        purse.drop("other")
        purse.put("gw", {**ADA, "more": 1})
    assert (home / "state/hoopproxy/tokens").read_bytes()[40:52] != before[40:52]


@pytest.mark.parametrize("at", [0, 30, -1])
def test_a_changed_file_opens_no_more(home: Path, at: int) -> None:
    keep()
    path = home / "state/hoopproxy/tokens"
    data = bytearray(path.read_bytes())
    data[at] ^= 1
    path.write_bytes(data)
    with pytest.raises(click.ClickException, match="can't be opened"), opened():
        pass
    with opened(anew=True) as purse:  # a new sign-in begins anew
        assert purse.find("gw") is None


def test_another_key_opens_nothing(home: Path) -> None:
    keep()
    (home / "config/hoopproxy/tokens.key").write_bytes(bytes(32))
    with pytest.raises(click.ClickException, match="run `hoopproxy login` again"), opened():
        pass


@pytest.mark.parametrize("name", ["state/hoopproxy/tokens", "config/hoopproxy/tokens.key"])
def test_files_that_others_may_read_are_not_used(home: Path, name: str) -> None:
    keep()
    (home / name).chmod(0o640)
    with pytest.raises(click.ClickException, match="Others may use"), opened():
        pass


def test_the_key_is_in_the_keyring_where_there_is_one(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    held: dict[tuple[str, str], str] = {}
    keyring = ModuleType("keyring")
    keyring.get_password = lambda *name: held.get(name)  # type: ignore[attr-defined] # a module of our own
    keyring.set_password = lambda *words: held.update({words[:2]: words[2]})  # type: ignore[attr-defined] # the same
    monkeypatch.setitem(sys.modules, "keyring", keyring)
    keep()
    assert list(held) == [("hoopproxy", "tokens")]
    assert not (home / "config").exists()
    with opened() as purse:
        assert purse.find("gw") == ADA
    held.clear()
    with pytest.raises(click.ClickException, match="can't be opened"), opened():
        pass


def test_a_keyring_that_does_not_work_is_none(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: str) -> None:
        raise RuntimeError("no backend")

    keyring = ModuleType("keyring")
    keyring.get_password = broken  # type: ignore[attr-defined] # a module of our own
    monkeypatch.setitem(sys.modules, "keyring", keyring)
    keep()
    assert (home / "config/hoopproxy/tokens.key").exists()
