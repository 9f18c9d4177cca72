"""What may be done by a grant's `actions`: the words of each protocol, and whether a list of them allows a deed.

Knows no statement: what one does is told in these words by an addon, which is asked about each.
"""

import re
from collections.abc import Collection, Mapping
from types import MappingProxyType

WORDS: Mapping[str, Mapping[str, str]] = MappingProxyType(
    {
        "postgres": {
            "read": "reading",
            "write": "changing rows",
            "ddl": "changing what the database is made of",
            "copy": "COPY",
            "call": "running code that nobody has read",
            "admin": "becoming another role, and what concerns the whole server",
        },
        "ssh": {
            "shell": "opening a shell",
            "exec": "running a command",
            "sftp": "transferring files",
            "subsystem": "using another subsystem",
            "forward": "forwarding a connection",
        },
        "kubernetes": {
            verb: verb
            for verb in (
                *("get", "list", "watch", "create", "update", "patch", "delete", "deletecollection"),
                *("exec", "attach", "portforward", "proxy", "head", "put", "post"),
            )
        },
    }
)
"""By protocol, each word and what people are told of it. The words of HTTP are its methods."""

METHOD = re.compile(r"[A-Z][A-Z-]{0,31}")
"""Methods of HTTP, as registered by IANA, are in capitals; no other protocol's words are."""


def tells(protocol: str) -> bool:
    """Whether what is done in this protocol can be told at all; of raw bytes it can't."""
    return protocol == "http" or protocol in WORDS


def fitting(protocol: str, actions: Collection[str]) -> frozenset[str]:
    """Those of the actions that are words of this protocol."""
    if protocol == "http":
        return frozenset(action for action in actions if METHOD.fullmatch(action))
    return frozenset(actions) & WORDS.get(protocol, {}).keys()


def is_word(action: str) -> bool:
    """Whether it is a word of any protocol."""
    return bool(METHOD.fullmatch(action)) or any(action in words for words in WORDS.values())


def said(protocol: str, action: str) -> str:
    """What people are told of an action."""
    return WORDS.get(protocol, {}).get(action, action)
