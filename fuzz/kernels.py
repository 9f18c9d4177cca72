"""Both row kernels at once, whichever of them the process runs: the machine code, and its source interpreted.

Knows no row. Under atheris the process runs the source, because only that tells where it was.
"""

import importlib.util
from importlib.machinery import EXTENSION_SUFFIXES, ExtensionFileLoader
from pathlib import Path
from types import ModuleType

from hoopproxy.wire import _kernel, kernel

_SOURCE = Path(kernel.__file__).with_name("_kernel.py").resolve()


def _compiled() -> ModuleType:
    """The machine code as a module of its own. @raise FileNotFoundError: there is none; `make build` makes it."""
    path = next(path for suffix in EXTENSION_SUFFIXES if (path := _SOURCE.with_name(f"_kernel{suffix}")).exists())
    name = "fuzz.compiled._kernel"
    spec = importlib.util.spec_from_file_location(name, path, loader=ExtensionFileLoader(name, str(path)))
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


COMPILED: ModuleType = _kernel if kernel.COMPILED else _compiled()
INTERPRETED: ModuleType = kernel.interpreted() if kernel.COMPILED else _kernel
