"""`python -m fuzz.engine HARNESS [LIBFUZZER-OPTION…]`: one harness under atheris, with all of hoopproxy instrumented.

The row kernel runs interpreted, because machine code does not tell where it was.
"""

import importlib
import importlib.util
import shlex
import sys
from collections.abc import Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType

import atheris

KERNEL = "hoopproxy.wire._kernel"
INSTRUMENTED = ["hoopproxy"]


class _Source(MetaPathFinder):
    """Finds the row kernel's source where the machine code lies beside it."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if fullname != KERNEL or path is None:
            return None
        return importlib.util.spec_from_file_location(fullname, Path(next(iter(path)), "_kernel.py"))


def main(name: str, options: list[str]) -> None:
    """Fuzz until libFuzzer ends the process."""
    sys.meta_path.insert(0, _Source())
    with atheris.instrument_imports(include=INSTRUMENTED):
        harness = importlib.import_module(f"fuzz.{name}")
    # libFuzzer merges in processes of its own, which a shell starts by the first argument.
    atheris.Setup([f"{shlex.quote(sys.executable)} -m fuzz.engine {name}", *options], harness.run)
    atheris.Fuzz()


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
