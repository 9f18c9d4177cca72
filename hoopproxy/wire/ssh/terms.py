"""The terms under which one SSH connection is relayed: whether its output is masked, and what its limits are.

Knows no message.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import count

from hoopproxy.settings import Limits
from hoopproxy.wire.ssh.messages import UINT32_MAX
from hoopproxy.wire.ssh.output import MASKED_WINDOW_BYTES_MAX


@dataclass(frozen=True, slots=True)
class Terms:
    """`is_masked`: output is judged by its content. `environment`: names of variables that a client may set, `*` for
    any rest. `numbers` are those of statements, from 1."""

    is_masked: bool
    environment: Sequence[str]
    limits: Limits
    numbers: "count[int]"

    @property
    def granted_max(self) -> int:
        """What a server may send ahead on one channel."""
        return MASKED_WINDOW_BYTES_MAX if self.is_masked else UINT32_MAX
