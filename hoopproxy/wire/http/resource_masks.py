"""What is masked of an API server's objects, wherever in an answer one stands. Knows no mask.

A list has its objects in `items`, a watch in `object`, and what kubectl shows as a table has them in its rows. Masks
name places in the object itself: `secrets $.data`, `apps/deployments $.spec.replicas`.
"""

import re

from hoopproxy.wire.http.messages import Headers
from hoopproxy.wire.http.protection import Protection

JSON = "application/json"

SECRET_VALUES = ("secrets $.data", "secrets $.stringData")
APPLIED = 'secrets $.metadata.annotations["kubectl.kubernetes.io/last-applied-configuration"]'
"""Where a Secret has its values; in the last, `kubectl apply` keeps all that it was given, as JSON."""

SECRETS_MASKED = frozenset((*SECRET_VALUES, APPLIED))
"""What is protected in a session in which the values of Secrets are masked."""

SECRETS_SHOWN = frozenset(("secrets",))
"""And in one in which they are shown to these people. With neither, nobody gets at a Secret."""

_WITHIN = re.compile(r"\$(?:\.object)?(?:\.items\[\*\]|\.rows\[\*\]\.object)?(?=[.\[])")


class ResourceProtection(Protection):
    """What is protected of one resource's objects."""

    def of_field(self, path: str) -> str:
        """A place in an object, whatever it is wrapped in."""
        return super().of_field(_WITHIN.sub("$", path, count=1))


def narrowed(headers: Headers, *, keeps_tables: bool) -> Headers:
    """A request's fields that let it be answered in JSON alone, which can be masked.

    kubectl's tables show members of objects where no path leads to them.
    """
    wanted = [
        each
        for value in headers.all("accept")
        for each in map(str.strip, value.split(","))
        if each.partition(";")[0].strip().lower() == JSON and (keeps_tables or "as=" not in each.lower())
    ]
    return headers.instead("accept", ", ".join(wanted if JSON in wanted else [*wanted, JSON]))
