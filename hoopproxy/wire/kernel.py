"""Loads the row kernel, compiled when it was built and interpreted when not, and refuses a stale binary.

Knows nothing of rows. `COMPILED` tells which one runs; the service logs a warning when it is the slow one.
"""

import hashlib
import importlib.util
from pathlib import Path
from types import ModuleType

from hoopproxy.wire import _kernel
from hoopproxy.wire._kernel import Cut, Cutter, run_of

__all__ = ["COMPILED", "Cut", "Cutter", "interpreted", "run_of"]

_SOURCE = Path(__file__).with_name("_kernel.py")

COMPILED = bool(_kernel.SOURCE_SHA256)
"""Whether rows are cut by machine code. Interpreted, a masked row costs a hundred times more."""

if COMPILED and _kernel.SOURCE_SHA256 != hashlib.sha256(_SOURCE.read_bytes()).hexdigest():
    raise ImportError(f"The compiled row kernel is not made from {_SOURCE}: run `make build`.")


def interpreted() -> ModuleType:
    """The same source run by the interpreter, as a module of its own: the reference that tests compare with."""
    spec = importlib.util.spec_from_file_location("hoopproxy.wire._kernel_interpreted", _SOURCE)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
