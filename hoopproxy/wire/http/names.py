"""By which names a client and a target call the same places: URLs in header fields, both ways.

Knows no header field and no connection.
"""

import re
from dataclasses import dataclass

from hoopproxy.model import Permit
from hoopproxy.wire.http.messages import AUTHORITY, PREFIX, SCHEME

PORTS = {"http": "80", "https": "443"}

_URL = re.compile(r"(https?)://([a-z0-9._-]+|\[[0-9a-f:.]+\])(?::([0-9]*))?(?=[/?#]|\Z)(.*)", re.IGNORECASE | re.DOTALL)
_SCHEME = re.compile(r"[a-z][a-z0-9+.-]*:", re.IGNORECASE)
_AROUND = "".join(map(chr, range(0x21)))
_WITHIN = re.compile(r"[\t\r\n]+")


class Elsewhere(ValueError):
    """A URL that leads to another place than the target."""


def settled_authority(authority: str, scheme: str) -> str:
    """In lower case, and without the port that is the scheme's own (RFC 9110 §4.2.3)."""
    host, colon, port = authority.lower().rpartition(":")
    return host if colon and not host.endswith(":") and port in ("", PORTS.get(scheme)) else authority.lower()


def bracketed(host: str) -> str:
    """A host as it stands in an authority."""
    return f"[{host}]" if ":" in host else host


@dataclass(frozen=True, slots=True)
class Names:
    """`origin` and `prefix` are what the client puts before the target's paths, `target_origin` what the target does.
    `hosts` are the target's own names, `redirects` those of others that it may send a client to."""

    scheme: str
    authority: str
    prefix: str
    target_scheme: str
    target_authority: str
    ports: frozenset[str]
    hosts: frozenset[str]
    redirects: frozenset[str]

    @classmethod
    def of(cls, permit: Permit) -> "Names":
        """Those of one client connection."""
        target, said = permit.target, permit.parameters
        scheme = "https" if target.tls else "http"
        host = bracketed(target.host)
        names = {host, bracketed(target.tls.server_name) if target.tls else host}
        return cls(
            scheme=said[SCHEME],
            authority=settled_authority(said[AUTHORITY], said[SCHEME]),
            prefix=said.get(PREFIX, ""),
            target_scheme=scheme,
            target_authority=settled_authority(f"{host}:{target.port}", scheme),
            ports=frozenset((str(target.port), *PORTS.values(), "")),
            hosts=frozenset(name.lower() for name in names),
            redirects=frozenset(bracketed(name).lower() for name in target.http.redirects),
        )

    @property
    def origin(self) -> str:
        """What the client's URLs begin with."""
        return f"{self.scheme}://{self.authority}"

    @property
    def target_origin(self) -> str:
        """What the target's own URLs begin with."""
        return f"{self.target_scheme}://{self.target_authority}"

    def outward(self, url: str) -> str:
        """A URL that the target names, as the client is to call it. @raise Elsewhere: it leads somewhere else.

        Read as browsers read it (WHATWG URL): a backslash is a slash, and tabs and line ends do not count.
        """
        cleaned = _WITHIN.sub("", url.strip(_AROUND))
        head, mark, rest = _cut(cleaned)
        url = head.replace("\\", "/") + mark + rest
        if url.startswith("//"):
            url = f"{self.target_scheme}:{url}"
        if not _SCHEME.match(url):
            return f"{self.prefix}{url}" if url.startswith("/") else url
        found = _URL.fullmatch(url)
        if found is None:
            raise Elsewhere(url)
        scheme, host, port, path = found[1].lower(), found[2].lower(), found[3] or "", found[4]
        if settled_authority(f"{host}:{port}", scheme) == self.authority:
            return url
        if host in self.hosts and port in self.ports:
            return f"{self.origin}{self.prefix}{path if path.startswith('/') else f'/{path}'}"
        if host in self.redirects:
            return url
        raise Elsewhere(url)

    def inward(self, url: str) -> str:
        """A URL that the client names, as the target calls it; others stay."""
        origin, slash, rest = url.partition(self.origin)
        if origin or not slash or not (rest == "" or rest[0] in "/?#"):
            return url
        if self.prefix and (rest == self.prefix or rest.startswith(f"{self.prefix}/")):
            rest = rest.removeprefix(self.prefix)
        return self.target_origin + rest


def _cut(url: str) -> tuple[str, str, str]:
    """What stands before the query or fragment, the mark, and what follows."""
    found = re.search(r"[?#]", url)
    return (url[: found.start()], found[0], url[found.end() :]) if found else (url, "", "")
