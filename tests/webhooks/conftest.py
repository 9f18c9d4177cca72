"""A gateway with a portal, people with laptops, and somebody who is told of what they do."""

import json
import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from hoopproxy.testing.certificates import Authority
from hoopproxy.testing.postgres import PostgresCluster

SECRET = bytes(range(32))


@pytest.fixture(scope="module")
def cluster(authority: Authority, tmp_path_factory: pytest.TempPathFactory) -> Iterator[PostgresCluster]:
    leaf = authority.issue("database-webhooks", dns=("localhost",), ips=("127.0.0.1",))
    certificate = leaf.certificate_file, leaf.key_file
    with PostgresCluster(tmp_path_factory.mktemp("pg"), certificate=certificate) as running:
        yield running


def private(path: Path, data: bytes) -> Path:
    """A new file for its owner alone."""
    with open(os.open(path, os.O_WRONLY | os.O_CREAT, 0o600), "wb") as file:
        file.write(data)
    return path


def webhook(name: str, url: str, secret: Path, more: str = "") -> str:
    """A [[webhook]] table."""
    said = {"name": name, "url": url, "secret_file": str(secret)}
    return "\n[[webhook]]\n" + "".join(f"{key} = {json.dumps(value)}\n" for key, value in said.items()) + more


def portal(authority: Authority, directory: Path, address: str) -> tuple[str, str]:
    """A [portal] table, and the portal's URL: at an address and port that nobody else uses."""
    leaf = authority.issue(f"portal-{address}", ips=(address,))
    key = private(directory / "portal.key", Path(leaf.key_file).read_bytes())
    with socket.create_server((address, 0)) as free:
        port = free.getsockname()[1]
    url = f"https://{address}:{port}"
    table = f"""
[portal]
addresses = ["{address}"]
port = {port}
certificate = {json.dumps(str(leaf.certificate_file))}
key = {json.dumps(str(key))}
url = "{url}"
requests_per_minute = 10000
"""
    return table, url
