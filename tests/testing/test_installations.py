from pathlib import Path

from hoopproxy.testing.installations import Account, Copies, installed


def test_an_installation_behind_a_closed_door_is_copied_once_to_where_the_server_can_run_it(tmp_path: Path) -> None:
    closed = tmp_path / "closed"
    binaries = closed / "pginstall" / "bin"
    binaries.mkdir(parents=True)
    (binaries / "postgres").write_text("#!/bin/sh\n")
    (binaries / "postgres").chmod(0o755)
    closed.chmod(0o700)
    account, copies = Account.choose(), Copies()
    readable = copies.readable(binaries, account)
    assert account.can("-x", readable / "postgres")
    assert copies.readable(binaries, account) == readable
    assert (readable == binaries) is account.ourselves


def test_an_installation_that_the_server_can_run_is_used_where_it_is() -> None:
    account = Account.choose()
    for binaries in installed().values():
        if account.can("-x", binaries / "postgres"):
            assert Copies().readable(binaries, account) == binaries
