"""The commands of docs/http.md do what the page says."""

import json
import re
from pathlib import Path

import pytest

from hoopproxy.testing.http_stand import LISTENER

from .conftest import HttpStand
from .ways import bare, run

PAGE = (Path(__file__).parents[2] / "docs/http.md").read_text()
COMMANDS = re.findall(r"^    (curl .*)$", PAGE, flags=re.M)


@pytest.mark.parametrize("command", COMMANDS, ids=["reverse", "forward"])
def test_curl_gets_customers(stand: HttpStand, tmp_path: Path, command: str) -> None:
    """Names are those of the stand; what this machine's curl must know beside them stands in its own file."""
    (_, port), target = stand.address(LISTENER), stand.site.targets["shop"]
    names = {
        "crm.gw.example.com:8443": stand.reverse("shop").netloc,
        "gw.example.com:8443": f"localhost:{port}",
        "crm.example.com": target.authority,
        "/v1/": "/",
    }
    for name, own in names.items():
        command = command.replace(name, own)
    authorities = tmp_path / "authorities.pem"
    authorities.write_text(stand.ca_file.read_text() + stand.site.ca_file.read_text())
    (tmp_path / ".curlrc").write_text(
        f'silent\ncacert = "{authorities}"\nproxy-cacert = "{authorities}"\n'
        f'resolve = "{stand.reverse("shop").netloc}:127.0.0.1"\n'
    )
    ran = run(["sh", "-c", command], env=bare(tmp_path) | {"TOKEN": stand.tokens["ada"]})
    assert json.loads(ran.out)["customers"][0]["name"] == "Ada Lovelace", ran
