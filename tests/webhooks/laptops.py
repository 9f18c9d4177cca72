"""Somebody's laptop: `hoopproxy` with a home of its own, in which a sign-in at a portal is kept."""

import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from click.testing import CliRunner, Result

from hoopproxy.cli.main import main
from hoopproxy.cli.purse import opened


class Laptop:
    """`ca_file` None: it trusts whom this machine trusts."""

    def __init__(self, home: Path) -> None:
        self._env: Mapping[str, str] = {
            "XDG_STATE_HOME": str(home / "state"),
            "XDG_CONFIG_HOME": str(home / "config"),
            "HOOPPROXY_GATEWAY": "",
        }

    def sign_in(self, gateway: str, token: str, ca_file: Path | None) -> None:
        """Keep what `hoopproxy login` keeps."""
        kept = {"token": token, "until_s": 4e9, "refresh": "", "name": "", "provider": None}
        with self._at_home(), opened(anew=True) as purse:
            purse.put(gateway, {**kept, "ca_file": str(ca_file) if ca_file else None})

    def run(self, *words: object) -> Result:
        """`hoopproxy access` and these words."""
        return CliRunner(env=self._env).invoke(main, ["access", *map(str, words)])

    def said(self, *words: object) -> Any:
        """What it answers, as JSON."""
        done = self.run(*words, "--json")
        assert done.exit_code == 0, done.output
        return json.loads(done.stdout)

    @contextmanager
    def _at_home(self) -> Iterator[None]:
        before = dict(os.environ)
        os.environ |= self._env
        try:
            yield
        finally:
            os.environ.clear()
            os.environ |= before
