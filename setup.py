"""Builds the row kernel; everything else stands in pyproject.toml and setup.cfg.

The extension is optional: without a compiler the same source runs interpreted, and says so at start.
"""

import hashlib
from pathlib import Path

from Cython.Build import cythonize
from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext

SOURCE = Path("hoopproxy/wire/_kernel.py")
STAMPED = Path("build/kernel/_kernel.py")


def stamped_source() -> str:
    """A copy of the kernel that knows what it was made from, so that a stale binary is noticed at import."""
    source = SOURCE.read_bytes()
    digest = hashlib.sha256(source).hexdigest()
    stamped = source.replace(b'SOURCE_SHA256 = ""', f'SOURCE_SHA256 = "{digest}"'.encode())
    assert stamped != source, f"{SOURCE} has no line for its digest"
    STAMPED.parent.mkdir(parents=True, exist_ok=True)
    if not STAMPED.exists() or STAMPED.read_bytes() != stamped:
        STAMPED.write_bytes(stamped)
    return str(STAMPED)


class BuildIfPossible(build_ext):
    """Without a compiler there is no binary, and nothing that comes later may look for one."""

    def run(self) -> None:
        super().run()
        self.extensions = [each for each in self.extensions if Path(self.get_ext_fullpath(each.name)).exists()]


(kernel,) = cythonize([Extension("hoopproxy.wire._kernel", [stamped_source()], extra_compile_args=["-O3"])])
kernel.optional = True  # said here, since cythonize makes a new Extension and forgets it
setup(ext_modules=[kernel], cmdclass={"build_ext": BuildIfPossible})
