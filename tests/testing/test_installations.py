import json
import os
import subprocess
import sys
from pathlib import Path

from hoopproxy.testing.installations import MORE, Account, Copies, installed
from hoopproxy.testing.process import environment


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


def test_more_installations_are_found_where_the_environment_says(tmp_path: Path) -> None:
    folders = {f"9{number}": tmp_path / f"first{number}" for number in (7, 8)} | {"99": tmp_path / "nothing there"}
    for version, folder in list(folders.items())[:2]:
        folder.mkdir()
        (folder / "postgres").write_text(f"#!/bin/sh\necho 'postgres (PostgreSQL) {version}.4'\n")
        (folder / "postgres").chmod(0o755)
    program = (
        "import json; from hoopproxy.testing.installations import installed; "
        "print(json.dumps({version: str(folder) for version, folder in installed().items()}))"
    )
    environ = environment() | {MORE: os.pathsep.join(["", *map(str, folders.values())])}
    said = subprocess.run([sys.executable, "-c", program], env=environ, stdout=subprocess.PIPE, check=True).stdout
    found = json.loads(said)
    assert {version: found.get(version) for version in folders} == {
        "97": str(folders["97"]),
        "98": str(folders["98"]),
        "99": None,
    }
