"""What comes through a session and is a session of its own: its bytes, its entries in the log, and who is live."""

import json
import socket
from typing import Any

from hoopproxy.control.client import ControlClient
from hoopproxy.disk.bundles import _leaves
from hoopproxy.testing.stand import Stand

S_MAX = 120.0
ASKS_MAX = 3000


def connected(port: int) -> socket.socket:
    return socket.create_connection(("127.0.0.1", port), S_MAX)


def received(client: socket.socket, count: int) -> bytes:
    """So many bytes, or all that come."""
    data = b""
    while len(data) < count and (more := client.recv(count - len(data))):
        data += more
    return data


def noted(stand: Stand, kind: str, **what: Any) -> dict[str, Any]:
    """The last entry of that kind in the log that says so. It may be on its way: then the gateway is asked something
    else, so that it has its turn."""
    for _ in range(ASKS_MAX):
        for entry in reversed([json.loads(leaf) for leaf in _leaves(stand.log_directory)]):
            if entry["kind"] == kind and what.items() <= entry.items():
                found: dict[str, Any] = entry
                return found
        control(stand).call("sessions")
    raise AssertionError(f"no {kind} with {what}")


def control(stand: Stand) -> ControlClient:
    return ControlClient(stand.control_socket)


def live(stand: Stand, target: str) -> list[dict[str, Any]]:
    return [each for each in control(stand).call("sessions")["sessions"] if each["target"] == target]
