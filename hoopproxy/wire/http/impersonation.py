"""As whom a person comes to a Kubernetes cluster: the header fields that say so, or a sentence for who may not come.

Clients say nothing of it: what they send in these fields is dropped. Knows no request (kubernetes.io, "User
impersonation").
"""

import re
from fnmatch import fnmatchcase

from hoopproxy.errors import Refused
from hoopproxy.model import Identity
from hoopproxy.requests import HeaderFields
from hoopproxy.targets import KubernetesTarget
from hoopproxy.wire.http.fields import folded

PRIVILEGED = "system:"
"""What Kubernetes itself calls its users and groups by: nobody is one of them through the gateway."""

_NAME = re.compile(r"[^\x00-\x20\x7f-\x9f]([^\x00-\x1f\x7f-\x9f]*[^\x00-\x20\x7f-\x9f])?")
"""A value that arrives in a header field as it was sent (RFC 9110 §5.5)."""

_CLAIMS = re.compile(r"impersonate-.*|x-remote-.*")
"""What an API server believes of those whom it trusts: impersonation, and what an authenticating proxy says."""


def is_claim(name: str) -> bool:
    """Whether a field of that name tells an API server who somebody is."""
    return _CLAIMS.fullmatch(folded(name)) is not None


def impersonation(identity: Identity, cluster: KubernetesTarget) -> HeaderFields:
    """The fields for this person. @raise Refused: nobody is to come there under that name."""
    user = identity.name if cluster.user == "name" else identity.subject
    if not _is_plain(user) or not any(fnmatchcase(user, pattern) for pattern in cluster.users):
        raise Refused(
            "You are not among the users whom this gateway may bring to the cluster: ask its owner to add you.",
            reason="target",
            detail=f"the {cluster.user} {user!r} fits none of target.kubernetes.users, or can't be sent",
        )
    groups = sorted(group for group in identity.groups & cluster.groups if _is_plain(group))
    return (("impersonate-user", _sent(user)), *(("impersonate-group", _sent(group)) for group in groups))


def _is_plain(name: str) -> bool:
    return _NAME.fullmatch(name) is not None and not name.startswith(PRIVILEGED)


def _sent(name: str) -> str:
    return name.encode().decode("latin-1")
