"""HTTP messages as frozen values, whichever version they travel in (RFC 9110).

Texts are ISO 8859-1, which loses no byte. Knows no parser and no policy.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from hoopproxy.proofs import TargetSecret
from hoopproxy.requests import HeaderFields

SERVER_NAME = "hoopproxy"


@dataclass(frozen=True, slots=True)
class Headers:
    """Fields in their order; names are compared without regard to case (RFC 9110 §5.1)."""

    fields: HeaderFields = ()

    def get(self, name: str) -> str | None:
        """The first value of that name."""
        return next(self.all(name), None)

    def all(self, name: str) -> Iterator[str]:
        """All values of that name, field by field."""
        wanted = name.lower()
        return (value for each, value in self.fields if each.lower() == wanted)

    def tokens(self, name: str) -> tuple[str, ...]:
        """The members of all comma-separated lists of that name, in lower case, none of them empty."""
        return tuple(
            token for value in self.all(name) for each in value.split(",") if (token := each.strip(" \t").lower())
        )

    def without(self, *names: str) -> "Headers":
        """All fields but those."""
        unwanted = {name.lower() for name in names}
        return Headers(tuple(each for each in self.fields if each[0].lower() not in unwanted))

    def where(self, keeps: Callable[[str, str], bool]) -> "Headers":
        """The fields of which `keeps(name in lower case, value)` is true."""
        return Headers(tuple((name, value) for name, value in self.fields if keeps(name.lower(), value)))

    def plus(self, name: str, value: str) -> "Headers":
        """One more, at the end."""
        return Headers((*self.fields, (name, value)))

    def instead(self, name: str, value: str) -> "Headers":
        """One field of that name, in place of all there were."""
        return self.without(name).plus(name, value)


@dataclass(frozen=True, slots=True)
class RequestHead:
    """The head of a request. `target` is the path with its query, or `*`; the pseudo-header fields of HTTP/2 and the
    absolute form of HTTP/1.1 are taken apart, and there is no Host field: it is the authority. `is_bodyless`: nothing
    follows it."""

    method: str
    scheme: str
    authority: str
    target: str
    version: str
    headers: Headers = field(repr=False)
    is_bodyless: bool = False

    @property
    def path(self) -> str:
        """Without the query."""
        return self.target.partition("?")[0]

    @property
    def query(self) -> str:
        """Behind the "?"; "" without one."""
        return self.target.partition("?")[2]

    @property
    def wants_upgrade(self) -> bool:
        """Whether it asks for a WebSocket (RFC 6455 §4.1), the one upgrade that there is here."""
        return "upgrade" in self.headers.tokens("connection") and "websocket" in self.headers.tokens("upgrade")


@dataclass(frozen=True, slots=True)
class ResponseHead:
    """The head of a response. `is_bodyless`: nothing follows it."""

    status: int
    reason: str
    version: str
    headers: Headers = field(repr=False)
    is_bodyless: bool = False


@dataclass(frozen=True, slots=True)
class Answer:
    """A whole response of the gateway's own, in the target's place."""

    status: int
    headers: Headers
    body: bytes = b""

    def to(self, method: str) -> "Answer":
        """As a request with that method is answered: HEAD asks for the head alone (RFC 9110 §9.3.2)."""
        return Answer(self.status, self.headers) if method == "HEAD" else self


@dataclass(frozen=True, slots=True)
class HttpGreeting:
    """What a dialer tells of a target over HTTP: lane 0's ALPN ("" for none), and what is to be shown to the target in
    each request (None: nothing)."""

    alpn: str
    secret: TargetSecret | None = field(repr=False)


# What a permit's parameters say of a client connection over HTTP ------------------------------------------------------

AUTHORITY = "http.authority"
"""The host, and port unless it is the scheme's own, by which the client calls the target; in lower case."""

SCHEME = "http.scheme"
"""`https` or `http`, as the client sees it."""

FORM = "http.form"
"""`origin` for a reverse proxy's client, `absolute` for a forward proxy's in the clear, `tunnel` behind a CONNECT."""

PREFIX = "http.prefix"
"""What stands before the target's own paths, such as `/clusters/prod`; "" for nothing."""

VERSION = "http.version"
"""`h2` or `http/1.1`, as far as it is known before the target is reached; "" when it is not (`tunnel`)."""
