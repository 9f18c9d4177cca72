"""Ways to one HTTP service, past the gateway and through it, for the same clients."""

import os
import re
import ssl
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

S_MAX = 60


@dataclass(frozen=True)
class Ran:
    """What a command said on its two streams, and its exit code."""

    out: bytes
    err: bytes
    code: int


def run(command: Sequence[str | Path], stdin: bytes = b"", **options: object) -> Ran:
    """A local command, until it ends."""
    done = subprocess.run(command, input=stdin, capture_output=True, timeout=S_MAX, check=False, **options)  # type: ignore[call-overload]
    return Ran(done.stdout, done.stderr, done.returncode)


def bare(home: Path) -> dict[str, str]:
    """An environment without anybody's proxies, authorities and settings."""
    return {"PATH": os.environ.get("PATH", os.defpath), "HOME": str(home), "LANG": "C.UTF-8"}


@dataclass(frozen=True)
class Got:
    """A response as its client sees it: what may differ on each way is not in it (`FREE`)."""

    status: int
    fields: tuple[tuple[str, str], ...]
    body: bytes

    def get(self, name: str) -> str | None:
        """The first value of the field."""
        return next((value for each, value in self.fields if each == name), None)


FREE = frozenset({"connection", "transfer-encoding", "keep-alive", "date"})
"""Fields of one connection, and the time (RFC 9110 §7.6.1)."""


def got(status: int, fields: Sequence[tuple[str, str]], body: bytes) -> Got:
    """A response, whoever's client got it."""
    kept = sorted((name.lower(), value) for name, value in fields if name.lower() not in FREE)
    return Got(status, tuple(kept), body)


@dataclass(frozen=True)
class Way:
    """How clients get to a service: its `base` URL is at `address`, and behind `proxy` if there is one.

    `token` is what they show, to the service or to the gateway, as `user` where there must be one.
    """

    name: str
    base: str
    address: tuple[str, int]
    token: str
    ca_file: Path
    proxy: str = ""
    proxy_ca_file: Path | None = None
    user: str = "agent"

    @property
    def netloc(self) -> str:
        """Host and port."""
        return urlsplit(self.base).netloc

    @property
    def host(self) -> str:
        """Its name in certificates."""
        return urlsplit(self.base).hostname or ""

    @property
    def headers(self) -> Mapping[str, str]:
        """What each request shows; behind a proxy, nothing."""
        return {} if self.proxy else {"Authorization": f"Bearer {self.token}"}

    @property
    def tls(self) -> ssl.SSLContext:
        """What a Python client needs to trust the service."""
        return ssl.create_default_context(cafile=str(self.ca_file))

    @property
    def proxy_tls(self) -> ssl.SSLContext:
        """And the proxy."""
        return ssl.create_default_context(cafile=str(self.proxy_ca_file))

    def curl_options(self) -> list[str]:
        """Words for curl(1); nothing of this user's counts."""
        words = ["-q", "-sS", "--max-time", str(S_MAX), "--cacert", str(self.ca_file)]
        if self.proxy:
            words += ["--proxy", self.proxy, "--proxy-user", f"{self.user}:{self.token}", "--noproxy", ""]
            return [*words, "--proxy-cacert", str(self.proxy_ca_file)]
        port = urlsplit(self.base).port
        words += ["--resolve", f"{self.host}:{port}:{self.address[0]}", "--noproxy", "*"]
        return [*words, *(word for name, value in self.headers.items() for word in ("-H", f"{name}: {value}"))]

    def curl(self, path: str, *words: str | Path, stdin: bytes = b"") -> Ran:
        """curl, until it ends."""
        return run(["curl", *self.curl_options(), *map(str, words), self.base + path], stdin)

    def fetch(self, path: str, *words: str | Path, stdin: bytes = b"") -> Got:
        """By curl: the last response, after interim ones. @raise AssertionError: curl failed."""
        return self.fetch_all([path], *words, stdin=stdin)[0]

    def fetch_all(self, paths: Sequence[str], *words: str | Path, stdin: bytes = b"") -> list[Got]:
        """One after the other on one connection."""
        *before, last = paths
        more = [self.base + path for path in before]
        options = ["--include", "--suppress-connect-headers", "--write-out", END.decode(), *words]
        ran = self.curl(last, *options, *more, stdin=stdin)
        assert ran.code == 0, ran
        *responses, rest = ran.out.split(END)
        assert (len(responses), rest) == (len(paths), b""), ran.out[-1000:]
        return [parsed(each) for each in responses]


END = b"==== so far ====\n"


def parsed(out: bytes) -> Got:
    """The last response of what `curl --include` printed."""
    while True:
        head, _, body = out.partition(b"\r\n\r\n")
        status, *lines = head.decode("latin-1").split("\r\n")
        found = re.match(r"HTTP/[\d.]+ (\d+)", status)
        assert found, out[:1000]
        fields = [(name, value) for name, _, value in (line.partition(": ") for line in lines)]
        if body.startswith(b"HTTP/"):
            out = body
            continue
        return got(int(found[1]), fields, body)
