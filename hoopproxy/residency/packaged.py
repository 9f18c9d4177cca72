"""The zone files that come with hoopproxy, as bytes. Knows nothing of what they say; `zones.parse` does."""

from collections.abc import Mapping
from importlib.resources import files


def read_packaged() -> Mapping[str, bytes]:
    """The content of each packaged zone file, by file name."""
    folder = files("hoopproxy.residency") / "zones"
    return {file.name: file.read_bytes() for file in folder.iterdir() if file.name.endswith(".toml")}
