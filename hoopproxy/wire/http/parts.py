"""What messages come and go in: the same values on both sides of a parser, received of one end and sent to the other.

Each names the stream that it belongs to; where a connection carries one message at a time, a stream is one exchange.
Knows no version of HTTP and no policy.
"""

from dataclasses import dataclass, field

from hoopproxy.wire.http.messages import Headers, RequestHead, ResponseHead


@dataclass(frozen=True, slots=True)
class Head[Message: (RequestHead, ResponseHead)]:
    """A message begins."""

    stream: int
    message: Message


@dataclass(frozen=True, slots=True)
class Data:
    """A piece of its body, of at least one byte; after a 101, of whatever was agreed on."""

    stream: int
    raw: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Trailers:
    """Fields behind the body (RFC 9110 §6.5); `End` follows."""

    stream: int
    headers: Headers


@dataclass(frozen=True, slots=True)
class End:
    """The message is whole."""

    stream: int


@dataclass(frozen=True, slots=True)
class Broken:
    """That end gave the message up before it was whole, and wants no answer. `is_unprocessed`: it says that it has not
    even looked at the request (RFC 9113 §8.7). `why` is for the operator."""

    stream: int
    why: str
    is_unprocessed: bool = False


@dataclass(frozen=True, slots=True)
class Malformed:
    """That end sent what nobody can read in only one way, and nothing of it counts. `why` is for the operator; stream 0
    is the whole connection."""

    stream: int
    why: str


type FromClient = Head[RequestHead] | Data | End | Broken | Malformed
"""What clients send. Trailers of requests are read and discarded, as RFC 9110 §6.5.1 lets anybody on the way do: they
would pass what the guards judged by."""

type FromServer = Head[ResponseHead] | Data | Trailers | End | Broken
"""What targets send; interim responses but 101 are discarded."""
