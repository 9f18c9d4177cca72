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


kernel = Extension("hoopproxy.wire._kernel", [stamped_source()], optional=True, extra_compile_args=["-O3"])
setup(ext_modules=cythonize([kernel]), cmdclass={"build_ext": build_ext})
